"""A run as one file: it comes out as it went in, and nothing but a run comes out of anything."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile

import pytest

from benchproof.errors import StoreError
from benchproof.store import packed
from test_bundle import complete
from websites import files, packed_run

RUN_ID = "20260101T000000Z-00abcd"


@pytest.fixture
def run(tmp_path):
    return complete(tmp_path / "measured" / "runs" / RUN_ID)


def test_a_run_comes_out_as_it_went_in_and_always_packs_to_the_same_bytes(run, tmp_path):
    content = packed_run(run)
    packed.unpack(io.BytesIO(content), tmp_path / "out", packed.Room())
    assert files(tmp_path / "out") == files(run)
    assert packed_run(tmp_path / "out") == content


def test_a_run_packed_by_tar_is_read_too(run, tmp_path):
    content = subprocess.run(["tar", "--format=ustar", "-C", run, "-cz", "."], capture_output=True, check=True).stdout
    packed.unpack(io.BytesIO(content), tmp_path / "out", packed.Room())
    assert files(tmp_path / "out") == files(run)


def test_a_run_with_a_link_is_not_packed(run):
    (run / "logs" / "x").symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match="logs/x is neither a file nor a folder"):
        packed_run(run)


def tar_of(*members, form=tarfile.USTAR_FORMAT):
    """Members are (name, content) or TarInfos."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz", format=form) as archive:
            for each in members:
                if isinstance(each, tarfile.TarInfo):
                    archive.addfile(each)
                else:
                    member = tarfile.TarInfo(each[0])
                    member.size = len(each[1])
                    archive.addfile(member, io.BytesIO(each[1]))
        return file.getvalue()


def special(kind, name="logs/x", target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


HOSTILE = {
    "absolute": (tar_of(("/etc/passwd", b"x")), "expected the name of a file of a run"),
    "up": (tar_of(("../x", b"x")), "expected the name of a file of a run"),
    "up within": (tar_of(("logs/../../x", b"x")), "expected the name of a file of a run"),
    "deep": (tar_of(("logs/a/b", b"x")), "expected the name of a file of a run"),
    "hidden": (tar_of((".bashrc", b"x")), "expected the name of a file of a run"),
    "control": (tar_of(("logs/a\nb", b"x")), "expected the name of a file of a run"),
    "backslash": (tar_of(("logs\\x", b"x")), "expected the name of a file of a run"),
    "long name": (tar_of(("logs/" + "x" * 150, b"x"), form=tarfile.GNU_FORMAT), "found type b'L'"),
    "extended header": (tar_of(("logs/ä", b"x"), form=tarfile.PAX_FORMAT), "found type b'x'"),
    "symbolic link": (tar_of(special(tarfile.SYMTYPE, target="/etc/passwd")), "found a symbolic link"),
    "hard link": (tar_of(("logs/a", b"x"), special(tarfile.LNKTYPE, target="logs/a")), "found a hard link"),
    "device": (tar_of(special(tarfile.CHRTYPE)), "found a device"),
    "fifo": (tar_of(special(tarfile.FIFOTYPE)), "found a FIFO"),
    "folder": (tar_of(special(tarfile.DIRTYPE, "elsewhere")), "found a folder"),
    "sparse": (tar_of(special(tarfile.GNUTYPE_SPARSE)), "found type b'S'"),
    "twice": (tar_of(("logs/a", b"x"), ("logs/a", b"y")), "found it twice"),
    "file and folder": (tar_of(("logs", b"x")), "found it twice"),
    "bomb": (tar_of(("logs/a", bytes(3 << 20))), "at most 2097152 bytes unpacked"),
    "bomb behind the end": (tar_of() + gzip.compress(bytes(3 << 20)), "behind the end"),
    "many": (tar_of(*((f"logs/{n}", b"") for n in range(60))), "at most 50 files"),
    "text behind the end": (tar_of() + gzip.compress(b"x"), "behind the end"),
    "cut": (tar_of(("logs/a", os.urandom(5000)))[:2000], "whole gzip'd tar"),
    "no tar": (gzip.compress(b"hello" * 200), "found a header that is none"),
    "no gzip": (b"hello", "whole gzip'd tar"),
    "nothing": (b"", "cut off"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_writes_nowhere_else(name, tmp_path):
    content, words = HOSTILE[name]
    with pytest.raises(StoreError, match=words):
        packed.unpack(io.BytesIO(content), tmp_path / "out", packed.Room(unpacked_bytes=2 << 20, files=50))
    assert {each.name for each in tmp_path.iterdir()} == {"out"}
    assert all(stat.S_ISREG(each.lstat().st_mode) for each in (tmp_path / "out" / "logs").iterdir())


def test_no_flipped_bit_of_a_header_is_our_bug(tmp_path):
    content = gzip.decompress(tar_of(("logs/a", b"x")))
    for position in range(0, tarfile.BLOCKSIZE, 3):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        with contextlib.suppress(StoreError):
            packed.unpack(io.BytesIO(gzip.compress(damaged, 0)), tmp_path / "out", packed.Room())
        shutil.rmtree(tmp_path / "out")
    assert not list(tmp_path.iterdir())
