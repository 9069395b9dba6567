"""The report as one file, to be attached to a review: unpack it anywhere and open index.html, no network needed."""

import io
import zipfile
from pathlib import Path

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.report.freshness import is_current, mark_current, stored_fingerprint

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same report, the same bytes


def zip_report(layout: Layout) -> Path:
    """Write results/<profile>/report.zip from the report's folder, if that changed, and return its path."""
    target, report = layout.results / "report.zip", stored_fingerprint(layout.report / "index.html")
    if is_current(target, report):
        return target
    buffer = io.BytesIO()
    files = (p for p in layout.report.rglob("*") if p.is_file() and not p.name.startswith("."))
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, path in sorted((path.relative_to(layout.report).as_posix(), path) for path in files):
            member = zipfile.ZipInfo(f"report-{layout.name}/{name}", _LONG_AGO)
            member.external_attr = 0o644 << 16
            # Pictures and parquet are compressed already.
            is_packed = path.suffix in {".png", ".parquet"}
            member.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
            zipped.writestr(member, path.read_bytes())
    write_atomically(target, buffer.getvalue())
    mark_current(target, report)
    return target
