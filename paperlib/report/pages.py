"""The report: a folder of plain HTML that opens from disk without a network, written only when something changed."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from PIL import Image
from rich.table import Table

from paperlib import claims
from paperlib.claims import CLAIMS
from paperlib.claims.effects import METRICS, arms, near_chance, noise
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits.captions import provenance
from paperlib.exhibits.manifest import Exhibit, inputs, output_root, read_manifest
from paperlib.exhibits.trial_links import address, linked
from paperlib.report.checklist import CHECKLIST
from paperlib.schema.trial import again
from paperlib.trials.archive import archives
from paperlib.trials.store import Store

if TYPE_CHECKING:
    from paperlib.exhibits.results import Source

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = {
    "01": "Paper P: perceptrons, global and layer-wise",
    "02": "Paper P: VGG-16",
    "03": "Paper F: VGG16 and ResNet18 on medical and industrial images",
    "04": "On the edge: what pruned work costs on a CPU",
}


@dataclass(frozen=True)
class Picture:
    """A figure on the page, from `src`; its size in pixels keeps the place free while it loads."""

    exhibit: Exhibit
    src: str
    width: int
    height: int


@dataclass(frozen=True)
class Block:
    """A section of the page: its title and exhibits, tables with their HTML."""

    number: str
    title: str
    tables: list[tuple[Exhibit, str]]
    figures: list[Picture]


def build(layout: Layout) -> Path:
    """Write results/<profile>/report/ (index, trials, notebooks, pictures) and return the path of index.html.

    Raises PaperlibError if there are no records. An unchanged report is left as it is.
    """
    page = layout.report / "index.html"
    stamp = layout.report / ".stamp"
    now = _fingerprint(layout)
    if page.exists() and stamp.exists() and stamp.read_text() == now:
        return page
    # Here, since a report that is left as it is needs none of these, nor torch.
    from paperlib.costs import cpu_study
    from paperlib.exhibits.results import Source
    from paperlib.report.findings import findings

    table = Store(layout).write_table()
    source = Source.of(layout)
    exhibits = read_manifest(layout)
    _copy(exhibits, layout)
    verdicts = claims.write(layout)
    notebooks = [_notebook_page(path, layout) for path in sorted(layout.notebooks.glob("0?_*.ipynb"))]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.globals["address"] = address
    environment.globals["again"] = again
    common = {"profile": layout.name, "environments": _environments(source), "provenance": provenance(table)}
    claims_html = environment.get_template("claims.html.j2").render(
        **common, verdicts=verdicts, claims=CLAIMS, tally=claims.tally(verdicts), checklist=CHECKLIST
    )
    write_atomically(layout.report / "claims.html", claims_html.encode())
    page_html = environment.get_template("report.html.j2").render(
        **common, findings=findings(table), tally=claims.tally(verdicts), claims=len(verdicts),
        blocks=_blocks(exhibits, layout), notebooks=notebooks,
        trials=len(table), failed=int((table.status == "failed").sum()), images=_images(source),
    )  # fmt: skip
    rows = table.sort_values(["dataset", "model", "method", "scope", "sparsity", "seed"]).to_dict("records")
    measured, _ = cpu_study.stored(layout)
    trials_html = environment.get_template("trials.html.j2").render(**common, rows=rows, measured=measured)
    write_atomically(layout.report / "trials.html", trials_html.encode())
    _copy_data(layout)
    write_atomically(page, page_html.encode())
    write_atomically(stamp, now.encode())
    return page


def tally(layout: Layout) -> str:
    """One line: how many of the claims got which verdict in the report, which is there."""
    counts = Counter(verdict["base"] for verdict in json.loads((layout.report / "claims.json").read_text()))
    return f"{len(CLAIMS)} claims: " + ", ".join(f"{n} {word}" for word, n in counts.most_common())


def headline(layout: Layout) -> Table:
    """The table that ends a reproduction: per data set, model and setting, what all methods did against dense."""
    tidy = Store(layout).table()
    names, idle = ("accuracy", "inference_time", "realised_time", "training_time"), near_chance(tidy)
    lines: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    dense: dict[tuple[str, str, str], str] = {}
    for name in names:
        for arm in arms(tidy, METRICS[name]):
            if arm.effect and (arm.sparsity or arm.conv_sparsity):
                key = (arm.dataset, arm.model, arm.setting)
                lines.setdefault(key, {}).setdefault(name, []).append(arm.effect.mean)
                if name == "accuracy" and arm.dense:
                    dense[key] = f"{arm.dense.mean:.1%}" + "\n(near chance)" * ((arm.dataset, arm.model) in idle)
    table = Table(title="Pruned against dense, range over the methods", title_justify="left")
    for column in ("data set", "model", "pruned", "dense\naccuracy", "accuracy,\npoints"):
        table.add_column(column, no_wrap=True)
    for name in names[1:]:
        floor = noise(tidy, METRICS[name])
        table.add_column(
            METRICS[name].title.lower().replace(", ", ",\n") + ("" if floor is None else f"\n(noise ±{floor:.1%})")
        )
    for key, effects in sorted(lines.items()):
        cells = [_range(effects.get(name, []), name) for name in names]
        table.add_row(*key, dense.get(key, "–"), *cells)
    table.caption = (
        f"{provenance(tidy)}. Inference with masks, as in the papers, beside the same with removed work skipped."
    )
    return table


def _range(values: list[float], name: str) -> str:
    if not values:
        return "–"
    if name == "accuracy":
        return f"{100 * min(values):+.1f} to {100 * max(values):+.1f}"
    return f"×{min(values):.2f} to ×{max(values):.2f}"


def _blocks(exhibits: Iterable[Exhibit], layout: Layout) -> list[Block]:
    blocks = []
    for number in sorted({e.section for e in exhibits}):
        here = [e for e in exhibits if e.section == number]
        tables = [(e, linked(_file(e, ".html", layout).read_text())) for e in here if e.kind == "table"]
        figures = [_picture(e, layout) for e in here if e.kind == "figure"]
        blocks.append(Block(number, SECTIONS.get(number, number), tables, figures))
    return blocks


def _picture(exhibit: Exhibit, layout: Layout) -> Picture:
    with Image.open(_file(exhibit, ".png", layout)) as image:
        return Picture(exhibit, f"figures/{exhibit.name}.png", *image.size)


def _file(exhibit: Exhibit, ending: str, layout: Layout) -> Path:
    return output_root(layout) / next(f for f in exhibit.files if f.endswith(ending))


def _copy(exhibits: Iterable[Exhibit], layout: Layout) -> None:
    # The report folder can be sent to someone alone: it holds its own pictures and tables.
    for exhibit in exhibits:
        for name in exhibit.files:
            source = output_root(layout) / name
            target = layout.report / ("figures" if exhibit.kind == "figure" else "tables") / source.name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                write_atomically(target, source.read_bytes())


def _copy_data(layout: Layout) -> None:
    # What the pages link to, so that no link leaves the folder.
    names = ("tidy.csv", "tidy.parquet", "manifest.json", "claims.csv", "claims.json")
    for source in (*(layout.results / n for n in names), *layout.trials.glob("*.json"), *layout.edge.glob("*.json")):
        target = layout.report / source.relative_to(layout.results)
        if source.exists() and not (target.exists() and target.read_bytes() == source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())


def _notebook_page(notebook: Path, layout: Layout) -> dict[str, str]:
    from nbconvert import HTMLExporter

    # The one template that carries alternative texts; without these addresses its pages ask no host for scripts.
    hosts = dict.fromkeys(("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url"), "")
    exporter = HTMLExporter(template_name="classic", embed_images=True, **hosts)
    body, _ = exporter.from_filename(str(notebook))
    body = re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', body)  # links between notebooks stay in the report
    write_atomically(layout.report / "notebooks" / f"{notebook.stem}.html", body.encode())
    return {"name": notebook.stem, "href": f"notebooks/{notebook.stem}.html"}


def _environments(source: "Source") -> list[dict[str, object]]:
    found = {record.environment.model_dump_json(): record for record in source.records}
    described = []
    for record in found.values():
        training = next(
            (r.training for r in source.records if r.environment == record.environment and r.training), None
        )
        described.append(
            record.environment.model_dump()
            | {
                "energy": (training.energy_source if training else None) or "not measured",
                "memory": (training.memory_source if training else None) or "not measured",
                "grid": (training.grid if training else None) or "not stated",
            }
        )
    return described


def _images(source: "Source") -> list[dict[str, object]]:
    found = {}
    for record in source.records:
        data = record.data
        found[data.name, data.source, data.train, data.test] = data.model_dump()
    return [found[key] for key in sorted(found)]


def _fingerprint(layout: Layout) -> str:
    digest = hashlib.sha256(inputs(layout).encode())
    for path in (layout.results / "manifest.json", *sorted(layout.notebooks.glob("*.ipynb")), *archives()):
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def settled(path: Path, layout: Layout) -> bool:
    """Whether a file that follows from the report has been made since the report last changed."""
    stamp = layout.report / ".stamp"
    return path.exists() and stamp.exists() and path.stat().st_mtime_ns >= stamp.stat().st_mtime_ns
