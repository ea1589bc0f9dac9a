"""texts:FILE: CSV, JSON lines, archives of them, folders; encodings, duplicates, vocabularies."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfkd.data import Dataset, Split, open_source
from tfkd.data.batches import numbered_views, plain_batches
from tfkd.errors import RequestError
from tfkd.inputs.text import KIND
from tfkd.inputs.text.tokenizer import Tokenizer
from tfkd.inputs.text.vocabulary import Vocabulary
from tfkd.recipe import Augment, Data

BANKING = Path(__file__).parents[3] / "shared/data/banking77.zip"
CARDS = [f"my card number {k} is lost" for k in range(20)]
RATES = [f"what is the rate of currency {k}" for k in range(20)]
ROWS = [(text, "card") for text in CARDS] + [(text, "rate") for text in RATES]


def opened(path: Path, **fields: object) -> Dataset:
    return open_source(Data(source=f"texts:{path}", **fields), 1)


def write(path: Path, *lines: str, encoding: str = "utf-8", newline: str = "\n") -> Path:
    path.write_bytes("".join(f"{line}{newline}" for line in lines).encode(encoding))
    return path


def table(path: Path, *further: str, **style: str) -> Path:
    return write(path, "text,label", *(f"{text},{label}" for text, label in ROWS), *further, **style)


def texts(split: Split) -> list[str]:
    return [split.load(i) for i in range(len(split))]


def everything(data: Dataset) -> set[str]:
    return {text for split in (data.train, data.validation, data.test) for text in texts(split)}


@pytest.mark.parametrize(
    ("separator", "style"),
    [(",", {}), (";", {"newline": "\r\n"}), ("\t", {"encoding": "utf-16"}), (",", {"encoding": "utf-8-sig"})],
)
def test_a_table_in_its_usual_forms(tmp_path: Path, separator: str, style: dict[str, str]) -> None:
    lines = [f'"{text}"{separator}{label}' for text, label in ROWS]
    path = write(tmp_path / "a.csv", f"Text{separator}Label", *lines, **style)
    data = opened(path)
    assert data.kind.name == "text" and data.classes == ("card", "rate")
    assert everything(data) == set(CARDS + RATES) and not data.rejected and not data.warnings


def test_quotes_and_line_breaks_stay_in_a_text(tmp_path: Path) -> None:
    data = opened(table(tmp_path / "a.csv", '"he said ""no"",\nthen left",card'), fraction=1.0)
    (odd,) = everything(data) - set(CARDS + RATES)
    assert odd == 'he said "no",\nthen left'


def test_labels_that_are_numbers_stay_texts(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "label": 7 if label == "card" else 10}) for text, label in ROWS]
    data = opened(write(tmp_path / "a.jsonl", *lines))
    assert data.classes == ("10", "7") and everything(data) == set(CARDS + RATES)
    lines = [f"{text},{'007' if label == 'card' else '7'}" for text, label in ROWS]
    assert opened(write(tmp_path / "a.csv", "text,label", *lines)).classes == ("007", "7")


def test_splits_groups_and_other_names_of_columns(tmp_path: Path) -> None:
    lines = [f"{text},{label},{('train', 'dev', 'test')[k % 3]}" for k, (text, label) in enumerate(ROWS)]
    data = opened(write(tmp_path / "a.csv", "utterance,intent,split", *lines))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [14, 13, 13]
    assert "the column intent holds the label of each example" in data.notes
    lines = [json.dumps({"text": text, "label": label, "group": number(text)}) for text, label in ROWS]
    groups = [set(map(number, texts(split))) for split in _splits(opened(write(tmp_path / "a.jsonl", *lines)))]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])


def number(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _splits(data: Dataset) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def test_an_archive_has_one_table_per_split(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("top/train.csv", "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS[::2]))
        archive.writestr("top/test.jsonl", "".join(json.dumps({"text": t, "label": k}) + "\n" for t, k in ROWS[1::2]))
        archive.writestr("LICENSE", "free")
    data = opened(tmp_path / "a.zip")
    assert set(texts(data.test)) == {text for text, _ in ROWS[1::2]}
    assert data.test.name(0).endswith("a.zip/top/test.jsonl, line 1")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("top/more.csv", "text,label\n")
    with pytest.raises(RequestError, match=r"top/more\.csv is not named as a split, and there are 3 tables"):
        opened(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (("pin", "fee", "g"), "test.csv, line 2: test has class 'fee', which train has not."),
        (("pin", "card", "1"), "test.csv, line 2: group '1' is in test, and on line 3 of {}/train.csv in train."),
    ],
)
def test_messages_about_an_archive_name_the_table(tmp_path: Path, test: tuple[str, ...], message: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train.csv", "text,label,group\n" + "".join(f"{t},{k},{n}\n" for n, (t, k) in enumerate(ROWS)))
        archive.writestr("test.csv", f"text,label,group\n{','.join(test)}\n")
    refused(tmp_path / "a.zip", f"{tmp_path}/a.zip/{message.format(tmp_path / 'a.zip')}")


def test_a_folder_of_texts_per_class(tmp_path: Path) -> None:
    for k, (text, label) in enumerate(ROWS):
        (tmp_path / "a" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / label / f"{k}.txt").write_text(text)
    data = opened(tmp_path / "a")
    assert data.classes == ("card", "rate") and everything(data) == set(CARDS + RATES)
    assert open_source(Data(source=f"folder:{tmp_path / 'a'}", kind="text"), 1).classes == ("card", "rate")


def test_empty_texts_are_left_out_and_copies_stay_in_one_split(tmp_path: Path) -> None:
    data = opened(
        table(tmp_path / "a.csv", '" ",card', *(f"  {text.upper()} ,card" for text in CARDS)), max_rejected=0.1
    )
    assert len(data.rejected) == 1 and "line 42: holds no text" in data.rejected[0]
    seen = [{text.split()[3] for text in texts(split) if "ard" in text.lower()} for split in _splits(data)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2])
    assert any("left out because validation or test hold the same content" in note for note in data.notes)


def test_an_encoding_that_nothing_states_is_named(tmp_path: Path) -> None:
    data = opened(table(tmp_path / "a.csv", "ma carte bancaire est à Noël là-bas,card", encoding="cp1252"))
    assert any("a.csv is not in UTF-8 and was read as cp1252" in note for note in data.notes)
    assert "ma carte bancaire est à Noël là-bas" in everything(data)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["my card,card", "a,b"],
            "line 1: there is no column text and no column label; begin the list with the line text,label",
        ),
        (["text,lable", "a,b"], "there is no column 'lable'. Did you mean 'label'?"),
        (["text,label"], "holds no texts"),
        (["text,label", '"a,b'], "is not CSV"),
        (["text,label", "a,b", f"{'a ' * 70_000},b"], "line 3: a cell has more than 131,072 characters. Close its q"),
        (["text,label", "a,"], "line 2: has no label"),
        (["text,label", "a,b,c"], "line 2: has 3 cells, the header has 2"),
        (["text,label,split", "a,b,somewhere"], "the split 'somewhere' is none of train"),
    ],
)
def test_a_wrong_table_names_the_line(tmp_path: Path, lines: list[str], message: str) -> None:
    refused(write(tmp_path / "a.csv", *lines), message)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"text": "a", "label": "b"}', "{"], "line 2: is no JSON object"),
        (["[1]"], "line 1: is no JSON object"),
        (['{"text": "a", "label": "b", "label": "c"}'], "line 1: has two values of 'label'. Remove one of them"),
        (['{"text": "a", "label": "b"}', '{"text": "a"}'], "line 2: has no 'label'"),
        (['{"text": ["a"], "label": "b"}'], "line 1: 'text' is list, not a text"),
        (['{"text": "a", "label": true}'], "line 1: 'label' is bool, not a text"),
        (['{"words": "a", "label": "b"}'], "there is no column text; write an object with text and label into"),
        (['{"text": "a", "label": "b"}', '{"text": "c", "label": "d", "split": "test"}'], "line 2: has 'split', which"),
    ],
)
def test_a_wrong_line_of_json_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    refused(write(tmp_path / "a.jsonl", *lines), message)


def refused(path: Path, message: str, **fields: object) -> None:
    with pytest.raises(RequestError) as error:
        opened(path, **fields)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_files_that_hold_no_texts_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "gone.csv", "gone.csv cannot be read")
    refused(tmp_path / "gone", "There is no")
    refused(write(tmp_path / "a.xml", "<a/>"), "files of texts end in .csv")
    (tmp_path / "b.csv").write_bytes(b"text,label\na\xff\xfe\0,b\n")
    refused(tmp_path / "b.csv", "is no text: it holds zero bytes")
    (tmp_path / "c.csv").write_bytes("text,label\ncafé,a\n".encode() + "là,b\n".encode("latin-1"))
    refused(tmp_path / "c.csv", "line 3 is not in UTF-8, other lines are")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 128}, "data.image_size is for examples of kind 'image'"),
        ({"augment": {"flip": False}}, "data.augment.flip is for examples of kind 'image'"),
        ({"augment": {"mix": "mixup"}}, "data.augment.mix is for examples of kind 'image'"),
        ({"kind": "image"}, "holds texts, and data.kind is 'image'. Set it to text."),
        ({"pieces": 128}, "A vocabulary of 128 pieces cannot hold the characters of the texts"),
        ({"vocabulary": "gone.txt"}, "The vocabulary gone.txt cannot be read"),
    ],
)
def test_settings_that_do_not_fit_texts(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    refused(table(tmp_path / "a.csv", "абвгдежзийклмнопрст,card"), message, **fields)


def test_settings_of_texts_are_refused_for_images(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"data\.tokens is for examples of kind 'text'"):
        open_source(Data(source="embedded:fashion_mnist_mini", tokens=32), 1)


def test_the_vocabulary_is_of_the_training_texts_and_kept(tmp_path: Path) -> None:
    lines = [f"{text},{label},train" for text, label in ROWS] + ["zebra zebra card,card,test", "zebra card,card,val"]
    path = write(tmp_path / "a.csv", "text,label,split", *lines)
    settings = Data(source=f"texts:{path}", tokens=6)
    data = open_source(settings, 1, checked=tmp_path)
    signature = data.reading.signature(settings)
    assert "currency" in signature.pieces and "zebra" not in signature.pieces and signature.tensors[0].shape == (6,)
    lost = "42 of 42 texts have more than 6 pieces and lose their end; set data.tokens=9, which keeps 95% of the texts"
    assert data.warnings == (f"{lost} whole",) and not any("lose their end" in note for note in data.notes)
    kept = list(tmp_path.glob("adaptation-*.json"))
    again = open_source(settings, 1, checked=tmp_path)
    assert (again.reading, again.notes, again.warnings) == (data.reading, data.notes, data.warnings) and len(kept) == 1
    changed = open_source(settings.model_copy(update={"tokens": 9}), 1, checked=tmp_path)
    assert changed.fingerprint == data.fingerprint, "texts stay the same"
    assert changed.reading != data.reading


def test_words_that_phones_do_not_split_are_counted(tmp_path: Path) -> None:
    thai = "สวัสดีครับบัตรของฉันหายไปเมื่อวานนี้"
    data = opened(table(tmp_path / "a.csv", f"{thai},card", f"{thai[:33]},card"))
    assert any(
        "1 of 42 texts have words of more than 100 bytes, which phones do not split" in note for note in data.notes
    )


@pytest.mark.parametrize(
    ("tokens", "words", "remedy"),
    [
        (10, 600, "set data.tokens=512, its maximum, or divide long texts"),
        (512, 600, "data.tokens has its maximum, so divide long texts"),
    ],
)
def test_texts_longer_than_any_input_are_to_be_divided(tmp_path: Path, tokens: int, words: int, remedy: str) -> None:
    data = opened(
        table(tmp_path / "a.csv", *(f"{number} {'card ' * words},card" for number in range(4))), tokens=tokens
    )
    (warning,) = data.warnings
    assert warning.endswith(f"of 44 texts have more than {tokens} pieces and lose their end; {remedy}")


def test_with_folds_every_text_is_counted_once(tmp_path: Path) -> None:
    (warning,) = opened(table(tmp_path / "a.csv"), tokens=6, folds=2).warnings
    assert warning.startswith("40 of 40 texts")


def test_a_given_vocabulary_is_pruned_to_the_training_texts(tmp_path: Path) -> None:
    pieces = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "card", "cur", "##rency", "unused")
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    for given in (tmp_path, tmp_path / "vocab.txt"):
        settings = Data(source=f"texts:{table(tmp_path / 'a.csv')}", vocabulary=str(given))
        found = open_source(settings, 1).reading.signature(settings).pieces
        assert found[:7] == pieces[:7] and "unused" not in found and "##z" in found


def test_batches_are_ids_and_views_leave_words_out(tmp_path: Path) -> None:
    settings = Data(source=f"texts:{table(tmp_path / 'a.csv')}", tokens=16)
    data = open_source(settings, 1)
    signature = data.reading.signature(settings)
    (batch,) = plain_batches(data.test, signature, 64)
    tokenizer = Tokenizer(Vocabulary(signature.pieces))
    np.testing.assert_array_equal(batch[0].numpy(), tokenizer.encode(texts(data.test), 16).ids)
    (views,) = numbered_views(data.test, Augment(word_dropout=0.5), 1, 0, np.arange(len(data.test)), signature, 64)
    lengths = [(each.numpy() > 0).sum() for each in (views["inputs"], batch[0])]
    assert 0.4 * lengths[1] < lengths[0] < 0.8 * lengths[1]
    assert KIND.encode_golden(batch[0].numpy()[0], signature).decode() == texts(data.test)[0]


def test_an_embedded_data_set_of_texts() -> None:
    settings = Data(source="embedded:banking77", kind="text")
    data = open_source(settings, 1)
    assert len(data.classes) == 77 and len(data.test) == 3080 and len(data.train) + len(data.validation) == 9993
    assert not data.rejected and any(note.startswith("10 training examples left out") for note in data.notes)
    assert (
        "50 of 13,073 texts have more than 64 pieces and lose their end; increase data.tokens if their end matters"
        in data.notes
    )
    assert not (plain_ids(data, settings) == 1).any(), "every character of the training texts has a piece"
    with pytest.raises(RequestError, match=r"0 features of kind Image .*\. Set data\.kind=text\."):
        open_source(Data(source="embedded:banking77"), 1)


def plain_ids(data: Dataset, settings: Data) -> np.ndarray:
    batches = plain_batches(data.train, data.reading.signature(settings), 1024)
    return np.concatenate([ids.numpy() for ids, _ in batches])


@pytest.mark.skipif(not BANKING.exists(), reason=f"needs {BANKING.name}, which is not in the repository")
def test_the_archive_of_the_embedded_data_set_has_the_same_texts() -> None:
    archive, embedded = (
        open_source(Data(source=source, kind="text"), 1) for source in (f"texts:{BANKING}", "embedded:banking77")
    )
    assert archive.fingerprint == embedded.fingerprint
