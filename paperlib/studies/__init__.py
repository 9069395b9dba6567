"""The papers' grids as lists of trials, and what each profile can afford of them."""

from paperlib.studies.paper_f import SCENARIOS, Scenario, industrial, limit
from paperlib.studies.paper_p import mlp, quirks, vgg
from paperlib.studies.profiles import PROFILES
from paperlib.studies.sections import study
from paperlib.studies.sensitivity import sensitivity_trials
from paperlib.studies.tutorial import tutorial_trials

__all__ = [
    "PROFILES", "SCENARIOS", "Scenario", "industrial", "limit", "mlp", "quirks", "sensitivity_trials",
    "study", "tutorial_trials", "vgg",
]  # fmt: skip
