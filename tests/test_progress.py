import pytest

from tfkd import progress


def test_lines_have_progress_speed_and_remaining_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 4.0, 12.0, 13.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Lines().task("training", 100, "steps") as advance:
        for _ in range(3):
            advance(20)
    assert capsys.readouterr().out == "  training: 40 of 100 steps, 2.5/s, 24 s left\n"


def test_lines_do_not_break(capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (progress.Lines(), progress.Bars()):
        shown.say("left out: a\nb\x1b[2J.jpg")
        assert capsys.readouterr().out == "left out: a\\nb\\x1b[2J.jpg\n"


@pytest.mark.parametrize("shown", [None, True])
def test_nothing_is_shown_where_standard_output_is_closed(monkeypatch: pytest.MonkeyPatch, shown: bool | None) -> None:
    monkeypatch.setattr(progress.sys, "stdout", None)
    assert isinstance(progress.for_caller(shown), progress.Silent)
    assert isinstance(progress.for_output(), progress.Silent)
