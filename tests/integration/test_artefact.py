"""What archives and reviewers read: CITATION.cff, .zenodo.json and codecheck.yml say the same and name real files."""

import json
import re
import tomllib
from datetime import date

import yaml

from paperlib.exhibits.expected import WANTED
from paperlib.report.claim_pages import PAPERS
from paperlib.report.committed import DATA_FILES
from tests.conftest import ROOT

AUTHOR = "The paperlib developers"
DOIS = [address.removeprefix("https://doi.org/") for address in PAPERS.values()]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ZENODO = json.loads((ROOT / ".zenodo.json").read_text())
CODECHECK = yaml.safe_load((ROOT / "codecheck.yml").read_text())


def test_the_citation_has_what_its_schema_requires() -> None:
    assert {"cff-version", "message", "title", "authors"} <= CITATION.keys()  # required by CFF 1.2.0
    assert (CITATION["cff-version"], CITATION["type"], CITATION["license"]) == ("1.2.0", "software", "MIT")
    assert CITATION["authors"] == [{"name": AUTHOR}], "an entity, which CFF allows beside persons"
    assert isinstance(CITATION["date-released"], date) and CITATION["version"] == VERSION
    for reference in CITATION["references"]:
        assert {"authors", "title", "type"} <= reference.keys()
        assert all({"family-names", "given-names"} == person.keys() for person in reference["authors"])


def test_zenodo_gets_what_a_deposit_requires_and_nothing_that_it_does_not_know() -> None:
    known = {
        "title", "upload_type", "version", "creators", "description", "access_right", "license", "language",
        "keywords", "related_identifiers",
    }  # fmt: skip
    assert {"title", "upload_type", "creators", "description", "access_right", "license"} <= ZENODO.keys() <= known
    assert (ZENODO["upload_type"], ZENODO["access_right"], ZENODO["license"]) == ("software", "open", "MIT")
    for related in ZENODO["related_identifiers"]:
        assert related.keys() == {"identifier", "relation", "resource_type"} and related["relation"] == "references"


def test_all_of_them_name_one_author_one_title_one_version_and_both_papers() -> None:
    assert [creator["name"] for creator in ZENODO["creators"]] == [AUTHOR]
    assert [author["name"] for author in CODECHECK["paper"]["authors"]] == [AUTHOR]
    assert AUTHOR in (ROOT / "LICENSE").read_text()
    assert CITATION["title"] == ZENODO["title"] == CODECHECK["paper"]["title"]
    assert ZENODO["version"] == VERSION
    assert [reference["doi"] for reference in CITATION["references"]] == DOIS
    assert [related["identifier"] for related in ZENODO["related_identifiers"]] == DOIS
    assert re.findall(r"https://doi\.org/([\w./]+\w)", CODECHECK["paper"]["reference"]) == DOIS


def test_codecheck_lists_files_that_a_reproduction_makes() -> None:
    assert "\n---\n" in (ROOT / "codecheck.yml").read_text(), "the specification wants the start of the document marked"
    assert CODECHECK["version"] == "https://codecheck.org.uk/spec/config/1.0/"
    files = [entry["file"] for entry in CODECHECK["manifest"]]
    assert len(files) == len(set(files)) > 10 and all(entry["comment"] for entry in CODECHECK["manifest"])
    made = set(json.loads((ROOT / "results" / "quick" / "kept.json").read_text())["files"])
    assert set(files) <= made, "`make reproduce` makes no such file"
    assert {f"results/quick/{name}" for name in DATA_FILES if name.endswith(".csv")} <= set(files)
    for entry in CODECHECK["manifest"]:
        name = re.sub(r".*/|\.\w+$", "", entry["file"])
        asked = {w.asked for w in WANTED if w.asked.startswith("F, ") and re.fullmatch(w.name, name)}
        assert not asked or any(entry["comment"].startswith(words.partition(" as ")[0]) for words in asked), entry
