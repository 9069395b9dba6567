"""Array files: what is read comes out as written; what is damaged, hostile or of another set is refused."""

import gzip
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paperlib.core.errors import PaperlibError
from paperlib.data.readers import arrays as formats
from paperlib.data.registry import CIFAR_BATCHES, DATASETS, idx_names

MNIST, CIFAR, EMNIST = DATASETS["mnist"], DATASETS["cifar10"], DATASETS["emnist"]


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_idx(folder: Path, info, n: int = 20, zipped: bool = True) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for name in idx_names(info):
        array = rng.integers(0, 256, (n, 28, 28)) if "images" in name else np.arange(n) % 10
        arrays.append(array.astype(np.uint8))
        data = idx_bytes(arrays[-1])
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(data) if zipped else data)
    return arrays


def write_npz(path: Path, n: int = 30, **over) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    arrays = {
        "train_images": rng.integers(0, 256, (n, 28, 28)).astype(np.uint8),
        "train_labels": (np.arange(n) % 10).astype(np.uint8)[:, None],
        "test_images": rng.integers(0, 256, (n, 28, 28)).astype(np.uint8),
        "test_labels": (np.arange(n) % 10).astype(np.uint8),
    } | over
    np.savez(path, **arrays)
    return arrays


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_comes_out_as_written(tmp_path, zipped):
    arrays = write_idx(tmp_path, MNIST, zipped=zipped)
    parts = formats.read_idx(MNIST, formats.batch_files(MNIST, tmp_path))
    assert np.array_equal(parts["train"].images[..., 0], arrays[0])
    assert np.array_equal(parts["test"].labels, arrays[3])


def test_emnist_comes_out_upright(tmp_path):
    arrays = write_idx(tmp_path, EMNIST)
    parts = formats.read_idx(EMNIST, formats.batch_files(EMNIST, tmp_path))
    assert np.array_equal(parts["train"].images[3, :, :, 0], arrays[0][3].T)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:9],
        lambda data: b"",
        lambda data: b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 4) + b"x",
        lambda data: b"\0\0\x0d" + data[3:],
    ],
    ids=["short", "long", "header cut", "empty", "huge", "floats"],
)
def test_spoiled_idx_is_named_with_its_cure(tmp_path, spoil):
    write_idx(tmp_path, MNIST, zipped=False)
    path = tmp_path / idx_names(MNIST)[0]
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(PaperlibError) as error:
        formats.read_idx(MNIST, formats.batch_files(MNIST, tmp_path))
    assert str(path) in str(error.value) and "paperlib data fetch mnist --force" in str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_clear_error_or_an_array(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "x-idx1.gz"
    path.write_bytes(data)
    with pytest.raises(PaperlibError):
        formats._idx(MNIST, path, 1)
    with pytest.raises(PaperlibError):
        formats.npz_shapes(MNIST, path, 28)
    with pytest.raises(PaperlibError):
        formats._batch(CIFAR, path)


def test_npz_comes_out_as_written(tmp_path):
    arrays = write_npz(tmp_path / "mnist.npz")
    parts = formats.read_npz(MNIST, tmp_path / "mnist.npz", 28)
    assert np.array_equal(parts["train"].images[..., 0], arrays["train_images"])
    assert parts["train"].labels.tolist() == arrays["train_labels"][:, 0].tolist()
    assert "val" not in parts


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"train_images": np.zeros((30, 32, 32), np.uint8)}, "(N, 28, 28"),
        ({"train_images": np.zeros((30, 28, 28, 3), np.uint8)}, "uint8 images"),
        ({"train_images": np.zeros((30, 28, 28))}, "float64"),
        ({"train_labels": np.full(30, 10, np.uint8)}, "labels 0 to 9"),
        ({"train_labels": np.full(30, -1)}, "labels 0 to 9"),
        ({"train_labels": np.zeros(29, np.uint8)}, "one for each image"),
        ({"test_labels": np.zeros(30)}, "whole-number"),
        ({"test_labels": np.array([{}] * 30, object)}, "Python objects"),
    ],
)
def test_npz_of_another_kind_is_refused(tmp_path, over, said):
    write_npz(tmp_path / "mnist.npz", **over)
    with pytest.raises(PaperlibError, match=r"mnist\.npz.*paperlib data fetch mnist --force") as error:
        formats.read_npz(MNIST, tmp_path / "mnist.npz", 28)
    assert said in str(error.value)


def test_npz_with_a_flipped_byte_or_a_false_header_is_refused(tmp_path):
    path = tmp_path / "mnist.npz"
    write_npz(path)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(PaperlibError, match="CRC"):
        formats.read_npz(MNIST, path, 28)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", header.getvalue())
    with pytest.raises(PaperlibError, match="declares"):
        formats.read_npz(MNIST, path, 28)


def write_cifar(folder: Path, protocol: int = 2, n: int = 4) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(2).integers(0, 256, (6, n, 3072)).astype(np.uint8)
    for name, data in zip(CIFAR_BATCHES, pixels, strict=True):
        batch = {b"data": data, b"labels": [i % 10 for i in range(n)], b"filenames": [b"a"] * n}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    return pixels


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_cifar_batches_come_out_as_written(tmp_path, protocol):
    pixels = write_cifar(tmp_path, protocol)
    parts = formats.read_cifar(CIFAR, formats.batch_files(CIFAR, tmp_path))
    red = pixels[1, 2].reshape(3, 32, 32)[0]
    assert np.array_equal(parts["train"].images[6, :, :, 0], red)
    assert parts["train"].images.shape == (20, 32, 32, 3) and len(parts["test"]) == 4


class Trap:
    def __init__(self, call, *arguments):
        self.call = (call, arguments)

    def __reduce__(self):
        return self.call


def test_a_booby_trapped_batch_is_refused_and_does_nothing(tmp_path):
    write_cifar(tmp_path)
    sprung = tmp_path / "sprung"
    for trap in (Trap(os.system, f"touch {sprung}"), Trap(eval, f"open({str(sprung)!r}, 'w')")):
        (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": trap, b"labels": [1]}, 2))
        with pytest.raises(PaperlibError, match=r"data_batch_3.*not data.*fetch cifar10 --force"):
            formats.read_cifar(CIFAR, formats.batch_files(CIFAR, tmp_path))
    assert not sprung.exists()


def test_a_batch_of_the_wrong_shape_is_refused(tmp_path):
    write_cifar(tmp_path)
    bad = {b"data": np.zeros((4, 3000), np.uint8), b"labels": [0] * 4}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(bad, 2))
    with pytest.raises(PaperlibError, match="test_batch"):
        formats.read_cifar(CIFAR, formats.batch_files(CIFAR, tmp_path))
