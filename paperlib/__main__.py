"""`python -m paperlib` is the command line."""

from paperlib.cli import main

main()
