"""`make soak`: all scenarios at full length; prints the counts and exits with 1 if anything was lost.

On 2 cores about 6 minutes. `python -m soak 0.1` runs a tenth of it.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from soak import kills
from soak.long_run import long_run
from tests.conftest import tiny

KILLS = {"trials": 80, "store writes": 80, "downloads": 80, "notebooks": 10}
LONG = 500


def main(scale: float) -> int:
    torch.set_num_threads(1)  # OpenMP threads do not survive a fork
    count = {name: max(1, round(n * scale)) for name, n in KILLS.items()}
    outcomes: list[kills.Outcome] = []
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch, name) for name in (*KILLS, "long")}
        for folder in folders.values():
            folder.mkdir()
        for name, scenario in (
            ("trials", partial(kills.in_trials, images=tiny())),
            ("store writes", kills.in_writes),
            ("downloads", kills.in_downloads),
            ("notebooks", kills.in_notebooks),
        ):
            o = scenario(folders[name], count[name])
            print(
                f"SIGKILL in {o.name}: {o.struck} struck, {o.torn} half-written, {o.lost} lost or changed", flush=True
            )
            outcomes.append(o)
        growth = long_run(folders["long"], max(10, round(LONG * scale)), tiny())
    total, bad = sum(o.struck for o in outcomes), sum(o.torn + o.lost for o in outcomes)
    print(f"in all: {total} kills, {bad} losses")
    (m1, m2), (f1, f2), (s1, s2) = growth.memory, growth.files, growth.bytes_per_record
    print(f"{growth.trials} trials: memory {m1 / 2**20:.0f} -> {m2 / 2**20:.0f} MiB, open files {f1} -> {f2},")
    print(f"  {s1:.0f} -> {s2:.0f} bytes a record: {'flat' if growth.flat else 'NOT FLAT'}")
    return int(bad > 0 or not growth.flat)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
