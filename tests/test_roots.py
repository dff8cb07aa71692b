"""Guests that boot into a root file system on a disk: built from Debian's packages, or an image of the user's."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import envelope, laboratory
from benchproof.errors import NotSupported, StartFailed, TargetFailed, UsageError
from benchproof.guest import bootstrap, filesystems, roots
from benchproof.targets import KINDS
from conftest import lab_in

Qemu = KINDS.load("qemu")
SPEC = "pin the answer 4b1d"
needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")


def debian_in(folder: Path, probe: Path, **settings):
    """A target with a Debian root; skipped where this machine cannot build one, in its own words."""
    target = Qemu(Qemu.Settings(accel="tcg", root="debian", memory=512 << 20, **settings), lab_in(folder, probe))
    try:
        assert target.root
    except NotSupported as error:
        pytest.skip(str(error))
    return target


@pytest.fixture(scope="module")
def debian(host_probe, tmp_path_factory):
    return debian_in(tmp_path_factory.mktemp("debian"), host_probe.path)


def said(instance, *argv: str) -> str:
    done = instance.run(argv, timeout_s=120)
    assert (done.exit_status, done.stderr) == (0, b"")
    return done.stdout.decode()


# ---- what a plan may say ----


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"packages": ("jq",)}, "packages: expected a root"),
        ({"root_format": "erofs"}, "root_format: expected a root"),
        ({"root": "debian", "exact": True}, "exact: expected no root"),
        ({"root": "debian", "disk": "8 MiB"}, "64 MiB or more"),
        ({"root": "x.img", "packages": ("jq",)}, "an image stays as it is"),
    ],
)
def test_what_is_no_root_is_refused_when_the_plan_is_read(keys, words):
    with pytest.raises(UsageError, match=words):
        Qemu.Settings(**keys)


def cut(content: bytes, at: int, field: bytes) -> bytes:
    return content[:at] + field + content[at + len(field) :]


BLANK = bytes(4096)
IMAGES = {
    "nothing known": (BLANK, "found neither"),
    "empty": (b"", "more than 0 bytes"),
    "a cut ext4": (cut(cut(BLANK, 1080, b"\x53\xef"), 1028, struct.pack("<I", 1 << 20)), "ext4 image .* is cut"),
    "a cut erofs": (cut(cut(BLANK, 1024, b"\xe2\xe1\xf5\xe0\0\0\0\0\0\0\0\0\x0c"), 1060, b"\0\1"), "erofs .* is cut"),
    "a cut squashfs": (cut(cut(BLANK, 0, b"hsqs"), 40, struct.pack("<Q", 1 << 30)), "squashfs image .* is cut"),
}


@pytest.mark.parametrize(("content", "words"), IMAGES.values(), ids=IMAGES)
def test_an_image_that_is_no_root_or_is_cut_is_refused_in_one_line(content, words, tmp_path):
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        Qemu.Settings(root=str(tmp_path / "image")).refuse_missing()
    assert "\n" not in str(caught.value)


def test_a_format_that_the_image_has_not_is_refused(tmp_path):
    (tmp_path / "image").write_bytes(cut(BLANK, 0, b"hsqs"))
    with pytest.raises(UsageError, match=r"expected 'squashfs'.*found 'erofs'"):
        Qemu.Settings(root=str(tmp_path / "image"), root_format="erofs").refuse_missing()


@given(st.binary(max_size=1200))
def test_no_first_block_whatever_crashes_its_reader(tmp_path_factory, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    for magic in (b"hsqs", bytes(1024) + b"\xe2\xe1\xf5\xe0", bytes(1024)):
        path.write_bytes(magic + noise)
        try:
            found = filesystems.recognise(path)
        except UsageError as error:
            assert "is cut" in str(error)
        else:
            assert found is None or found.size_bytes <= path.stat().st_size


# ---- how it is built ----

RECORDED = """hello=2.10-3
zlib1g=1:1.2.13.dfsg-1

Package: hello
Source: hello
Version: 2.10-3
SHA256: 52fbe1ddcf6a1b9b3f9d2d8d1bb2a9dcba9d66cbbb3c8a8ca7f7e1a5a0a7a9f5

Package: zlib1g
Version: 1:1.2.13.dfsg-2
SHA256: 11
"""


def test_the_manifest_has_each_package_with_the_hash_of_the_very_version_that_is_installed():
    hello, zlib = bootstrap.packages_in(RECORDED)
    assert (hello.name, hello.version, hello.sha256[:6]) == ("hello", "2.10-3", "52fbe1")
    assert (zlib.version, zlib.sha256) == ("1:1.2.13.dfsg-1", "")  # the index knows another version only


def test_an_index_that_is_cut_knows_less_and_invents_nothing():
    hello, zlib = bootstrap.packages_in(RECORDED[: RECORDED.index("SHA256")])
    assert (hello.sha256, zlib.sha256) == ("", "")


def test_a_tool_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(filesystems, "_SYSTEM_FOLDERS", ())
    with pytest.raises(NotSupported, match="'mmdebstrap' is not installed") as caught:
        bootstrap.recipe(())
    assert caught.value.missing == "apt-get install mmdebstrap"
    assert roots.readiness(Path("/nonexistent"))[0] == "warning"


@pytest.mark.parametrize("name", ["a b", "--yes", "Jq", "jq;true", ""])
def test_a_word_that_is_no_package_never_reaches_a_shell(name):
    if not shutil.which("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed")
    with pytest.raises(NotSupported, match="not the name of a Debian package"):
        bootstrap.recipe((name,))


def test_a_tool_that_fails_says_so_in_one_line_and_leaves_nothing(tmp_path):
    packed = tmp_path / "tree"
    packed.write_bytes(b"this is no archive")
    for program in ("zstd", "mke2fs"):
        if not shutil.which(program, path="/usr/bin:/usr/sbin:/sbin:/bin"):
            pytest.skip(f"{program} is not installed")
    with pytest.raises(NotSupported, match=r"'\w+' failed: ") as caught, roots._draft(tmp_path / "roots") as draft:
        filesystems.make(packed, draft / "image", form="ext4", size_bytes=64 << 20)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "roots").iterdir()) == []


def test_another_tool_or_another_size_makes_another_image(tmp_path, monkeypatch):
    known = filesystems.maker("ext4", 64 << 20)
    assert (known, known) == (filesystems.maker("ext4", 64 << 20), filesystems.maker("ext4", 64 << 20))
    assert filesystems.maker("ext4", 65 << 20) != known
    tool = tmp_path / "mke2fs"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert filesystems.maker("ext4", 64 << 20) != known


def test_a_package_that_there_is_not_has_a_way_out():
    assert "apt-cache policy" in filesystems._remedy("E: Unable to locate package ptyhon3")


def test_an_image_is_trusted_while_it_is_what_was_written_and_made_anew_when_not(tmp_path):
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_bytes(b"image")

    folder = tmp_path / "roots" / "key"
    image, sha256 = roots._image(folder, "ext4", make)
    assert (sha256, roots._image(folder, "ext4", make)) == (hashlib.sha256(b"image").hexdigest(), (image, sha256))
    image.chmod(0o600)
    image.write_bytes(b"image")  # touched, but the same
    assert roots._image(folder, "ext4", make) == (image, sha256)
    assert len(made) == 1
    image.write_bytes(b"imag")
    assert roots._image(folder, "ext4", make) == (image, sha256)
    (folder / "ext4.json").write_bytes(b"{")
    assert roots._image(folder, "ext4", make) == (image, sha256)
    assert len(made) == 3


def test_the_least_recently_used_roots_go_when_the_cache_is_full(tmp_path, monkeypatch):

    for age, name in enumerate(("kept", "old", "older")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image").write_bytes(b"x" * 8192)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    monkeypatch.setattr(roots, "CACHE_LIMIT_BYTES", 20_000)
    roots._evict(tmp_path, keep=tmp_path / "older")
    assert {each.name for each in tmp_path.iterdir()} == {"kept", "older"}


# ---- guests ----


@needs_qemu
def test_commands_run_in_the_root_on_the_disk_and_the_probe_stays_at_its_place(debian):
    with debian.start() as instance:
        mounts = [line.split()[:3] for line in instance.get("/proc/mounts").decode().splitlines()]
        assert ["/dev/vda", "/", "ext4"] in mounts
        assert said(
            instance, "sh", "-c", "echo $HOME; test -c /dev/null && test -d /dev/shm && cat /dev/fd/0 </etc/hostname"
        )
        assert said(instance, instance.probe, "cat", "/etc/hostname") == "guest\n"
        assert said(instance, "sh", "-c", "cat /etc/resolv.conf 2>/dev/null || echo none") == "none\n"


@needs_qemu
def test_python_and_node_answer_in_clones(debian):
    with debian.start() as instance:
        assert said(instance, "python3", "-I", "-S", "-c", "import json, ssl, sqlite3; print(6 * 7)") == "42\n"
        assert said(instance, "node", "-e", "console.log(6 * 7)") == "42\n"


@needs_qemu
def test_what_one_clone_writes_no_other_sees_and_a_fork_holds(debian, tmp_path):
    (tmp_path / "file").write_text(SPEC)
    with debian.start() as one, debian.start() as other:
        path = one.put(tmp_path / "file", "file")
        assert path == "/work/file"
        said(one, "sh", "-c", "echo kept >/root/kept; sync")
        assert other.run([other.probe, "cat", path], timeout_s=60).exit_status
        image = one.freeze()
    with image.start() as clone:
        assert (clone.get(path).decode(), clone.get("/root/kept")) == (SPEC, b"kept\n")
    image.delete()


@needs_qemu
def test_a_full_disk_is_an_answer_of_the_guest_and_no_end_of_it(debian, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    with debian.start() as instance:
        fill = "fallocate -l $(df --output=avail -B1 / | tail -n 1) /full; head -c 1M /dev/zero >/fuller"
        filled = instance.run(["sh", "-c", fill], timeout_s=120)
        assert b"No space left" in filled.stderr
        with pytest.raises(TargetFailed, match="No space left on device"):
            instance.put(tmp_path / "file", "file")
        assert said(instance, instance.probe, "cat", "/etc/hostname") == "guest\n"


@needs_qemu
def test_a_root_without_a_shell_does_not_start_and_says_why(host_probe, tmp_path):
    try:
        filesystems.make_empty(tmp_path / "empty.img", 64 << 20)
    except NotSupported as error:
        pytest.skip(str(error))
    target = Qemu(
        Qemu.Settings(accel="tcg", root=str(tmp_path / "empty.img"), start="cold"),
        lab_in(tmp_path / "lab", host_probe.path),
    )
    with pytest.raises(StartFailed, match="the root file system: /bin/sh: No such file"), target.start():
        pass


@needs_qemu
def test_the_cache_tells_what_the_root_is_made_of(debian):
    manifest = roots._manifest(debian.root.disk.base.parent)
    versions = {package.name: package for package in manifest.packages}
    assert {"python3", "nodejs", "dpkg", "libc6"} <= versions.keys()
    assert all(len(package.sha256) == 64 for package in versions.values())
    assert roots.readiness(laboratory.cache_folder())[0] == "ok"


@needs_qemu
@pytest.mark.parametrize("form", ["erofs", pytest.param("squashfs", marks=pytest.mark.soak)])
def test_a_read_only_root_lies_beneath_a_layer_on_a_disk(form, host_probe, tmp_path):
    target = debian_in(tmp_path / "lab", host_probe.path, root_format=form)
    with target.start() as instance:
        mounts = [line.split()[:3] for line in instance.get("/proc/mounts").decode().splitlines()]
        assert ["overlay", "/", "overlay"] in mounts
        assert ["/dev/vdb", "/run/base", form] in mounts
        assert (
            said(instance, "sh", "-c", "echo new >/etc/hostname; sync; cat /etc/hostname /run/base/etc/hostname")
            == "new\nguest\n"
        )
        image = instance.freeze()
        assert image.files[-1].stat().st_blocks
    with image.start() as clone:
        assert clone.get("/etc/hostname") == b"new\n"
    image.delete()


@needs_qemu
def test_what_is_kept_in_memory_is_labelled_and_never_compared_with_what_is_on_a_disk(debian, lab):
    on_disk = envelope.capture(debian.facts(), {})
    in_memory = envelope.capture(Qemu(Qemu.Settings(accel="tcg", memory=512 << 20), lab).facts(), {})
    assert "memory-backed" in envelope.labels(in_memory)
    assert "memory-backed" not in envelope.labels(on_disk)
    forbidden = [each for each in envelope.differences(on_disk, in_memory, vary=envelope.FACETS) if not each.allowed]
    assert [str(each) for each in forbidden] == ["system.storage: disk against memory"]
    assert "no --vary allows files in memory" in envelope.remedy(on_disk, in_memory, vary=())
