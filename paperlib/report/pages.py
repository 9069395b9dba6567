"""The report: a folder of plain HTML that opens from disk without a network, written only when something changed."""

import filecmp
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from paperlib import claims
from paperlib.claims import CLAIMS, Verdict
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.costs.records import read_costs, write_cost_table
from paperlib.exhibits.captions import energy_sources, provenance
from paperlib.exhibits.manifest import Exhibit, output_root, read_manifest
from paperlib.exhibits.trial_links import address
from paperlib.report.committed import DATA_FILES
from paperlib.report.exhibit_pages import SCALE, Block
from paperlib.report.findings import findings
from paperlib.report.freshness import fingerprint, is_current, mark_current
from paperlib.schema.cost import CostRecord
from paperlib.schema.record import Environment, Record
from paperlib.schema.trial import again
from paperlib.trials.archive import archives
from paperlib.trials.store import Store

if TYPE_CHECKING:
    from paperlib.exhibits.results import Source

TEMPLATES = Path(__file__).parent / "templates"


def build(layout: Layout) -> Path:
    """Write results/<profile>/report/ and return the path of index.html: a first page, one for each claim and exhibit,
    lists of claims and trials, one that shows any trial, the explorer, notebooks, pictures, data.

    Raises PaperlibError if there are no records. An unchanged report is left as it is.
    """
    page = layout.report / "index.html"
    files = (layout.results / "manifest.json", *sorted(layout.notebooks.glob("*.ipynb")), *archives())
    made_from = fingerprint(layout, *(path.read_bytes() for path in files if path.exists()))
    if is_current(page, made_from):
        return page
    # Here, since a report that is left as it is needs none of these, nor torch.
    from paperlib.exhibits.results import Source

    table, _ = Store(layout).write_table(), write_cost_table(layout)
    source, verdicts = Source.of(layout), claims.write(layout)
    by_margin = {
        factor: claims.verdicts(table, measured=source.costs.rows, strictness=factor) if factor != 1.0 else verdicts
        for factor in (0.5, 1.0, 2.0)
    }
    exhibits = read_manifest(layout)
    _copy_files(exhibits, layout)
    notebooks = [_notebook_page(path, layout) for path in sorted(layout.notebooks.glob("0?_*.ipynb"))]
    write(layout, source, by_margin, notebooks)
    mark_current(page, made_from)
    return page


def write(
    layout: Layout, source: "Source", by_margin: Mapping[float, Sequence[Verdict]], notebooks: Sequence[dict[str, str]]
) -> None:
    """Write the pages. by_margin: the verdicts by the factor on the margins; notebooks: names and places of theirs."""
    from paperlib.costs import cpu_study
    from paperlib.report import claim_pages, exhibit_pages, front, script_data

    table, verdicts, costs = source.table, by_margin[1.0], read_costs(layout)
    exhibits = read_manifest(layout)
    blocks = exhibit_pages.blocks(exhibits, layout)
    templates = environment()
    templates.globals |= {
        "profile": layout.name, "tally": claims.tally(verdicts), "contents": _contents(blocks), "verdicts": verdicts,
        "claims": CLAIMS, "costs": costs, "short": front.short, "place": front.place, "papers": claim_pages.PAPERS,
    }  # fmt: skip
    claim_pages.write(layout, templates, by_margin, dict(zip(table["id"], table["command"], strict=True)))
    exhibit_pages.write(layout, templates, exhibits, blocks, table)
    script_data.write_trials(source.records, layout)
    rows = table.sort_values(["dataset", "model", "method", "scope", "sparsity", "seed"]).to_dict("records")
    known = script_data.explorer(table, source.costs, {record.id: record for record in source.records})
    values: dict[str, dict[str, object]] = {
        "style.css": {}, "report.js": {}, "plot.js": {}, "claims.html": {}, "trial.html": {},
        "explore.html": {"known": known},
        "trials.html": {"rows": rows, "measured": cpu_study.stored(layout)[0]},
        "index.html": {
            "findings": findings(table, source.costs), "blocks": blocks, "ratios": front.ratios(table, source.costs),
            "notebooks": notebooks, "trials": len(table), "failed": int((table.status == "failed").sum()),
            "images": _images(source.records), "environments": _environments(source.records, costs),
            "provenance": provenance(table),
            "walls": {p: [v for v in verdicts if CLAIMS[v.claim].section[0] == p] for p in claim_pages.PAPERS},
        },
    }  # fmt: skip
    for name, context in values.items():
        text = templates.get_template(f"{name}.j2").render(context | {"root": ""})
        write_atomically(layout.report / name, text.encode())


def environment() -> jinja2.Environment:
    """The templates with what all of them use."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    templates.globals |= {"address": address, "again": again, "scale": SCALE, "contents": {}}
    return templates


def _contents(blocks: Sequence[Block]) -> dict[str, list[tuple[str, str]]]:
    """Sections by paper, for the table of contents: `Paper P: perceptrons` stands under `Paper P` without it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for block in blocks:
        paper, _, rest = block.title.rpartition(": ")
        found.setdefault(paper or "Both papers", []).append((block.number, rest[:1].upper() + rest[1:]))
    return found


def _copy_files(exhibits: Iterable[Exhibit], layout: Layout) -> None:
    # The report folder can be sent to someone alone: it holds all that its pages link to.
    folders = {"figure": layout.report / "figures", "table": layout.report / "tables"}
    copies = {folders[e.kind] / Path(name).name: output_root(layout) / name for e in exhibits for name in e.files}
    data = (
        *(layout.results / name for name in DATA_FILES),
        *(p for folder in (layout.costs, layout.edge) for p in folder.glob("*.json")),
    )
    copies |= {layout.report / source.relative_to(layout.results): source for source in data if source.exists()}
    for target, source in copies.items():
        if not (target.exists() and filecmp.cmp(source, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _notebook_page(notebook: Path, layout: Layout) -> dict[str, str]:
    from nbconvert import HTMLExporter

    # The one template that carries alternative texts; without these addresses its pages ask no host for scripts.
    hosts = dict.fromkeys(("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url"), "")
    exporter = HTMLExporter(template_name="classic", embed_images=True, **hosts)
    body, _ = exporter.from_filename(str(notebook))
    body = re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', body)  # links between notebooks stay in the report
    write_atomically(layout.report / "notebooks" / f"{notebook.stem}.html", body.encode())
    return {"name": notebook.stem, "href": f"notebooks/{notebook.stem}.html"}


def _environments(records: Sequence[Record], costs: Sequence[CostRecord]) -> list[dict[str, object]]:
    """Each machine with its versions, in the order of the records, and where its energies and its CO2 are from."""
    runs = [run for record in costs for run in record.runs]
    described: dict[Environment, dict[str, object]] = {}
    for environment in (*(r.environment for r in records), *(run.environment for run in runs)):
        row = {"energy": "not measured", "grid": "not stated"} | environment.model_dump()
        described.setdefault(environment, row)
    for run in runs:
        dense, grid = run.step[0], f"{run.grid_g_per_kwh:g} g per kWh"
        energy = energy_sources([dense.energy_source], [dense.energy_uncertainty])
        described[run.environment] |= {"energy": energy, "grid": grid}
    return list(described.values())


def _images(records: Sequence[Record]) -> list[dict[str, object]]:
    images = {(r.data.name, r.data.source, r.data.train, r.data.test): r.data.model_dump() for r in records}
    return [images[key] for key in sorted(images)]
