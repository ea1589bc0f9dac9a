"""Models with usual mistakes are refused with the cause, by `tfkd export` and as teachers."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.pipeline.test_run import RECIPE, tfkd
from tfkd import cli
from tfkd.inputs.image.normalization import parse

pytestmark = pytest.mark.slow

SIZE = 32
# Neither another order of the channels nor another range of the pixels turns these into each other.
COLOURS = {"moss": (60, 150, 60), "rust": (170, 90, 50), "sand": (200, 190, 120), "soil": (70, 60, 40)}
SMALL = ("export.calibration_images=8", "export.golden_images=2", "bench.runs=5", "bench.warmup=1")


def write_photos(folder: Path, counts: dict[str, dict[str, int]]) -> None:
    """Writes noisy photos of each colour, `counts[split][colour]` of them."""
    rng = np.random.default_rng(2)
    for split, colours in counts.items():
        for name, count in colours.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(-15, 16, (SIZE, SIZE, 3)) + COLOURS[name]
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / split / name / f"{number}.png")


def save_reader(path: Path, names: Sequence[str], pixels: str = "none") -> None:
    """Writes a network that predicts the nearest colour, for this normalization and this order of outputs."""
    colours = parse(pixels)(np.array([COLOURS[name] for name in names], np.float32))
    scale = 20 / colours.var()
    image = keras.Input((SIZE, SIZE, 3))
    head = keras.layers.Dense(len(names))
    model = keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(image)))
    head.set_weights([scale * colours.T, -scale * (colours**2).sum(axis=1) / 2])
    model.save(path)


def save_majority(path: Path, outputs: int) -> None:
    """Writes a network that always predicts the first class."""
    image = keras.Input((SIZE, SIZE, 3))
    head = keras.layers.Dense(outputs)
    model = keras.Model(image, head(keras.layers.GlobalAveragePooling2D()(image)))
    head.set_weights([np.full((3, outputs), 1e-6), np.eye(outputs)[0]])
    model.save(path)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    names = list(COLOURS)
    write_photos(folder / "photos", {split: dict.fromkeys(names, 10) for split in ("train", "validation", "test")})
    rare = {"train": {"moss": 20, "rust": 20}, "validation": {"moss": 5, "rust": 5}, "test": {"moss": 95, "rust": 5}}
    write_photos(folder / "rare", rare)
    for data, classes in (("photos", names), ("rare", names[:2])):
        (folder / f"{data}.txt").write_text("".join(f"{name}\n" for name in classes))
        (folder / f"{data}.py").write_text(RECIPE.replace("folder:photos", f"folder:{data}"))
    save_reader(folder / "rare_right.keras", names[:2])
    save_majority(folder / "rare_majority.keras", outputs=2)
    save_reader(folder / "permuted.keras", [names[number] for number in (2, 0, 1, 3)])
    save_reader(folder / "scaled.keras", names, "torch")
    return folder


def export(work: Path, model: str, data: str = "photos") -> tuple[int, str]:
    """Exports a model in this process, where TensorFlow is loaded once; returns the exit code and the output."""
    command = ("export", f"{model}.keras", "--labels", f"{data}.txt", "--data", f"folder:{data}", "--name", model)
    with contextlib.chdir(work), contextlib.redirect_stdout(io.StringIO()) as shown:
        arguments = [*command, "--tflite", "fp32", "--coreml", "none", *SMALL]
        code = cli.execute(arguments)
    return code, " ".join(shown.getvalue().split())


def teach(work: Path, model: str, data: str = "photos") -> tuple[int, str]:
    """Runs a recipe with the model as teacher until the teacher is judged."""
    teacher = (f"teachers.0.model={model}.keras", "teachers.0.image_size=null", "teachers.0.fine_tune=null")
    code, output, errors = tfkd(work, *teacher, f"name={model}", "--until", "teacher", recipe=f"{data}.py")
    return code, " ".join(f"{output} {errors}".split())


@pytest.mark.parametrize(
    ("model", "evidence", "of_export", "of_teacher"),
    [
        (
            "permuted",
            "outputs in another order (0 is sand, 1 is moss, 2 is rust)",
            "--labels runs/permuted/proposed_labels.txt",
            "teachers.0.labels=runs/permuted/proposed_labels.txt",
        ),
        ("scaled", "pixels as by", "--normalization torch", "teachers.0.normalization=torch"),
    ],
)
def test_a_wrong_model_is_refused_with_its_cause(
    work: Path, model: str, evidence: str, of_export: str, of_teacher: str
) -> None:
    for ask, proposal in ((export, of_export), (teach, of_teacher)):
        code, shown = ask(work, model)
        assert code == 1, shown
        assert evidence in shown and f"Try {proposal}" in shown and "is right for 100% of" in shown
    assert not (work / "exported_models" / model).exists()
    assert not (work / "runs" / model / "soft_labels").exists()


def test_a_good_model_is_published_and_may_teach_where_95_percent_are_of_one_class(work: Path) -> None:
    code, shown = export(work, "rare_right", "rare")
    assert code == 0 and "rare_right: 100.0 % right" in shown and "All 5 gates passed" in shown, shown
    assert (work / "exported_models" / "rare_right").is_dir()
    code, shown = teach(work, "rare_right", "rare")
    assert code == 0 and "not judged" not in shown, shown


def test_a_model_that_always_predicts_the_most_frequent_class_is_refused(work: Path) -> None:
    code, shown = export(work, "rare_majority", "rare")
    found = "rare_majority: failed: 95.0 % right (balanced 50.0 %, chance 50.0 %)"
    assert code == 1 and found in shown and "nothing was published" in shown, shown
    assert "better_than_chance/rare_majority_fp32.tflite" in shown
    assert not (work / "exported_models" / "rare_majority").exists()
    code, shown = teach(work, "rare_majority", "rare")
    assert code == 1 and "teacher is not better than chance on the test split" in shown, shown
