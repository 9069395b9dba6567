"""The command line: one file per command; `entry` finds the one that is called."""

from paperlib.cli.entry import main

__all__ = ["main"]
