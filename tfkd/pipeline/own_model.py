"""Exports, verifies, benchmarks and publishes a trained model of the user's own."""

import shutil
import traceback
from collections.abc import Callable
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


def publish_own(
    request: Request,
    progress: Progress,
    runs: Path,
    bundles: Path,
    model: Any = None,
    prepare: Callable[[], None] = lambda: None,
) -> Outcome:
    """Exports a trained classifier as a verified bundle, in another process, because libraries can crash on a model.

    A model in memory, or with `allow_code`, is trusted and may need this process, so it is exported here. A bundle is
    published as `bundles/<name>`. If a gate fails, it stays at `runs/<name>/bundle`.

    Args:
        request: the request.
        progress: shows progress.
        runs: folder of the runs.
        bundles: the folder of the bundles.
        model: a keras.Model in memory; default: that of the request's file.
        prepare: called when the folder of the export is locked, to write files that the request names into it.

    Raises:
        RequestError: the model, its labels or the data do not fit together, another process works in the folder, or
            the process crashed or exceeded a limit.
        VerifyError: an exported file failed a check.
        InternalError: something else failed.
    """
    check_installed(request.export)
    require_writable(bundles / request.name)
    with locked(runs / request.name):
        prepare()
        if request.allow_code or model is not None:
            return _published(request, progress, runs, bundles, model)
        with Sandbox(RequestError, context=FORKSERVER) as sandbox:
            outcome: Outcome = sandbox.call(Path(request.model), _apart, request, runs, bundles, progress=progress)
        return outcome


def _apart(request: Request, runs: Path, bundles: Path, progress: Progress) -> Outcome:
    try:
        return _published(request, progress, runs, bundles)
    except TfkdError:
        raise
    except Exception as error:
        raise of_the_machine(error) or InternalError(traceback.format_exc()) from error


def _published(request: Request, progress: Progress, runs: Path, bundles: Path, model: Any = None) -> Outcome:
    from tfkd.pipeline.own_bundle import open_subject, write

    folder = RunFolder(runs / request.name)
    bundle = folder.own_bundle
    shutil.rmtree(bundle, ignore_errors=True)
    subject = open_subject(request, read_labels(Path(request.labels)), folder, progress, model)
    manifest = write(subject, request, folder, progress)
    subject.data.require_unchanged()
    return publish(bundle, manifest, bundles / request.name, folder.path, progress)
