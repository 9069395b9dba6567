"""The checklist names what exists, and says what does not."""

from pathlib import Path

import pytest

from paperlib.checklist import CHECKLIST, Point

ROOT = Path(__file__).parents[1]


def test_fifteen_points_in_order() -> None:
    assert [p.number for p in CHECKLIST] == list(range(1, 16))
    assert {p.state for p in CHECKLIST} <= {"met", "in part", "not met"}


@pytest.mark.parametrize("point", CHECKLIST, ids=lambda p: str(p.number))
def test_what_it_names_is_there(point: Point) -> None:
    assert point.met and point.where
    assert all((ROOT / name).is_file() for name in point.where)


def test_state_follows_from_what_lacks() -> None:
    assert Point(1, "", "yes", ()).state == "met"
    assert Point(1, "", "yes", (), "some").state == "in part"
    assert Point(1, "", "", (), "all").state == "not met"
