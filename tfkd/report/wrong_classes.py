"""What the student knows of wrong classes, made ready for the reports: a sentence and a plot."""

from tfkd.bundle.evidence import Evidence
from tfkd.bundle.manifest import Manifest
from tfkd.report import plots
from tfkd.verification.records import OrderAgreement


def says(manifest: Manifest) -> str:
    """Returns how far student and control order the wrong classes as the teacher does; "" where it is not known."""
    student, control = manifest.student.wrong_classes, manifest.student.control_wrong_classes
    if student is None:
        return ""
    if student.correlation is None:
        return f"Whether the student orders the wrong classes as the teacher does cannot be said: {student.reason}."
    beside = "" if control is None or control.correlation is None else f", that of the control at {_written(control)}"
    return (
        f"Over the classes that are not the label, the order of the student's logits agrees with the teacher's at "
        f"{_written(student)}{beside} (Spearman's rank correlation: 1 for the same order, 0 for an unrelated one; mean "
        f"over {student.images:,} test {manifest.noun}s ± one standard error)."
    )


def plot(manifest: Manifest, evidence: Evidence) -> str | None:
    """Returns the distribution of the rank correlations over the test images as an SVG; None where there is none."""
    orders = {"student": manifest.student.wrong_classes, "control": manifest.student.control_wrong_classes}
    found = [
        plots.Distribution(name, counts, order.correlation)
        for name, counts in evidence.wrong_class_orders.items()
        if (order := orders[name]) is not None and order.correlation is not None
    ]
    return plots.distributions(found, "rank correlation with the teacher over the wrong classes") if found else None


def _written(order: OrderAgreement) -> str:
    error = "" if order.standard_error is None else f" ± {order.standard_error:.2f}"
    return f"{order.correlation:.2f}{error}".replace("-", "−")
