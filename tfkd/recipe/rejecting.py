"""Settings of labels that are withheld must fit together."""

from collections.abc import Sequence

from tfkd.recipe.data import Data
from tfkd.recipe.export import Export
from tfkd.recipe.gates import Gates


def require_rejection(export: Export, gates: Gates) -> None:
    """Refuses gates on labels that are withheld where none is, and promises that contradict each other.

    Raises:
        ValueError: the settings exclude each other.
    """
    for name in ("max_error_when_confident", "max_outside_accepted"):
        if getattr(gates, name) is not None and export.reject is None:
            raise ValueError(f"gates.{name} judges the labels that export.reject leaves; set export.reject.max_error")
    if export.reject is not None and gates.min_recall:
        raise ValueError(
            "export.reject withholds labels, and gates.min_recall promises them by thresholds of classes; leave one of "
            "them out"
        )


def require_rejection_of(export: Export, gates: Gates, data: Data, compressions: Sequence[str]) -> None:
    """Refuses the same, and what examples or compressions exclude.

    Raises:
        ValueError: the settings exclude each other.
    """
    require_rejection(export, gates)
    if export.temperature and "qat" in compressions:
        raise ValueError("export.temperature changes weights that compress=qat has quantized; leave one of them out")
    for name, value in (("export.reject", export.reject), ("export.temperature", export.temperature)):
        if value is not None and data.folds is not None:
            raise ValueError(
                f"{name} needs validation examples, and data.folds={data.folds} leaves none; leave one of them out"
            )
    if data.outside is not None and export.reject is None:
        raise ValueError("data.outside measures how many strangers get a label by export.reject; set export.reject")
    if gates.max_outside_accepted is not None and data.outside is None:
        raise ValueError("gates.max_outside_accepted needs examples of no class; set data.outside=folder:PATH")
