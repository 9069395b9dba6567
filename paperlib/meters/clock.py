"""Seconds that include the work a device still has to do.

P's published code reads `time.time()` around the forward pass and so measures how long a kernel takes to launch;
here the device is waited for at both ends of a window.
"""

import time
from collections.abc import Callable
from functools import partial

Clock = Callable[[], float]


def clock_for(device: str) -> Clock:
    """A monotonic clock in seconds that first waits for all work queued on `device`.

    device: a torch device name such as "cpu", "cuda", "cuda:1" or "mps".
    """
    kind = device.partition(":")[0]
    if kind == "cpu":
        return time.perf_counter
    import torch

    wait = torch.mps.synchronize if kind == "mps" else partial(torch.cuda.synchronize, device)

    def seconds() -> float:
        wait()
        return time.perf_counter()

    return seconds
