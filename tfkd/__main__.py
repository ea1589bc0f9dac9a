"""`python -m tfkd`: the command line, also where no script of that name is on the path."""

from tfkd.cli import main

main()
