"""Runs a recipe: executes, reuses or resumes every stage, and publishes the bundle."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tfkd.bundle import seal
from tfkd.bundle.layout import MANIFEST, MEASUREMENTS
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.publishing import require_writable
from tfkd.data.domains import require_domains, splits_of
from tfkd.errors import RequestError, nearest
from tfkd.files import write_json
from tfkd.models import require_kind, require_weights
from tfkd.pipeline import lock_keeping
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.executor import Executor, LocalExecutor
from tfkd.pipeline.fold_runs import Parts, open_parts
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.graph import ORDER, groups, stages_of
from tfkd.pipeline.lock_request import LockRequest
from tfkd.pipeline.rejections import require_validation
from tfkd.pipeline.resolving import resolve
from tfkd.pipeline.stage import locked
from tfkd.pipeline.stages.data import open_data, say_data
from tfkd.pipeline.stages.plausible import require_plausible
from tfkd.pipeline.uses_of_test import note_stages
from tfkd.pipeline.work import run_group
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of
from tfkd.recipe.networks import chain
from tfkd.recipe.of_kind import with_kind_defaults
from tfkd.training.balance import require_known_classes
from tfkd.verification import VerifyError
from tfkd.writers import check_installed


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: its folder and, unless it stopped before the report, the bundle and the manifest."""

    folder: Path
    bundle: Path | None = None
    manifest: Manifest | None = None

    @property
    def passed(self) -> bool:
        """True if no gate failed; a gate that was not judged has not failed."""
        return self.manifest is None or all(gate.verdict != "failed" for gate in self.manifest.gates)


def run(
    recipe: Recipe,
    progress: Progress,
    runs: Path = Path("runs"),
    bundles: Path = Path("exported_models"),
    until: str | None = None,
    fresh: bool = False,
    lock: LockRequest | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Runs a recipe. Finished stages are reused, an interrupted one continues from its last checkpoint.

    A bundle is published as `bundles/<name>`. If a gate fails, it stays at `runs/<name>/report/bundle` and does not
    replace a published one.

    Args:
        recipe: the recipe.
        progress: shows progress.
        runs: the folder of the runs' folders.
        bundles: the folder of the bundles.
        until: name of the last stage to run.
        fresh: ignore the results of earlier calls with these settings.
        lock: the lock file of the user that the teachers are compared with, before their soft labels are computed.
        executor: trains, compresses and fills the stores; default: this machine.

    Raises:
        RequestError: the request was wrong, the teachers are not the locked ones, or another process works in the run's
            folder.
        GateError: a teacher is not better than chance, so its soft labels were not computed.
    """
    if until is not None and until not in ORDER:
        raise RequestError(f"There is no stage {until!r}.{nearest(until, list(ORDER))}")
    if until in (None, ORDER[-1]):
        require_writable(bundles / recipe.name)
    with begun(recipe, progress, runs, fresh, lock, executor) as context:
        return run_stages(context, until or ORDER[-1], bundles / recipe.name)


@contextlib.contextmanager
def begun(
    recipe: Recipe,
    progress: Progress,
    runs: Path,
    fresh: bool = False,
    lock: LockRequest | None = None,
    executor: Executor | None = None,
) -> Iterator[RunContext]:
    """Opens and locks the folder of a run for the duration of a with-block; see `run`."""
    check_installed(recipe.export)
    folder = RunFolder(runs / recipe.name)
    if lock:
        lock.require_usable(folder.teacher_lock)
    with locked(folder.path):
        context = replace(open_run(recipe, folder, progress, executor, keep=True, fresh=fresh), lock=lock)
        write_json(folder.recipe, context.recipe.model_dump(mode="json"))
        if fresh:
            for stage in context.stages.values():
                stage.forget()
            shutil.rmtree(folder.folds, ignore_errors=True)
        open_parts(context)
        yield context


def open_run(
    recipe: Recipe,
    folder: RunFolder,
    progress: Progress,
    executor: Executor | None = None,
    *,
    keep: bool = False,
    fresh: bool = False,
) -> RunContext:
    """Opens the images of a run, resolves its recipe and finds its stages, without running any.

    Args:
        recipe: the recipe.
        folder: of the run.
        progress: shows progress.
        executor: trains, compresses and fills the stores; default: this machine.
        keep: store new choices, see `tfkd.pipeline.resolving`.
        fresh: make all choices again.

    Raises:
        RequestError: the images cannot be opened, or a file or a class that the recipe names is missing.
    """
    recipe = with_kind_defaults(recipe)
    data = open_data(recipe, folder, progress)
    require_domains(data.source, data.classes, recipe.teachers, splits_of(data))
    require_known_classes(recipe, data)
    require_validation(recipe.export, data)
    for network in (*chain(recipe), recipe.student):
        require_kind(network, recipe.data.kind, data.source)
    resolved = resolve(recipe, data, folder, progress.say, keep, fresh)
    stages = stages_of(resolved.recipe, data, folder.path)
    for network in (*chain(resolved.recipe), resolved.recipe.student):
        require_weights(network)
    trainer = executor or LocalExecutor()
    parts = Parts(resolved.recipe, folder, progress, trainer)
    return RunContext(resolved.recipe, data, folder, stages, progress, trainer, resolved.choices, parts)


def run_stages(context: RunContext, last: str, destination: Path) -> Outcome:
    """Runs the stages up to and including `last`; publishes the bundle after the final stage.

    Args:
        context: of the run, whose folder must be locked.
        last: name of a stage.
        destination: of the bundle.

    Raises:
        RequestError, GateError, VerifyError: as `run`.
    """
    say_data(context.data, context.progress)
    for choice in context.choices:
        context.progress.say(f"  {choice}")
    kinds = ORDER[: ORDER.index(last) + 1]
    names = [name for name in context.stages if kind_of(name) in kinds]
    _mend(context, names, destination)
    context.data.require_unchanged()
    lock_keeping.require_comparable(context)
    for group in lock_keeping.in_order(context, groups(context.recipe, names)):
        run_group(context, group)
        note_stages(context.folder, context.data, context.recipe, group, context.command)
        for name in group:
            require_plausible(context, name)
        lock_keeping.after(context, group)
        context.data.require_unchanged()
    if last != ORDER[-1]:
        return Outcome(context.folder.path)
    bundle = context.folder.bundle
    manifest = Manifest.model_validate_json((bundle / MANIFEST).read_bytes())
    return publish(bundle, manifest, destination, context.folder.path, context.progress)


def _mend(context: RunContext, names: list[str], destination: Path) -> None:
    """Finds damaged files of finished stages; compares hashes before files are used or published."""
    stages = [context.stages[name] for name in names]
    finished = all(stage.result() is not None for stage in stages)
    settled = finished and (ORDER[-1] not in names or seal.same(context.folder.bundle, destination))
    for stage in stages:
        stage.mend(context.progress.say, thorough=not settled)


def publish(bundle: Path, manifest: Manifest, destination: Path, folder: Path, progress: Progress) -> Outcome:
    """Publishes a finished bundle if no gate failed.

    Raises:
        VerifyError: the copy to publish fails `tfkd verify`.
        RequestError: the destination cannot be written.
    """
    from tfkd.bundle import publishing
    from tfkd.report import devices

    outcome = Outcome(folder, bundle, manifest)
    if not (bundle / MEASUREMENTS / devices.HTML).is_file():
        devices.write(bundle)
    if not outcome.passed:
        return outcome
    if not seal.same(bundle, destination):
        progress.say("publishing: verifying the copy")
        publishing.publish(bundle, destination, _require_verified, devices.write)
    return replace(outcome, bundle=destination)


def _require_verified(folder: Path) -> None:
    from tfkd.bundle.verification import verify

    for check in verify(folder):
        if check.verdict == "failed":
            raise VerifyError(f"The bundle was not published: {check.name} fails tfkd verify: {check.found}")
