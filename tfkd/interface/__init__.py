"""The public functions of `tfkd`: the commands as calls, with objects as arguments and results."""
