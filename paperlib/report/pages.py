"""The report: a folder of plain HTML that opens from disk without a network, written only when something changed."""

import filecmp
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from PIL import Image

from paperlib import claims
from paperlib.claims import CLAIMS
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.costs.records import read_costs, write_cost_table
from paperlib.exhibits.captions import energy_sources, provenance
from paperlib.exhibits.manifest import Exhibit, output_root, read_manifest
from paperlib.exhibits.trial_links import address, linked
from paperlib.report.committed import DATA_FILES
from paperlib.report.findings import findings
from paperlib.report.freshness import fingerprint, is_current, mark_current
from paperlib.schema.cost import CostRecord
from paperlib.schema.record import Environment, Record
from paperlib.schema.trial import again
from paperlib.studies.sections import NOTEBOOKS
from paperlib.trials.archive import archives
from paperlib.trials.store import Store

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Block:
    """A section of the page: tables with their HTML, figures with the size in pixels that keeps their place free."""

    number: str
    title: str
    tables: list[tuple[Exhibit, str]]
    figures: list[tuple[Exhibit, int, int]]


def build(layout: Layout) -> Path:
    """Write results/<profile>/report/ (index, claims, trials, notebooks, pictures) and return the path of index.html.

    Raises PaperlibError if there are no records. An unchanged report is left as it is.
    """
    page = layout.report / "index.html"
    files = (layout.results / "manifest.json", *sorted(layout.notebooks.glob("*.ipynb")), *archives())
    made_from = fingerprint(layout, *(path.read_bytes() for path in files if path.exists()))
    if is_current(page, made_from):
        return page
    # Here, since a report that is left as it is needs none of these, nor torch.
    from paperlib.costs import cpu_study
    from paperlib.exhibits.results import Source
    from paperlib.report import claim_pages

    table, _ = Store(layout).write_table(), write_cost_table(layout)
    source, costs = Source.of(layout), read_costs(layout)
    exhibits = read_manifest(layout)
    verdicts = claims.write(layout)
    _copy_files(exhibits, layout)
    notebooks = [_notebook_page(path, layout) for path in sorted(layout.notebooks.glob("0?_*.ipynb"))]
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    templates.globals |= {
        "address": address, "again": again, "profile": layout.name,
        "environments": _environments(source.records, costs), "provenance": provenance(table),
        "tally": claims.tally(verdicts),
    }  # fmt: skip
    by_margin = {
        factor: claims.verdicts(table, measured=source.costs.rows, strictness=factor) if factor != 1.0 else verdicts
        for factor in (0.5, 1.0, 2.0)
    }
    claim_pages.write(layout, templates, by_margin, dict(zip(table["id"], table["command"], strict=True)))
    rows = table.sort_values(["dataset", "model", "method", "scope", "sparsity", "seed"]).to_dict("records")
    values: dict[str, dict[str, object]] = {
        "claims": {"verdicts": verdicts, "claims": CLAIMS},
        "trials": {"rows": rows, "measured": cpu_study.stored(layout)[0], "costs": costs},
        "report": {
            "findings": findings(table, source.costs), "claims": len(verdicts), "blocks": _blocks(exhibits, layout),
            "notebooks": notebooks, "trials": len(table), "failed": int((table.status == "failed").sum()),
            "images": _images(source.records),
        },
    }  # fmt: skip
    for name, context in values.items():
        target = page if name == "report" else layout.report / f"{name}.html"
        write_atomically(target, templates.get_template(f"{name}.html.j2").render(context).encode())
    mark_current(page, made_from)
    return page


def _blocks(exhibits: Iterable[Exhibit], layout: Layout) -> list[Block]:
    blocks = {e.section: Block(e.section, NOTEBOOKS[e.section].title, [], []) for e in exhibits}
    for e in exhibits:
        if e.kind == "table":
            blocks[e.section].tables.append((e, linked(_file(e, ".html", layout).read_text())))
        else:
            with Image.open(_file(e, ".png", layout)) as image:
                blocks[e.section].figures.append((e, *image.size))
    return [blocks[number] for number in sorted(blocks)]


def _file(exhibit: Exhibit, ending: str, layout: Layout) -> Path:
    return output_root(layout) / next(f for f in exhibit.files if f.endswith(ending))


def _copy_files(exhibits: Iterable[Exhibit], layout: Layout) -> None:
    # The report folder can be sent to someone alone: it holds all that its pages link to.
    folders = {"figure": layout.report / "figures", "table": layout.report / "tables"}
    copies = {folders[e.kind] / Path(name).name: output_root(layout) / name for e in exhibits for name in e.files}
    data = (
        *(layout.results / name for name in DATA_FILES),
        *(p for folder in (layout.trials, layout.costs, layout.edge) for p in folder.glob("*.json")),
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
