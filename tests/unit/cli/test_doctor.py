"""The doctor: every lack has a cure, and what it finds is what is there."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

import paperlib.data
from paperlib.cli import doctor, main
from paperlib.cli.doctor import Check, cpu_limit
from paperlib.data import DatasetStatus

ROWS = [
    DatasetStatus("mnist", "official", "the official files", "/data/mnist", (60_000, 0, 10_000), ""),
    DatasetStatus("visa", "stand-in", "drawn gratings", "drawn", (9, 0, 3), "paperlib data fetch visa"),
    DatasetStatus("cifar10", "subset", "9 of 50,000", "package", (9, 0, 3), "fetch [it]"),
    DatasetStatus("octmnist", None, "octmnist.npz is damaged", "", None, "paperlib data fetch octmnist --force"),
]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Check]:
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path))
    monkeypatch.setattr(paperlib.data, "status", lambda: ROWS)
    return {check.subject: check for check in doctor.checks()}


def test_the_usual_subjects_are_covered_and_every_lack_has_a_cure(found: dict[str, Check]) -> None:
    wanted = {"Python", "torch", "CPU", "bf16 on cpu", "energy on cpu", "CO2", "disk"}
    assert wanted | {"results folder", "images: mnist", "program npm"} <= set(found)
    assert torch.__version__ in found["torch"].found
    assert f"torch uses {torch.get_num_threads()} threads" in found["CPU"].found
    assert found["results folder"].state == "ok"
    assert all(check.cure for check in found.values() if check.state == "lack")


def test_images_are_told_with_their_provenance_and_cure(found: dict[str, Check]) -> None:
    mnist, visa, cifar, oct = (found[f"images: {name}"] for name in ("mnist", "visa", "cifar10", "octmnist"))
    assert (mnist.state, visa.state, cifar.state, oct.state) == ("ok", "lack", "note", "lack")
    assert oct == Check("images: octmnist", "lack", "octmnist.npz is damaged", "paperlib data fetch octmnist --force")
    assert "official, 60000 training and 10000 test images: /data/mnist" in mnist.found
    assert visa.cure == "paperlib data fetch visa"


def test_the_table_shows_every_check_word_for_word(found: dict[str, Check]) -> None:
    console = Console(width=400, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(doctor.render(list(found.values())))
    text = console.export_text()
    for check in found.values():
        assert check.subject in text
        assert check.found in text
        assert check.cure in text


def by_subject() -> dict[str, Check]:
    return {check.subject: check for check in doctor.checks()}


def test_too_many_threads_and_a_full_disk_are_lacks(found: dict[str, Check], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "cpu_limit", lambda: 1.5)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e9))
    now = by_subject()
    assert now["CPU"].state == now["disk"].state == "lack"
    assert now["CPU"].cure == "export OMP_NUM_THREADS=1"
    assert "limited to 1.5" in now["CPU"].found


def test_an_unknown_grid_does_not_stop_the_doctor(found: dict[str, Check], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERLIB_GRID", "Atlantis")
    now = by_subject()
    assert now["meters"].state == "lack"
    assert "Atlantis" in now["meters"].found
    assert "program npm" in now


def test_an_unwritable_results_folder_is_a_lack(
    found: dict[str, Check], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path / "file"))
    now = by_subject()["results folder"]
    assert now.state == "lack"
    assert "PAPERLIB_OUTPUT" in now.cure


def test_data_that_cannot_be_looked_at_does_not_stop_the_doctor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAPERLIB_DATA", "/no/such/place")
    images = by_subject()["images"]
    assert images.state == "lack" and "PAPERLIB_DATA names /no/such/place, which is no folder" in images.found


def test_the_command_shows_the_images_that_are_really_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path))
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["paperlib", "doctor"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert "images: mnist" in capsys.readouterr().out


def test_outside_a_checkout_it_is_said_what_lies_there(
    found: dict[str, Check], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAPERLIB_OUTPUT")
    monkeypatch.setattr("paperlib.core.paths.project", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "results") in by_subject()["results folder"].found
    assert by_subject()["checkout"].state == "note" and "PAPERLIB_ROOT" in by_subject()["checkout"].cure
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert by_subject()["results folder"].state == "lack"


def test_a_gpu_is_listed_with_its_memory_and_meters(found: dict[str, Check], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA A100 MIG 1g.10gb")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=40 * 2**30))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    now = by_subject()
    assert now["cuda:0"].found == "NVIDIA A100 MIG 1g.10gb, 40 GiB"
    assert now["energy on cuda:0"].state == "note"
    assert "no energy counter of its own" in now["energy on cuda:0"].found
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert by_subject()["GPU"].state == "lack"


def test_cpus_without_bf16_and_forbidden_rapl_are_notes_with_reasons(
    found: dict[str, Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    plain = {"cpu_name": "Old", "num_sockets": 1, "num_logical_cores": 2}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: plain)
    monkeypatch.setattr("paperlib.meters.energy.RAPL_FOLDERS", (Path(__file__).parent,))
    monkeypatch.setattr("paperlib.meters.energy.rapl", refuse)
    now = by_subject()
    assert now["bf16 on cpu"].state == "note"
    assert now["energy on cpu"].cure == doctor.RAPL_CURE


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_control_groups_cpu_limit(tmp_path: Path, files: dict[str, str], limit: float | None) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert cpu_limit(tmp_path) == limit
