"""Names of data sets, parsed, and the images that were found for one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Parts
from paperlib.data.registry import DATASETS, DatasetInfo
from paperlib.schema.images import Source

REDUCED = "reduced"


@dataclass(frozen=True)
class Spec:
    """A parsed data set name: `NAME[@OPTION][:OBJECT,OBJECT]`."""

    info: DatasetInfo
    option: str = ""
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one data set that was to be fetched or verified, in a line."""

    name: str
    ok: bool
    message: str


@dataclass(frozen=True)
class ResolvedSource:
    """Images that can be read.

    source, note, where: their provenance. files: all that the images depend on; of drawn ones the code that draws
    them. counts: images in (train, validation, test), validation 0 where it is taken from train later.
    size: height and width in pixels that `read` gives.
    read: gives the splits and a further note that only reading can tell, or ''.
    """

    source: Source
    note: str
    where: str
    files: tuple[Path, ...]
    counts: tuple[int, int, int]
    size: int
    read: Callable[[], tuple[Parts, str]]


def parse_name(name: str) -> Spec:
    """`mnist`, `industrial-reduced`, `visa@2cls_highshot:capsules`, …; PaperlibError for anything else."""
    head, _, tail = name.partition(":")
    head, _, option = head.partition("@")
    if head == f"industrial-{REDUCED}":
        head, option = "industrial", REDUCED
    info = DATASETS[head]
    options = {"visa": ("2cls_highshot",), "industrial": (REDUCED,)}.get(head, ())
    if option and option not in options:
        raise PaperlibError(f"data set {head!r} has no option {option!r} (known: {', '.join(options) or 'none'})")
    if (tail or name.endswith(":")) and info.kind != "visa":
        raise PaperlibError(f"data set {head!r} takes no ':{tail}'; only visa does, e.g. visa:capsules,macaroni1")
    return Spec(info, option, tuple(sorted(o for o in tail.split(",") if o)))
