"""How a table is written: its three files, the marks of the trials behind its cells, groups of rows."""

import pandas as pd

from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import output_root
from paperlib.exhibits.tables import IDS, write


def test_a_table_without_rows_is_none(layout: Layout) -> None:
    assert write("empty", "Empty", "Nothing.", [], layout) is None
    assert not layout.tables.exists()


def test_the_html_alone_marks_the_trials_behind_a_cell(layout: Layout) -> None:
    rows = [
        {"arm": "a < b", "accuracy": "1.00", IDS: ("t2", "t1")},
        {"arm": "c", "accuracy": "2.00", IDS: {"accuracy": ("t3",)}},
    ]
    exhibit = write("marks", "Marks", "A caption.", rows, layout, trials=["t0"])
    assert exhibit is not None and exhibit.trials == ("t0", "t1", "t2", "t3")
    csv, page, latex = ((output_root(layout) / f).read_text() for f in exhibit.files)
    assert csv == "arm,accuracy\na < b,1.00\nc,2.00\n"
    assert '<span data-trials="t2 t1">a &lt; b</span>' in page and '<span data-trials="t3">2.00</span>' in page
    assert page.count("data-trials") == 2 and "data-trials" not in latex


def test_rows_are_grouped_and_the_csv_may_hold_more(layout: Layout) -> None:
    rows = pd.DataFrame({"data set": ["mnist"], "model": ["mlp-small"], "n": [3]})
    exhibit = write("groups", "Groups", "A caption.", rows, layout, long=rows.assign(more=0.1234567))
    assert exhibit is not None and exhibit.trials == ()
    csv, page, _ = ((output_root(layout) / f).read_text() for f in exhibit.files)
    assert csv == "data set,model,n,more\nmnist,mlp-small,3,0.123457\n"
    assert "mnist, mlp-small" in page and list(rows) == ["data set", "model", "n"]
