"""The entry point of the command line. It imports nothing before the current folder is off the import path."""

from tfkd import import_path


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    import_path.without_current_folder()
    import sys

    from tfkd import temporary, terminal

    terminal.prepare()
    temporary.kept_together()
    sys.exit(execute(arguments))


def execute(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    from tfkd import exit_codes

    return exit_codes.guarded(lambda: _call(arguments))


def _call(arguments: list[str] | None) -> object:
    from tfkd.commands import app

    return app(arguments, standalone_mode=False)


if __name__ == "__main__":
    main()
