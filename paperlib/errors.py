"""The one exception that users see: one line that says what is wrong and what is allowed."""


class PaperlibError(Exception):
    """A mistake that a user can mend; the command line prints it without a traceback and exits with 2."""


class FailedError(PaperlibError):
    """Something ran and failed: a trial (its reason is in the record) or a notebook cell; exit code 1."""
