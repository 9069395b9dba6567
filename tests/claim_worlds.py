"""Both tables of one truth, in which every pruned arm costs a factor of dense and reaches an accuracy."""

from typing import Any

import pandas as pd

from paperlib.claims import CLAIMS, verdicts
from paperlib.claims.settings import Setting
from tests import claim_records as made
from tests.simulated_ledgers import COSTS, Given


def saving(setting: Setting, factor: float) -> dict[str, float]:
    """Every pruned arm costs `factor` of dense; the control `random` at sparsity 0 costs the same."""
    if setting.method == "dense" or not (setting.conv or setting.linear):
        return {}
    return dict.fromkeys(COSTS, factor)


NOTHING = Given(pd.DataFrame(), pd.DataFrame())


def world(factor: float = 1.0, accuracy: float = 0.9, **options: Any) -> Given:
    """Every pruned arm costs `factor` of dense and reaches `accuracy`, dense 90 %."""
    pruned = {"accuracy": accuracy, "stored": factor}
    tidy = made.table(lambda s: pruned if s.conv or s.linear else {"accuracy": 0.9})
    return Given(tidy, made.costs(lambda s: saving(s, factor), **options))


def ask(given: Given, *ids: str) -> list[str]:
    return [v.word for v in verdicts(given.tidy, [CLAIMS[i] for i in ids], given.costs)]
