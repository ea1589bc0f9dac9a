"""tfkd: distils heavy Keras image classifiers into phone-sized ones and verifies every exported file.

The functions do what the commands do, with objects as arguments and results:

    result = tfkd.run("recipe.py")
    result.comparison                                   # a table, in a notebook as HTML
    result.bundle.predict(images)                       # by an exported file
    tfkd.export(model, labels=names, data=(images, labels))
    tfkd.verify("exported_models/quickstart").passed
    tfkd.diff("released/quickstart", "exported_models/quickstart").passed
    tfkd.bench("exported_models/quickstart", max_median_ms=5)

Every error of tfkd is a `TfkdError` with a text of one line. The blocks of a recipe are in
`tfkd.recipe`, the losses of a `Distiller` in `tfkd.distill.losses`.
"""

import importlib

from tfkd.version import __version__

TYPE_CHECKING = False  # importing typing could find a file of this name in the current folder under `python -m`
if TYPE_CHECKING:
    from tfkd.bundle.loading import Bundle, load_bundle
    from tfkd.distill.distiller import Distiller
    from tfkd.distill.predictions import TeacherPredictions
    from tfkd.errors import InternalError, MachineError, RequestError, TfkdError
    from tfkd.interface.benchmarking import BenchReport, bench
    from tfkd.interface.checking import VerifyReport, verify
    from tfkd.interface.comparing import DiffReport, diff
    from tfkd.interface.exporting import export
    from tfkd.interface.fitting import FitReport, fit
    from tfkd.interface.monitoring import DriftReport, drift
    from tfkd.interface.results import ExportReport, RunReport
    from tfkd.interface.running import load_recipe, run
    from tfkd.interface.runs import SoftLabelBatches
    from tfkd.recipe import Recipe
    from tfkd.report.tables import Table
    from tfkd.verification import GateError, VerifyError

__all__ = [
    "BenchReport",
    "Bundle",
    "DiffReport",
    "Distiller",
    "DriftReport",
    "ExportReport",
    "FitReport",
    "GateError",
    "InternalError",
    "MachineError",
    "Recipe",
    "RequestError",
    "RunReport",
    "SoftLabelBatches",
    "Table",
    "TeacherPredictions",
    "TfkdError",
    "VerifyError",
    "VerifyReport",
    "__version__",
    "bench",
    "diff",
    "drift",
    "export",
    "fit",
    "load_bundle",
    "load_recipe",
    "run",
    "verify",
]

_MODULES = {
    "BenchReport": "tfkd.interface.benchmarking",
    "Bundle": "tfkd.bundle.loading",
    "DiffReport": "tfkd.interface.comparing",
    "DriftReport": "tfkd.interface.monitoring",
    "Distiller": "tfkd.distill.distiller",
    "ExportReport": "tfkd.interface.results",
    "FitReport": "tfkd.interface.fitting",
    "GateError": "tfkd.verification",
    "InternalError": "tfkd.errors",
    "MachineError": "tfkd.errors",
    "Recipe": "tfkd.recipe",
    "RequestError": "tfkd.errors",
    "RunReport": "tfkd.interface.results",
    "SoftLabelBatches": "tfkd.interface.runs",
    "Table": "tfkd.report.tables",
    "TeacherPredictions": "tfkd.distill.predictions",
    "TfkdError": "tfkd.errors",
    "VerifyError": "tfkd.verification",
    "VerifyReport": "tfkd.interface.checking",
    "bench": "tfkd.interface.benchmarking",
    "diff": "tfkd.interface.comparing",
    "drift": "tfkd.interface.monitoring",
    "export": "tfkd.interface.exporting",
    "fit": "tfkd.interface.fitting",
    "load_bundle": "tfkd.bundle.loading",
    "load_recipe": "tfkd.interface.running",
    "run": "tfkd.interface.running",
    "verify": "tfkd.interface.checking",
}


if not TYPE_CHECKING:  # to a type checker, a name that is not imported above is an error

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'tfkd' has no attribute {name!r}")
        from tfkd.quiet import tensorflow_silenced

        with tensorflow_silenced():  # it may load here, on first use, so that `tfkd --help` stays fast
            return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
