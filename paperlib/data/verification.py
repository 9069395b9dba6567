"""Reading and hashing every file of the sets that is here, and looking for test images among the training ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paperlib.core.errors import PaperlibError
from paperlib.data.readers.arrays import Parts, damaged
from paperlib.data.registry import BATCH_MD5, DATASETS
from paperlib.data.sources import candidates, md5, read_images
from paperlib.data.spec import ResolvedSource, Spec, parse_name


@dataclass(frozen=True)
class Check:
    """One place that holds a set: `detail` is its provenance, or what is wrong and what mends it."""

    name: str
    ok: bool
    detail: str


def verify(names: Sequence[str] = ()) -> list[Check]:
    """Every place with files of the named sets (none: all), best first, each read to the last byte."""
    return [check for name in names or DATASETS for check in _one(name)]


def _one(name: str) -> Iterator[Check]:
    spec = parse_name(name)
    seen: set[str] = set()
    for size in spec.info.sizes or spec.info.shape[:1]:
        for candidate in candidates(spec, size):
            try:
                found = candidate()
                if found.where in seen:
                    continue
                seen.add(found.where)
                yield Check(name, True, f"{found.where}: {_read(spec, found)}")
            except PaperlibError as error:
                if str(error) not in seen:
                    seen.add(str(error))
                    yield Check(name, False, str(error))


def _read(spec: Spec, found: ResolvedSource) -> str:
    for file in found.files:
        wanted = BATCH_MD5.get(file.name)
        if wanted and file.is_file() and (got := md5(file)) != wanted:
            raise damaged(file, spec.info.name, f"MD5 {wanted}", got)
    parts, note = read_images(spec, found)
    return f"{found.source} ({note}); {leaks(parts):,} of {len(parts['test'].labels):,} test images are in train, too"


def leaks(parts: Parts) -> int:
    """How many test images have the very pixels of a training or validation image."""
    known = {image.tobytes() for name, split in parts.items() if name != "test" for image in split.images}
    return sum(image.tobytes() in known for image in parts["test"].images)
