"""Reading and hashing every file of the sets that is here, and looking for test images among the training ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paperlib.core.errors import PaperlibError
from paperlib.data.files import damaged, md5
from paperlib.data.imageset import Parts
from paperlib.data.registry import BATCH_MD5, DATASETS
from paperlib.data.sources import candidates, read_images
from paperlib.data.spec import ResolvedSource, Spec, parse_name


@dataclass(frozen=True)
class FileCheck:
    """One place that holds a set: `detail` is its provenance, or what is wrong and what mends it."""

    name: str
    ok: bool
    detail: str


def verify(names: Sequence[str] = ()) -> list[FileCheck]:
    """Every place with files of the named sets (none: all), best first, each read to the last byte."""
    return [check for name in names or DATASETS for check in _checks(name)]


def _checks(name: str) -> Iterator[FileCheck]:
    spec = parse_name(name)
    told: set[str] = set()  # places and errors
    for size in spec.info.sizes or spec.info.shape[:1]:
        for candidate in candidates(spec, size):
            try:
                source = candidate()
                if source.where not in told:
                    told.add(source.where)
                    yield FileCheck(name, True, f"{source.where}: {_read(spec, source)}")
            except PaperlibError as error:
                if str(error) not in told:
                    told.add(str(error))
                    yield FileCheck(name, False, str(error))


def _read(spec: Spec, source: ResolvedSource) -> str:
    for file in source.files:
        expected = BATCH_MD5.get(file.name)
        if expected and file.is_file() and (actual := md5(file)) != expected:
            raise damaged(file, spec.info.name, f"MD5 {expected}", actual)
    parts, note = read_images(spec, source)
    return f"{source.source} ({note}); {leaks(parts):,} of {len(parts['test']):,} test images are in train, too"


def leaks(parts: Parts) -> int:
    """How many test images have the very pixels of a training or validation image."""
    seen = {image.tobytes() for name, split in parts.items() if name != "test" for image in split.images}
    return sum(image.tobytes() in seen for image in parts["test"].images)
