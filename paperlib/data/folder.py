"""A user's own images: a folder with one folder a class (or train/, val/ and test/ with those inside)."""

from pathlib import Path

import numpy as np
from PIL import Image

from paperlib.data.decode import FORMATS, SUFFIXES, decode
from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.data.splits import holdout, with_validation
from paperlib.errors import PaperlibError

LIMITS = (8, 224)


def load(path: str, resolution: int | None) -> ImageSet:
    """All images under `path` in RGB, resized to `resolution` (None: shorter side of the first, 8 to 224).

    With folders train and test (and val) these are the splits; else 20 % of each class are the test split.
    Raises PaperlibError for a missing folder, fewer than two classes or a class with too few images.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise PaperlibError(f"folder:{path}: no such folder; give one that holds a folder of images for each class")
    parts = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    if "train" not in parts or "test" not in parts:
        parts = {"all": root}
    classes = _subfolders(parts.get("train", root))
    if len(classes) < 2:
        raise PaperlibError(f"{root}: expected a folder of images for each of 2 or more classes, found {classes}")
    listed = {name: _files(part, classes) for name, part in parts.items()}
    files = [file for pairs in listed.values() for file, _ in pairs]
    images = decode(files, resolution or _side(files[0]), "mend or remove it")
    ends = np.cumsum([len(pairs) for pairs in listed.values()])
    blocks = np.split(images.images, ends[:-1])
    splits = {
        name: Split(block, np.array([label for _, label in pairs], np.int64))
        for (name, pairs), block in zip(listed.items(), blocks, strict=True)
    }
    if "all" in splits:
        kept, held = holdout(splits["all"].labels, 0.2)
        splits = {"train": splits["all"].take(kept), "test": splits["all"].take(held)}
    train, val = with_validation(splits["train"], splits.get("val"))
    provenance = Provenance("official", "; ".join(filter(None, ("the user's own images", images.note))), str(root))
    return ImageSet(f"folder:{path}", train, val, splits["test"], tuple(classes), provenance)


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
    try:
        with Image.open(file, formats=FORMATS) as image:
            return min(max(min(image.size), LIMITS[0]), LIMITS[1])
    except OSError as error:
        raise PaperlibError(f"{file}: damaged or no image ({error}); mend or remove it") from None
