"""Exhibits inside a notebook: the table or picture with its caption under it."""

from IPython.display import HTML, Image, Markdown, display

from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import Exhibit, output_root
from paperlib.exhibits.trial_links import unmarked


def show(exhibits: list[Exhibit], *names: str, layout: Layout) -> None:
    """Display the named exhibits; a name that has no exhibit says so instead of leaving a gap."""
    by_name = {e.name: e for e in exhibits}
    for name in names:
        exhibit = by_name.get(name)
        if exhibit is None:
            display(Markdown(f"*{name}: no records for it in results/{layout.name}.*"))
        elif exhibit.kind == "table":
            page = next(f for f in exhibit.files if f.endswith(".html"))
            display(HTML(unmarked((output_root(layout) / page).read_text())))
        else:
            picture = next(f for f in exhibit.files if f.endswith(".png"))
            display(Image(str(output_root(layout) / picture), alt=exhibit.title))
            display(Markdown(f"**{exhibit.title}.** {exhibit.caption}"))
