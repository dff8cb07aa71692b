"""A mirror is what the guest has, and a guest cannot make it lead anywhere."""

from __future__ import annotations

import os

import pytest

from benchproof import process
from benchproof.errors import TargetFailed, UsageError
from benchproof.model import Completed
from benchproof.sandboxd.mirror import Mirror


@pytest.fixture
def guest(tmp_path):
    (tmp_path / "guest" / "deep").mkdir(parents=True)
    (tmp_path / "guest" / "deep" / "file").write_bytes(bytes(range(256)))
    (tmp_path / "guest" / "tool").write_text("x")
    (tmp_path / "guest" / "tool").chmod(0o751)
    (tmp_path / "guest" / "link").symlink_to("/etc/passwd")
    return tmp_path / "guest"


@pytest.fixture
def mirror(guest, host_probe, tmp_path):
    def run(words, stdin):
        return process.run([str(host_probe.path), *words], supervisor=host_probe.path, stdin=stdin, timeout_s=30)

    return Mirror(tmp_path / "mirror", run, str(guest))


def held(root):
    return {
        str(path.relative_to(root)): path.readlink() if path.is_symlink() else (path.read_bytes(), path.stat().st_mode)
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_what_is_pulled_is_what_the_guest_has_also_after_it_changed(mirror, guest):
    mirror.pull()
    assert held(mirror.root) == held(guest)
    (guest / "deep" / "file").write_bytes(b"other")
    (guest / "tool").unlink()
    (guest / "link").unlink()
    (guest / "link").write_text("a file now")
    os.mkfifo(guest / "fifo")  # not waited for
    mirror.pull()
    assert held(mirror.root) == held(guest)
    (guest / "deep" / "file").unlink()
    (guest / "deep").rmdir()
    (guest / "deep").write_text("no folder any more")
    mirror.pull()
    assert held(mirror.root) == held(guest)


def test_what_is_pushed_is_in_the_guest_and_what_is_gone_is_removed(mirror, guest):
    mirror.pull()
    (mirror.root / "new" / "er").mkdir(parents=True)
    (mirror.root / "new" / "er" / "file").write_bytes(b"\0\n1")
    (mirror.root / "new" / "er" / "file").chmod(0o640)
    (mirror.root / "tool").unlink()
    (mirror.root / "also").symlink_to("tool")
    for path in ("new/er/file", "tool", "also"):
        mirror.push(path.split("/"))
    assert held(mirror.root) == held(guest)


def test_the_list_of_a_folder_is_the_guests_and_fetches_nothing(mirror, guest):
    os.mkfifo(guest / "deep" / "fifo")
    (guest / "deep" / "er").mkdir()
    assert mirror.entries(["deep"]) == [
        {"name": "er", "kind": "folder", "size_bytes": (guest / "deep" / "er").stat().st_size},
        {"name": "fifo", "kind": "other", "size_bytes": 0},
        {"name": "file", "kind": "file", "size_bytes": 256},
    ]
    assert [each["name"] for each in mirror.entries([])] == ["deep", "link", "tool"]
    assert held(mirror.root) == {}


@pytest.mark.parametrize("parts", [["link"], ["way"], ["way", "deep"], ["tool"], ["none"], ["..", "guest"]])
def test_what_is_no_folder_or_behind_a_link_is_refused_as_a_list(mirror, guest, parts):
    (guest / "way").symlink_to(guest)
    with pytest.raises(UsageError, match=r"Not a directory|No such file|Permission denied"):
        mirror.entries(parts)


@pytest.mark.parametrize("stream", [b"", b"F 644 1 4\nfile", b"E 0 1 0\n", b"F 644 1 9\nfileE 0 1 0\n", b"X\n"])
def test_a_list_that_is_not_whole_fails(stream, tmp_path):
    cut = Mirror(tmp_path, lambda words, stdin: Completed(exit_status=0, stdout=stream, stderr=b"", elapsed_ns=1), "/")
    with pytest.raises(TargetFailed, match="cut off"):
        cut.entries([])


def test_a_push_through_a_link_of_the_guest_is_refused(mirror, guest, tmp_path):
    (tmp_path / "outside").mkdir()
    (guest / "way").symlink_to(tmp_path / "outside")
    (mirror.root / "way").mkdir()
    (mirror.root / "way" / "file").write_text("x")
    with pytest.raises(TargetFailed, match="cannot be unpacked"):
        mirror.push(["way", "file"])
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"F 644 5 1\nax",
        b"F 644 1 1\nax",
        b"F 644 1 1\naxE 0 2 0\n",
        b"E 0 0 0\nmore",
        b"X 1 1 1\n",
        b"F 644 1 1\n",
    ],
)
def test_a_stream_that_is_not_whole_fails(stream, tmp_path):
    def run(words, stdin):
        return Completed(exit_status=0, stdout=stream, stderr=b"", elapsed_ns=1)

    with pytest.raises(TargetFailed, match="the workspace inside"):
        Mirror(tmp_path / "mirror", run, "/work").pull()


@pytest.mark.parametrize("name", [b"../out", b"/etc/x", b"a/../../out", b"\xff", b"a\nb"])
def test_names_that_lead_out_are_nobodys(name, tmp_path):
    stream = b"F 644 1 %d\n%sxF 644 1 4\nfineyE 0 2 0\n" % (len(name), name)

    def run(words, stdin):
        return Completed(exit_status=0, stdout=stream, stderr=b"", elapsed_ns=1)

    mirror = Mirror(tmp_path / "mirror", run, "/work")
    mirror.pull()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["fine"]


def test_a_link_on_the_way_in_the_mirror_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    target = str(tmp_path / "outside").encode()
    stream = b"L 777 %d 3\nway%sF 644 1 8\nway/filexE 0 2 0\n" % (len(target), target)

    def run(words, stdin):
        return Completed(exit_status=0, stdout=stream, stderr=b"", elapsed_ns=1)

    with pytest.raises(Exception, match="symbolic link"):
        Mirror(tmp_path / "mirror", run, "/work").pull()
    assert not list((tmp_path / "outside").iterdir())


def test_a_guest_that_cannot_be_asked_fails_in_its_words(tmp_path):
    def run(words, stdin):
        return Completed(exit_status=70, stdout=b"", stderr=b"probe: /work: No such file", elapsed_ns=1)

    with pytest.raises(TargetFailed, match="cannot be packed: probe: /work: No such file"):
        Mirror(tmp_path / "mirror", run, "/work").pull()


def test_what_lies_behind_a_link_is_not_even_compared(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (tmp_path / "outside" / "file").chmod(0o644)
    target = str(tmp_path / "outside").encode()
    stream = b"L 777 %d 3\nway%sF 644 1 8\nway/filexE 0 2 0\n" % (len(target), target)

    def run(words, stdin):
        return Completed(exit_status=0, stdout=stream, stderr=b"", elapsed_ns=1)

    with pytest.raises(Exception, match="symbolic link"):
        Mirror(tmp_path / "mirror", run, "/work").pull()
