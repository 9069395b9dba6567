"""The renderer and its commands: ten classes, always the same pixels, clear words for bad meshes."""

import json

import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

from paperlib import data
from paperlib.cli.data import app
from paperlib.core.errors import PaperlibError
from paperlib.data import DATASETS
from paperlib.data.synthetic import meshes as solids
from paperlib.data.synthetic import renderer

CLASSES = DATASETS["industrial"].classes


@pytest.mark.parametrize("mesh", solids.builtin_meshes(), ids=CLASSES)
def test_own_solids_fit_the_unit_ball_and_face_outward(mesh):
    assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1, abs=0.01)
    assert mesh.faces.max() < len(mesh.vertices) and len(mesh.faces) < 15_000
    # The divergence theorem: a surface whose faces turn outward encloses a positive volume.
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    assert (a * np.cross(b, c)).sum() / 6 > 0.01


def test_a_picture_shows_its_part_inside_the_box():
    for c, mesh in enumerate(solids.builtin_meshes()):
        image, (x, y, w, h) = renderer.draw(mesh, np.random.default_rng(c))
        again, _ = renderer.draw(mesh, np.random.default_rng(c))
        pixels = np.asarray(image)
        assert pixels.shape == (224, 224, 3) and np.array_equal(pixels, np.asarray(again))
        assert x > -40 and y > -40 and x + w < 264 and y + h < 264 and w * h > 400


def test_rotations_are_rotations():
    rng = np.random.default_rng(0)
    for _ in range(20):
        turn = renderer._rotation(rng)
        assert np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) == pytest.approx(1)


def test_drawing_is_read_back_and_repeats(tmp_path):
    assert renderer.render_images(tmp_path / "cache/industrial", None, 100, 3) == "stand-in"
    images = data.load("industrial", 32)
    assert (len(images.train), len(images.val), len(images.test)) == (70, 10, 20)
    assert set(images.train.labels) == set(range(10)) and images.provenance.source == "stand-in"
    renderer.render_images(tmp_path / "cache/industrial", None, 100, 3)
    data._load.cache_clear()
    assert data.load("industrial", 32).content_hash == images.content_hash
    renderer.render_images(tmp_path / "cache/industrial", None, 100, 4)
    data._load.cache_clear()
    assert data.load("industrial", 32).content_hash != images.content_hash


def test_workers_draw_the_same_pixels(tmp_path, monkeypatch):
    renderer.render_images(tmp_path / "serial", None, 100, 1)
    monkeypatch.setattr(renderer, "STAND_IN", 50)
    monkeypatch.setattr(renderer.os, "cpu_count", lambda: 2)
    renderer.render_images(tmp_path / "parallel", None, 100, 1)
    serial, parallel = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")}
        for name in ("serial", "parallel")
    )
    assert len(serial) == 104 and serial == parallel


def test_without_images_the_parts_are_drawn_on_first_use(tmp_path, monkeypatch):
    monkeypatch.setattr(renderer, "STAND_IN", 100)
    images = data.load("industrial-reduced", 32)
    assert images.provenance.source == "stand-in" and len(images.classes) == 10
    assert (tmp_path / "cache/industrial/provenance.json").is_file()
    assert sum(data.load("industrial", 32).test.labels == 0) == 2


def meshes(folder):
    folder.mkdir()
    for i, name in enumerate(CLASSES):
        trimesh.creation.box((1, 2, 3 + i)).export(folder / f"{name}.ply")
    return folder


def test_meshes_make_a_rebuilt_set(tmp_path):
    folder = meshes(tmp_path / "meshes")
    result = CliRunner().invoke(
        app, ["render", "--meshes", str(folder), "--out", str(tmp_path / "o"), "--images", "100"]
    )
    assert result.exit_code == 0 and "rebuilt: 100 images" in result.output
    assert json.loads((tmp_path / "o/provenance.json").read_text())["source"] == "rebuilt"


def test_a_fine_mesh_is_thinned_and_keeps_its_extent(tmp_path):
    folder = meshes(tmp_path / "meshes")
    trimesh.creation.icosphere(5).export(folder / "star.ply")
    mesh = solids.load_meshes(folder)[CLASSES.index("star")]
    assert 500 < len(mesh.faces) <= solids.MAX_FACES
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([2, 2, 2], abs=0.05)


def test_bad_meshes_and_bad_targets_are_named(tmp_path):
    folder = meshes(tmp_path / "meshes")
    (folder / "star.ply").write_text("ply\nnonsense")
    with pytest.raises(PaperlibError, match=r"star\.ply: no mesh"):
        solids.load_meshes(folder)
    (folder / "star.ply").unlink()
    with pytest.raises(PaperlibError, match="lacks a mesh for star"):
        solids.load_meshes(folder)
    with pytest.raises(PaperlibError, match="no such folder"):
        solids.load_meshes(tmp_path / "none")
    with pytest.raises(PaperlibError, match="other files"):
        renderer.render_images(folder, None, 100, 0)
    with pytest.raises(PaperlibError, match="at least 100"):
        renderer.render_images(tmp_path / "o", None, 50, 0)
    assert (folder / "screw.ply").exists()


def test_status_and_verify_speak_plainly_when_piped(tmp_path):
    result = CliRunner().invoke(app, ["status"])
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.output.splitlines()]
    assert [line[0] for line in lines] == list(DATASETS) and {len(line) for line in lines} == {6}
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache/mnist.npz").write_bytes(b"cut")
    result = CliRunner().invoke(app, ["verify", "mnist"])
    assert result.exit_code == 1 and "paperlib data fetch mnist --force" in result.output
    assert CliRunner().invoke(app, ["status"]).exit_code == 1
    assert isinstance(CliRunner().invoke(app, ["verify", "nmist"]).exception, PaperlibError)


def test_fetch_exits_with_1_for_what_was_asked_by_name():
    assert CliRunner().invoke(app, ["fetch", "industrial"]).exit_code == 1
