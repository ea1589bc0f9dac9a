"""Handwritten digits by rules: from a multi-layer perceptron to a decision tree of six questions, or a forest.

    python pipelines/digits.py                                     the tree
    tfkd run pipelines/digits.py name=digits-forest student.model=forest student.max_depth=12
        student.min_leaf=8

The data are in scikit-learn's package (1,797 digits as the ink in 64 cells), which the extra `trees` brings. Ten digits
per class keep their labels; the teacher labels the others.
"""

from tfkd.recipe import Augment, Data, Distill, Export, Gates, Recipe, Teacher, Tree

recipe = Recipe(
    name="digits",
    data=Data(
        source="embedded:digits",
        kind="table",
        test_share=0.2,
        fraction=0.08,
        unlabelled="rest",
        augment=Augment(jitter=0.3),
    ),
    teachers=[Teacher(model="mlp")],
    student=Tree(max_depth=6),
    distill=Distill(views=8),
    export=Export(onnx=True),
    gates=Gates(min_gain_over_control=0.0),
)

if __name__ == "__main__":
    from tfkd.cli import main

    main(["run", __file__])
