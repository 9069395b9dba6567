"""No foreign byte is unpickled, no loader and no command line shows a traceback, whatever comes in."""

import pickle
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file

from paperlib.cli import main
from paperlib.core.errors import PaperlibError
from paperlib.data import DATASETS
from paperlib.data.readers import arrays
from paperlib.schema.record import Record
from paperlib.trials.store import Store
from tests.conftest import ROOT

PACKAGE = ROOT / "paperlib"
FORBIDDEN = r"pickle\.loads?\(|torch\.load\(|allow_pickle=True|joblib\.load|read_pickle|\bshelve\b|\bmarshal\b|\bdill\b"


def test_nothing_in_the_package_unpickles() -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(FORBIDDEN, line)
    ]
    assert found == []


NPZ = [f"{split}_{part}" for split in ("train", "val", "test") for part in ("images", "labels")]


class Trap:
    """Unpickling it writes the file `sprung`."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.sprung,)


def test_a_booby_trap_does_not_go_off(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    pickle.loads(trap)
    assert sprung.exists(), "the trap itself works"
    sprung.unlink()
    objects = np.array([Trap(sprung)], dtype=object)
    np.savez(tmp_path / "trap.npz", **dict.fromkeys(NPZ, objects))  # type: ignore[arg-type]
    for name in ("trap-idx3-ubyte", "trap.safetensors"):
        (tmp_path / name).write_bytes(trap)
    with pytest.raises(PaperlibError):
        arrays.read_npz(DATASETS["bloodmnist"], tmp_path / "trap.npz", 28)
    with pytest.raises(PaperlibError):
        arrays.read_idx(DATASETS["mnist"], [tmp_path / "trap-idx3-ubyte"] * 4)
    with pytest.raises(SafetensorError):
        load_file(tmp_path / "trap.safetensors")
    assert not sprung.exists()
    assert zipfile.is_zipfile(tmp_path / "trap.npz")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_any_bytes_as_a_record_are_set_aside_or_named(tmp_path: Path, data: bytes) -> None:
    from paperlib.core.paths import Layout

    store = Store(Layout(tmp_path, tmp_path))
    store.layout.trials.mkdir(exist_ok=True)
    path = store.path("0123456789abcdef")
    path.write_bytes(data)
    try:
        with pytest.warns(UserWarning, match="set aside"):
            assert store.get(path.stem) is None
    except PaperlibError as error:
        assert "\n" not in str(error)


WORD = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
OPTIONS = ("--model", "--method", "--scope", "--sparsity", "--seed", "--epochs", "--option", "--results", "--quirk")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(OPTIONS), WORD), min_size=1, max_size=4))
@pytest.mark.usefixtures("tiny_images", "layout")
def test_any_words_on_the_command_line_end_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, pairs: list[tuple[str, str]]
) -> None:
    # Long trainings are no fault, so what would be a good trial is not run.
    from paperlib.trials import runner as run_module

    def refuse(*_: object, **__: object) -> Record:
        raise PaperlibError("a good trial")

    monkeypatch.setattr(run_module, "run", refuse)
    words = [word for pair in pairs for word in pair]
    monkeypatch.setattr(sys, "argv", ["paperlib", "run", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in {0, 2}
