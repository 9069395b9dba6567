"""SIGKILL at random moments; afterwards everything must be whole, complete and equal to an undisturbed run."""

import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.data.download import download_file
from paperlib.data.imageset import ImageSet
from paperlib.data.registry import RemoteFile
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.differences import TOLERANCES, list_differences
from paperlib.trials.runner import run_all
from paperlib.trials.store import Store
from tests.conftest import served

FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16}


@dataclass(frozen=True)
class Outcome:
    """What a scenario found. struck: kills that hit a living process; torn: half-written files; lost: missing or
    different afterwards."""

    name: str
    struck: int
    torn: int
    lost: int


def trials() -> list[Trial]:
    """Six small trials that between them write records and checkpoints and share a training."""
    pruned = [Trial(method=m, sparsity=0.5, seed=s, **FAST) for m in ("set", "post-training") for s in range(2)]
    return [*(Trial(seed=s, **FAST) for s in range(2)), *pruned]


def in_folder(folder: Path) -> Layout:
    return Layout(folder / "results" / "soak", folder / "figures" / "soak")


def strike(work: Callable[[], None], rng: random.Random, longest_s: float) -> bool:
    """Run `work` in a forked process and SIGKILL it after at most `longest_s`; whether it was still alive."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    time.sleep(rng.uniform(0, longest_s))
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive and process.exitcode == -signal.SIGKILL


def _torn(folder: Path) -> int:
    """Record files under their final name that are not whole records; temporary files do not count."""
    bad = 0
    for path in folder.glob("[!.]*.json"):
        try:
            Record.model_validate_json(path.read_bytes())
        except ValueError:
            bad += 1
    return bad


def in_trials(folder: Path, kills: int, images: ImageSet, seed: int = 0) -> Outcome:
    """Kills while trials run (training, checkpoint, record); the store is emptied whenever it is complete."""
    with served(lambda wanted: images):
        return _in_trials(folder, kills, seed)


def _in_trials(folder: Path, kills: int, seed: int) -> Outcome:
    rng, undisturbed = random.Random(seed), run_all(trials(), in_folder(folder / "calm"))
    layout, struck, torn, lost = in_folder(folder / "struck"), 0, 0, 0

    def check() -> int:
        again = run_all(trials(), layout)
        # Which networks train together hangs on where a kill struck, and their last digits on that.
        return sum(
            any(not d.within(TOLERANCES) and d.field != "engine" for d in list_differences(a, b))
            for a, b in zip(undisturbed, again, strict=True)
        )

    while struck < kills:
        before = {r.id for r in Store(layout).records()}
        hit = strike(lambda: void(run_all(trials(), layout)), rng, 0.8)
        struck += hit
        torn += _torn(layout.trials)
        kept = {r.id for r in Store(layout).records()}
        lost += len(before - kept)
        if not hit or len(kept) == len(undisturbed):
            lost += check()
            for path in (*layout.trials.glob("*.json"), *layout.checkpoints.glob("*")):
                path.unlink()
    return Outcome("trials", struck, torn, lost + check())


def void(_: object) -> None:
    """Drop a result: a process's work has none."""


def in_writes(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kills while one file is written over and over with contents of different lengths."""
    rng, target = random.Random(seed), folder / "value.bin"
    contents = [bytes([n]) * (40_000 * (n + 1)) for n in range(4)]
    write_atomically(target, contents[0])

    def forever() -> None:
        while True:
            for content in contents:
                write_atomically(target, content)

    struck = torn = 0
    while struck < kills:
        struck += strike(forever, rng, 0.05)
        torn += target.read_bytes() not in contents
    return Outcome("store writes", struck, torn, int(not target.exists()))


class _Slow(BaseHTTPRequestHandler):
    """Sends a body in pieces, resuming where it is asked to."""

    body = random.Random(1).randbytes(600_000)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(self.body) - start))
        self.end_headers()
        try:
            for at in range(start, len(self.body), 30_000):
                self.wfile.write(self.body[at : at + 30_000])
                time.sleep(0.005)
        except OSError:
            pass  # the other side was killed


def in_downloads(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kills while a file arrives; under its final name it may only ever be whole."""
    rng, target, body = random.Random(seed), folder / "images.bin", _Slow.body
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = RemoteFile("images.bin", f"http://127.0.0.1:{server.server_port}/", hashlib.md5(body).hexdigest())
        struck = torn = 0
        while struck < kills:
            struck += strike(lambda: download_file(file, target, pause=0), rng, 0.15)
            if target.exists():
                torn += target.read_bytes() != body
                target.unlink()
        download_file(file, target, pause=0)
        server.shutdown()
    return Outcome("downloads", struck, torn, int(target.read_bytes() != body))


def in_notebooks(folder: Path, kills: int, seed: int = 0) -> Outcome:
    """Kills of `paperlib reproduce`'s notebook step; a notebook under its final name is whole and has its outputs."""
    import nbformat

    v4 = nbformat.v4
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    parameters = v4.new_code_cell("profile = 'smoke'", metadata={"tags": ["parameters"]})
    source = folder / "notebooks" / "09_sums.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(metadata=kernel, cells=[parameters, v4.new_code_cell("print(6 * 7)")]), source)
    layout, target = in_folder(folder), in_folder(folder).notebooks / source.name
    code = (
        "import sys; from pathlib import Path; from paperlib.report import notebooks as n;"
        " from paperlib.studies import sections; from paperlib.core.paths import Layout;"
        "sections.NOTEBOOKS = {'09': sections.Notebook('09_sums', lambda profile: [])};"
        "f = Path(sys.argv[1]); n.execute(None, 'smoke', Layout(f, f))"
    )
    command = [sys.executable, "-c", code, str(layout.results)]
    environment = os.environ | {"PAPERLIB_ROOT": str(folder)}

    def whole() -> bool:
        return "42" in str(nbformat.read(target, as_version=4).cells[-1].outputs)

    rng, struck, torn = random.Random(seed), 0, 0
    start = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    longest_s = time.monotonic() - start
    while struck < kills:
        target.unlink(missing_ok=True)
        # Its own session, so that papermill and the kernel die with it, as in a power cut.
        process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.3, 1) * longest_s)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            struck += 1
        process.wait()
        torn += target.exists() and not whole()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return Outcome("notebooks", struck, torn, int(not whole()))
