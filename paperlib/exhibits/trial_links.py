"""Which trials stand behind a number: marks in a table's HTML that become links in the report and vanish elsewhere."""

import re
from collections.abc import Iterable
from html import escape

_MARK = re.compile(r'<span data-trials="([\w ]+)">(.*?)</span>', re.DOTALL)


def mark(text: str, ids: Iterable[str]) -> str:
    """HTML of a cell's text, marked with the ids behind it; without ids only escaped."""
    joined = " ".join(dict.fromkeys(ids))
    return f'<span data-trials="{joined}">{escape(text)}</span>' if joined else escape(text)


def address(ids: Iterable[str]) -> str:
    """Where the report lists exactly these records (at least one); without scripts it jumps to the first of them."""
    unique = list(dict.fromkeys(ids))
    return f"trials.html?only={','.join(unique)}#{unique[0]}"


def linked(html: str, root: str = "") -> str:
    """A table for the report, every mark a link; root: the way from its page to trials.html, such as `../`."""
    return _MARK.sub(lambda m: f'<a class="behind" href="{root}{address(m[1].split())}">{m[2]}</a>', html)


def unmarked(html: str) -> str:
    """A table for a place from which no path to the report is known, such as a notebook."""
    return _MARK.sub(r"\2", html)
