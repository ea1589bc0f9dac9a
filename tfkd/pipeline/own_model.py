"""The second half of a run for a model of the user's own: exported, verified, timed and published as a bundle."""

import shutil
import traceback
from pathlib import Path
from typing import Any

from tfkd.bundle.publishing import require_writable
from tfkd.errors import InternalError, RequestError, TfkdError, of_the_machine
from tfkd.labels import read_labels
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.own_request import Request
from tfkd.pipeline.run import Outcome, publish
from tfkd.pipeline.stage import locked
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress
from tfkd.sandbox import Sandbox
from tfkd.writers import check_installed


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
