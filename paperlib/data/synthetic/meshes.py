"""Shapes to draw: meshes from a folder, or ten parametric solids of our own with the same class names."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from paperlib.core.errors import PaperlibError
from paperlib.data.registry import DATASETS

Points = NDArray[np.float64]
Faces = NDArray[np.intp]
MAX_FACES = 3_000
MAX_EDGE = 0.4
SEGMENTS = 32  # of a solid of revolution
MESH_SUFFIXES = (".ply", ".stl")


@dataclass(frozen=True, eq=False)
class Mesh:
    """vertices (V, 3), centred and within the unit ball; faces (F, 3); `closed`: faces turn outward."""

    vertices: Points
    faces: Faces
    closed: bool


def load_meshes(folder: Path) -> list[Mesh]:
    """One mesh for each class of `industrial`, by file name, thinned out to about MAX_FACES faces.

    Raises PaperlibError for a missing folder, a missing class and a file that is no mesh.
    """
    if not folder.is_dir():
        raise PaperlibError(f"{folder}: no such folder of meshes")
    classes = DATASETS["industrial"].classes
    files = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in MESH_SUFFIXES}
    if lacking := [c for c in classes if c not in files]:
        raise PaperlibError(f"{folder}: lacks a mesh for {', '.join(lacking)}; expected NAME.ply or NAME.stl for each")
    return [_load(files[c]) for c in classes]


def _load(path: Path) -> Mesh:
    import trimesh

    try:
        shape = trimesh.load_mesh(path)
        vertices, faces = np.asarray(shape.vertices, float), np.asarray(shape.faces, np.intp)
        if not len(faces) or not np.isfinite(vertices).all():
            raise ValueError("no faces, or vertices that are not finite")
        closed = bool(shape.is_winding_consistent and shape.is_watertight)
        if closed and shape.volume < 0:
            faces = faces[:, ::-1]
    except Exception as error:  # a foreign file can fail the parser in any way
        raise PaperlibError(f"{path}: no mesh that can be read ({str(error) or type(error).__name__})") from None
    return _thin(vertices, faces, closed)


def _thin(vertices: Points, faces: Faces, closed: bool) -> Mesh:
    """Merges vertices that share a cell of a grid, coarser until few enough faces remain."""
    vertices = _unit(vertices)
    cells = 256
    while len(faces) > MAX_FACES and cells > 8:
        cells = round(cells * 0.85)
        key = np.round(vertices * cells / 2).astype(np.int64)
        _, first, which = np.unique(key, axis=0, return_index=True, return_inverse=True)
        vertices, faces = vertices[first], which.reshape(-1)[faces]
        a, b, c = faces.T
        faces = faces[(a != b) & (b != c) & (a != c)]
    return Mesh(vertices, faces, closed)


def _unit(vertices: Points) -> Points:
    centred = vertices - (vertices.max(0) + vertices.min(0)) / 2
    return centred / np.linalg.norm(centred, axis=1).max()


def _revolve(profile: list[tuple[float, float]]) -> tuple[Points, Faces]:
    """A solid of revolution about z from (radius, height) pairs, bottom to top; caps included."""
    rings = [(0.0, profile[0][1]), *profile, (0.0, profile[-1][1])]
    points = np.concatenate([_at_height(_polar(np.full(SEGMENTS, r)), z) for r, z in rings])
    i = np.arange(SEGMENTS)
    j = (i + 1) % SEGMENTS
    faces = []
    for low, high in pairwise(SEGMENTS * np.arange(len(rings))):
        faces += [np.stack([low + i, low + j, high + j], 1), np.stack([low + i, high + j, high + i], 1)]
    return points, np.concatenate(faces)


def _prism(outline: Points, low: float, high: float) -> tuple[Points, Faces]:
    """A prism over a counter-clockwise outline that its centre sees whole."""
    n = len(outline)
    flat = np.concatenate([outline, outline.mean(0, keepdims=True)])
    points = np.concatenate([_at_height(flat, low), _at_height(flat, high)])
    i = np.arange(n)
    j = (i + 1) % n
    top = n + 1
    sides = [np.stack([i, j, top + j], 1), np.stack([i, top + j, top + i], 1)]
    caps = [np.stack([j, i, np.full(n, n)], 1), np.stack([top + i, top + j, np.full(n, top + n)], 1)]
    return points, np.concatenate(sides + caps)


def _box(x: float, y: float, low: float, high: float, at: tuple[float, float] = (0, 0)) -> tuple[Points, Faces]:
    corners = np.array([(-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0)], float)
    return _prism(corners * [x, y] + at, low, high)


def _polar(radii: NDArray[np.float64]) -> Points:
    turn = 2 * np.pi * np.arange(len(radii)) / len(radii)
    return np.stack([radii * np.cos(turn), radii * np.sin(turn)], 1)


def _at_height(outline: Points, z: float) -> Points:
    return np.column_stack([outline, np.full(len(outline), z)])


def _along_x(part: tuple[Points, Faces]) -> tuple[Points, Faces]:
    """The part with its z axis laid along x."""
    return part[0][:, [2, 0, 1]], part[1]


def _join(*parts: tuple[Points, Faces]) -> Mesh:
    starts = np.cumsum([0] + [len(p) for p, _ in parts])
    faces = np.concatenate([f + s for (_, f), s in zip(parts, starts[:-1], strict=True)])
    from trimesh.remesh import subdivide_to_size

    # Painting from far to near goes wrong where one long face passes another: keep faces short.
    points, faces = subdivide_to_size(_unit(np.concatenate([p for p, _ in parts])), faces, MAX_EDGE)
    return Mesh(points, faces, True)


def builtin_meshes() -> list[Mesh]:
    """Ten solids in the spirit of the class names, in the order of the classes."""
    rounded = 0.75 + 0.25 * np.cos(3 * 2 * np.pi * np.arange(48) / 48)
    arc = np.linspace(0.15, 1.6, 13) * np.pi
    clamp = [
        _prism(np.array([(0.7 * np.cos(a), 0.7 * np.sin(a)), (np.cos(a), np.sin(a)),
                         (np.cos(b), np.sin(b)), (0.7 * np.cos(b), 0.7 * np.sin(b))]), -0.25, 0.25)
        for a, b in pairwise(arc)
    ]  # fmt: skip
    fins = [
        (r, -0.9 + 0.15 * k + d) for k in range(12) for r, d in ((0.5, 0.0), (0.5, 0.07), (0.95, 0.07), (0.95, 0.15))
    ]
    plates = [_box(0.8, 0.8, -0.8 + 0.25 * k, -0.7 + 0.25 * k) for k in range(7)]
    cylinder = [(0.35, -0.9), (0.35, 0.9)]
    points = np.where(np.arange(10) % 2, 0.42, 1.0)
    thread = [(0.42 + 0.13 * (k % 2), -1 + 0.1 * k) for k in range(21)]
    pin = [(0.2, -1.0), (0.2, -0.2), (0.45, -0.2), (0.45, 0.3), (0.3, 0.3), (0.3, 0.6)]
    return [
        _join(_prism(_polar(rounded), -0.08, 0.08), _revolve([(0.25, 0.08), (0.2, 0.3)])),
        _join(_box(1, 0.5, -0.1, 0.1), _box(0.1, 0.5, 0.1, 1.0, (-0.9, 0)), _box(0.1, 0.1, 0.1, 0.5, (-0.7, 0))),
        _join(*clamp, _box(0.5, 0.12, -0.25, 0.25, (1.2, 0.55))),
        _join(_revolve(fins)),
        _join(*plates, _box(0.45, 0.45, -0.9, 1.0)),
        _join(_revolve(pin), _along_x(_revolve([(0.18, 0.0), (0.18, 0.8)])), _box(0.6, 0.25, -0.35, -0.2)),
        _join(
            _revolve([(0.16, -1.0), (0.2, -0.9), (0.2, 0.5), (0.5, 0.5), (0.5, 0.8)]),
            _prism(_polar(np.full(6, 0.36)), 0.8, 0.9),
        ),
        _join(_prism(_polar(points), -0.15, 0.15)),
        _join(_along_x(_revolve(cylinder)), _revolve([(0.35, 0.0), (0.35, 0.8), (0.45, 0.8), (0.45, 0.95)])),
        _join(_revolve(thread)),
    ]
