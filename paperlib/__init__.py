"""A runnable companion to two papers on neural-network pruning."""

import os
from typing import TYPE_CHECKING

# Idle threads sleep instead of spinning (read once, when torch loads): on a machine that also does other work,
# spinning made a training of 2 s take 90 s.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_results"]


def load_results(name: str = "quick") -> "pd.DataFrame":
    """The tidy table of results/<name>: one row per trial, units in the column names.

    Without own records there it is the committed one, which is said on stderr (`paperlib.report.committed.tables_of`).
    Raises PaperlibError if there is neither.
    """
    from paperlib.report.committed import tables_of

    return tables_of(name).trials
