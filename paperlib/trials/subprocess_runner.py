"""Runs trials in a process of their own, so that a crash of a native library costs one trial, not the run."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from typing import TypeVar

from paperlib.core.errors import FailedError, PaperlibError, one_line_warnings
from paperlib.core.paths import Layout
from paperlib.core.progress import afterwards
from paperlib.schema.trial import Trial
from paperlib.trials.store import Store

CRASHES = 3
T = TypeVar("T")


def run_in_subprocess(trials: Sequence[Trial], layout: Layout) -> None:
    """`run_all` in a fresh process; after a crash (a signal, not an exception) another one goes on.

    Raises what `run_all` raises, and FailedError after the third crash.
    """
    store = Store(layout)
    if len(store.find(trials)) == len(set(trials)):
        return
    context = get_context("spawn")
    for crash in range(1, CRASHES + 1):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_work, args=(list(trials), layout, sender, afterwards.get()))
        child.start()
        sender.close()
        try:
            error = receiver.recv()
        except EOFError:
            child.join()
            if child.exitcode is not None and child.exitcode >= 0:
                raise FailedError("the process that runs trials ended early; its message stands above") from None
            what = f"the process that runs trials died (exit code {child.exitcode}, crash {crash} of {CRASHES})"
            print(f"paperlib: warning: {what}; finished trials are kept", file=sys.stderr)
            continue
        finally:
            if child.is_alive():
                child.join(timeout=1)
                child.terminate()
            child.join()
        if error is not None:
            raise error
        return
    raise FailedError(f"trials crashed {CRASHES} times; the same command goes on where this one stopped")


def in_fresh_process(work: Callable[..., T], *arguments: object) -> T:
    """What `work(*arguments)` gives in a process of its own; FailedError if that process dies."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except BrokenProcessPool:
            raise FailedError(
                f"the process of {work.__name__} died; the same command goes on where it stopped"
            ) from None


def _prepare() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    one_line_warnings()


def _work(trials: list[Trial], layout: Layout, done: Connection, after_s: float) -> None:
    _prepare()
    afterwards.set(after_s)
    error: PaperlibError | None = None
    try:
        from paperlib.trials.runner import run_all  # not above: the parent needs no torch to see that all is done

        run_all(trials, layout)
    except PaperlibError as raised:
        error = raised
    except KeyboardInterrupt:
        return  # the parent was interrupted too, and says so
    done.send(error)


def _end_with_parent() -> None:
    # A killed parent cannot end this process, which would go on alone and hold its device.
    if parent := parent_process():
        parent.join()
        os._exit(1)
