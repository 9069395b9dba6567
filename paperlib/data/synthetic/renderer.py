"""Draws industrial parts in the COCO layout: random pose, surface, light and position, one part an image.

Faces are flat-shaded (ambient, diffuse, specular) and painted from far to near over a shaded, noisy ground.
"""

import json
import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from paperlib.core.errors import PaperlibError
from paperlib.data.readers.coco import FOLDERS, LABEL, TABLE
from paperlib.data.readers.image_files import progress
from paperlib.data.registry import DATASETS
from paperlib.data.synthetic.meshes import Mesh, builtin_meshes, load_meshes
from paperlib.schema.images import Source

SIZE = 224
STAND_IN = 2_000
OWN = "rendered from the package's own ten solids; not the industrial set"
REBUILT = "rendered anew from the folder of meshes; not the published images"
EYE = 4.0
Vector = NDArray[np.float64]


def split_counts(images: int) -> tuple[int, int, int]:
    """70/10/20 (paper F, section 3.3)."""
    val, test = round(0.1 * images), round(0.2 * images)
    return images - val - test, val, test


def render_images(target: Path, meshes: Path | None, images: int, seed: int) -> Source:
    """Draws `images` pictures of SIZE px into `target` and returns their provenance word.

    meshes: folder with one .ply or .stl for each class (`rebuilt`), or None for own solids (`stand-in`).
    The same arguments give the same pixels. Replaces an earlier drawing, nothing else: PaperlibError if
    `target` holds other things, for less than one image a class in a split, and for meshes that do not load.
    """
    classes = DATASETS["industrial"].classes
    if split_counts(images)[1] < len(classes):
        raise PaperlibError(f"{images} images leave a split of the 10 classes empty; ask for at least 100")
    if target.exists() and not (target / LABEL).is_file() and any(target.iterdir()):
        raise PaperlibError(f"{target}: holds other files than a drawing of ours; name another folder")
    _shapes(meshes)  # meshes that do not load are told before anything is drawn
    source: Source = "rebuilt" if meshes else "stand-in"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        fresh = Path(scratch) / "new"
        # Few images stay in this process: workers take seconds to start.
        workers = min(os.cpu_count() or 1, 16) if images > STAND_IN else 1
        for number, (folder, n) in enumerate(zip(FOLDERS.values(), split_counts(images), strict=True)):
            labels = np.random.default_rng([seed, number]).permutation(np.arange(n) % len(classes))
            _render_split(fresh / folder, labels.tolist(), seed * 3 + number, meshes, workers)
        note = f"{REBUILT if meshes else OWN}; {images:,} images, seed {seed}"
        (fresh / LABEL).write_text(json.dumps({"source": source, "note": note}))
        if target.exists():
            target.rename(Path(scratch) / "old")
        # Another process may have drawn the same set meanwhile: the later one leaves it.
        with suppress(OSError):
            fresh.rename(target)
    return source


def _render_split(folder: Path, labels: list[int], stream: int, meshes: Path | None, workers: int) -> None:
    """One picture for each label, and the table of their classes and boxes."""
    from joblib import Parallel, delayed

    (folder / "images").mkdir(parents=True)
    files = [folder / "images" / f"{number:06d}.jpg" for number in range(len(labels))]
    drawn = Parallel(workers, return_as="generator")(
        delayed(_draw_file)(file, meshes, label, (stream, number))
        for number, (file, label) in enumerate(zip(files, labels, strict=True))
    )
    boxes = list(progress(drawn, "drawing parts", len(files)))
    table = {
        "images": [{"id": i, "file_name": file.name, "width": SIZE, "height": SIZE} for i, file in enumerate(files)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(DATASETS["industrial"].classes)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for i, (label, box) in enumerate(zip(labels, boxes, strict=True))
        ],
    }
    (folder / TABLE).write_text(json.dumps(table))


@lru_cache(maxsize=1)
def _shapes(folder: Path | None) -> list[Mesh]:
    return load_meshes(folder) if folder else builtin_meshes()


def _draw_file(file: Path, meshes: Path | None, label: int, seed: tuple[int, int]) -> list[float]:
    image, box = draw(_shapes(meshes)[label], np.random.default_rng(seed))
    image.save(file, quality=90)
    return box


def draw(mesh: Mesh, rng: np.random.Generator) -> tuple[Image.Image, list[float]]:
    """One picture of SIZE x SIZE pixels in RGB, and the part's box [x, y, width, height] in pixels."""
    points = mesh.vertices @ _rotation(rng).T
    reach = rng.uniform(0.30, 0.44) * SIZE
    near = EYE / (EYE - points[:, 2])
    centre = SIZE / 2 + rng.uniform(-1, 1, 2) * (SIZE * 0.48 - reach)
    flat = centre + reach * near[:, None] * points[:, :2] * [1, -1]
    corners = points[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    middle = corners.mean(1)
    eye = np.array([0, 0, EYE]) - middle
    facing = (normals * eye).sum(1)
    if not mesh.closed:
        normals, facing = normals * np.sign(facing)[:, None], np.ones_like(facing)
    shown = np.flatnonzero(facing > 0)
    shown = shown[np.argsort(middle[shown, 2])]
    colours = _shade(normals[shown], eye[shown], rng)
    image = _ground(rng)
    pen = ImageDraw.Draw(image)
    triangles = flat[mesh.faces[shown]].reshape(-1, 6)
    for outline, colour in zip(triangles.tolist(), map(tuple, colours.tolist()), strict=True):
        pen.polygon(outline, fill=colour)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.9)))
    low, high = flat.min(0), flat.max(0)
    return image, [round(float(v), 1) for v in (*low, *(high - low))]


def _rotation(rng: np.random.Generator) -> Vector:
    """A rotation matrix, uniform over all of them (from a unit quaternion)."""
    q = rng.normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _shade(normals: Vector, eye: Vector, rng: np.random.Generator) -> NDArray[np.uint8]:
    light = rng.normal(size=3)
    light[2] = abs(light[2]) + 0.6
    light /= np.linalg.norm(light)
    half = eye / np.linalg.norm(eye, axis=1, keepdims=True) + light
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    diffuse = np.clip(normals @ light, 0, None)
    shine = np.clip((normals * half).sum(1), 0, None) ** rng.uniform(8, 40)
    surface = rng.uniform(0.35, 0.85) + rng.normal(0, 0.06, 3)
    level = rng.uniform(0.15, 0.35) + rng.uniform(0.5, 0.8) * diffuse
    colour = level[:, None] * surface + rng.uniform(0.05, 0.5) * shine[:, None]
    return (np.clip(colour, 0, 1) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 1, (2 * SIZE, 2 * SIZE, 1)).astype(np.float32)


def _ground(rng: np.random.Generator) -> Image.Image:
    x, y = rng.integers(0, SIZE, 2)
    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    slope = rng.normal(0, 18, 2)
    ramp = slope[0] * axis[:, None, None] + slope[1] * axis[None, :, None]
    base = rng.uniform(40, 200) + rng.normal(0, 10, 3)
    grain = rng.uniform(2, 12) * _grain()[x : x + SIZE, y : y + SIZE]
    return Image.fromarray(np.clip(base + ramp + grain, 0, 255).astype(np.uint8), "RGB")
