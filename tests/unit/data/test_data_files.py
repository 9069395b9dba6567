"""Sets of image files in tiny official layouts: VisA, COCO, class folders; the missing or cut are named."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paperlib import data
from paperlib.core.errors import PaperlibError
from paperlib.data import DATASETS
from paperlib.data.imageset import Split
from paperlib.data.readers import image_files
from paperlib.data.sources import leaks, verify
from tests.unit.data.test_readers import write_idx

CLASSES = DATASETS["industrial"].classes


def picture(path: Path, level: int, mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).convert(mode).save(path)
    return path


def visa(mirror: Path, normal: int = 20, anomalous: int = 10) -> Path:
    root = mirror / "VisA"
    rows = []
    for name, digits in (("capsules", 3), ("pcb1", 4)):
        for label, n in (("normal", normal), ("anomaly", anomalous)):
            for i in range(n):
                image = f"{name}/Data/Images/{label.capitalize()}/{i:0{digits}d}.JPG"
                picture(root / image, 200 if label == "anomaly" else 50)
                rows.append([name, "train" if i % 2 else "test", label, image, ""])
    rows.append(["candle", "train", "normal", "candle/Data/Images/Normal/0000.JPG", ""])
    (root / "split_csv").mkdir()
    for table in ("1cls", "2cls_highshot"):
        write_csv(root / "split_csv" / f"{table}.csv", rows)
    return root


def write_csv(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["object", "split", "label", "image", "mask"], *rows])


def test_visa_is_split_80_20_within_each_object_and_label(mirror):
    visa(mirror)
    images = data.load("visa", 16)
    assert images.shape == (16, 16, 3) and images.classes == ("normal", "anomaly")
    assert np.bincount(images.test.labels).tolist() == [8, 4]
    assert len(images.train) + len(images.val) == 48
    assert images.provenance.source == "subset" and "2 of 12 objects" in images.provenance.note
    for split in (images.train, images.val, images.test):
        assert np.array_equal(split.images[:, 0, 0, 0] > 100, split.labels == 1)


def test_visa_options(mirror):
    visa(mirror)
    high = data.load("visa@2cls_highshot", 16)
    assert len(high.test) == 30
    assert len(data.load("visa@2cls_highshot:pcb1", 16).test) == 15
    with pytest.raises(PaperlibError, match=r"no object 'candle'.*capsules, pcb1"):
        data.load("visa:candle", 16)


@pytest.mark.parametrize(
    "row",
    [
        ["capsules", "train", "broken", "capsules/x.JPG", ""],
        ["capsules", "third", "normal", "capsules/x.JPG", ""],
        ["capsules", "train", "normal", "../../x.JPG", ""],
        ["capsules", "train", "normal", "/etc/x.JPG", ""],
        ["..", "train", "normal", "x.JPG", ""],
        ["capsules"],
    ],
)
def test_a_wrong_csv_row_is_named_with_its_line(mirror, row):
    root = visa(mirror)
    write_csv(root / "split_csv/1cls.csv", [["capsules", "train", "normal", "capsules/a.JPG", ""], row])
    with pytest.raises(PaperlibError, match=r"1cls\.csv, line 3: expected"):
        data.load("visa")


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda p: p.write_bytes(p.read_bytes()[:200]), lambda p: p.write_text("x")]
)
def test_a_missing_or_cut_image_is_named_with_its_cure(mirror, spoil):
    victim = visa(mirror) / "pcb1/Data/Images/Normal/0007.JPG"
    spoil(victim)
    with pytest.raises(PaperlibError) as error:
        data.load("visa", 16)
    assert str(victim) in str(error.value) and "paperlib data fetch visa --force" in str(error.value)
    (check,) = verify(["visa"])
    assert not check.ok and str(victim) in check.message


def test_grey_and_cmyk_images_are_converted_and_counted(mirror):
    root = visa(mirror)
    picture(root / "pcb1/Data/Images/Normal/0001.JPG", 50, "L")
    picture(root / "pcb1/Data/Images/Normal/0002.JPG", 50, "CMYK")
    images = data.load("visa", 16)
    assert "converted to RGB: 1 CMYK, 1 grey" in images.provenance.note
    assert len(images.train) + len(images.val) + len(images.test) == 60


def coco(mirror: Path, per_class: int = 4) -> Path:
    for folder in ("Train_Dataset", "Valid_Dataset", "Test_Dataset"):
        root = mirror / "industrial" / folder
        images = [{"id": i + 100, "file_name": f"{i:06d}.jpg"} for i in range(per_class * 10)]
        marks = [{"id": i, "image_id": i + 100, "category_id": 20 - i % 10} for i in range(per_class * 10)]
        for i in range(per_class * 10):
            picture(root / f"images/{i:06d}.jpg", 10 + 20 * (i % 10))
        names = [{"id": 20 - i, "name": name} for i, name in enumerate(CLASSES)]
        (root / "coco_annotations.json").write_text(
            json.dumps({"images": images, "annotations": marks, "categories": names})
        )
    return mirror / "industrial"


def test_coco_takes_the_class_from_the_category(mirror):
    coco(mirror)
    images = data.load("industrial", 16)
    assert images.provenance.source == "subset" and images.classes == CLASSES
    assert np.bincount(images.val.labels).tolist() == [4] * 10
    level = images.test.images[:, 8, 8, 0].astype(int)
    assert np.abs(level - (10 + 20 * images.test.labels)).max() <= 2


def test_reduced_arm_keeps_the_balance(mirror):
    coco(mirror, 12)
    images = data.load("industrial-reduced", 16)
    assert set(np.bincount(images.train.labels)) <= {2, 3} and len(images.train) == round(120 * 0.17092)
    assert "reduced arm" in images.provenance.note


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["annotations"].pop(), "found none"),
        (
            lambda t: t["annotations"].append({"image_id": 100, "category_id": 15}),
            "000000.jpg needs one category",
        ),
        (lambda t: t["images"][0].update(file_name="../../x.jpg"), "leaves its folder"),
        (lambda t: t["categories"][0].update(name="spoon"), "spoon"),
        (lambda t: t.pop("images"), "not a COCO file"),
        (lambda t: t["images"].clear(), "no image of class"),
    ],
)
def test_wrong_annotations_are_one_clear_line(mirror, change, said):
    path = coco(mirror) / "Valid_Dataset/coco_annotations.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))
    with pytest.raises(PaperlibError, match=said) as error:
        data.load("industrial")
    assert str(path) in str(error.value)


def test_missing_coco_image_is_named(mirror):
    lost = coco(mirror) / "Test_Dataset/images/000003.jpg"
    lost.unlink()
    with pytest.raises(PaperlibError, match=r"000003\.jpg"):
        data.load("industrial", 16)


def test_own_folder_of_class_folders(tmp_path):
    root = tmp_path / "mine"
    for label, level in (("bad", 40), ("good", 220)):
        for i in range(10):
            picture(root / label / f"{i}.png", level, size=(30, 20))
    (root / "good/notes.txt").write_text("no image")
    images = data.load(f"folder:{root}")
    assert images.shape == (20, 20, 3) and images.classes == ("bad", "good")
    assert (len(images.train), len(images.val), len(images.test)) == (14, 2, 4)
    assert np.array_equal(images.test.images[:, 0, 0, 0] > 100, images.test.labels == 1)
    for path in (root / "good").glob("*.png"):
        path.unlink()
    data._load.cache_clear()
    with pytest.raises(PaperlibError, match=r"good.*at least 3 images"):
        data.load(f"folder:{root}")


@pytest.mark.parametrize("name", ["with spaces", 'd\'été "quoted"', "数据 𝛑", "$HOME `id` %s {0} #", "-rf"])
def test_odd_names_of_folders_change_no_image(name, tmp_path, monkeypatch):
    for root in (tmp_path / "plain", tmp_path / name):
        write_idx(root / "fashionmnist", DATASETS["fashionmnist"])
        for label, level in (("good one", 220), ("schlecht ß", 40)):
            for i in range(10):
                picture(root / "own" / label / f"{i} '.png", level + i)

    def images(root):
        monkeypatch.setenv("PAPERLIB_DATA", str(root))
        data._load.cache_clear()
        return [data.load("fashionmnist"), data.load(f"folder:{root / 'own'}")]

    for plain, odd in zip(images(tmp_path / "plain"), images(tmp_path / name), strict=True):
        assert odd.content_hash == plain.content_hash and odd.classes == plain.classes
        assert odd.provenance.source != "stand-in", "the folder was not found"


def test_own_folder_with_its_own_splits(tmp_path):
    for split, n in (("train", 10), ("val", 3), ("test", 5)):
        for label in ("a", "b"):
            for i in range(n):
                picture(tmp_path / "mine" / split / label / f"{i}.png", 9)
    images = data.load(f"folder:{tmp_path / 'mine'}", 8)
    assert (len(images.train), len(images.val), len(images.test)) == (20, 6, 10)


def test_decoded_once_and_again_when_a_byte_changes(tmp_path, monkeypatch):
    files = [picture(tmp_path / f"{i}.png", 10 * i) for i in range(5)]
    first = image_files.decode(files, 8, "cure")[0]
    assert first[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
    calls = []
    real = image_files._image
    monkeypatch.setattr(image_files, "_image", lambda *a: calls.append(a) or real(*a))
    assert np.array_equal(image_files.decode(files, 8, "cure")[0], first) and not calls
    picture(files[2], 99)
    assert image_files.decode(files, 8, "cure")[0][2, 0, 0, 0] == 99 and len(calls) == 5


def test_a_bomb_and_a_deep_image_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 100)
    with pytest.raises(PaperlibError, match=r"big\.png.*at most 100"):
        image_files.decode([picture(tmp_path / "big.png", 1)], 8, "cure")
    monkeypatch.undo()
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    Image.fromarray(np.ones((8, 8), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(PaperlibError, match=r"deep\.png.*8 bits"):
        image_files.decode([tmp_path / "deep.png"], 8, "cure")


@pytest.mark.parametrize("seed", range(20))
def test_leaks_are_those_of_a_double_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, test = rng.integers(1, 12, 2)

    def split(n: int) -> Split:
        return Split(rng.integers(0, 2, (n, 2, 2, 1), dtype=np.uint8), np.zeros(n, np.int64))

    parts = {"train": split(train), "val": split(2), "test": split(test)}
    seen = [*parts["train"].images, *parts["val"].images]
    assert leaks(parts) == sum(any((a == b).all() for b in seen) for a in parts["test"].images)
