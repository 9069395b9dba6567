"""Names of data sets, parsed, and where their images were found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Source
from paperlib.data.readers.arrays import Parts
from paperlib.data.registry import DATASETS, DatasetInfo

REDUCED = "reduced"


@dataclass(frozen=True)
class Spec:
    """A parsed data set name: `NAME[@OPTION][:OBJECT,OBJECT]`."""

    info: DatasetInfo
    option: str = ""
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResolvedSource:
    """Images that can be read: provenance, files, counts (train, validation, test) and how to read them.

    `files` are all that the images depend on; of drawn ones the code that draws them.

    `size` is the height and width that `read` gives, with a further note that only reading can tell (or '').
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
    allowed = {"visa": ("2cls_highshot",), "industrial": (REDUCED,)}.get(head, ())
    if option and option not in allowed:
        raise PaperlibError(f"data set {head!r} has no option {option!r} (known: {', '.join(allowed) or 'none'})")
    if (tail or name.endswith(":")) and info.kind != "visa":
        raise PaperlibError(f"data set {head!r} takes no ':{tail}'; only visa does, e.g. visa:capsules,macaroni1")
    return Spec(info, option, tuple(sorted(o for o in tail.split(",") if o)))
