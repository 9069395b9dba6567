"""An output is current for just the inputs that it was made from."""

from pathlib import Path

from paperlib.core.paths import Layout
from paperlib.report.freshness import fingerprint, is_current, mark_current, stored_fingerprint


def test_an_output_is_current_for_what_it_was_made_from_only(tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    mark_current(output, "one")
    assert not is_current(output, "one"), "the output itself is missing"
    output.touch()
    assert is_current(output, "one") and stored_fingerprint(output) == "one"
    assert not is_current(output, "two")
    other = tmp_path / "other.html"
    other.touch()
    assert not is_current(other, "one") and not is_current(other, ""), "of unknown inputs"


def test_a_record_or_a_part_more_is_another_fingerprint(layout: Layout) -> None:
    before = fingerprint(layout, b"cells")
    assert before == fingerprint(layout, b"cells") != fingerprint(layout, b"other cells")
    layout.trials.mkdir(parents=True)
    (layout.trials / "one.json").write_text("{}")
    assert fingerprint(layout, b"cells") != before
