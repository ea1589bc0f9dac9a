"""The main job in a few minutes on two cores: a fashion classifier, from an EfficientNet-Lite0 to a MobileNetV3.

    python pipelines/quickstart.py        or        tfkd run pipelines/quickstart.py

The data ships with the package (6,000 images of Fashion-MNIST, 1,000 more to test on); the teacher's ImageNet weights
come with the extra `lite-teachers`.
"""

from tfkd.recipe import (
    Augment,
    Data,
    Distill,
    Export,
    FineTune,
    Gates,
    Recipe,
    SoftTargets,
    Student,
    Teacher,
    Training,
)

recipe = Recipe(
    name="quickstart",
    data=Data(
        source="embedded:fashion_mnist_mini",
        image_size=32,
        fraction=0.2,
        unlabelled="rest",
        augment=Augment(min_area=0.7, max_aspect=1.1, brightness=0.1, contrast=0.1, saturation=0.0),
    ),
    teachers=[
        Teacher(
            model="efficientnet_lite0",
            image_size=64,
            fine_tune=FineTune(head_epochs=30, epochs=0),
        )
    ],
    student=Student(model="mobilenet_v3_small", weights="none", width=0.75, dropout=0.1),
    distill=Distill(
        losses=[SoftTargets(temperature=4.0, weight=0.9)],
        label_weight=0.1,
        views=2,
        training=Training(epochs=8, batch_size=128, learning_rate=5e-3),
    ),
    export=Export(coreml=["mlmodel", "mlpackage", "mlpackage_int8"]),
    gates=Gates(
        max_accuracy_drop=0.005, min_agreement=0.98, min_gain_over_control=0.0, min_size_ratio=8.0, min_speed_ratio=3.0
    ),
)

if __name__ == "__main__":
    from tfkd.cli import main

    main(["run", __file__])
