"""Exports, verifies, benchmarks and publishes a trained model of the user's own."""

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
    """Exports a trained classifier as a verified bundle.

    A bundle is published as `bundles/<name>`. If a gate fails, it stays at `runs/<name>/bundle`.

    Args:
        request: the request.
        progress: shows progress.
        runs: folder of the runs.
        bundles: the folder of the bundles.
        model: a keras.Model in memory; default: that of the request's file.

    Raises:
        RequestError: the model, its labels or the data do not fit together.
        VerifyError: an exported file failed a check.
    """
    from tfkd.pipeline.own_bundle import open_subject, write

    folder = RunFolder(runs / request.name)
    check_installed(request.export)
    require_writable(bundles / request.name)
    labels = read_labels(Path(request.labels))
    with locked(folder.path):
        bundle = folder.own_bundle
        shutil.rmtree(bundle, ignore_errors=True)
        subject = open_subject(request, labels, folder, progress, model)
        manifest = write(subject, request, folder, progress)
        subject.data.require_unchanged()
        return publish(bundle, manifest, bundles / request.name, folder.path, progress)


def publish_own_apart(request: Request, progress: Progress, runs: Path, bundles: Path, model: Any = None) -> Outcome:
    """Runs `publish_own` in another process, because libraries can crash or hang on a model.

    A model in memory, or with `allow_code`, is trusted and may need this process, so it is exported here.

    Raises:
        RequestError, VerifyError: as `publish_own`, or the process crashed or exceeded a limit.
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
