"""Inside a notebook: exhibits with their captions under them, and networks timed side by side."""

from fnmatch import fnmatchcase

from IPython.display import HTML, Image, Markdown, display
from torch import Tensor, nn

from paperlib.core.paths import Layout
from paperlib.costs.inference import forward_pass
from paperlib.costs.paired import MIN_ROUNDS, compare
from paperlib.execution.backends import to_backend
from paperlib.exhibits.manifest import Exhibit, output_root
from paperlib.exhibits.trial_links import unmarked
from paperlib.meters import Meters
from paperlib.pruners import Masks


def show(exhibits: list[Exhibit], *names: str, layout: Layout) -> None:
    """Display the exhibits of these names or patterns (`costs_*`), each once.

    What has no exhibit says so instead of leaving a gap.
    """
    shown = set[str]()
    for name in names:
        found = [e for e in exhibits if fnmatchcase(e.name, name)]
        if not found:
            display(Markdown(f"*`{name}`: no records for it in results/{layout.name}.*"))
        for exhibit in found:
            if exhibit.name not in shown:
                shown.add(exhibit.name)
                _show(exhibit, layout)


def _show(exhibit: Exhibit, layout: Layout) -> None:
    if exhibit.kind == "table":
        page = next(f for f in exhibit.files if f.endswith(".html"))
        display(HTML(unmarked((output_root(layout) / page).read_text())))
    else:
        picture = next(f for f in exhibit.files if f.endswith(".png"))
        display(Image(str(output_root(layout) / picture), alt=exhibit.title))
        display(Markdown(f"**{exhibit.title}.** {exhibit.caption}"))


def timed(network: nn.Module, masks: Masks, images: Tensor, *backends: str) -> str:
    """Inference on these images (N, C, H, W), which decide the batch, by each backend beside `masked`: a line each.

    Times are paired within rounds, with 95 % intervals; about a second. Raises PaperlibError as `to_backend` does.
    """
    calls = {b: forward_pass(to_backend(network, masks, b, images), images) for b in ("masked", *backends)}
    meters = Meters.for_device(str(images.device))
    timings = compare(calls, batch_size=len(images), meters=meters, min_rounds=MIN_ROUNDS, budget_s=1.0, seed=0)
    return "\n".join(
        f"{t.variant}: {1e3 * t.median_s:.2f} ms a batch of {len(images)}, ×{t.ratio:.2f} "
        f"[{t.ratio_low:.2f}, {t.ratio_high:.2f}] of masked (n = {t.rounds} rounds)"
        for t in timings
    )
