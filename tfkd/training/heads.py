"""A student with two classifiers on the same features, which become one after the training.

One learns from the labels and one from the teachers, so that their gradients conflict in the features only.
Reference: Kang et al. 2025, "Simple Semi-supervised Knowledge Distillation from Vision-Language Models via
Dual-Head Optimization", arXiv:2505.07675. The paper mixes probabilities; here the logits are mixed, so that the
exported student has a single classifier.
"""

from dataclasses import dataclass

import keras

from tfkd.errors import RequestError

LABEL_HEAD, TEACHER_HEAD = "label_head", "teacher_head"  # names of the layers that hold the logits of each


@dataclass(frozen=True, eq=False)
class TwoHeads:
    """A student and the network with one more classifier that trains it.

    Attributes:
        network: raw inputs to the weighted mean of both classifiers' logits; shares all other layers with the student.
        teacher_head: the student's own classifier, a dense layer.
        label_head: the other one.
        weight: of the other one in the mean, 0 to 1.
    """

    network: keras.Model
    teacher_head: keras.layers.Dense
    label_head: keras.layers.Dense
    weight: float

    def merge(self) -> None:
        """Sets the student's classifier to the weighted mean of both, which is exact because both are linear."""
        pairs = zip(self.teacher_head.get_weights(), self.label_head.get_weights(), strict=True)
        self.teacher_head.set_weights([(1 - self.weight) * own + self.weight * other for own, other in pairs])


def two_heads(student: keras.Model, weight: float, seed: int) -> TwoHeads:
    """Adds a classifier to a student.

    Args:
        student: raw inputs to logits.
        weight: of the added classifier.
        seed: of its initial weights.

    Raises:
        RequestError: the student does not end in a dense layer without an activation.
    """
    head = teacher_head_of(student)
    config = {**head.get_config(), "name": LABEL_HEAD, "kernel_initializer": keras.initializers.GlorotUniform(seed)}
    other = keras.layers.Dense.from_config(config)
    logits = [keras.layers.Identity(name=TEACHER_HEAD)(student.output), other(head.input)]
    shares = [keras.layers.Rescaling(share, dtype="float32") for share in (1 - weight, weight)]
    mean = keras.layers.Add(dtype="float32")([share(each) for share, each in zip(shares, logits, strict=True)])
    return TwoHeads(keras.Model(student.input, mean, name=student.name), head, other, weight)


def teacher_head_of(student: keras.Model) -> keras.layers.Dense:
    """Returns the classifier of a student that can be merged with another one.

    Raises:
        RequestError: the student does not end in a dense layer without an activation.
    """
    last = student.layers[-1]
    if isinstance(last, keras.layers.Dense) and last.activation is keras.activations.linear:
        return last
    raise RequestError(
        f"distill.label_head needs a student that ends in a dense layer, and {student.name!r} ends in a "
        f"{type(last).__name__} ({last.name!r}); leave label_head out."
    )
