"""A profile's results as a Workflow Run RO-Crate: one archive that says by what workflow, on what images and machines,
under what licences and for which papers its files were made. https://w3id.org/ro/wfrun/workflow/0.5"""

import mimetypes
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from paperlib.core import paths
from paperlib.core.paths import Layout
from paperlib.data import FOLDER, parse_name
from paperlib.exhibits.manifest import output_root, read_manifest
from paperlib.report.claim_pages import PAPERS
from paperlib.report.committed import DATA_FILES
from paperlib.schema.record import Data
from paperlib.trials.archive import ARCHIVE, pack
from paperlib.trials.store import Store

_CONFORMS = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_TITLES = {
    "P": "Inference and training efficiency in pruned multilayer perceptron networks",
    "F": "A comparative study of neural network pruning strategies for industrial applications",
}
_WITH_IT = ("README.md", "LICENSE", "CITATION.cff", "requirements.lock", "paperlib/studies/profiles.py")
_TYPES = {".ipynb": "application/x-ipynb+json", ".parquet": "application/vnd.apache.parquet", ".xz": "application/x-xz"}


def write(records: Layout, shown: Layout, target: Path) -> Path:
    """Write the crate as `target`, which ends with .zip, and return it.

    records: folder of the records; shown: of tables and figures, the same one but for committed results, whose archive
    lies there. Raises PaperlibError for a record that cannot be read, ModuleNotFoundError without rocrate.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate, known, top = ROCrate(version="1.1"), Store(records).records(), output_root(shown)

    def described(entity: Any, **values: Any) -> Any:
        for name, value in values.items():
            entity[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
        return entity

    def about(identifier: str, kind: str, /, **values: Any) -> Any:
        entity = crate.add(ContextEntity(crate, identifier, properties={"@type": kind}))
        return described(entity, **values)

    def file(path: Path, name: str, /, **values: Any) -> Any:
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        size = str(path.stat().st_size)
        added = crate.add_file(path, name)
        return described(added, **{"name": Path(name).name, "encodingFormat": kind, "contentSize": size} | values)

    def parameter(name: str, kind: str, description: str) -> Any:
        return about(f"#{name}-parameter", "FormalParameter", name=name, additionalType=kind, description=description)

    mit = about("https://spdx.org/licenses/MIT", "CreativeWork", name="MIT License")
    developers = about("#developers", "Organization", name="The paperlib developers")
    papers = [about(PAPERS[p], "ScholarlyArticle", name=title) for p, title in _TITLES.items()]
    end = max(record.finished for record in known)
    described(
        crate.root_dataset,
        name=f"Two papers on neural-network pruning run again: results of the profile {records.name}",
        description=f"{len(known)} trained networks and what they cost, with all tables and figures made from them.",
        license=mit, author=developers, datePublished=end, citation=papers,
        conformsTo=[
            about(address, "CreativeWork", name=name, version=address.rpartition("/")[2])
            for address, name in _CONFORMS.items()
        ],
    )  # fmt: skip
    profile = parameter("profile", "Text", "The budget: which networks, images, seeds and epochs.")
    outputs = {
        name: parameter(name, "File", description)
        for name, description in (
            ("records", "Every record, one JSON file each, in one archive."),
            ("table", "A table made from the records."),
            ("figure", "A figure made from the records."),
            ("notebook", "A notebook as it ran."),
        )
    }
    workflow = described(
        crate.add_workflow(paths.root() / "Snakefile", "Snakefile", main=True, lang="snakemake"),
        name="Trials, notebooks, report", encodingFormat="text/plain", version=version("paperlib"), license=mit,
        author=developers, input=[profile], output=list(outputs.values()),
        softwareRequirements=about("#paperlib", "SoftwareApplication", name="paperlib", version=version("paperlib")),
        hasPart=[
            file(notebook, f"notebooks/{notebook.name}", license=mit)
            for notebook in sorted((paths.root() / "notebooks").glob("0?_*.ipynb"))
        ],
    )  # fmt: skip
    for name in _WITH_IT:
        file(paths.root() / name, name, about=crate.root_dataset)
    images = {(r.trial.dataset, r.data.source): r.data for r in known}
    asked = [about("#profile", "PropertyValue", name="profile", value=records.name, exampleOfWork=profile)]
    asked += [
        about(f"#images-{place}", "CreativeWork", **_images(name, d))
        for place, ((name, _), d) in enumerate(images.items())
    ]
    machines = [
        about(f"#machine-{place}", "PropertyValue", name="machine", value=text)
        for place, text in enumerate(
            sorted({", ".join(f"{k} {v}" for k, v in r.environment.model_dump().items() if v) for r in known})
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        archive = shown.results / ARCHIVE
        if records == shown:
            archive = Path(folder) / ARCHIVE
            archive.write_bytes(pack(records))
        results = [file(archive, f"results/{records.name}/{ARCHIVE}", exampleOfWork=outputs["records"])]
        made: list[tuple[str, str, str, str]]
        made = [(e.kind, name, e.title, e.caption) for e in read_manifest(shown) for name in e.files]
        made += [("table", f"results/{shown.name}/{name}", name, "Of all records.") for name in DATA_FILES]
        made += [("notebook", p.relative_to(top).as_posix(), p.name, "") for p in shown.notebooks.glob("0?_*.ipynb")]
        for kind, name, title, caption in made:
            if (top / name).is_file():
                values = {"name": title, "exampleOfWork": outputs[kind]} | ({"description": caption} if caption else {})
                results.append(file(top / name, name, **values))
        action = about(
            "#run", "CreateAction", name=f"paperlib reproduce --profile {records.name}",
            description="Does what the Snakefile does, in one process.", instrument=workflow, agent=developers,
            object=asked, result=results, endTime=end, actionStatus="http://schema.org/CompletedActionStatus",
            additionalProperty=machines,
        )  # fmt: skip
        crate.root_dataset["mentions"] = action
        target.parent.mkdir(parents=True, exist_ok=True)
        crate.write_zip(target)
    return target


def _images(name: str, data: Data) -> dict[str, str]:
    """What a crate says of a set of images: where they are from, and under what licence."""
    licence = "the owner's" if name.startswith(FOLDER) else parse_name(name).info.licence
    return {
        "name": f"{name} ({data.source})",
        "description": data.note,
        "license": licence,
        "identifier": f"sha256:{data.content_hash}",
    }
