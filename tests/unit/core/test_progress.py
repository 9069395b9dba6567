"""Lines of progress: what is being done, and what is left of it and of all that comes after it."""

import pytest

from paperlib.core import progress
from paperlib.core.progress import Step, afterwards, duration


def test_a_line_tells_what_is_left_of_the_whole_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    step, before = Step("training networks", 4), afterwards.set(240.0)
    try:
        step.describe("mnist mlp-small")
        now[0] = 20.0
        step.advance()
    finally:
        afterwards.reset(before)
    assert capsys.readouterr().err == "training networks: 1/4, about 5.0 min left  mnist mlp-small\n"


@pytest.mark.parametrize(("seconds", "told"), [(80, "80 s"), (90, "1.5 min"), (5400, "1.5 h"), (200_000, "2.3 d")])
def test_durations_read_well(seconds: float, told: str) -> None:
    assert duration(seconds) == told
