"""CO2 by a stated grid."""

import pytest

from paperlib.core.errors import PaperlibError
from paperlib.meters.carbon import grid


def test_the_default_is_italy_and_the_factor_is_a_plausible_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAPERLIB_GRID", raising=False)
    italy = grid()
    assert italy.code == "ITA"
    assert italy.name.startswith("Italy 20")
    assert 150 < italy.g_per_kwh < 500


def test_a_kilowatt_hour_weighs_the_factor_and_nothing_measured_is_none() -> None:
    world = grid("WORLD")
    assert world.g_per_kwh == 475
    assert world.grams(3.6e6) == pytest.approx(475)
    assert world.grams(None) is None


def test_the_variable_chooses_the_country_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERLIB_GRID", "nor")
    assert grid().code == "NOR"
    assert grid().g_per_kwh < grid("POL").g_per_kwh


@pytest.mark.parametrize("code", ["Italy", "IT", "XYZ"])
def test_an_unknown_grid_is_named_with_what_is_allowed(code: str) -> None:
    with pytest.raises(PaperlibError, match=f"unknown grid '{code}'.*ITA.*WORLD"):
        grid(code)
