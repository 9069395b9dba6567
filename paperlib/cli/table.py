"""Write one table: say what it takes, run what is missing of it, name its files."""

from paperlib.cli.figure import making

command = making("table", __doc__)
