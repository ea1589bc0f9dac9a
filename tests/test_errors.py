"""Messages of libraries in one line: where it failed and why."""

import errno

import keras
import pytest

from tfkd.errors import cause, legible, nearest, of_the_machine


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", "ValueError"),
        ("\n  \n", "ValueError"),
        ("only this", "only this"),
        ("Graph execution error:\n\nIncompatible shapes: [2] vs. [3]\n\t [[{{node add}}]] [Op:call]",
         "Graph execution error: Incompatible shapes: [2] vs. [3]"),
        ("Layer failed.\n\nconfig={'a': 'b\\n'}.\n\nException encountered: Unknown keyword: {'c'}",
         "Layer failed. Unknown keyword: {'c'}"),
        ("No class 'Scale'. Import it. Full object config: {'module': 'm', 'x': 1}", "No class 'Scale'. Import it."),
        ("Kernel too large.\n\nArguments received by Conv.call():\n  • inputs=1", "Kernel too large."),
    ],
)  # fmt: skip
def test_the_first_line_and_the_last_reason_are_kept(message: str, expected: str) -> None:
    assert cause(ValueError(message)) == expected


def test_long_lines_lose_later_sentences_but_no_sentence_is_cut() -> None:
    first = f"The first {'very ' * 60}long sentence."
    assert cause(ValueError(f"{first} Second one.\nThe reason {'is ' * 150}here")) == (
        f"{first} The reason {'is ' * 150}here"
    )
    flood = cause(ValueError("x " * 100_000))
    assert len(flood) < 1010 and flood.endswith("x …")


def test_the_reason_that_keras_puts_last_is_kept() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    config = keras.saving.serialize_keras_object(model)
    config["config"]["layers"][1]["config"]["colour"] = "blue"
    with pytest.raises(Exception, match="blue") as caught:
        keras.saving.deserialize_keras_object(config)
    message = cause(caught.value)
    assert "Dense" in message and "'colour': 'blue'" in message and "\n" not in message
    assert "config=" not in message


def test_a_message_stays_one_line_whatever_a_file_is_called() -> None:
    assert legible("red/a\nb\x1b[31m\u202e.jpg: gone") == "red/a\\nb\\x1b[31m\\u202e.jpg: gone"
    assert legible("b\udcf6d\u2028") == "b\\udcf6d\\u2028"
    assert legible("Äpfel 赤い 👩\u200d🚀, 5 % …") == "Äpfel 赤い 👩\u200d🚀, 5 % …"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "x", "runs/a.npz"), "No space left on device (runs/a.npz). Free some space"),
        (RuntimeError("Unable to write to runs/s: No space left on device"), "No space left on device. Free some"),
        (OSError(errno.EROFS, "x", "/media/a"), "Read-only file system (/media/a). Choose folders"),
        (OSError(errno.EMFILE, "x"), "Too many open files. Allow more"),
    ],
)
def test_errors_of_the_machine_are_one_line_with_advice(error: Exception, message: str) -> None:
    found = of_the_machine(error)
    assert found is not None and str(found).startswith(message) and found.exit_code == 4


@pytest.mark.parametrize(
    "error", [ValueError("shapes differ"), FileNotFoundError(errno.ENOENT, "x", "a"), KeyError(28)]
)
def test_other_errors_are_not_the_machines(error: Exception) -> None:
    assert of_the_machine(error) is None


def test_a_long_list_of_known_names_is_cut_short() -> None:
    assert nearest("?", ["b", "a"]) == " Known: a, b."
    found = nearest("?", [f"name {number:04}" for number in range(1040)])
    assert found.startswith(" Known: name 0000, name 0001") and found.endswith("name 0039 and 1,000 more.")
