"""Reading and hashing every file of the sets that is here, and looking for test images among the training ones."""

from collections.abc import Iterator, Sequence

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import Parts
from paperlib.data.registry import DATASETS
from paperlib.data.sources import candidates, read_images
from paperlib.data.spec import Outcome, parse_name


def verify(names: Sequence[str] = ()) -> list[Outcome]:
    """Every place with files of the named sets (none: all), best first, each read to the last byte.

    The message is the provenance of the images, or what is wrong and what mends it.
    """
    return [check for name in names or DATASETS for check in _checks(name)]


def _checks(name: str) -> Iterator[Outcome]:
    spec = parse_name(name)
    told: set[str] = set()  # places and errors
    for size in spec.info.sizes or spec.info.shape[:1]:
        for candidate in candidates(spec, size):
            try:
                source = candidate()
                if source.where not in told:
                    told.add(source.where)
                    parts, note = read_images(spec, source)
                    leaked = f"{leaks(parts):,} of {len(parts['test']):,} test images are in train, too"
                    yield Outcome(name, True, f"{source.where}: {source.source} ({note}); {leaked}")
            except PaperlibError as error:
                if str(error) not in told:
                    told.add(str(error))
                    yield Outcome(name, False, str(error))


def leaks(parts: Parts) -> int:
    """How many test images have the very pixels of a training or validation image."""
    seen = {image.tobytes() for name, split in parts.items() if name != "test" for image in split.images}
    return sum(image.tobytes() in seen for image in parts["test"].images)
