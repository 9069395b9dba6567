"""The report as one file, to be attached to a review: unpack it anywhere and open index.html, no network needed."""

import io
import zipfile
from pathlib import Path

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.report.pages import settled

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same report, the same bytes


def zip_report(layout: Layout) -> Path:
    """Write results/<profile>/report.zip from the report's folder, if that changed, and return its path."""
    target = layout.results / "report.zip"
    if settled(target, layout):
        return target
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        found = (p for p in layout.report.rglob("*") if p.is_file() and not p.name.startswith("."))
        names = {f"report-{layout.name}/{path.relative_to(layout.report).as_posix()}": path for path in found}
        for name, path in sorted(names.items()):
            member = zipfile.ZipInfo(name, _LONG_AGO)
            member.external_attr = 0o644 << 16
            # Pictures and parquet are compressed already.
            packed = path.suffix not in {".png", ".parquet"}
            member.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            zipped.writestr(member, path.read_bytes())
    write_atomically(target, buffer.getvalue())
    return target
