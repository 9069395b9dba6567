"""A runnable companion to two papers on neural-network pruning."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_results"]


def load_results(name: str = "quick") -> "pd.DataFrame":
    """The tidy table of results/<name>: one row per trial, units in the column names.

    Raises PaperlibError if there are no records under that name.
    """
    from paperlib.collate import Source
    from paperlib.paths import Layout

    return Source.of(Layout.of(name)).table
