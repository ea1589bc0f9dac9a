"""The entry point of the command line. It removes the current folder from the import path before other imports."""

from tfkd import import_path


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    import_path.without_current_folder()
    from tfkd import temporary, terminal

    terminal.prepare()
    temporary.kept_together()
    _end(execute(arguments))


def _end(code: int) -> None:
    """Ends the process, even while threads that a recipe or a model started are still running."""
    import atexit
    import os
    import threading

    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        raise SystemExit(code)
    atexit._run_exitfuncs()
    os._exit(code)


def execute(arguments: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    from tfkd import exit_codes

    return exit_codes.guarded(lambda: _call(arguments))


def _call(arguments: list[str] | None) -> object:
    from tfkd.commands import app

    try:
        return app(arguments, prog_name="tfkd", standalone_mode=False)
    except SystemExit as error:  # typer ends shell completion with it
        if _is_completion(arguments):
            return error.code
        raise


def _is_completion(arguments: list[str] | None) -> bool:
    """Returns whether this call is for shell completion or prints its script."""
    import os
    import sys

    first = (sys.argv[1:] if arguments is None else arguments)[:1]
    return "_TFKD_COMPLETE" in os.environ or first in (["--show-completion"], ["--install-completion"])


if __name__ == "__main__":
    main()
