"""The benchmark of rivals: its speeds, its noise floor and who wins, on made-up timings; nothing is measured."""

import importlib
import sys
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture
def rivals(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delitem(sys.modules, "rivals", raising=False)
    return importlib.import_module("rivals")


SECONDS = {
    "dense, torch": 8.0, "dense again, torch": 8.4, "dense, onnxruntime": 4.0, "dense again, onnxruntime": 3.9,
    "ours, torch": 2.0, "ours, onnxruntime": 1.0, "torch-pruning, torch": 1.95, "torch-pruning, openvino": 0.9,
    "dense, openvino": 3.0,
}  # fmt: skip


def found(rivals: ModuleType, **changed: float) -> list:
    seconds = SECONDS | {name.replace("__", ", ").replace("_", "-"): s for name, s in changed.items()}
    by = {"dense": "dense", "dense again": "dense", "ours": "ours"}
    names = [name.split(", ") for name in seconds]
    ways = [rivals.Way(label, engine, by.get(label, "rival"), lambda x: x) for label, engine in names]
    apart = {way.name: None if way.by == "dense" else 1e-7 for way in ways}
    return rivals.results(ways, seconds, apart)


def test_a_runtimes_gain_is_not_prunings(rivals: ModuleType) -> None:
    (ours,) = [r for r in found(rivals) if r.way.name == "ours, onnxruntime"]
    assert (ours.speed, ours.pruning) == (8.0, 4.0)


def test_who_wins_within_the_floor_and_kind_by_kind(rivals: ModuleType) -> None:
    results = found(rivals)
    floor = rivals.noise(results)
    assert floor == pytest.approx(8.4 / 8)
    (line,) = rivals.defeats(results, floor)  # in torch 1.95 against 2.0 is noise
    assert line == "runtime: torch-pruning, openvino is 1.11 times as fast as ours, onnxruntime"
    assert len(rivals.defeats(results, 1.0)) == 2
    assert rivals.defeats(found(rivals, torch_pruning__openvino=1.0), floor) == []


def test_a_dense_engine_beats_pruning_that_does_not_pay(rivals: ModuleType) -> None:
    slow = found(rivals, ours__torch=9.0, torch_pruning__torch=9.0)
    assert "eager: dense, torch is 1.12 times as fast as ours, torch" in rivals.defeats(slow, 1.05)


def test_the_table_has_a_line_for_each_way_fastest_first_and_targets_are_held(rivals: ModuleType) -> None:
    results = found(rivals)
    title, *lines = rivals.table("a case", results).strip().splitlines()
    assert title == "a case"
    assert [line[:44].strip() for line in lines[1:]] == sorted(SECONDS, key=SECONDS.__getitem__)
    assert lines[1].split()[-4:] == ["900.000", "8.89x", "3.33x", "1e-07"]
    (title, target) = next((t, x) for t, x in rivals.TARGETS.items() if x > 8)
    assert rivals.missed(title, results) == [f"ours reaches 8.00x dense in torch, short of {target:.3g}x"]
    assert rivals.missed("a case without a target", results) == []
