"""The commands: each parses its arguments, calls the library and prints the result."""

import dataclasses
import functools
import importlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkd import import_path
from tfkd.commands import bench, diff, drift, fit, scale, store, sweep
from tfkd.commands.recipes import (
    OF_ANY_RECIPE,
    OnCluster,
    Out,
    Overrides,
    RecipeFile,
    Runs,
    Smoke,
    command_of,
    read_recipe,
)
from tfkd.errors import RequestError, nearest
from tfkd.quiet import silence_tensorflow
from tfkd.terminal import say, say_lines, show
from tfkd.version import __version__

if TYPE_CHECKING:
    from tfkd.bundle.manifest import Manifest
    from tfkd.pipeline.run import Outcome
    from tfkd.pipeline.storage import StoredResult

silence_tensorflow()

app = typer.Typer(
    name="tfkd",
    help="Distil a heavy Keras classifier of images or texts into a phone-sized one, export it and verify every file.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(requested: bool) -> None:
    if requested:
        say(f"tfkd {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Show the help when no command is given."""
    if context.invoked_subcommand is None:
        say_lines(context.get_help())


Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="module that registers the model's custom layers"),
]


def _stages() -> list[str]:
    from tfkd.pipeline.graph import ORDER

    return list(ORDER)


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    until: Annotated[str | None, typer.Option(help="stop after this stage", autocompletion=_stages)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="ignore results of earlier calls with these settings")] = False,
    smoke: Smoke = False,
    rescue: Annotated[
        bool,
        typer.Option("--rescue", help="when the student itself misses a gate, try the first two remedies"),
    ] = False,
    hours: Annotated[
        float | None, typer.Option(min=0, help="time for the remedies in this call; default: 1; only with --rescue")
    ] = None,
    lock: Annotated[
        bool, typer.Option("--lock", help="write the teachers' lock file; keep to one that exists")
    ] = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="refuse other teachers, classes or data than the lock file's")
    ] = False,
    relock: Annotated[bool, typer.Option("--relock", help="accept these teachers: replace the lock file")] = False,
    lock_file: Annotated[
        Path | None, typer.Option(help="the lock file; default: NAME.teacher.lock beside the recipe")
    ] = None,
    cluster: OnCluster = None,
    runs: Runs = Path("runs"),
    out: Out = Path("exported_models"),
) -> None:
    """Run a recipe: distil, export, verify, benchmark and report. Finished stages are reused."""
    from tfkd.pipeline import rescue as rescuing
    from tfkd.pipeline.cluster import executor_on
    from tfkd.pipeline.lock_request import lock_request
    from tfkd.progress import for_output

    parsed = read_recipe(recipe, overrides, smoke)
    asked = lock_request({"lock": lock, "locked": locked, "relock": relock}, lock_file, recipe, parsed.name)
    progress = for_output()
    with executor_on(cluster, runs / parsed.name, progress) as executor:
        outcome = rescuing.run_or_rescue(parsed, progress, runs, out, until, fresh, rescue, hours, asked, executor)
    if outcome.manifest is None:
        say(f"Stopped after {until}; the results so far are in {outcome.folder}")
        return
    _finish(outcome, functools.partial(command_of, recipe, overrides or [], runs))


@app.command()
def plan(
    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE", help="Python file with `recipe = Recipe(...)`, or JSON", show_default=False),
    ] = None,
    overrides: Overrides = None,
    *,
    machines: scale.MachinesFlag = None,
    gpus: scale.GpusFlag = None,
    cores: scale.CoresFlag = None,
    images: scale.ImagesFlag = None,
    price: scale.PriceFlag = None,
    rates: scale.RatesFlag = None,
    link: scale.LinkFlag = None,
    spread: scale.SpreadFlag = None,
    as_json: scale.JsonFlag = False,
    runs: Runs = Path("runs"),
) -> None:
    """Show the stages of a run, which of them are finished, and what they cost.

    With --machines, --images or --rates: time, bytes and money of the run on other machines (docs/scale.md), without
    RECIPE for a pair of widely used networks.
    """
    size = scale.SizeOptions(machines, gpus, cores, images, price, rates, link, spread)
    if size.any_given:
        request = size.request()
        scale.show_plan(None if recipe is None else read_recipe(recipe, overrides), request, runs, as_json)
        return
    if as_json:
        raise RequestError("--json prints a plan on other machines; add --machines, --images or --rates.")
    if recipe is None:
        raise RequestError("Missing argument 'RECIPE'. Try 'tfkd plan --help'.")
    _show_steps(recipe, overrides, runs)


def _show_steps(recipe: Path, overrides: list[str] | None, runs: Path) -> None:
    from tfkd.pipeline import plan as planning
    from tfkd.progress import for_output
    from tfkd.report import costs

    parsed = read_recipe(recipe, overrides)
    steps, others = planning.plan(parsed, for_output(), runs)
    for step in steps:
        reason = f" ({step.reason})" if step.reason else ""
        size = f"{step.bytes / 1e6:,.1f} MB" if step.bytes else ""
        cost = f"{step.cost}; " if step.cost and step.spent else step.cost
        spent = f"cost {costs.described(step.spent, parsed.cost.currency)}" if step.spent else ""
        say(f"{step.name:<12} {'finished' if step.finished else 'to do':<9} {size:>10} {cost}{spent}{reason}")
    for each in others:
        say(f"not used: {each}")
    if others:
        say(f"{_total(others)}; tfkd clean {recipe} removes what this recipe does not use")


@app.command()
def clean(
    recipe: RecipeFile,
    overrides: Overrides = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="a stage, sweep, compare, fit, nothing, or current (what the recipe uses); repeatable"),
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Remove stores, trainings and other results that a recipe does not use, and report what each cost."""
    from tfkd.pipeline import storage
    from tfkd.progress import for_output

    removed = storage.clean(read_recipe(recipe, overrides), for_output(), runs, keep or (storage.CURRENT,))
    say(f"Removed: {_total(removed)}" if removed else "Nothing to remove")


@app.command()
def doctor(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE|RUN", help="a recipe; with --after also the folder of a run or a bundle")
    ],
    overrides: Overrides = None,
    *,
    after: Annotated[
        bool, typer.Option("--after", help="name the causes of a poor student from what its run stored")
    ] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Check a recipe before a long run, or its student after it. Exit code 2 when something would stop the run."""
    if after:
        _show_causes(recipe, overrides or [], runs)
        return
    from tfkd.pipeline import doctor as physician
    from tfkd.pipeline.folders import RunFolder
    from tfkd.pipeline.stages.data import open_data
    from tfkd.progress import for_output
    from tfkd.recipe.of_kind import with_kind_defaults

    parsed = with_kind_defaults(read_recipe(recipe, overrides))
    data = open_data(parsed, RunFolder(runs / parsed.name), for_output())
    levels = []
    for finding in physician.examine(parsed, data, runs):
        levels.append(finding.level)
        say(f"{finding.level:<8} {finding.text}")
    raise typer.Exit(2 if "error" in levels else 0)


def _show_causes(place: Path, overrides: list[str], runs: Path) -> None:
    """Shows why the student of a run is poor; `place` is its recipe, its folder or its bundle."""
    from tfkd.bundle.layout import MANIFEST, RECIPE
    from tfkd.pipeline.after import causes_in_bundle, examine_after, run_folder
    from tfkd.pipeline.folders import RunFolder
    from tfkd.progress import for_output
    from tfkd.report.console import cause_lines

    if (place / MANIFEST).is_file():
        if overrides:
            raise RequestError(f"{place} is a bundle, whose figures no override changes; leave {overrides[0]} out.")
        recipe, found = place / RECIPE, causes_in_bundle(place)
    else:
        folder = None if place.is_file() or place.suffix in (".py", ".json") else run_folder(place, runs)
        recipe, runs = (folder.recipe, place.parent) if folder else (place, runs)
        parsed = read_recipe(recipe, overrides)
        found = examine_after(parsed, folder or RunFolder(runs / parsed.name), for_output())
    say(found.summary)
    for line in cause_lines(found.causes, functools.partial(command_of, recipe, overrides, runs)):
        say(line)
    if found.labels:
        say(found.labels)


@app.command()
def compare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    smoke: Smoke = False,
    cluster: OnCluster = None,
    runs: Runs = Path("runs"),
    out: Out = Path("exported_models"),
) -> None:
    """Run a recipe and compare teacher and student, quantized, pruned and clustered.

    Exit code 1 when a gate of the run fails.
    """
    from tfkd.pipeline import compare as comparison
    from tfkd.pipeline.cluster import executor_on
    from tfkd.progress import for_output
    from tfkd.report import facts
    from tfkd.report.console import comparison_table

    parsed, progress = read_recipe(recipe, overrides, smoke), for_output()
    with executor_on(cluster, runs / parsed.name, progress) as executor:
        manifest, page = comparison.compare(parsed, progress, runs, out, executor)
    show(comparison_table(manifest))
    say(f"The plots are in {page}, the numbers are in {page.parent}/comparison.json")
    for line in facts.unproven(manifest):
        say(line)
    if facts.failed_gates(manifest):
        say(f"{facts.verdict(manifest)}; nothing was published.")
        raise typer.Exit(1)


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=".keras or .h5 file, or SavedModel folder")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value ...]", help="fields of export, gates and bench, e.g. export.license=MIT"),
    ] = None,
    *,
    labels: Annotated[str, typer.Option(help="text file with one class per line, in the order of the outputs")],
    data: Annotated[
        str,
        typer.Option(help="images or texts of these classes for the measurements: folder:photos, texts:test.csv, …"),
    ],
    normalization: Annotated[
        str,
        typer.Option(
            help="pixels that the model expects: none (0 to 255), tf (-1 to 1), torch, caffe (BGR), or mean,std"
        ),
    ] = "none",
    name: Annotated[str | None, typer.Option(help="name of the bundle; default: the model's")] = None,
    tflite: Annotated[str | None, typer.Option(help="TFLite files, e.g. fp32,int8")] = None,
    coreml: Annotated[str | None, typer.Option(help="Core ML files, e.g. mlmodel,mlpackage; or none")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="write an .onnx file as well, for TensorRT")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="run code that the model file contains, e.g. Lambda layers")
    ] = False,
    imports: Imports = None,
    image_size: Annotated[int | None, typer.Option(help="input size, pixels, for a model without one")] = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="the vocab.txt, or a folder with one, that a model over the ids of texts reads")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="number of ids, for a model of texts of any length")] = None,
    runs: Runs = Path("runs"),
    out: Out = Path("exported_models"),
) -> None:
    """Export a trained Keras classifier of images or texts of your own as a verified bundle."""
    from tfkd.pipeline import own_model, own_request
    from tfkd.progress import for_output

    if imports:
        import_path.append(os.curdir)
    fields = {
        "name": name or own_request.name_of(model),
        "model": model,
        "labels": labels,
        "data": data,
        "normalization": normalization,
        "allow_code": allow_code,
        "imports": imports or [],
        "image_size": image_size,
        "vocabulary": vocabulary,
        "tokens": tokens,
    }
    lists = {"tflite": tflite, "coreml": coreml}
    named = {kind: [] if text == "none" else text.split(",") for kind, text in lists.items() if text is not None}
    request = own_request.request(fields, {**named, "onnx": onnx}, overrides or [])
    _finish(own_model.publish_own(request, for_output(), runs, out))


@app.command()
def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="RUN|BUNDLE", help="folder of a finished run, e.g. runs/quickstart, or of a bundle"),
    ],
    out: Out = Path("exported_models"),
) -> None:
    """Recreate the report of a run, or the measurement pages of a bundle, and show the tables."""
    from tfkd.bundle.layout import MANIFEST
    from tfkd.bundle.publishing import opened
    from tfkd.pipeline import pages

    with opened(folder) as here:
        is_bundle = (here / MANIFEST).is_file()
    if is_bundle:
        _show_devices(folder)
        return
    manifest, page = pages.rewrite(folder)
    _show(manifest)
    say(f"The report is {page}")
    if pages.is_published(folder, out / manifest.name):
        _show_devices(out / manifest.name)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".tflite file")],
    data: Annotated[str | None, typer.Option(help="examples for the comparison, e.g. folder:photos")] = None,
    against: Annotated[Path | None, typer.Option(help="float file; default: the _fp32.tflite beside it")] = None,
    normalization: Annotated[
        str | None,
        typer.Option(help="pixel values that the network expects, as in export; for files without this metadata"),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="number of examples")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="seed of the example selection")] = 1,
    out: Annotated[Path | None, typer.Option(help="file of the plot (.svg)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print everything as JSON")] = False,
) -> None:
    """Inspect a .tflite file: operators, where they run and, with --data, which layers quantization degrades."""
    if data is None and (out or against or normalization):
        raise RequestError(
            "--out, --against and --normalization need examples to compare layers on; add --data folder:PATH."
        )
    from tfkd import files
    from tfkd.bundle.seal import require_unsealed
    from tfkd.inputs.image.normalization import parse
    from tfkd.progress import for_output
    from tfkd.quiet import native_logs_silenced

    with native_logs_silenced():  # TensorFlow is loaded here
        from tfkd.report import inspection as shown
        from tfkd.verification import inspect as inspector

    require_unsealed(out)
    progress = None if as_json else for_output()  # standard output must hold nothing but JSON
    pixels = None if normalization is None else parse(normalization)
    on = None if data is None else inspector.ComparedOn(data, images, seed, against, pixels)
    found = inspector.inspect_apart(file, on, progress)
    if found.comparison and out:
        files.write_text(files.resolved(out), shown.plot(found.comparison))
    if as_json:
        say_lines(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        show(*shown.tables(found))


@app.command()
def verify(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="folder of the bundle, e.g. exported_models/quickstart")
    ],
    data: Annotated[
        str | None, typer.Option(help="the bundle's examples, to measure its accuracies again, e.g. folder:photos")
    ] = None,
    unseen: Annotated[
        str | None,
        typer.Option(help="labelled examples that its run has not seen, e.g. folder:fresh: all are measured"),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="a teacher.lock, or a teacher's model, weights or predictions, which must have taught it"),
    ] = None,
) -> None:
    """Verify a bundle from its folder alone. Exit code 1 when a check fails."""
    from tfkd.bundle import verification
    from tfkd.progress import for_output
    from tfkd.report.console import checks_table

    checks = verification.verify(bundle, data, for_output(), unseen=unseen, teacher=teacher)
    show(checks_table(str(bundle), checks))
    raise typer.Exit(1 if any(check.verdict == "failed" for check in checks) else 0)


app.command(name="diff")(diff.diff)
app.command(name="drift")(drift.drift)
app.command(name="bench")(bench.bench)
app.command(name="fit")(fit.fit)
app.command(name="store")(store.store)
app.command(name="sweep")(sweep.sweep)


SCHEMAS = {
    "recipe": "tfkd.recipe:Recipe",
    "manifest": "tfkd.bundle.manifest:Manifest",
    "bench": "tfkd.bundle.results:Results",
    "evidence": "tfkd.bundle.evidence:Evidence",
    "diff": "tfkd.releases.records:Diff",
    "counts": "tfkd.bundle.counts:PhoneCounts",
    "monitor": "tfkd.bundle.monitoring:MonitorReference",
    "drift": "tfkd.monitor.records:Drift",
    "lock": "tfkd.bundle.teacher_lock:TeacherLock",
    "lock-diff": "tfkd.monitor.lock_records:LockDiff",
}
KINDS = {
    "students": "tfkd.models:STUDENTS",
    "teachers": "tfkd.models:TEACHERS",
    "losses": "tfkd.recipe.files:LOSSES",
    "sources": "tfkd.data:SOURCES",
    "formats": "tfkd.formats:FORMATS",
    "targets": "tfkd.benchmark:TARGETS",
}


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help=", ".join(SCHEMAS), autocompletion=lambda: list(SCHEMAS))] = "manifest",
) -> None:
    """Print the JSON Schema of recipes, files of a bundle, counts of phones, or the JSON of commands."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    written = _named(what, SCHEMAS, "schema of").model_json_schema()
    say_lines(json.dumps({"$schema": dialect, **written}, indent=2))


@app.command(name="list")
def list_kinds(
    kind: Annotated[
        str,
        typer.Argument(
            help="students, teachers, losses, sources, formats or targets", autocompletion=lambda: list(KINDS)
        ),
    ] = "",
) -> None:
    """List the names that recipes and commands accept."""
    if not kind:
        raise RequestError(f"Name what to list: {', '.join(KINDS)}.")
    names = _named(kind, KINDS, "kind")
    if kind == "students":
        from tfkd.report import students

        show(students.cost_table(), students.activation_table(), students.text_table(), students.table_table())
        return
    for name in names:
        say(name)


def _named(name: str, places: dict[str, str], what: str) -> Any:
    """Imports and returns an object by name; `places` maps names to `module:attribute`."""
    if name not in places:
        raise RequestError(f"There is no {what} {name!r}.{nearest(name, list(places))}")
    module, _, attribute = places[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _total(results: "list[StoredResult]") -> str:
    size, minutes = sum(each.bytes for each in results) / 1e6, sum(each.seconds for each in results) / 60
    return f"{len(results)} folders, {size:,.1f} MB, which cost {minutes:,.1f} minutes"


def _finish(outcome: "Outcome", command: Callable[[Sequence[str]], str] = OF_ANY_RECIPE) -> None:
    """Shows the figures of a bundle and where it is; exit code 1 when a gate failed."""
    from tfkd.pipeline.folders import RunFolder
    from tfkd.report import facts, suspects

    assert outcome.manifest is not None
    _show(outcome.manifest, command)
    if labels := suspects.line(outcome.manifest.suspected_labels, RunFolder(outcome.folder).suspected_labels):
        say(labels)
    if not outcome.passed:
        say(f"A gate failed, so nothing was published. The bundle and its report are in {outcome.bundle}")
        raise typer.Exit(1)
    state = ", but not all gates were judged" if facts.unjudged_gates(outcome.manifest) else ""
    say(f"The bundle is {outcome.bundle}{state}; open {outcome.bundle}/report.html")


def _show_devices(bundle: Path) -> None:
    from tfkd.report import devices
    from tfkd.report.console import devices_table

    page = devices.rewrite(bundle)
    show(devices_table(devices.read(bundle)))
    say(f"All measurements of {bundle} are in {page}")


def _show(manifest: "Manifest", command: Callable[[Sequence[str]], str] = OF_ANY_RECIPE) -> None:
    from tfkd.report import console, facts

    classes = console.classes_table(manifest)
    show(console.comparison_table(manifest), *([classes] if classes else []), console.gates_table(manifest))
    for line in (
        *facts.promises_say(manifest),
        *console.cause_lines(manifest.diagnosis, command),
        *console.missing_lines(manifest),
    ):
        say(line)
