"""The plan of a recipe, or of the reference work, on machines that the user names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tfkd import machine
from tfkd.errors import RequestError, counted
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run
from tfkd.pipeline.scale import reference
from tfkd.pipeline.scale.cluster import GIGABIT, LINK, SPREAD, MachineGroup
from tfkd.pipeline.scale.improvements import Improvement, improvements
from tfkd.pipeline.scale.model import ScalePlan, planned
from tfkd.pipeline.scale.rates import Rates, read_rates, require_same_networks
from tfkd.pipeline.scale.subject import ProbeSubject
from tfkd.pipeline.scale.workload import Workload, not_counted, require_countable, workload_of
from tfkd.progress import Progress
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Recipe

SCALE_SCHEMA: Literal["tfkd-scale-1"] = "tfkd-scale-1"
HERE = "measured here"


@dataclass(frozen=True)
class ScaleRequest:
    """What the user says of the machines; None: not said.

    Attributes:
        machines: number of machines.
        gpus: GPUs per machine; None: one where the rates are of a GPU, else none.
        cores: cores per machine; None: as many as the machine that the rates are of.
        examples: of the transfer set; None: those of the recipe's data.
        per_hour: price of one machine; None: that of the recipe.
        rates: a file of rates; None: this machine is measured.
        link: gigabits per second between a machine and the shared storage.
        spread: standard deviation of the machines' times, as a fraction of their mean.
    """

    machines: int | None = None
    gpus: int | None = None
    cores: int | None = None
    examples: int | None = None
    per_hour: float | None = None
    rates: Path | None = None
    link: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class ScaleResult:
    """A plan and all that it follows from.

    Attributes:
        work: name of the recipe.
        source: where the rates are from.
        assumed: flags that were not given and have a default that nobody measured.
        notes: sentences about what is assumed and what is not counted.
    """

    work: str
    workload: Workload
    cluster: MachineGroup
    rates: Rates
    source: str
    assumed: tuple[str, ...]
    currency: str
    plan: ScalePlan
    improvements: list[Improvement]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Returns everything as JSON values; `--rates` reads the rates in it."""
        return {
            "schema": SCALE_SCHEMA,
            "work": self.work,
            "workload": asdict(self.workload),
            "cluster": asdict(self.cluster),
            "rates_from": self.source,
            "assumed": self.assumed,
            "rates": self.rates.model_dump(mode="json", by_alias=True),
            "stages": [asdict(stage) for stage in self.plan.stages],
            "seconds": self.plan.seconds,
            "bytes": self.plan.written,
            "price": self.plan.price,
            "currency": self.currency,
            "improvements": [asdict(each) for each in self.improvements],
            "notes": self.notes,
        }


@dataclass(frozen=True)
class OpenedWork:
    """A recipe that is opened; `start` prepares TensorFlow for it."""

    recipe: Recipe
    workload: Workload
    subject: ProbeSubject
    start: Callable[[], None]


def plan_at_scale(recipe: Recipe | None, request: ScaleRequest, progress: Progress, runs: Path) -> ScaleResult:
    """Plans a recipe on other machines; measures this machine unless there is a file of rates.

    Args:
        recipe: the recipe; None: the reference work.
        request: the machines.
        progress: shows progress.
        runs: the folder of the runs; the disk below it is measured, and nothing stays there.

    Raises:
        RequestError: the recipe's data cannot be opened, its work is not counted, or the file of rates is of another
            schema, of other networks or of a GPU where the machines have none.
    """
    if recipe is not None:
        require_countable(recipe)
    given = None if request.rates is None else read_rates(request.rates)
    with opened_work(recipe, progress, runs) as work:
        if given is None:
            work.start()
            from tfkd.pipeline.scale import probe

            rates = probe.measure(work.subject, _existing(runs), progress)
        else:
            rates = given
            require_same_networks(str(request.rates), rates, work.subject.networks)
    cluster = _cluster(request, rates, work.recipe)
    workload = work.workload.of_size(request.examples or work.workload.examples)
    return ScaleResult(
        work=work.recipe.name,
        workload=workload,
        cluster=cluster,
        rates=rates,
        source=HERE if request.rates is None else str(request.rates),
        assumed=tuple(f"--{name}" for name in ("link", "spread") if getattr(request, name) is None),
        currency=work.recipe.cost.currency,
        plan=(plan := planned(workload, rates, cluster)),
        improvements=improvements(workload, rates, cluster),
        notes=list(_notes(workload, rates, cluster, plan, work.recipe)),
    )


@contextmanager
def opened_work(recipe: Recipe | None, progress: Progress, runs: Path) -> Iterator[OpenedWork]:
    """Opens a recipe, or the reference work, during a with-block.

    Args:
        recipe: the recipe; None: the reference work.
        progress: shows progress.
        runs: the folder of the runs.

    Raises:
        RequestError: the recipe's data cannot be opened.
    """
    if recipe is None:
        with reference.generated_examples() as folder:
            yield _reference(reference.reference_recipe(folder))
        return
    context = open_run(recipe, RunFolder(runs / recipe.name), progress)
    data, found = context.data, context.recipe
    subject = ProbeSubject(found, data.train, len(data.classes), data.classes, data.columns)
    work = workload_of(found, len(data.train), len(data.unlabelled or ()))
    yield OpenedWork(found, work, subject, context.start_tensorflow)


def _reference(recipe: Recipe) -> OpenedWork:
    from tfkd.data.folder import unlabelled
    from tfkd.inputs.image.reading import ImageReading

    examples = unlabelled(recipe.data.source.partition(":")[2], ImageReading())
    subject = ProbeSubject(recipe, examples, reference.CLASSES)
    return OpenedWork(recipe, reference.reference_workload(recipe), subject, _start_tensorflow)


def _start_tensorflow() -> None:
    with native_logs_silenced():
        from tfkd.training import loop
    loop.prepare_tensorflow(machine.cores(), seed=1)


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.is_dir())


def _cluster(request: ScaleRequest, rates: Rates, recipe: Recipe) -> MachineGroup:
    gpus = int(rates.gpu is not None) if request.gpus is None else request.gpus
    if rates.gpu and not gpus:
        raise RequestError(
            f"The networks were measured on the GPU {rates.gpu}, so the machines need one: --gpus 1 or more. Without a "
            "GPU, measure on a machine that has none."
        )
    return MachineGroup(
        machines=request.machines or 1,
        gpus=gpus,
        cores=request.cores or rates.cores,
        link=GIGABIT * (LINK if request.link is None else request.link),
        spread=SPREAD if request.spread is None else request.spread,
        per_hour=recipe.cost.per_hour if request.per_hour is None else request.per_hour,
    )


def _notes(workload: Workload, rates: Rates, cluster: MachineGroup, plan: ScalePlan, recipe: Recipe) -> Iterator[str]:
    if cluster.gpus and rates.gpu is None:
        yield (
            f"No rate of a GPU is known: each one is counted as fast as {rates.device}. Run "
            "tools/benchmarks/gpu_check.py on a machine with a GPU, and give its JSON as --rates."
        )
    if cluster.machines > workload.trainings:
        trainings = counted(workload.trainings, "training")
        yield f"students: {trainings}, one per machine, so more than {workload.trainings} machines do not help there."
    if cluster.machines > 1 and plan.machines == 1:
        yield "One machine with its own disk is as fast as all of them with the shared storage."
    yield f"Not counted: {', '.join(not_counted(recipe))}; queueing, failures and work that is done again."
