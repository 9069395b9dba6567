"""Solar cells of the Python package."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paperlib import data
from paperlib.core.errors import PaperlibError


def cells(folder: Path, n: int = 16) -> Path:
    """`n` cells as `elpv-dataset` has them: those with probability 2/3 or 1 dark, those with 0 or 1/3 bright."""
    rows = []
    for i in range(n):
        share = (0.0, 1 / 3, 2 / 3, 1.0)[i % 4]
        path = folder / f"images/cell{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (30, 30), 200 if share < 0.5 else 50).save(path)
        rows.append(f"images/cell{i:04}.png  {share}  {'mono' if i % 8 < 4 else 'poly'}\n")
    (folder / "labels.csv").write_text("".join(rows))
    return folder


@pytest.mark.parametrize("place", ["elpv", "elpv_dataset/data"])
def test_cells_are_grey_and_split_75_25_by_class(mirror, place):
    cells(mirror / place)
    images = data.load("elpv", 16)
    assert images.shape == (16, 16, 1) and images.provenance.source == "subset"
    assert (len(images.train), len(images.val), len(images.test)) == (10, 2, 4)
    for split in (images.train, images.val, images.test):
        assert np.array_equal(split.labels, (split.images[:, 0, 0, 0] < 128).astype(int)), "above one half is defective"
        assert 2 * split.labels.sum() == len(split)


def test_all_cells_are_official_and_no_resolution_changes_the_split(mirror, claim):
    claim("elpv", counts=(12, 0, 4))
    cells(mirror / "elpv")
    small, large = data.load("elpv", 16), data.load("elpv", 24)
    assert small.provenance.source == "official"
    assert all(np.array_equal(getattr(small, s).labels, getattr(large, s).labels) for s in ("train", "val", "test"))


def test_cells_of_the_installed_package_are_found_without_importing_it(tmp_path, monkeypatch):
    cells(tmp_path / "site/elpv_dataset/data")
    (tmp_path / "site/elpv_dataset/__init__.py").write_text("raise ImportError\n")
    (tmp_path / "site/elpv_dataset-1.0.dist-info").mkdir()
    (tmp_path / "site/elpv_dataset-1.0.dist-info/METADATA").write_text("Name: elpv-dataset\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert data.load("elpv", 16).provenance.origin == str(tmp_path / "site/elpv_dataset/data")


@pytest.mark.parametrize(
    ("line", "said"), [("images/a.png 0.5", "line 17"), ("/a.png 1 mono", "line 17"), ("a.png 7 poly", "line 17")]
)
def test_a_wrong_line_of_the_table_is_named_with_its_cure(mirror, line, said):
    table = cells(mirror / "elpv") / "labels.csv"
    table.write_text(f"{table.read_text()}{line}\n")
    with pytest.raises(PaperlibError, match=said) as error:
        data.load("elpv")
    assert "paperlib data fetch elpv --force" in str(error.value) and "\n" not in str(error.value)
    table.write_text("images/cell0000.png 1.0 mono\n")
    with pytest.raises(PaperlibError, match="functional and defective"):
        data.load("elpv")
