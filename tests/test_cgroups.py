"""Limits on memory by control groups: where one may be made, that it holds, and that nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchproof import cgroups
from benchproof.errors import NotSupported

HOARD = "import sys; sys.stdin.read(1); held = b'x' * (64 << 20); print(len(held))"


def tree(folder, lines: str, **handed_on: str):
    """A hierarchy of version 2 as files: path (dots for slashes) -> what its group hands on."""
    ours = folder / "ours"
    ours.write_text(lines)
    root = folder / "root"
    root.mkdir()
    (root / "cgroup.controllers").write_text("cpu memory")
    for name, controllers in {"": "", **handed_on}.items():
        group = root / name.replace(".", "/")
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.subtree_control").write_text(controllers)
        (group / "cgroup.procs").write_text("")
    return {"root": root, "ours": ours}


def test_a_group_of_version_2_is_made_under_the_next_that_hands_on_memory(tmp_path):
    places = tree(tmp_path, "0::/user/us\n", **{"user": "cpu memory", "user.us": ""})
    found = cgroups.hierarchy(**places)
    assert found.version == 2
    assert (found.parent, found.home) == (places["root"] / "user", places["root"] / "user/us")


def test_where_no_group_hands_on_memory_the_way_to_get_one_is_said(tmp_path):
    with pytest.raises(NotSupported, match="delegated"):
        cgroups.hierarchy(**tree(tmp_path, "0::/user\n", user="cpu"))
    (tmp_path / "ours").write_text("1:cpu:/\n")
    with pytest.raises(NotSupported, match="no control group limits memory"):
        cgroups.hierarchy(root=tmp_path / "root", ours=tmp_path / "ours")


def test_version_1_is_used_where_memory_is_in_it(tmp_path):
    (tmp_path / "memory/ours").mkdir(parents=True)
    (tmp_path / "lines").write_text("2:cpu,cpuacct:/\n4:memory:/ours\n0::/\n")
    found = cgroups.hierarchy(root=tmp_path, ours=tmp_path / "lines")
    assert (found.version, found.parent) == (1, tmp_path / "memory/ours")


@pytest.fixture
def group():
    try:
        where = cgroups.hierarchy()
        with cgroups.limited(where, f"benchproof-test-{os.getpid()}", limit_bytes=16 << 20) as made:
            yield made
    except NotSupported as error:
        pytest.skip(str(error))
    assert not made.path.exists()


def started() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOARD], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def test_who_goes_beyond_the_limit_is_killed_and_counted(group):
    with started() as program:
        group.add(program.pid)
        program.communicate(b"x")
    assert program.returncode == -9
    assert group.oom_kills == 1


def test_who_stays_below_it_lives_and_leaves_with_the_group(group):
    program = started()
    group.add(program.pid)
    assert group.oom_kills == 0
    cgroups._remove(group)
    program.communicate(b"x")
    assert program.returncode == 0
    group.path.mkdir()  # for the fixture to remove


def test_a_process_that_has_ended_needs_no_limit(group):
    program = started()
    program.communicate(b"x")
    group.add(program.pid)
    assert group.oom_kills == 0
