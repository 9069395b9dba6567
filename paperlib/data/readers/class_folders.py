"""A user's own images: a folder with one folder a class (or train/, val/ and test/ with those inside)."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.data.readers.image_files import FORMATS, SUFFIXES, FileSplits, conversion_note, decode_splits
from paperlib.data.splits import holdout, with_validation

LIMITS = (8, 224)


def list_images(path: str) -> list[Path]:
    """All images under `path`, in the order in which `load_folder` reads them; raises as it does."""
    return _files(_splits(Path(path).expanduser())[0])


def load_folder(path: str, resolution: int | None, test_share: float) -> ImageSet:
    """All images under `path`, squeezed to `resolution` (None: shorter side of the first, 8 to 224 px).

    They have one channel if all files are grey, else three. With folders train and test (and val) these are the
    splits; else `test_share` of each class is the test split. Raises PaperlibError for a missing folder, fewer than
    two classes or a class with too few images.
    """
    root = Path(path).expanduser()
    file_splits, classes = _splits(root)
    files = _files(file_splits)
    size = resolution or min(max(min(_image_size(files[0])), LIMITS[0]), LIMITS[1])
    splits, converted = decode_splits(file_splits, size, "mend or remove it")
    if grey := converted.get("grey", 0) == len(files):
        splits = {name: Split(split.images[..., :1], split.labels) for name, split in splits.items()}
    division = "split by its folders"
    if "all" in splits:
        division = f"{test_share:.0%} of each class held out for testing"
        train_index, test_index = holdout(splits["all"].labels, test_share)
        splits = {"train": splits["all"].take(train_index), "test": splits["all"].take(test_index)}
    if "val" not in splits:
        division += ", a tenth of the rest for validation"
    train, val = with_validation(splits["train"], splits.get("val"))
    note = [f"own images of the folder {root.resolve().name}", division]
    note += [f"{size} x {size} pixels, {_original_sizes(files)}", "grey" if grey else conversion_note(converted)]
    provenance = Provenance("own", "; ".join(filter(None, note)), str(root))
    return ImageSet(f"folder:{path}", train, val, splits["test"], tuple(classes), provenance)


def _files(splits: FileSplits) -> list[Path]:
    return [file for files, _ in splits.values() for file in files]


def _splits(root: Path) -> tuple[FileSplits, list[str]]:
    """(files and labels of each split, or of `all`; class names)."""
    if not root.is_dir():
        raise PaperlibError(f"folder:{root}: no such folder; give one that holds a folder of images for each class")
    folders = {name: root / name for name in ("train", "val", "test") if (root / name).is_dir()}
    if "train" not in folders or "test" not in folders:
        folders = {"all": root}
    classes = _subfolders(folders.get("train", root))
    if len(classes) < 2:
        raise PaperlibError(f"{root}: expected a folder of images for each of 2 or more classes, found {classes}")
    splits = {}
    for split, folder in folders.items():
        if (actual := _subfolders(folder)) != classes:
            raise PaperlibError(f"{folder}: its classes {actual} differ from those of train, {classes}")
        by_class = [_class_images(folder / name) for name in classes]
        labels = np.repeat(np.arange(len(classes)), [len(files) for files in by_class])
        splits[split] = ([file for files in by_class for file in files], labels)
    return splits, classes


def _subfolders(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _class_images(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if len(files) < 3:
        raise PaperlibError(f"{folder}: a class needs at least 3 images to be split, found {len(files)}")
    return files


def _original_sizes(files: list[Path]) -> str:
    sizes = Counter(map(_image_size, files))
    (width, height), most = sizes.most_common(1)[0]
    return f"from {width} x {height}" + (f" and {len(sizes) - 1} other sizes" if most < len(files) else "")


def _image_size(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file, formats=FORMATS) as image:
            return image.size
    except OSError as error:
        raise PaperlibError(f"{file}: damaged or no image ({error}); mend or remove it") from None
