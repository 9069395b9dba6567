"""What the stages of a reproduction may take, before anything is measured."""

import pandas as pd
import pytest

from paperlib.core.paths import Layout
from paperlib.report import schedule
from paperlib.report.committed import Tables
from paperlib.schema.cost import PROCESSES
from paperlib.schema.trial import make_trial
from paperlib.studies.costs import BUDGETS, settings


def test_trainings_are_scaled_from_the_reference(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"model": "mlp-small", "width": 1.0, "train_time_s": 60.0, "epochs": 2, "train_images": 30_000}
    monkeypatch.setattr(schedule, "reference_tables", lambda: Tables(pd.DataFrame([rows]), pd.DataFrame(), "reference"))
    trial = make_trial(dataset="mnist", epochs=3, train_images=10_000)
    assert schedule.training_s([trial], layout) == pytest.approx(30)  # 1 ms an image
    whole = make_trial(dataset="mnist", epochs=1)
    assert schedule.training_s([whole], layout) == pytest.approx(60)
    later = make_trial(dataset="mnist", epochs=1, method="post-training", sparsity=0.5)
    assert schedule.training_s([later], layout) == 0, "it takes dense's network"
    monkeypatch.setattr(schedule, "reference_tables", lambda: None)
    assert schedule.training_s([trial], layout) == 0


def test_costs_take_three_comparisons_of_each_network(layout: Layout) -> None:
    networks = {setting.network for setting in settings("smoke", "01")}
    effort = BUDGETS["smoke"].effort
    expected = len(networks) * (3 * PROCESSES * effort.budget_s + effort.training_s)
    assert schedule.costs_s("smoke", layout, "01") == pytest.approx(expected)
