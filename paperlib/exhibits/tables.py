"""How a table is written: csv for programs, HTML for notebooks and the report, LaTeX for a paper."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from great_tables import GT, md

from paperlib.claims.effects import DRAWN, NOT_PUBLISHED
from paperlib.claims.stats import Estimate
from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import Exhibit, save
from paperlib.exhibits.trial_links import mark

IDS = "ids"  # key of a row's trials, which is no column of the table


def estimate_text(estimate: Estimate | None, scale: float = 100, digits: int = 2, missing: str = "–") -> str:
    """`93.12 [92.80, 93.40]`, the estimate times `scale`; `missing` for None."""
    return estimate.text(scale, digits) if estimate else missing


def write(
    name: str,
    title: str,
    caption: str,
    rows: Sequence[Mapping[str, object]] | pd.DataFrame,
    layout: Layout,
    *,
    long: pd.DataFrame | None = None,
    trials: Iterable[str] = (),
    groups: Sequence[str] = ("data set", "model"),
) -> Exhibit | None:
    """Write results/<profile>/tables/<name>.csv, .html and .tex, and return their Exhibit; None without rows.

    rows: column -> text (or number). Under IDS stand the ids of the trials behind the row: of its first column, or a
    mapping from columns to theirs. The HTML marks these cells, and the report makes links of the marks.
    long: what the csv holds, if not the same. trials: further ids that the table as a whole rests on.
    groups: columns whose values become headings of groups of rows.
    """
    shown = pd.DataFrame(rows)
    if shown.empty:
        return None
    trials_of = list(shown.pop(IDS)) if IDS in shown else []
    linked = [ids if isinstance(ids, Mapping) else {shown.columns[0]: ids} for ids in trials_of]
    csv = (shown if long is None else long).to_csv(index=False, float_format="%.6g")
    groups = [c for c in groups if c in shown]
    if groups:
        shown["group"] = shown[groups].agg(", ".join, axis=1)
        shown = shown.drop(columns=groups)
        if "paper" in shown and shown.paper.isin([NOT_PUBLISHED, DRAWN]).all():
            real_only = " What the paper publishes stands beside results on real images alone."
            caption += real_only if DRAWN in set(shown.paper) else " The paper's values are not published."
            shown = shown.drop(columns="paper")
    plain = GT(shown, groupname_col="group" if groups else None, id=name).tab_header(title=title)
    plain = plain.tab_source_note(md(caption)).sub_missing(missing_text="–")
    marked = plain
    for place, ids in enumerate(linked):
        for column in (c for c in shown.columns if c in ids):
            cell = mark(shown[column].iloc[place], ids[column])
            marked = marked.fmt(lambda _, cell=cell: cell, columns=column, rows=[place])  # type: ignore[misc]
    page = marked.as_raw_html().replace("<table ", f'<table aria-label="{title}" ', 1)
    every = {i for row in linked for ids in row.values() for i in ids}
    contents = {".csv": csv.encode(), ".html": page.encode(), ".tex": plain.as_latex().encode()}
    return save("table", name, title, caption, contents, every.union(trials), layout)
