"""Output: foreign text is escaped, and standard streams may be in any state."""

import ast
import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import tfkd
from tfkd import terminal

HOSTILE = "a\x1b[31mb\x9b2J\u202ec\rd\x07[red]e[/red][link=http://x]f :smile: $x$"
UNSAFE = set("\x1b\x9b\u202e\r\x07")


def run(shell: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell line in which $TFKD is the command and $PRINT prints a hundred thousand lines."""
    code = "from tfkd import terminal; terminal.prepare()\nfor n in range(100_000): terminal.say(str(n))\nexit(1)"
    names = {"TFKD": f"{sys.executable} -m tfkd.cli", "PRINT": f"{sys.executable} -c '{code}'"}
    line = shell.replace("$TFKD", names["TFKD"]).replace("$PRINT", names["PRINT"])
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("shell", "code", "message"),
    [
        ("set -o pipefail; $PRINT | head -1", 1, ""),
        ("set -o pipefail; $TFKD --help | true", 0, ""),
        (
            "$TFKD list formats > /dev/full",
            4,
            "Cannot write to the standard output: No space left on device. Redirect it",
        ),
        ("$PRINT > /dev/full", 1, "MachineError: Cannot write to the standard output"),
        ("$TFKD list formats >&-", 0, ""),
        ("$TFKD verify none >&-", 2, "none is no bundle"),
        ("$TFKD verify none 2>&-", 2, ""),
        ("$TFKD verify none 2> /dev/full", 2, ""),
        ("$TFKD verify none <&- >&- 2>&-", 2, ""),
        ("LC_ALL=C PYTHONIOENCODING=ascii $TFKD list students", 0, ""),
    ],
)
def test_standard_streams_in_any_state(shell: str, code: int, message: str) -> None:
    done = run(shell)
    assert done.returncode == code
    assert message in done.stderr and ("Traceback" in done.stderr) == ("MachineError" in message)
    assert "Exception ignored" not in done.stderr and bool(done.stderr) == bool(message)


def test_a_file_does_not_take_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import os; from tfkd import terminal; terminal.prepare(); "
        f"file = open({str(tmp_path / 'file')!r}, 'w'); os.write(1, b'x'); os.write(2, b'x'); exit(file.fileno() < 3)"
    )
    done = run(f'{sys.executable} -c "{code}" >&- 2>&- <&-')
    assert done.returncode == 0 and (tmp_path / "file").read_text() == ""


def test_lines_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(f"{HOSTILE}\nmore")
    terminal.say(HOSTILE, error=True)
    terminal.say_lines(f"{HOSTILE}\nmore")
    output, errors = capsys.readouterr()
    assert not UNSAFE & set(output + errors)
    assert [line.count("more") for line in output.splitlines()] == [1, 0, 1]
    assert "[red]e[/red][link=http://x]f :smile:" in output


@pytest.mark.parametrize("is_terminal", [False, True])
def test_tables_are_escaped_and_their_colours_kept(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    table = Table(title=HOSTILE, caption=Text(HOSTILE), width=400)
    table.add_column(HOSTILE)
    table.add_column(Text(HOSTILE))
    table.add_row(HOSTILE, Text(HOSTILE, "green"))
    monkeypatch.setattr(sys, "stdout", Screen())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(terminal, "COLUMNS_OF_A_LOG", 400)
    terminal.show(table)
    shown = sys.stdout.getvalue()
    assert "\x1b[31m" not in shown and not (UNSAFE - {"\x1b"}) & set(shown)
    assert ("\x1b[32m" in shown) == is_terminal and shown.count("\\x1b[31m") == 6
    assert shown.count("[red]e[/red][link=http://x]f :smile:") == 6


def test_nothing_else_prints() -> None:
    """Runners print results for programs elsewhere; all output for people goes through `terminal`."""
    package = Path(tfkd.__file__).parent
    for path in package.rglob("*.py"):
        if path.name in ("terminal.py", "runner.py") or path == package / "benchmark/arm64/memory.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno}"
