"""`python -m paperlib` is the command line."""

from paperlib.cli import main

if __name__ == "__main__":  # a spawned process imports this file too
    main()
