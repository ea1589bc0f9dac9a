"""The version of tfkd."""

__version__ = "0.1.0"
