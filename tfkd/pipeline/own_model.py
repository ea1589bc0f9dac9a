"""The second half of a run for a model of the user's own: exported, verified, timed and published as a bundle."""

import re
import shutil
import traceback
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from tfkd.bundle.publishing import require_writable
from tfkd.errors import InternalError, RequestError, TfkdError, of_the_machine
from tfkd.labels import read_labels
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import Outcome, publish
from tfkd.pipeline.stage import locked
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress
from tfkd.recipe import NAME, Bench, Block, Export, Gates
from tfkd.recipe import files as recipe_files
from tfkd.sandbox import Sandbox
from tfkd.verification.gates import OF_SEVERAL, is_on
from tfkd.writers import check_installed


class Request(Block):
    """What `tfkd export` was asked for."""

    name: str = Field(pattern=NAME, description="names the bundle")
    model: str = Field(description="a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel")
    labels: str = Field(description="a text file with one class name a line, in the order of the model's outputs")
    data: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH or files:LIST.csv; its classes are among the labels"
    )
    normalization: str = Field(
        "none", description="what the model expects of pixels: none, tf, torch, caffe or numbers"
    )
    allow_code: bool = Field(False, description="run code that the model file brings along")
    imports: list[str] = Field([], description="modules that register the model's custom layers")
    image_size: int | None = Field(None, ge=8, le=1024, description="side of the input where the model leaves it free")
    export: Export
    bench: Bench
    gates: Gates
    seed: int = Field(1, ge=0, lt=2**31, description="draws the splits that the data lack, and the images")

    @field_validator("export")
    @classmethod
    def _measurable(cls, value: Export) -> Export:
        if not value.tflite:
            raise ValueError("names no .tflite file; a bundle's latencies are of those, so name at least fp32")
        return value

    @model_validator(mode="after")
    def _alone(self) -> "Request":
        for name in OF_SEVERAL:
            if is_on(getattr(self.gates, name)):
                raise ValueError(f"gates.{name} compares with a teacher or a control, and here is none; leave it out")
        return self


def name_of(model: str) -> str:
    """Returns a name for the bundle of a model's file or folder: its own, without what a name may not hold."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(model).stem).strip("-_")[:64] or "model"


def request(given: dict[str, Any], files: dict[str, Any], overrides: list[str]) -> Request:
    """Puts a request together.

    Args:
        given: the fields of the request itself.
        files: which files to write, by the field of `export` that names them; those that are named must exist, unless
            the overrides set `export.require`.
        overrides: further fields as `key.path=value`.

    Raises:
        RequestError: a field is unknown or has a wrong value.
    """
    parts: dict[str, Block] = {
        "export": Export(description="Image classifier"),
        "bench": Bench(),
        # The network is what it is: operators that XNNPACK does not have are told, and judged on request.
        "gates": Gates(one_partition=False, min_relative_accuracy=None, not_worse_than_control=False),
    }
    values = {**given, **{name: part.model_dump(mode="json") for name, part in parts.items()}}
    named = [*files.get("tflite", []), *files.get("coreml", []), *(["onnx"] if files.get("onnx") else [])]
    values["export"] |= files | {"require": named}
    return recipe_files.validated(recipe_files.overridden(values, overrides), Request, "tfkd export")


def publish_own(request: Request, progress: Progress, runs: Path, bundles: Path, model: Any = None) -> Outcome:
    """Makes a verified bundle of a trained classifier.

    A bundle is published as `bundles/<name>` unless a gate fails; then it stays at `runs/<name>/bundle`.

    Args:
        request: what to do.
        progress: shows what is going on.
        runs: where the folder of this work is made.
        bundles: the folder of the bundles.
        model: the classifier, a keras.Model, where it is in memory; default: that of the request's file.

    Raises:
        RequestError: the model, its labels or the data do not fit; says which and why.
        VerifyError: an exported file is not what it must be.
    """
    from tfkd.pipeline.own_bundle import open_subject, write

    folder = RunFolder(runs / request.name)
    check_installed(request.export)
    require_writable(bundles / request.name)
    labels = read_labels(Path(request.labels))
    with locked(folder.path):
        made = folder.own_bundle
        shutil.rmtree(made, ignore_errors=True)
        subject = open_subject(request, labels, folder, progress, model)
        manifest = write(subject, request, folder, progress)
        subject.data.require_unchanged()
        return publish(made, manifest, bundles / request.name, folder.path, progress)


def publish_own_apart(request: Request, progress: Progress, runs: Path, bundles: Path, model: Any = None) -> Outcome:
    """Does what `publish_own` does in a process apart, as libraries can crash on a model or never end.

    With `allow_code`, and in memory, the model is trusted, and code in it needs what is in this process.

    Raises:
        RequestError, VerifyError: as of `publish_own`, or the process crashed or used more than it may.
        InternalError: something else failed.
    """
    if request.allow_code or model is not None:
        return publish_own(request, progress, runs, bundles, model)
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        outcome: Outcome = sandbox.call(Path(request.model), _published, request, runs, bundles, progress=progress)
    return outcome


def _published(request: Request, runs: Path, bundles: Path, progress: Progress) -> Outcome:
    try:
        return publish_own(request, progress, runs, bundles)
    except TfkdError:
        raise
    except Exception as error:
        raise of_the_machine(error) or InternalError(traceback.format_exc()) from error
