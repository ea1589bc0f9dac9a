"""A wrong command line: one line that names what there is, and the help of that command."""

import pytest

from tfkd import cli


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list"], "tfkd: Name what to list: students, teachers, losses, sources, formats, targets.\n"),
        (["list", "student"], "tfkd: There is no kind 'student'. Did you mean 'students'?\n"),
        (
            ["verify", "x", "--date", "y"],
            "tfkd: No such option: --date (Possible options: --data). Try 'tfkd verify --help'.\n",
        ),
        (["verify"], "tfkd: Missing argument 'BUNDLE'. Try 'tfkd verify --help'.\n"),
        (["nope"], "tfkd: No such command 'nope'. Try 'tfkd --help'.\n"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(arguments) == 2
    assert capsys.readouterr().err == message
