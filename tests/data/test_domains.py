"""Domains: which examples a teacher knows, by their paths."""

import pytest

from tests.data.photos import READING, fill
from tfkd.data import open_source
from tfkd.data.dataset import Dataset
from tfkd.data.domains import membership, require_domains, splits_of, within
from tfkd.errors import RequestError
from tfkd.recipe import Data, Teacher

NETWORK = {"model": "tests.tiny:build_teacher", "weights": "none"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes of 20 photos, half of them in a folder xray, the others in mri."""
    photos = fill(
        tmp_path_factory.mktemp("photos"), {f"{name}/{kind}": 10 for name in "ab" for kind in ("xray", "mri")}
    )
    return open_source(Data(source=f"folder:{photos}", validation_share=0.3, test_share=0.3), seed=1)


def paths(dataset: Dataset) -> dict[str, set[str]]:
    return {name: {split.name(i) for i in range(len(split))} for name, split in splits_of(dataset).items()}


@pytest.mark.parametrize(
    ("domain", "matching"),
    [
        ("xray/*", ("a/xray/000.jpg",)),
        ("a/*", ("a/xray/000.jpg", "a/mri/000.jpg")),
        ("*/mri/*", ("a/mri/000.jpg",)),
        ("ray/*", ()),
        ("xray", ()),
        ("XRAY/*", ()),
        ("a/[xm]r*", ("a/xray/000.jpg", "a/mri/000.jpg")),
        (None, ("a/xray/000.jpg", "a/mri/000.jpg")),
    ],
)
def test_a_pattern_is_of_a_path_or_of_its_end_from_a_folder_on(
    data: Dataset, domain: str | None, matching: tuple[str, ...]
) -> None:
    split = data.train.take(range(0))  # of the same source
    names = ("a/xray/000.jpg", "a/mri/000.jpg")
    places = [split.examples.names.index(name) for name in names]
    split = type(split)(split.examples, places, [0, 0], READING)
    assert [name for name, inside in zip(names, membership(split, domain), strict=True) if inside] == [*matching]


def test_each_split_keeps_the_examples_of_the_domain(data: Dataset) -> None:
    everything = paths(data)
    expected = {name: {path for path in each if "/xray/" in path} for name, each in everything.items()}
    assert paths(within(data, data, "xray/*")) == expected
    assert within(data, data, None) is data


def require(data: Dataset, *teachers: Teacher) -> None:
    require_domains(data.source, data.classes, teachers, splits_of(data))


def refused(data: Dataset, *domains: str | None) -> str:
    with pytest.raises(RequestError) as error:
        require(data, *(Teacher(domain=domain, **NETWORK) for domain in domains))
    return str(error.value)


def test_a_domain_without_examples_is_refused_with_a_path(data: Dataset) -> None:
    message = refused(data, "x-ray/*", None)
    assert "teachers.0.domain='x-ray/*' matches no example of folder:" in message
    assert data.train.name(0) in message and "\n" not in message


def test_a_domain_without_examples_of_a_split_is_refused(data: Dataset) -> None:
    path = data.train.name(0)
    count = len(data.validation)
    assert f"teachers.1.domain={path!r}: none of the {count} validation examples" in refused(data, None, path)


def test_examples_that_no_teacher_knows_are_refused_with_their_number(data: Dataset) -> None:
    message = refused(data, "xray/*", "a/*")
    assert ": 10 examples are in the domain of no teacher, e.g. b/mri/0" in message


def test_examples_of_some_teacher_are_accepted(data: Dataset) -> None:
    for domains in (("xray/*", "mri/*"), ("xray/*", None), (None, None)):
        require(data, *(Teacher(domain=each, **NETWORK) for each in domains))


def test_a_specialist_needs_test_examples_of_its_classes_in_its_domain(data: Dataset) -> None:
    require(data, Teacher(domain="a/*", classes=["a"], **NETWORK), Teacher(**NETWORK))
    with pytest.raises(RequestError, match=r"'b/\*' has no test example of .* teachers.0.classes=\['a'\]"):
        require(data, Teacher(domain="b/*", classes=["a"], **NETWORK), Teacher(**NETWORK))
