"""The functions that `tfkd` exports: the commands as calls, with objects for what goes in and what comes out."""
