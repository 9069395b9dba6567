"""Many small trials in one process: memory and open files must stay flat, the store grow linearly."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from paperlib.data.imageset import ImageSet
from paperlib.schema.trial import Trial
from paperlib.trials.runner import run
from soak.kills import in_folder
from tests.conftest import served


@dataclass(frozen=True)
class Growth:
    """Figures after warm-up and at the end. memory: resident bytes; store: bytes of all records."""

    trials: int
    memory: tuple[int, int]
    files: tuple[int, int]
    bytes_per_record: tuple[float, float]

    @property
    def flat(self) -> bool:
        """At most 64 MiB more memory, no more open files, and records of one size (within a tenth)."""
        (memory, memory_end), (files, files_end), (size, size_end) = self.memory, self.files, self.bytes_per_record
        return memory_end - memory < 64 * 2**20 and files_end <= files and abs(size_end / size - 1) < 0.1


def long_run(folder: Path, count: int, images: ImageSet) -> Growth:
    """Run `count` trials; the first fifth of them is the warm-up."""
    layout, process, marks = in_folder(folder), psutil.Process(), []
    for number in range(count):
        with served(lambda wanted: images):
            run(Trial(method="set", sparsity=0.5, epochs=1, batch_size=32, seed=number), layout)
        if number + 1 in {count // 5, count}:
            sizes = [path.stat().st_size for path in layout.trials.glob("*.json")]
            marks.append((process.memory_info().rss, process.num_fds(), sum(sizes) / len(sizes)))
    (m1, f1, s1), (m2, f2, s2) = marks
    return Growth(count, (m1, m2), (f1, f2), (s1, s2))
