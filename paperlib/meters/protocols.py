"""What an energy meter is; a meter of your own has these attributes (docs/adding.md)."""

import logging
from typing import Protocol

from paperlib.schema.measurement import EnergySource

log = logging.getLogger("paperlib.meters")


class EnergyMeter(Protocol):
    """An energy meter.

    source: the word that goes into the record, `external` for a meter of your own; None only for `NoMeter`.
    note: one sentence on what is metered and how, for `paperlib doctor`.
    update_s: seconds between two updates of the counter, 0 for a meter that is exact at any time.
    """

    source: EnergySource | None
    note: str
    update_s: float

    def begin(self) -> None:
        """Open the window; the one before is closed."""

    def end(self) -> float | None:
        """Close the window: gross joules in it, or None (never 0) where the meter cannot say.

        A counter answers None for a window shorter than `update_s`. It raises nothing: a counter that fails says so
        once (`lost`) and answers None from then on.
        """


class NoMeter:
    """Stands in where energy cannot be metered: every window is None."""

    source: EnergySource | None = None
    update_s = 0.0

    def __init__(self, note: str) -> None:
        self.note = note

    def begin(self) -> None:
        """Nothing to open."""

    def end(self) -> None:
        """Nothing measured."""


def positive(joules: float | None) -> float | None:
    """`joules`, or None where the counter has not moved: nothing measured is None, never 0."""
    return joules if joules is not None and joules > 0 else None


def lost(source: str | None, error: Exception) -> None:
    """Tell the user, once per meter, that energy stops here."""
    log.warning("the %s energy meter stopped answering (%s): energy is None from here on", source, error)
