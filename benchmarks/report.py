"""How every benchmark ends: one line per figure, and with --check an exit code."""

import sys


def finish(figures: list[tuple[str, float, float, bool]]) -> None:
    """Print `name: ratio 63.1 (target 50) ok|short` for (name, ratio, target, more_is_better); exit 1 under
    --check where one falls short."""
    short = False
    for name, ratio, target, more_is_better in figures:
        good = ratio >= target if more_is_better else ratio <= target
        short |= not good
        print(f"{name}: ratio {ratio:.3g} (target {target:g}) {'ok' if good else 'short'}")
    if short and "--check" in sys.argv[1:]:
        sys.exit(1)
