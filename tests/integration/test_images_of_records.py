"""A record is found again only on the same images: own folders, better sources, diverged trainings, own labels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from paperlib import data
from paperlib.cli.entry import app
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.data import Selection
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials import runner as run_module
from paperlib.trials.runner import run, run_all
from paperlib.trials.store import Store
from tests.conftest import served, tiny

FAST = {"epochs": 1, "batch_size": 8}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of colour images, ten each, of 12 x 10 pixels."""
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    return draw(tmp_path / "parts", "RGB")


def draw(root: Path, mode: str) -> Path:
    rng = np.random.default_rng(0)
    for name, level in (("good", 40), ("broken", 200)):
        (root / name).mkdir(parents=True)
        for n in range(10):
            pixels = rng.integers(level, level + 40, (10, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(root / name / f"{n}.png")
    return root


def swap(folder: Path) -> None:
    """Exchange an image of one class with one of the other, names and sizes of the folders kept."""
    one, other, aside = folder / "good/0.png", folder / "broken/0.png", folder / "aside.png"
    one.replace(aside)
    other.replace(one)
    aside.replace(other)


def command(*words: str) -> Result:
    result = CliRunner().invoke(app, ["run", "--epochs", "1", "--batch-size", "8", *words])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.usefixtures("layout")
def test_swapped_images_run_anew_and_swapped_back_are_found(folder: Path) -> None:
    name = ("--dataset", f"folder:{folder}")
    first = command(*name)
    assert "run now" in first.stderr
    assert "found, run on" in command(*name).stderr
    assert "found, run on" in command("--dataset", f"folder:{folder}/").stderr, "a trailing slash is the same folder"
    before = Store(Layout.of("scratch")).records()
    swap(folder)
    with pytest.warns(UserWarning, match="the own images have changed: trials run anew"):
        again = command(*name)
    assert "run now" in again.stderr
    (after,) = Store(Layout.of("scratch")).records()
    assert [after.id] == [r.id for r in before] and after.data.content_hash != before[0].data.content_hash
    swap(folder)
    assert "found, run on" in command(*name).stderr
    assert Store(Layout.of("scratch")).records() == before, "nothing was lost"


@pytest.mark.usefixtures("folder")
def test_fresh_runs_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    images, computed = tiny(), list[str]()
    compute = run_module._compute
    monkeypatch.setattr(run_module, "_compute", lambda t, *rest: (computed.append(t.method), compute(t, *rest))[1])
    trial = Trial(method="post-training", sparsity=0.5, **FAST)
    with served(lambda wanted: images):
        run(trial, layout)
        run(trial, layout)
        assert computed == ["dense", "post-training"]
        run(trial, layout, fresh=True)
    assert computed == ["dense", "post-training"] * 2, "its training is the dense one's"


@pytest.mark.parametrize(
    ("before", "after"), [("stand-in", "official"), ("official", "stand-in"), ("subset", "rebuilt")]
)
def test_another_source_of_images_runs_anew_and_says_so(layout: Layout, before: str, after: str) -> None:
    images = tiny()
    trials = [Trial(method=m, sparsity=s, **FAST) for m, s in (("dense", 0.0), ("post-training", 0.5))]

    def of(source: str) -> object:
        provenance = replace(images.provenance, source=source)
        return served(lambda wanted: replace(images, provenance=provenance))

    with of(before):
        first = run_all(trials, layout)
    with of(after), pytest.warns(UserWarning, match=f"{after} images are here now, not the {before} ones") as told:
        second = run_all(trials, layout)
    assert str(layout.trials / "other-images") in str(told[0].message)
    assert [r.data.source for r in second] == [after] * 2
    assert {r.id: r.data.source for r in Store(layout).records()} == {t.id: after for t in trials}
    with of(before):
        assert Store(layout).find(trials) == dict(zip(trials, first, strict=True))
        assert run_all(trials, layout) == first
    with of(after):
        assert run_all(trials, layout) == second


def test_post_training_never_prunes_the_weights_of_other_images(layout: Layout) -> None:
    one, other = tiny(0), tiny(1)
    trial = Trial(method="post-training", sparsity=0.5, **FAST)
    with served(lambda wanted: one):
        first = run(trial, layout)
    with served(lambda wanted: other), pytest.warns(UserWarning, match="have changed"):
        run(trial, layout)
    with served(lambda wanted: one):
        run(Trial(**FAST), layout)  # puts the dense record of these images back
        Store(layout).path(trial.id).unlink()
        for path in (layout.trials / "other-images").glob(f"{trial.id}*"):
            path.unlink()
        assert run(trial, layout).test == first.test


def test_images_are_hashed_once_and_again_after_a_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Selection(f"folder:{folder}")
    first = data.identify(wanted)
    assert (first.source, first.hash) == ("own", data.select(wanted).content_hash)
    with monkeypatch.context() as patch:
        patch.setattr(data, "select", lambda *_: pytest.fail("read again"))
        assert data.identify(wanted) == first
    swap(folder)
    assert data.identify(wanted).hash != first.hash
    swap(folder)
    for kept in (folder.parent / "cache/content").iterdir():
        kept.write_text('["own", "../../etc"]')
    assert data.identify(wanted).hash == first.hash, "a damaged cache is only a cache"


def test_own_images_say_so_and_grey_stays_grey(folder: Path, tmp_path: Path) -> None:
    colour, grey = data.load(f"folder:{folder}"), data.load(f"folder:{draw(tmp_path / 'scans', 'L')}")
    assert colour.provenance.source == grey.provenance.source == "own"
    assert colour.shape == (10, 10, 3) and grey.shape == (10, 10, 1)
    for images, name in ((colour, "parts"), (grey, "scans")):
        note = images.provenance.note
        assert f"own images of the folder {name}" in note
        assert "20% of each class held out for testing, a tenth of the rest for validation" in note
        assert "10 x 10 pixels, from 12 x 10" in note
    assert "grey" in grey.provenance.note and "converted" not in grey.provenance.note
    mixed = tmp_path / "mixed"
    draw(mixed, "RGB")
    Image.open(mixed / "good/0.png").convert("L").save(mixed / "good/0.png")
    assert data.load(f"folder:{mixed}").shape == (10, 10, 3)
    with pytest.raises(PaperlibError, match="must be one of official, rebuilt, subset, stand-in$"):
        label_mnist(tmp_path / "mirror", "own")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PAPERLIB_DATA", str(tmp_path / "mirror"))
            data.load("mnist")


def label_mnist(mirror: Path, source: str) -> None:
    mirror.mkdir()
    pixels, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10
    parts = {f"{split}_{what}": value for split in ("train", "test") for what, value in
             (("images", pixels), ("labels", labels.astype(np.uint8)))}  # fmt: skip
    np.savez(mirror / "mnist.npz", **parts)
    (mirror / "mnist.json").write_text(json.dumps({"source": source, "note": ""}))


def test_size_and_split_of_own_images_can_be_chosen(folder: Path, layout: Layout) -> None:
    result = command("--dataset", f"folder:{folder}", "--resolution", "8", "--test-share", "0.4")
    (record,) = Store(layout).records()
    assert record.data.shape == (8, 8, 3) and record.data.test == 8
    assert "40%" in record.data.note and "8 x 8 pixels" in record.data.note
    assert "own" in result.stdout and "40% of each class" in result.stdout
    with pytest.raises(PaperlibError, match="only a data set `folder:PATH` takes a test_share"):
        make_trial(test_share=0.4)


@pytest.mark.usefixtures("tiny_images")
@pytest.mark.parametrize("fields", [{"optimizer": "AdamW", "lr": 1e6}, {"lr": 1e30}, {"lr": 1e30, "model": "vgg16"}])
def test_a_diverged_training_reads_back_as_the_failure_that_it_is(layout: Layout, fields: dict[str, object]) -> None:
    images = tiny(size=16)
    trial = make_trial(**{**FAST, "epochs": 3, **fields}, **({"width": 0.05} if "model" in fields else {}))
    with served(lambda wanted: images):
        record = run(trial, layout)
        assert record.status == "failed" and record.reason is not None and "diverged" in record.reason
        assert not np.isfinite(record.curve[-1].train.loss) or not np.isfinite(record.curve[-1].val.loss)
        written = Store(layout).path(trial.id).read_bytes()
        again = Store(layout).get(trial.id)
        assert again is not None and again.reason == record.reason and repr(again) == repr(record)
        run(trial, layout)
        assert Store(layout).path(trial.id).read_bytes() == written, "it is found, not run again"
        json.loads(written, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert Store(layout).table().status.tolist() == ["failed"]


@pytest.mark.usefixtures("tiny_images")
def test_the_record_names_what_trained(layout: Layout) -> None:
    small = run(Trial(**FAST), layout)
    other = run(Trial(optimizer="RMSprop", lr=1e-3, **FAST), layout)
    pruned = run(Trial(method="post-training", sparsity=0.5, **FAST), layout)
    nothing = run(Trial(method="majority", **FAST), layout)
    assert [r.engine for r in (small, other, pruned, nothing)] == ["stacked", "torch", "stacked", None]
    assert Store(layout).table().set_index("id").engine[small.id] == "stacked"


def test_a_sparse_product_is_named_after_what_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn

    from paperlib.execution import sparse_kernel
    from paperlib.execution.backends import engine_of
    from paperlib.execution.sparse import SparseLinear

    assert engine_of(nn.Linear(4, 3)) == "torch"
    for compiled in (True, False):
        monkeypatch.setattr(sparse_kernel, "available", lambda compiled=compiled: compiled)
        network = nn.Sequential(nn.Flatten(), SparseLinear(nn.Linear(4, 3)))
        assert engine_of(network) == ("llvm" if compiled else "torch-csr")
        assert network(torch.ones(2, 4)).shape == (2, 3)
