"""What the record of a file format holds; functions are named as "module:function" and loaded when they are called."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

FLOAT_GATES = ("min_float_agreement", "max_float_error")
HALF_GATES = ("min_float_agreement", "max_half_error", "max_half_shift")
QUANTIZED_GATES = ("min_agreement",)


@dataclass(frozen=True)
class Precision:
    """A precision of a format.

    Attributes:
        tolerances: by runtime family, the largest difference of a probability from the golden predictions that passes,
            on this machine and on devices.
        gates: fields of `tfkd.recipe.Gates` that judge such files, in this order, in addition to those for every file.
        stored: runtime families whose golden predictions a bundle holds, the reference first; empty: the format's.
        oldest_ios: minimum iOS version for such files.
        shipped: whether the source code for apps runs this file rather than others of its folder.
        from_qat: writes the file after quantization-aware training, as "module:function" with (saved_model, path,
            card, signature, io).
    """

    tolerances: Mapping[str, float]
    gates: tuple[str, ...]
    stored: tuple[str, ...] = ()
    oldest_ios: int | None = None
    shipped: bool = False
    from_qat: str | None = None


@dataclass(frozen=True)
class AppCode:
    """Source code for an app that runs a file.

    Attributes:
        runtime: the library that it calls, of which `tfkd.report.usage` has the steps; tokenizer and counter call none.
        template: in tfkd/bundle/templates.
        file: its name; "{type}" is replaced by the bundle's name as a type name.
        kind: the kind of input of the models that it runs.
    """

    runtime: str
    template: str
    file: str
    kind: str = "image"


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: in manifests; after a dot, the suffix of its files.
        folder: in a bundle.
        recipe_field: field of `tfkd.recipe.Export` that requests such files.
        precisions: by name.
        usual: the precision that names of files and forms do not state; None where they state every one.
        writer: writes a file; called with (graph, file, path, card, calibration).
        score_threshold: writes the least probability of a label into a finished file; called with (path, card,
            signature). None where the format has no place for it.
        check: reads what a file says of itself; called with (path, card, signature).
        predict: runs a file; called with (path, batches) and the options of a runtime family.
        requirements: reads what a file needs of its runtime; called with (path).
        accelerators: lists what phones' accelerators take of a file; called with (path).
        stored: runtime families whose golden predictions a bundle holds, the reference first.
        delegates: the runtime families that a device can be, by the delegate that runs the graph.
        any_delegate: the same for delegates that are not named; empty: those of the stored predictions.
        timed: whether a run times the files on this machine and compares them with each other.
        is_folder: whether a file is a folder.
        newest_ios: the last iOS that added to the format; a later deployment target changes nothing.
        modules: Python modules that writer and runtime need beside those that tfkd depends on.
        extra: of tfkd, which brings `modules`.
        code: source code for apps.
        library: what model hubs call the library that runs the files.
        tags: for model hubs.
    """

    name: str
    folder: str
    recipe_field: str
    precisions: Mapping[str, Precision]
    writer: str
    check: str
    predict: str
    stored: tuple[str, ...]
    library: str
    tags: tuple[str, ...]
    usual: str | None = None
    score_threshold: str | None = None
    requirements: str | None = None
    accelerators: str | None = None
    delegates: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    any_delegate: tuple[str, ...] = ()
    timed: bool = False
    is_folder: bool = False
    newest_ios: int | None = None
    modules: tuple[str, ...] = ()
    extra: str | None = None
    code: tuple[AppCode, ...] = ()

    @property
    def suffix(self) -> str:
        """The end of every file's name."""
        return f".{self.name}"

    @property
    def families(self) -> tuple[str, ...]:
        """The runtime families that run the format."""
        return tuple(next(iter(self.precisions.values())).tolerances)

    def precision(self, name: str) -> Precision:
        """Returns what is known of a precision; one that no record has gets the widest tolerances."""
        widest = {family: self.widest(family) for family in self.families}
        return self.precisions.get(name) or Precision(widest, QUANTIZED_GATES)

    def widest(self, family: str) -> float:
        """Returns the largest tolerance of a runtime family."""
        return max(precision.tolerances[family] for precision in self.precisions.values())

    def form(self, precision: str) -> str:
        """Returns the name by which a recipe requests a file."""
        if precision == self.usual:
            return self.name
        return precision if self.recipe_field == self.name else f"{self.name}_{precision}"

    def path(self, name: str, precision: str) -> str:
        """Returns where a bundle holds the file of a model, with forward slashes."""
        ending = "" if precision == self.usual else f"_{precision}"
        return f"{self.folder}/{name}{ending}{self.suffix}"

    def ios(self, precision: str, target: int | None) -> int | None:
        """Returns the oldest iOS that takes a file.

        Args:
            precision: of the file.
            target: the oldest iOS that the recipe requests; None for the oldest possible for the file.
        """
        oldest = self.precisions[precision].oldest_ios
        if oldest is None:
            return None
        version = max(oldest, target or 0)
        return min(version, self.newest_ios) if self.newest_ios else version

    def stored_families(self, precision: str) -> tuple[str, ...]:
        """Returns the runtime families whose golden predictions a bundle holds of a file, the reference first."""
        return self.precision(precision).stored or self.stored

    def accepted_families(self, precision: str, delegate: str) -> tuple[str, ...]:
        """Returns the runtime families that a device can be, the likeliest first.

        Args:
            precision: of the file.
            delegate: what runs the graph, as in results of `tfkd bench`: xnnpack, cpu, gpu, npu, or Core ML's units.
        """
        return self.delegates.get(delegate) or self.any_delegate or self.stored_families(precision)


def load(name: str) -> Any:
    """Returns the function behind "module:function"."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
