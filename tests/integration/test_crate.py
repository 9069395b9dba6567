"""The crate: what its profile requires, read from its JSON without the library that wrote it.

By hand, since roc-validator needs an older rich than the lock has, and JSON-LD contexts from the network.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import read_manifest
from paperlib.exhibits.results import Source
from paperlib.report import committed, crate
from paperlib.report.claim_pages import PAPERS
from paperlib.trials.archive import ARCHIVE, open_archive
from paperlib.trials.store import Store
from tests.conftest import ROOT
from tests.not_tested import TO_TEST

pytest.importorskip("rocrate", reason=f"no rocrate here{TO_TEST}make setup")
Entity = dict[str, Any]


@pytest.fixture
def written(made: Source) -> Path:
    committed.regenerate(made.layout)
    return crate.write(made.layout, made.layout, made.layout.results / "crate.zip")


def graph(path: Path) -> dict[str, Entity]:
    with zipfile.ZipFile(path) as archive:
        entities: list[Entity] = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    by_id = {entity["@id"]: entity for entity in entities}
    assert len(by_id) == len(entities)
    return by_id


def refs(value: object) -> list[str]:
    """The ids that a property leads to."""
    values = value if isinstance(value, list) else [value]
    return [v["@id"] for v in values if isinstance(v, dict)]


def test_the_crate_is_what_its_profile_requires(written: Path, made: Source) -> None:
    entities = graph(written)
    root = entities["./"]
    assert {"name", "description", "datePublished", "license"} <= root.keys()
    assert {"https://w3id.org/ro/wfrun/process/0.5", "https://w3id.org/ro/wfrun/workflow/0.5"} <= {
        *refs(root["conformsTo"])
    }
    workflow = entities[root["mainEntity"]["@id"]]
    assert workflow["@id"] == "Snakefile"
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} == {*workflow["@type"]}
    assert entities[workflow["programmingLanguage"]["@id"]]["@type"] == "ComputerLanguage"
    (run,) = (entities[i] for i in refs(root["mentions"]))
    assert run["@type"] == "CreateAction" and refs(run["instrument"]) == ["Snakefile"]
    assert run["endTime"] == made.table.finished.max()
    slots = refs(workflow["input"]) + refs(workflow["output"])
    assert all(entities[i]["@type"] == "FormalParameter" and entities[i]["additionalType"] for i in slots)
    filled = {refs(entities[i]["exampleOfWork"])[0] for i in refs(run["object"]) + refs(run["result"]) if
              "exampleOfWork" in entities[i]}  # fmt: skip
    assert filled == set(slots) - {"#notebook-parameter"}, "no notebook ran"


def test_it_names_profile_machine_images_licences_and_papers(written: Path, made: Source) -> None:
    entities = graph(written)
    run = entities["#run"]
    values = {entities[i]["name"]: entities[i] for i in refs(run["object"])}
    assert values["profile"]["value"] == made.layout.name
    assert values["mnist (stand-in)"]["license"] and "CC BY-SA 3.0" in {v.get("license") for v in values.values()}
    (machine,) = (entities[i]["value"] for i in refs(run["additionalProperty"]))
    assert all(text in machine for text in (made.table.cpu[0], "torch", "python"))
    assert refs(entities["./"]["citation"]) == [*PAPERS.values()]
    assert refs(entities["./"]["license"]) == ["https://spdx.org/licenses/MIT"]


def test_all_that_it_lists_is_in_it_and_the_records_come_out_again(written: Path, made: Source, tmp_path: Path) -> None:
    entities = graph(written)
    with zipfile.ZipFile(written) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        archive.extractall(tmp_path / "out")
    files = {i for i, e in entities.items() if "File" in e["@type"]}
    assert files == names - {"ro-crate-metadata.json"} and files == {*refs(entities["./"]["hasPart"])}
    exhibits = {name for exhibit in read_manifest(made.layout) for name in exhibit.files}
    assert exhibits and exhibits | {"LICENSE", "requirements.lock"} <= files
    with open_archive(tmp_path / "out" / "results" / made.layout.name / ARCHIVE) as again:
        assert Store(again).records() == Store(made.layout).records()
    led_to = {i for e in entities.values() for value in e.values() for i in refs(value) if not i.startswith("https:")}
    assert led_to <= entities.keys()


def test_committed_results_give_one_without_a_run(tmp_path: Path) -> None:
    shown = Layout(ROOT / "results" / "quick", ROOT / "figures" / "quick")
    with open_archive(shown.results / ARCHIVE) as records:
        entities = graph(crate.write(records, shown, tmp_path / "crate.zip"))
    assert f"results/quick/{ARCHIVE}" in refs(entities["#run"]["result"])
