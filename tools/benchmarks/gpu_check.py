"""Measures what tfkd and keras.distillation do on a GPU, in about ten minutes.

    python tools/benchmarks/gpu_check.py --out gpu_check.json

Two processes hold the same contestants, one with TensorFlow's deterministic operations, one without. All contestants
take turns in rounds, each on its own copy of one student, on the same batches in memory:

    stored    tfkd's Distiller with a soft-label store
    online    tfkd's Distiller with a teacher in every step
    peer      keras.distillation.Distiller in its best form: a KLDivergence instance; in bfloat16 the teacher too
    store     writing the store: views, teacher, shards on the disk
    teacher   the teacher alone

The names of the others follow from these: the precision of the student, `xla`, and `deterministic`. Keras switches XLA
off where operations are deterministic, as they are in the trainings of tfkd. What fails is listed with its message, and
the others go on. Rounds end when the time is up. Then the rates for `tfkd plan --rates` are measured, of the networks
that `tfkd plan` takes without a recipe, or of a recipe.

On a machine without a GPU the same is measured on its cores. --smoke runs one round of tiny networks, as a check. The
table goes to stderr, JSON to stdout.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tfkd import import_path, machine
from tfkd.commands.recipes import read_recipe
from tfkd.errors import TfkdError, cause
from tfkd.files import write_json

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
SEED = 1
RATIOS = (
    ("stored float32 xla", "peer float32 xla"),
    ("online float32 xla", "peer float32 xla"),
    ("stored mixed_bfloat16 xla", "peer mixed_bfloat16 xla"),
    ("stored mixed_float16 xla", "stored float32 xla"),
    ("stored mixed_bfloat16 xla", "stored float32 xla"),
    ("stored float32 xla", "stored float32"),
    ("stored float32 deterministic", "stored float32"),
    ("stored float32 deterministic", "peer float32 xla"),
    ("stored mixed_bfloat16 deterministic", "stored float32 deterministic"),
    ("store deterministic", "store"),
    ("store", "teacher float32"),
)
TINY = ("tiny_networks:teacher", "tiny_networks:student")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Variant:
    """A training.

    Attributes:
        kind: stored, online or peer.
        precision: of the student's computation, and of the peer's teacher.
        xla: whether the step is compiled.
    """

    kind: str
    precision: str
    xla: bool

    @property
    def name(self) -> str:
        """The name of the contestant, without determinism."""
        return f"{self.kind} {self.precision}{' xla' if self.xla else ''}"


VARIANTS = (
    *(Variant("stored", precision, xla) for precision in PRECISIONS for xla in (False, True)),
    *(Variant(kind, "float32", xla) for kind in ("online", "peer") for xla in (False, True)),
    *(Variant(kind, "mixed_bfloat16", True) for kind in ("online", "peer")),
)
DETERMINISTIC = (  # without XLA, which Keras then switches off
    *(Variant("stored", precision, False) for precision in PRECISIONS),
    Variant("online", "float32", False),
)


@dataclass(frozen=True)
class Check:
    """What is measured.

    Attributes:
        teacher, student: as recipes name them.
        image_size: side of the images, pixels.
        batch: images per step.
        steps: timed steps of every turn.
        recipe: whose networks the rates are of; None: those of `tfkd plan` without a recipe.
        is_smoke: whether the rates are those of the tiny networks.
    """

    teacher: str
    student: str
    image_size: int
    batch: int
    steps: int
    recipe: Path | None = None
    is_smoke: bool = False


@dataclass(frozen=True)
class Turn:
    """One turn of one contestant: images per second, and the memory of the device or, without a GPU, of the process.

    Attributes:
        peak_bytes: the most during the turn; without a GPU since the process began.
        above_bytes: the most above what was in use before; None without a GPU.
    """

    images_per_second: float
    peak_bytes: int
    above_bytes: int | None


class Worker:
    """A process that holds contestants, and runs a turn when it is told to."""

    def __init__(self, check: Check, deterministic: bool, folder: Path) -> None:
        spawned = multiprocessing.get_context("spawn")
        self.suffix = " deterministic" if deterministic else ""
        self._connection, other = spawned.Pipe()
        self._process = spawned.Process(target=_serve, args=(other, check, deterministic, folder))
        self._process.start()
        other.close()

    def ask(self, *request: Any) -> Any:
        """Returns the answer of the process; raises what it raised there as a TfkdError."""
        self._connection.send(request)
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise TfkdError(f"The process{self.suffix} ended with the exit code {self._process.exitcode}.") from None
        if isinstance(answer, TfkdError):
            raise answer
        return answer

    def end(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()


def _serve(connection: Connection, check: Check, deterministic: bool, folder: Path) -> None:
    """Answers requests until the other end is closed."""
    here = None
    import_path.append(os.curdir)  # networks of the user's own
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            here = here or Contestants(check, deterministic, folder)
            connection.send(here.answer(*request))
        except TfkdError as error:
            connection.send(error)
        except Exception as error:  # a library's, of a form that this device does not have
            connection.send(TfkdError(f"{type(error).__name__}: {cause(error)}"))


class Contestants:
    """The contestants of one process."""

    def __init__(self, check: Check, deterministic: bool, folder: Path) -> None:
        import tensorflow as tf

        from tfkd.training.loop import prepare_tensorflow

        self._gpu = bool(tf.config.list_physical_devices("GPU"))
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # two processes share it
        if deterministic:
            prepare_tensorflow(machine.cores(), SEED)
        self._check, self._folder = check, folder
        self._turns = self._built(DETERMINISTIC if deterministic else VARIANTS, deterministic)

    def answer(self, what: str, *arguments: Any) -> Any:
        """Returns the answer to a request: names, device, turn or rates."""
        return {"names": lambda: list(self._turns), "device": self._device, "turn": self._turn, "rates": self._rates}[
            what
        ](*arguments)

    def _built(self, variants: Sequence[Variant], deterministic: bool) -> dict[str, Callable[[int], Any]]:
        """Builds a contestant when its first turn comes, so that one that cannot be built stops no other."""
        import distill_speed as speed

        check = self._check
        pair = speed.Pair(check.teacher, check.student, check.steps, check.image_size, check.batch)
        shared = speed.materials(pair, self._folder)
        shared.student()  # a wrong name ends the check at once
        views = shared.views(0).cache().prefetch(2)  # the first turn fills it, and does not count
        turns: dict[str, Callable[[int], Any]] = {
            variant.name: _late(lambda variant=variant: _training(variant, shared, views, pair)) for variant in variants
        }
        turns["store"] = lambda number: speed.timed(len(shared.pool), lambda: shared.fill(f"made-{number}"))
        if not deterministic:
            turns["teacher float32"] = _late(lambda: shared.alone(shared.teacher))
            turns["teacher bfloat16"] = _late(lambda: shared.alone(speed.in_bfloat16(shared.teacher)))
        return turns

    def _turn(self, name: str, number: int) -> Turn:
        import tensorflow as tf

        before = 0
        if self._gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
            before = tf.config.experimental.get_memory_info("GPU:0")["current"]
        sample = self._turns[name](number)
        rate = sample.images / sample.seconds
        if not self._gpu:
            return Turn(rate, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, None)
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return Turn(rate, peak, peak - before)

    def _device(self) -> dict[str, Any]:
        """Returns the first GPU's name and what TensorFlow was built with; None without a GPU."""
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
        build = tf.sysconfig.get_build_info()
        return {
            "gpu": details.get("device_name") if gpus else None,
            "compute_capability": details.get("compute_capability"),
            "gpus": len(gpus),
            "cuda": build.get("cuda_version"),
            "cudnn": build.get("cudnn_version"),
        }

    def _rates(self) -> dict[str, Any]:
        """Returns the rates for `tfkd plan --rates`."""
        from tfkd.pipeline.scale import planning, probe
        from tfkd.progress import Silent

        recipe = None if self._check.recipe is None else read_recipe(self._check.recipe, None)
        with planning.opened_work(recipe, Silent(), self._folder) as work:
            subject = _tiny(work.subject) if self._check.is_smoke and recipe is None else work.subject
            rates = probe.measure(subject, self._folder, Silent(), 1 if self._check.is_smoke else probe.ROUNDS)
        return rates.model_dump(mode="json", by_alias=True)


def _late(build: Callable[[], Callable[[int], Any]]) -> Callable[[int], Any]:
    built: list[Callable[[int], Any]] = []

    def turn(number: int) -> Any:
        if not built:
            built.append(build())
        return built[0](number)

    return turn


def _training(variant: Variant, shared: Any, views: Any, pair: Any) -> Callable[[int], Any]:
    import distill_speed as speed
    import keras

    from tfkd.distill.distiller import Distiller

    student, form = shared.student(variant.precision), speed.plain
    if variant.kind == "stored":
        model, form = Distiller(student), shared.answered
    elif variant.kind == "online":
        model = Distiller(student, teachers=[shared.teacher])
    else:
        teacher = shared.teacher if variant.precision == "float32" else speed.in_bfloat16(shared.teacher)
        model = speed.peer(_to_float32(teacher), _to_float32(student), keras.losses.KLDivergence())
    speed.compiled(model, variant.xla)
    return lambda number: speed.fitted(model, views.map(form).prefetch(2), pair)


def _to_float32(network: Any) -> Any:
    """Returns a network with float32 logits: the peer refuses a teacher and a student of different dtypes."""
    import keras

    if network.output.dtype == "float32":
        return network
    return keras.Model(network.input, keras.layers.Activation("linear", dtype="float32")(network.output))


def _tiny(subject: Any) -> Any:
    from dataclasses import replace

    from tfkd.recipe import Recipe

    values = subject.recipe.model_dump(mode="json")
    values["teachers"] = [{"model": TINY[0], "weights": "none"}]
    values["student"] = {"model": TINY[1]}
    return replace(subject, recipe=Recipe.model_validate(values))


@contextmanager
def workers(check: Check) -> Iterator[list[Worker]]:
    """Starts the two processes, and ends them after a with-block."""
    with ExitStack() as stack:
        found = []
        for deterministic in (False, True):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found.append(Worker(check, deterministic, folder))
            stack.callback(found[-1].end)
        yield found


def measure(
    found: Sequence[Worker], rounds: int, seconds: float, say: Say
) -> tuple[dict[str, list[Turn]], dict[str, str]]:
    """Returns the turns of every contestant after a warm-up round, and the messages of those that failed.

    Args:
        found: the processes.
        rounds: rounds that count.
        seconds: after which no further round begins.
        say: receives a line per turn.
    """
    began = time.monotonic()
    names = [(worker, name) for worker in found for name in worker.ask("names")]
    turns: dict[str, list[Turn]] = {}
    failed: dict[str, str] = {}
    for number in range(rounds + 1):
        if number > 1 and time.monotonic() - began > seconds:
            say(f"the time is up after {number - 1} of {rounds} rounds")
            break
        for worker, short in names:
            name = short + worker.suffix
            if name in failed:
                continue
            try:
                turn = worker.ask("turn", short, number)
            except TfkdError as error:
                failed[name] = str(error)
                say(f"round {number} of {rounds}  {name:40} failed: {error}")
                continue
            say(f"round {number} of {rounds}  {name:40} {turn.images_per_second:9.1f} images/s")
            if number:
                turns.setdefault(name, []).append(turn)
    return turns, failed


def summary(turns: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """Returns speeds, ratios within rounds, and memory."""
    import distill_speed as speed

    rates = {name: [turn.images_per_second for turn in taken] for name, taken in turns.items()}
    return {
        "images_per_second": {name: speed.spread(values) for name, values in rates.items()},
        "ratios": {
            f"{upper} / {lower}": speed.spread([u / v for u, v in zip(rates[upper], rates[lower], strict=False)])
            for upper, lower in RATIOS
            if upper in rates and lower in rates
        },
        "memory_bytes": {
            name: {
                "peak": max(turn.peak_bytes for turn in taken),
                "above": max((turn.above_bytes for turn in taken if turn.above_bytes is not None), default=None),
            }
            for name, taken in turns.items()
        },
    }


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def main(arguments: list[str] | None = None) -> None:
    """Parses the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="efficientnet_b0", help="a name from `tfkd list teachers`")
    parser.add_argument("--student", default="mobilenet_v3_small", help="a name from `tfkd list students`")
    parser.add_argument("--image-size", type=_positive, default=128, help="side of the images, pixels")
    parser.add_argument("--batch", type=_positive, default=128, help="images per step")
    parser.add_argument("--steps", type=_positive, default=20, help="timed steps per turn")
    parser.add_argument(
        "--rounds", type=_positive, default=5, help="turns per contestant, after one that does not count"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="no round begins after this time")
    parser.add_argument("--recipe", type=Path, help="measure the rates of this recipe's networks")
    parser.add_argument("--smoke", action="store_true", help="1 round of 2 steps of tiny networks, as a check")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args(arguments)
    usual = (options.teacher, options.student, options.image_size, options.batch, options.steps)
    check = Check(*((*TINY, 32, 16, 2) if options.smoke else usual), options.recipe, options.smoke)
    rounds = 1 if options.smoke else options.rounds
    load = os.getloadavg()[0]

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    rates = None
    try:
        if options.recipe:
            read_recipe(options.recipe, None)  # before all that takes long
        with workers(check) as found:
            device = found[0].ask("device")
            turns, failed = measure(found, rounds, 60 * options.minutes, say)
            try:
                rates = found[1].ask("rates")
            except TfkdError as error:
                failed["rates"] = str(error)
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "benchmark": "gpu_check",
        "command": shlex.join(["python", *sys.argv]),
        **{name: value for name, value in asdict(check).items() if name not in ("recipe", "is_smoke")},
        "rounds": rounds,
        "device": device,
        "machine": machine.environment(),
        "load_before": load,
        **summary(turns),
        "failed": failed,
        "rates": rates,
    }
    for name, ratio in result["ratios"].items():
        say(f"{name:60} {ratio['median']:8.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})")
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
