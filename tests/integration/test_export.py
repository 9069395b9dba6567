"""Exported networks: the same answers, files that say how to feed them, and none larger than dense's."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.execution.compact import to_compact
from paperlib.execution.runtimes import OnnxModel, is_installed
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials.onnx_export import Exported, export, found_masks
from paperlib.trials.runner import build_network, checkpoint, dense_baseline, run
from paperlib.trials.store import Store
from tests.conftest import ROOT, served, tiny
from tests.not_tested import TO_TEST

DOCS = ROOT / "docs" / "export.md"
MODELS = {"vgg16": 0.04, "resnet18": 0.06}
Show = Callable[[ImageSet], None]


@pytest.fixture
def show() -> Iterator[Show]:
    """Puts images in front of `run` under every data set's name."""
    shown = [tiny(n=60, size=16)]
    with served(lambda wanted: shown[-1]):
        yield shown.append


def filters(model: str, **fields: object) -> Trial:
    return make_trial(
        model=model, width=MODELS[model], method="pre-training", sparsity=0.5, conv_sparsity=0.5, epochs=1,
        batch_size=13, lr=0.02, **fields,
    )  # fmt: skip


def exported(trial: Trial, layout: Layout, to: Path) -> Exported:
    run(trial, layout, keep_weights=True)
    return export(trial.id, layout, to)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("show")
def test_export_round_trip(layout: Layout, tmp_path: Path, model: str) -> None:
    asked = filters(model)
    done = exported(asked, layout, tmp_path)
    assert done.largest_difference < 1e-3
    full = build_network(asked, (16, 16, 1), 3).eval()
    full.load_state_dict(load_file(checkpoint(layout, asked.id)))
    small = to_compact(full, found_masks(full))
    torch.nn.init.zeros_(next(small.parameters()))
    small.load_state_dict(load_file(done.files[0]))
    images = torch.randn(7, 1, 16, 16)
    with torch.inference_mode():
        expected = full(images)
        torch.testing.assert_close(small(images), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(OnnxModel(done.files[1])(images), expected, rtol=1e-4, atol=1e-5)
    assert done.files[0].stat().st_size < 0.6 * done.dense_bytes[0]
    assert done.files[1].stat().st_size < 0.7 * done.dense_bytes[1]


@pytest.mark.usefixtures("show")
def test_the_file_runs_where_only_onnxruntime_is(layout: Layout, tmp_path: Path) -> None:
    done = exported(filters("resnet18"), layout, tmp_path)
    images = np.random.default_rng(0).normal(size=(5, 1, 16, 16)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy, onnxruntime; network = onnxruntime.InferenceSession(sys.argv[1]); "
        "numpy.save(sys.argv[3], network.run(None, {'images': numpy.load(sys.argv[2])})[0]); "
        "assert not {'torch', 'paperlib'} & set(sys.modules)"
    )
    files = [str(done.files[1]), str(tmp_path / "images.npy"), str(tmp_path / "logits.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True, cwd=tmp_path)
    full = build_network(filters("resnet18"), (16, 16, 1), 3).eval()
    full.load_state_dict(load_file(checkpoint(layout, filters("resnet18").id)))
    with torch.inference_mode():
        expected = full(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(np.load(files[2]), expected, rtol=1e-4, atol=1e-5)
    assert done.runtimes[0].startswith("onnxruntime ")
    assert len(done.runtimes) == 1 + is_installed("openvino")


@pytest.mark.skipif(not is_installed("openvino"), reason=f"OpenVINO is not installed{TO_TEST}pip install openvino")
@pytest.mark.usefixtures("show")
def test_what_openvino_cannot_read_is_exported_and_told(layout: Layout, tmp_path: Path) -> None:
    done = exported(filters("vgg16"), layout, tmp_path)  # at 16 px its last pooling is larger than its input
    assert len(done.runtimes) == 1
    assert done.refused.startswith("OpenVINO cannot read this network")


def learnt(layout: Layout, to: Path, show: Show, channels: int) -> tuple[Exported, ImageSet, float]:
    """A network that has learnt something, but not all of it."""
    images = replace(tiny(n=240, size=8, channels=channels), classes=("ant", "bee", "fly"))
    labels = images.test.labels.copy()
    labels[::7] = (labels[::7] + 1) % 3
    images = replace(images, test=replace(images.test, labels=labels))
    show(images)
    trial = make_trial(method="set", sparsity=0.5, epochs=8, batch_size=8, dataset="cifar10")
    record = run(trial, layout, keep_weights=True)
    assert record.test is not None and 0.6 < record.test.accuracy < 0.95
    return export(trial.id, layout, to), images, record.test.accuracy


@pytest.mark.parametrize("channels", [1, 3])
def test_the_documented_five_lines_give_the_records_accuracy(
    layout: Layout, tmp_path: Path, show: Show, channels: int
) -> None:
    done, images, accuracy = learnt(layout, tmp_path, show, channels)
    (lines,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(lines.splitlines()) == 5
    names: dict[str, Any] = {
        "json": json, "onnxruntime": onnxruntime, "file": done.files[1], "images": images.test.images
    }  # fmt: skip
    exec(compile(lines, "export.md", "exec"), names)
    right = np.mean(
        [name == images.classes[label] for name, label in zip(names["names"], images.test.labels, strict=True)]
    )
    assert right == pytest.approx(accuracy)
    assert done.accuracy == pytest.approx(accuracy)
    assert json.loads(names["about"]["test_accuracy"]) == pytest.approx(accuracy, abs=1e-6)


def test_all_three_files_say_the_same_and_the_docs_name_every_key(layout: Layout, tmp_path: Path, show: Show) -> None:
    done, images, _ = learnt(layout, tmp_path, show, 3)
    told = json.loads(done.files[2].read_text())
    command = told.pop("command")
    assert command.startswith("paperlib run") and "--method set" in command
    for texts in (
        safe_open(done.files[0], "pt").metadata(),
        {prop.key: prop.value for prop in onnx.load(done.files[1]).metadata_props},
    ):
        assert texts.keys() == told.keys()
        assert {k: v if isinstance(told[k], str) else json.loads(v) for k, v in texts.items()} == told
    assert told["classes"] == ["ant", "bee", "fly"]
    assert (told["shape"], told["channels"], told["mean"], told["std"]) == ([3, 8, 8], "RGB", [0.5] * 3, [0.5] * 3)
    assert told["dataset_source"] == images.provenance.source == "stand-in"
    trial = Trial.model_validate(told["settings"] | told["pruning"])
    assert trial.id == told["trial"] == done.files[0].stem
    page = DOCS.read_text()
    assert {key for key in told if f"`{key}`" not in page} == {"input", "output"}
    assert str(ROOT).encode() not in done.files[1].read_bytes(), "paths of the writer's machine"


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "set", "sparsity": 0.5},
        {"method": "pre-training", "sparsity": 0.5, "scope": "layerwise"},
        {"method": "post-training", "sparsity": 0.123456789},
        {"method": "pre-training", "sparsity": 0.1, "conv_sparsity": 0.03, "model": "resnet18", "width": 0.06},
    ],
    ids=["set", "layerwise", "post-training", "a-few-filters"],
)
@pytest.mark.usefixtures("show")
def test_no_file_of_a_pruned_network_is_larger_than_denses(
    layout: Layout, tmp_path: Path, fields: dict[str, Any]
) -> None:
    trial = make_trial(**fields, epochs=1, batch_size=13)
    pruned, dense = (exported(t, layout, tmp_path) for t in (trial, dense_baseline(trial)))
    for mine, full, size in zip(pruned.files, dense.files, pruned.dense_bytes, strict=False):
        assert mine.stat().st_size <= full.stat().st_size == size, mine.suffix


@pytest.mark.usefixtures("show")
def test_a_network_that_compaction_would_enlarge_is_written_as_it_is(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = filters("vgg16")

    def larger(model: torch.nn.Module, masks: object) -> torch.nn.Module:
        return torch.nn.Sequential(model, torch.nn.Linear(3, 3))

    monkeypatch.setattr("paperlib.trials.onnx_export.to_compact", larger)
    done = exported(trial, layout, tmp_path)
    assert tuple(file.stat().st_size for file in done.files[:2]) == done.dense_bytes


def test_export_says_what_is_missing(layout: Layout, tmp_path: Path, show: Show) -> None:
    with pytest.raises(PaperlibError, match="no trial 'nothing'"):
        export("nothing", layout, tmp_path)
    asked = filters("vgg16")
    run(asked, layout)
    with pytest.raises(PaperlibError, match="not kept: run `paperlib run .* --keep-weights` first"):
        export(asked.id, layout, tmp_path)
    with pytest.raises(PaperlibError, match="no network to export: it trains nothing"):
        exported(make_trial(method="majority"), layout, tmp_path)
    failed = run(make_trial(epochs=1, seed=1), layout).model_copy(update={"status": "failed", "reason": "diverged"})
    Store(layout).put(failed)
    with pytest.raises(PaperlibError, match="no network to export: diverged"):
        export(failed.id, layout, tmp_path)
    dense = make_trial(epochs=1)
    run(dense, layout)
    show(tiny(seed=1, n=60, size=16))
    with pytest.raises(PaperlibError, match="images of trial .* are others by now"):
        export(dense.id, layout, tmp_path)
    assert not [*tmp_path.glob("*.onnx"), *tmp_path.glob("*.json")]
