"""The options of the targets: one record each, with the same meaning wherever a name occurs."""

import dataclasses
from typing import get_type_hints

import pytest

from tfkd.benchmark import TARGETS
from tfkd.benchmark.options import AndroidOptions, IosOptions, RunnerOptions, names, require_read
from tfkd.errors import RequestError


def test_an_option_of_several_targets_is_the_same_everywhere() -> None:
    options: dict[str, object] = {}
    for target in TARGETS.values():
        types = get_type_hints(target.options, include_extras=True)
        for each in dataclasses.fields(target.options):
            described = (types[each.name], each.default)
            assert options.setdefault(each.name, described) == described
    assert {"runs", "ssh_config", "keep"} <= set(options)


def test_options_are_keyword_only_and_frozen() -> None:
    with pytest.raises(TypeError):
        IosOptions(5)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        IosOptions().runs = 5  # type: ignore[misc]


def test_a_way_to_measure_refuses_what_it_does_not_read() -> None:
    require_read(AndroidOptions(runs=5), names(RunnerOptions), "the kit")
    with pytest.raises(RequestError, match=r"^--keep means nothing to the kit\. Leave it out\.$"):
        require_read(AndroidOptions(keep=True), names(RunnerOptions), "the kit")


def test_a_delegate_that_does_not_exist_is_named() -> None:
    with pytest.raises(RequestError, match=r"no delegate 'tpu'\. Known: cpu, gpu, npu"):
        AndroidOptions(delegate=("cpu", "tpu"))
