"""Makes the embedded data set of texts from the archive of Banking77: python tools/make_banking77.py banking77.zip

Stores all training and test texts in TFDS format (ArrayRecord) inside the package, together with the licence notice.
"""

import argparse
import csv
import io
import shutil
import zipfile
from pathlib import Path

import tensorflow_datasets as tfds

NAME, VERSION = "banking77", "1.0.0"
SPLITS = ("train", "test")
EMBEDDED = Path(__file__).resolve().parents[1] / "tfkd" / "data" / "embedded"
HOMEPAGE = "https://github.com/PolyAI-LDN/task-specific-datasets"
NOTICE = f"""Banking77, by PolyAI Limited
{HOMEPAGE}

Inigo Casanueva, Tadas Temcinas, Daniela Gerz, Matthew Henderson, Ivan Vulic: Efficient Intent Detection with Dual
Sentence Encoders. Proceedings of the 2nd Workshop on NLP for ConvAI, 2020. https://arxiv.org/abs/2003.04807

Licensed under the Creative Commons Attribution 4.0 International licence, whose text follows. The texts and labels are
unchanged; they are stored in another format.

"""


def read_rows(archive: zipfile.ZipFile, split: str) -> list[tuple[str, str]]:
    """Returns the texts of a split, with their classes."""
    content = archive.read(f"{split}.csv").decode("utf-8")
    return [(row["text"], row["category"]) for row in csv.DictReader(io.StringIO(content, newline=""))]


def main() -> None:
    """Parses the command line and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="banking77.zip: train.csv, test.csv and LICENSE")
    with zipfile.ZipFile(parser.parse_args().archive) as archive:
        rows = {split: read_rows(archive, split) for split in SPLITS}
        licence = archive.read("LICENSE").decode("utf-8")
    classes = sorted({label for _, label in rows["train"]})
    tfds.dataset_builders.store_as_tfds_dataset(
        name=NAME,
        version=VERSION,
        features=tfds.features.FeaturesDict(
            {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=classes)}
        ),
        split_datasets={
            split: [(number, {"text": text, "label": label}) for number, (text, label) in enumerate(found)]
            for split, found in rows.items()
        },
        data_dir=EMBEDDED,
        description="13,083 questions to a bank in 77 classes.",
        homepage=HOMEPAGE,
        file_format="array_record",
        disable_shuffling=True,
    )
    shutil.rmtree(EMBEDDED / "downloads", ignore_errors=True)  # an empty folder that TFDS leaves
    (EMBEDDED / NAME / "LICENSE").write_text(NOTICE + licence, encoding="utf-8")


if __name__ == "__main__":
    main()
