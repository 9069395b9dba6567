"""A user's own images: a folder with one folder a class (or train/, val/ and test/ with those inside)."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.data.readers.image_files import FORMATS, SUFFIXES, decode
from paperlib.data.splits import holdout, with_validation

LIMITS = (8, 224)


def files(path: str) -> list[Path]:
    """All images under `path`, in the order in which `load` reads them; raises as it does."""
    return [file for pairs in _listed(Path(path).expanduser())[0].values() for file, _ in pairs]


def load(path: str, resolution: int | None, test_share: float) -> ImageSet:
    """All images under `path`, squeezed to `resolution` (None: shorter side of the first, 8 to 224 px).

    They have one channel if all files are grey, else three. With folders train and test (and val) these are the
    splits; else `test_share` of each class is the test split. Raises PaperlibError for a missing folder, fewer than
    two classes or a class with too few images.
    """
    root = Path(path).expanduser()
    listed, classes = _listed(root)
    every = [file for pairs in listed.values() for file, _ in pairs]
    size = resolution or _side(every[0])
    images = decode(every, size, "mend or remove it")
    grey = images.converted.get("grey", 0) == len(every)
    pixels = images.images[..., :1] if grey else images.images
    ends = np.cumsum([len(pairs) for pairs in listed.values()])
    blocks = np.split(pixels, ends[:-1])
    splits = {
        name: Split(block, np.array([label for _, label in pairs], np.int64))
        for (name, pairs), block in zip(listed.items(), blocks, strict=True)
    }
    how = "split by its folders" if "all" not in splits else f"{test_share:.0%} of each class held out for testing"
    if "all" in splits:
        kept, held = holdout(splits["all"].labels, test_share)
        splits = {"train": splits["all"].take(kept), "test": splits["all"].take(held)}
    train, val = with_validation(splits["train"], splits.get("val"))
    if "val" not in splits:
        how += ", a tenth of the rest for validation"
    note = [f"own images of the folder {root.resolve().name}", how, f"{size} x {size} pixels, {_from_sizes(every)}"]
    note.append("grey" if grey else images.note)
    provenance = Provenance("own", "; ".join(filter(None, note)), str(root))
    return ImageSet(f"folder:{path}", train, val, splits["test"], tuple(classes), provenance)


def _listed(root: Path) -> tuple[dict[str, list[tuple[Path, int]]], list[str]]:
    """(images and labels of each split, or of `all`; class names)."""
    if not root.is_dir():
        raise PaperlibError(f"folder:{root}: no such folder; give one that holds a folder of images for each class")
    parts = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    if "train" not in parts or "test" not in parts:
        parts = {"all": root}
    classes = _subfolders(parts.get("train", root))
    if len(classes) < 2:
        raise PaperlibError(f"{root}: expected a folder of images for each of 2 or more classes, found {classes}")
    return {name: _files(part, classes) for name, part in parts.items()}, classes


def _from_sizes(files: list[Path]) -> str:
    sizes = Counter(_size(file) for file in files)
    (width, height), most = sizes.most_common(1)[0]
    return f"from {width} x {height}" + (f" and {len(sizes) - 1} other sizes" if most < len(files) else "")


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(part: Path, classes: list[str]) -> list[tuple[Path, int]]:
    found: list[tuple[Path, int]] = []
    if (other := _subfolders(part)) != classes:
        raise PaperlibError(f"{part}: its classes {other} differ from those of train, {classes}")
    for label, name in enumerate(classes):
        files = sorted(p for p in (part / name).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if len(files) < 3:
            raise PaperlibError(f"{part / name}: a class needs at least 3 images to be split, found {len(files)}")
        found += [(file, label) for file in files]
    return found


def _side(file: Path) -> int:
    return min(max(min(_size(file)), LIMITS[0]), LIMITS[1])


def _size(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except OSError as error:
        raise PaperlibError(f"{file}: damaged or no image ({error}); mend or remove it") from None
