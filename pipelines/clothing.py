"""Clothing photos, ten classes: an EfficientNet-Lite2 teacher, a MobileNetV3-Small student, three seeds.

    tfkd run pipelines/clothing.py data.source=folder:clothing160.zip

About an hour on two cores: 15 minutes for the teacher, 10 for its answers, 40 for three students and their controls.
README.md has the numbers to expect.
"""

from tfkd.recipe import Augment, Bench, Data, Distill, FineTune, Gates, Recipe, SoftTargets, Student, Teacher, Training

recipe = Recipe(
    name="clothing",
    data=Data(source="folder:clothing160.zip", image_size=96, augment=Augment(min_area=0.3)),
    teachers=[
        Teacher(
            model="efficientnet_lite2",
            image_size=160,
            fine_tune=FineTune(epochs=4, head_epochs=30, thaw=0.5, batch_size=32, learning_rate=3e-4),
        )
    ],
    student=Student(model="mobilenet_v3_small", width=0.75),
    distill=Distill(
        losses=[SoftTargets(temperature=2.0, weight=0.9)],
        label_weight=0.1,
        views=8,
        repeats=3,
        training=Training(epochs=30, batch_size=64, learning_rate=3e-3),
    ),
    bench=Bench(runs=100),
    gates=Gates(min_size_ratio=11.0, min_speed_ratio=14.0),
)
