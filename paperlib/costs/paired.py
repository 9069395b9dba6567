"""Several variants of a step or an inference in one process: interleaved, paired, an interval for each ratio."""

import gc
import math
from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from paperlib.core.errors import PaperlibError
from paperlib.core.progress import between_steps
from paperlib.meters.clock import Clock
from paperlib.meters.protocols import positive
from paperlib.meters.window import ENERGY_UPDATES, Meters
from paperlib.schema.measurement import Timing

Call = Callable[[], object]

MIN_ROUNDS = 3
MAX_ROUNDS = 60
TRIMMED = 0.25  # share of the rounds at each end that the mean leaves out
# A sample shorter than this repeats the call: the first call after another variant finds cold caches, which a whole
# training does not (a step of mlp-small took 8 % longer in samples of 1 ms).
SAMPLE_S = 5e-3
MAX_CALLS = 10_000


def compare(
    variants: Mapping[str, Call], *, batch_size: int, meters: Meters, min_rounds: int, budget_s: float, seed: int,
    rare: Collection[str] = (),
) -> tuple[Timing, ...]:  # fmt: skip
    """Time every variant against the first one; each call is one batch of `batch_size` images.

    Per round all variants run once in random order, and the ratio is taken within the round, so that drift of
    the machine cancels. A sample is the mean of as many calls as fill 5 ms; the percentiles are over samples.
    There are `min_rounds` rounds, and more until `budget_s` seconds or 60 rounds are over; `rare` variants, of which
    no small effect is asked, run in the first 3 and then in every third. Energy comes from the
    samples where the meter is exact; a counter gets one whole-loop window of ten updates per variant on top of the
    budget (NVML: 1.1 s). Raises PaperlibError for no variants or fewer than 3 rounds.
    """
    if not variants:
        raise PaperlibError("nothing to compare: give at least one variant, the dense reference first")
    if min_rounds < MIN_ROUNDS:
        raise PaperlibError(f"{min_rounds} rounds give no interval: ask for at least {MIN_ROUNDS}")
    rng = np.random.default_rng(seed)
    clock, names, calls = meters.clock, list(variants), list(variants.values())
    start = clock()
    warm = [_warm_up(call, clock, 0.1 * budget_s / len(calls)) for call in calls]
    counter = meters.energy.update_s * ENERGY_UPDATES
    repeats = [min(MAX_CALLS, math.ceil(SAMPLE_S / max(t, SAMPLE_S / MAX_CALLS))) for t in warm]
    collects = gc.isenabled()
    gc.disable()  # as `timeit` does: a collection would fall on whichever variant is being timed
    try:
        times, energies = _rounds(
            calls, repeats, meters, [name in rare for name in names], min_rounds=min_rounds, until=start + budget_s,
            rng=rng,
        )  # fmt: skip
    finally:
        if collects:
            gc.enable()
    medians = np.nanmedian(times, axis=0)
    if counter:
        for i in rng.permutation(len(calls)):
            # A tenth more than needed: the loop may run faster than the samples did.
            energies[i] = _energy_of_loop(calls[i], meters, math.ceil(1.1 * counter / medians[i]))
    timings = []
    for i, name in enumerate(names):
        took_part = ~np.isnan(times[:, i])
        mine, energy = times[took_part, i], energies[i]
        ratio, low, high = paired_interval(mine / times[took_part, 0])
        timings.append(
            Timing(
                variant=name,
                batch_size=batch_size,
                rounds=len(mine),
                median_s=float(medians[i]),
                p95_s=float(np.percentile(mine, 95)),
                p99_s=float(np.percentile(mine, 99)),
                ratio=ratio,
                ratio_low=low,
                ratio_high=high,
                energy_j_per_image=None if energy is None else energy / batch_size,
                energy_source=meters.energy.source,
                energy_uncertainty=meters.energy_uncertainty,
            )
        )
    return tuple(timings)


def paired_interval(ratios: NDArray[np.float64]) -> tuple[float, float, float]:
    """25 % trimmed mean of the (rounds,) paired ratios on the log scale, and its 95 % interval (low, high).

    The trimmed mean shrugs off the rounds in which the machine did something else, as a median does, and spreads less.
    Its Student interval rests on the Winsorised variance: Yuen, Biometrika 61 (1974), https://doi.org/10.2307/2334299.
    """
    logs, cut = np.sort(np.log(ratios)), int(TRIMMED * len(ratios))
    middle = logs[cut : len(logs) - cut]
    spread = np.std(np.clip(logs, middle[0], middle[-1]), ddof=1) / ((1 - 2 * TRIMMED) * math.sqrt(len(logs)))
    mean, half = float(middle.mean()), float(stdtrit(len(middle) - 1, 0.975) * spread)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def load_time(load: Call, meters: Meters, repeats: int) -> float:
    """Median seconds of `load`, which loads a model and gives its first answer; apart from steady state."""
    if repeats < 1:
        raise PaperlibError(f"{repeats} repeats measure nothing: ask for at least 1")
    times = []
    for _ in range(repeats):
        start = meters.clock()
        load()
        times.append(meters.clock() - start)
    return float(np.median(times))


def _warm_up(call: Call, clock: Clock, limit_s: float) -> float:
    """Call once, then up to 50 times within the limit; median seconds without the first call, if there are more."""
    start, times, check = clock(), list[float](), between_steps.get()
    while not times or (len(times) < 50 and clock() - start < limit_s):
        check()
        before = clock()
        call()
        times.append(clock() - before)
    return float(np.median(times[1:] or times))


def _rounds(
    calls: list[Call],
    repeats: list[int],
    meters: Meters,
    rare: list[bool],
    *,
    min_rounds: int,
    until: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[float | None]]:
    """Seconds of one call, (rounds done, variants), NaN where it did not run; joules of one call by an exact meter."""
    clock, energy = meters.clock, meters.energy
    exact = energy.source is not None and energy.update_s == 0
    joules = np.zeros(len(calls))
    most = max(min_rounds, MAX_ROUNDS)
    times = np.full((most, len(calls)), math.nan)
    done = 0
    check = between_steps.get()
    while done < most and (done < min_rounds or clock() < until):
        check()
        for i in rng.permutation(len(calls)):
            if rare[i] and done >= MIN_ROUNDS and (done + 1) % MIN_ROUNDS:
                continue
            call, n = calls[i], range(repeats[i])
            if exact:
                energy.begin()
            before = clock()
            for _ in n:
                call()
            times[done, i] = (clock() - before) / repeats[i]
            if exact:
                spent = energy.end()
                joules[i] += math.nan if spent is None else spent
        done += 1
    # `positive` turns NaN, and the 0 of a meter that was never asked or did not move, into None.
    ran = (~np.isnan(times)).sum(0)
    return times[:done], [positive(float(j) / (r * n)) for j, r, n in zip(joules, ran, repeats, strict=True)]


def _energy_of_loop(call: Call, meters: Meters, n: int) -> float | None:
    """Joules of one call, from one window over `n` calls."""

    def loop() -> None:
        for _ in range(n):
            call()

    joules = meters.measure(loop).energy_j
    return None if joules is None else joules / n
