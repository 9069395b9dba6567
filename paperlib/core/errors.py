"""The one exception that users see, and warnings in the same form: one line that says what is wrong."""

import sys
import warnings


class PaperlibError(Exception):
    """A mistake that a user can mend; the command line prints it without a traceback and exits with 2."""

    def _render_traceback_(self) -> list[str]:
        # IPython shows this instead of a traceback: in a notebook too, one line that ends with the cure.
        return [f"{type(self).__name__}: {self}"]


class FailedError(PaperlibError):
    """Something ran and failed: a trial (its reason is in the record) or a notebook cell; exit code 1."""


def one_line_warnings() -> None:
    """Print warnings as one line without a source position."""
    warnings.showwarning = lambda message, *_: print(f"paperlib: warning: {message}", file=sys.stderr)
