"""Which source wins, what word it bears, and what `load` makes of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperlib import data
from paperlib.core.errors import PaperlibError
from paperlib.data import DATASETS, files, sources
from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.data.spec import ResolvedSource, parse_name
from paperlib.data.splits import holdout, resplit_train
from tests.conftest import temporarily
from tests.unit.data.test_readers import write_idx, write_npz

SHA = "sha"


def test_nothing_here_means_stand_ins_and_packaged_digits():
    states = {s.name: s for s in data.status()}
    assert list(states) == list(DATASETS)
    assert states["mnist"].source == "subset"
    assert {s.source for n, s in states.items() if n != "mnist"} == {"stand-in"}
    assert states["cifar10"].cure == "paperlib data fetch cifar10" and "render" in states["industrial"].cure


def test_packaged_digits_are_balanced_real_digits():
    images = data.load("mnist")
    assert images.provenance.source == "subset" and images.shape == (28, 28, 1)
    assert (len(images.train), len(images.val), len(images.test)) == (3600, 400, 1000)
    assert set(np.bincount(images.test.labels)) == {100}


def test_mirror_comes_before_cache_and_system(mirror, tmp_path):
    write_idx(tmp_path / "system/fashion-mnist", DATASETS["fashionmnist"])
    write_idx(tmp_path / "cache/fashionmnist", DATASETS["fashionmnist"], n=30)
    spec = parse_name("fashionmnist")
    assert [c().where for c in sources.candidates(spec, 28)] == [
        str(tmp_path / "cache/fashionmnist"),
        str(tmp_path / "system/fashion-mnist"),
    ]
    write_npz(mirror / "fashionmnist.npz")
    assert sources.find_images(spec).where == str(mirror / "fashionmnist.npz")


def test_the_label_beside_an_npz_is_its_provenance(mirror):
    write_npz(mirror / "mnist.npz")
    (mirror / "mnist.json").write_text(json.dumps({"source": "rebuilt", "note": "mine"}))
    assert data.load("mnist").provenance == Provenance("rebuilt", "mine", str(mirror / "mnist.npz"))


def test_a_label_cannot_promote_fewer_images_to_official(mirror):
    write_npz(mirror / "mnist.npz")
    (mirror / "mnist.json").write_text(json.dumps({"source": "official", "note": ""}))
    provenance = data.load("mnist").provenance
    assert provenance.source == "subset" and "60 of 70,000" in provenance.note


@pytest.mark.parametrize("text", ["{", "[]", '{"source": "true"}', "{}"])
def test_a_wrong_label_is_named(mirror, text):
    write_npz(mirror / "mnist.npz")
    (mirror / "mnist.json").write_text(text)
    with pytest.raises(PaperlibError, match=r"mnist\.json"):
        data.load("mnist")


def test_official_pixels_are_checked_in_any_format(mirror, claim):
    arrays = write_idx(mirror / "mnist", DATASETS["mnist"])
    claim("mnist", counts=(20, 0, 20))
    with pytest.raises(PaperlibError, match=r"expected pixels of SHA-256 06b0.*fetch mnist --force"):
        data.load("mnist")
    parts = {
        "train": Split(arrays[0][..., None], arrays[1].astype(np.int64)),
        "test": Split(arrays[2][..., None], arrays[3].astype(np.int64)),
    }
    claim("mnist", counts=(20, 0, 20), pixels=files.pixel_hash(parts))
    assert data.load("mnist").provenance.source == "official"
    (mirror / "mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(PaperlibError, match="t10k-images-idx3-ubyte"):
        sources.find_images(parse_name("mnist"))


def test_medmnist_is_official_only_by_its_checksum(mirror, claim):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 28, 28, 3)).astype(np.uint8)
    labels = (np.arange(12) % 8).astype(np.uint8)[:, None]
    names = ("train", "val", "test")
    content = {f"{s}_images": images for s in names} | {f"{s}_labels": labels for s in names}
    path = mirror / "bloodmnist.npz"
    np.savez(path, **content)
    claim("bloodmnist", counts=(12, 12, 12))
    assert data.load("bloodmnist").provenance.source == "rebuilt"
    (mirror / "bloodmnist.json").write_text('{"source": "official"}')
    data._load.cache_clear()
    with pytest.raises(PaperlibError, match="expected MD5 7053d0359d879ad8a5505303e11de1dc, found"):
        data.load("bloodmnist")
    file = replace(DATASETS["bloodmnist"].files[0], md5=files.md5(path))
    claim("bloodmnist", files=(file,))
    assert data.load("bloodmnist").provenance.source == "official"


def test_the_medmnist_file_nearest_above_the_resolution_is_taken(mirror):
    labels = (np.arange(8) % 8).astype(np.uint8)
    for size, name in ((28, "bloodmnist"), (64, "bloodmnist_64")):
        images = np.full((8, size, size, 3), size, np.uint8)
        np.savez(mirror / f"{name}.npz", train_images=np.tile(images, (3, 1, 1, 1)),
                 train_labels=np.tile(labels, 3), test_images=images, test_labels=labels)  # fmt: skip
    for resolution, used in ((None, 28), (28, 28), (32, 64), (64, 64), (128, 64)):
        loaded = data.load("bloodmnist", resolution)
        assert loaded.shape == (resolution or 28, resolution or 28, 3) and loaded.test.images[0, 0, 0, 0] == used
    assert "resized from 64 to 128 px" in loaded.provenance.note


def test_a_new_set_is_a_registry_entry_and_a_reader(tmp_path, monkeypatch):
    """As docs/adding.md has it."""
    labels = np.arange(20) % 2

    def candidates_in(spec, folder, size, own_folder):
        file = folder / "rings.raw"
        if file.is_file():
            pixels = np.frombuffer(file.read_bytes(), np.uint8).reshape(20, size, size, 1)
            parts = {"train": Split(pixels, labels), "test": Split(pixels[:4], labels[:4])}
            yield lambda: ResolvedSource("official", "mine", str(file), (file,), (20, 0, 4), size, lambda: (parts, ""))

    info = replace(DATASETS["mnist"], name="rings", classes=("one", "two"), counts=(20, 0, 4), kind="raw")
    (tmp_path / "cache/rings").mkdir(parents=True)
    (tmp_path / "cache/rings/rings.raw").write_bytes(bytes(20 * 28 * 28))
    with temporarily(DATASETS, "rings", info), temporarily(sources.READERS, "raw", candidates_in):
        images = data.load("rings")
        assert (len(images.train), len(images.val), len(images.test)) == (18, 2, 4)
        assert data.status()[-1].source == images.provenance.source == "official"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnits", "did you mean 'mnist'"),
        ("mnist:x", "only visa"),
        ("mnist@y", "no option 'y'"),
        ("visa@3cls", "2cls_highshot"),
        ("folder:/no/such", "no such folder"),
    ],
)
def test_unknown_names_are_one_clear_line(name, said):
    with pytest.raises(PaperlibError, match=said):
        data.load(name)


def test_bad_resolution_and_missing_mirror_are_named(monkeypatch):
    with pytest.raises(PaperlibError, match="8 to 512"):
        data.load("mnist", 4)
    monkeypatch.setenv("PAPERLIB_DATA", "/no/such/place")
    with pytest.raises(PaperlibError, match="/no/such/place"):
        data.load("mnist")


def test_loaded_twice_is_the_same_object():
    assert data.load("octmnist") is data.load("octmnist")


@given(st.lists(st.integers(0, 4), min_size=20, max_size=200), st.floats(0.05, 0.5))
def test_holdout_is_disjoint_complete_and_stratified(labels, share):
    groups = np.array(labels, np.int64)
    kept, held = holdout(groups, share)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    for g in np.unique(groups):
        n, h = (groups == g).sum(), (groups[held] == g).sum()
        assert h < n and (abs(h - share * n) <= 1 or h == n - 1)


def test_resplit_draws_test_from_train_only():
    numbers = np.arange(200, dtype=np.int64)

    def part(a, b):
        return Split(
            np.broadcast_to(numbers[a:b].astype(np.uint8)[:, None, None, None], (b - a, 8, 8, 1)),
            numbers[a:b],
        )

    images = ImageSet("x", part(0, 90), part(90, 100), part(100, 200), ("a",), Provenance("official", "n", "o"))
    one, two = resplit_train(images, 1), resplit_train(images, 2)
    assert sorted(np.concatenate([one.train.labels, one.val.labels, one.test.labels])) == list(range(100))
    assert (len(one.train), len(one.val), len(one.test)) == (80, 10, 10)
    assert one.test.labels.tolist() != two.test.labels.tolist()
    assert np.array_equal(one.test.images[:, 0, 0, 0], one.test.labels)
    assert "test drawn from train" in one.provenance.note
