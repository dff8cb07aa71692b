"""The index, on SQLite and on PostgreSQL: what the folders say is what it says, after whatever happened to them."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import subprocess
import sys

import msgspec
import pytest

from benchproof import history
from benchproof.errors import StoreError, UsageError
from benchproof.model import Failed, Invalid, Unverified
from benchproof.store import bundle, database, epochs
from benchproof.store.index import IMPORTED, Index
from databases import new_database, postgresql, programs
from runs import envelope, passed, together, write

_NAMES = itertools.count()


@pytest.fixture(scope="session")
def server():
    if programs() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """None: the file beside the runs."""
    if request.param == "sqlite":
        return None
    return new_database(request.getfixturevalue("server"), f"test{next(_NAMES)}")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "runs").mkdir(parents=True)
    return tmp_path / "home"


def updated(home, url):
    with Index(home, url) as index:
        return index.update()


def series(home, url, **asked):
    with Index(home, url) as index:
        index.update()
        return index.series(**asked)


def figures(home, url, **asked):
    """Metric -> its values, in the order of time."""
    return {each.metric: [point.value for point in each.points] for each in series(home, url, **asked)}


def damage(path):
    content = bytearray((path / "results.jsonl").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "results.jsonl").write_bytes(content)


# ---- what is in it ----


def test_a_value_is_the_median_over_the_invocations_of_a_run(home, url):
    write(home, 0, passed(1, 2, 3, 4, 5, 60), parameters={"samples": 3})
    ((only,),) = (series(home, url),)
    (point,) = only.points
    assert (point.value, point.n, point.spread, point.verified) == (3.5, 6, pytest.approx(1.5 * 1.4826), True)
    assert (only.unit, only.better, only.clock, only.parameters) == ("ns", "lower", "target", '{"samples":3}')
    assert point.run.labels == {"commit": "0" * 40, "branch": "main"}


def test_few_invocations_have_no_spread(home, url):
    write(home, 0, passed(1, 2, 3))
    ((only,),) = (series(home, url),)
    assert [(point.n, point.spread) for point in only.points] == [(3, None)]


def test_points_are_in_the_order_of_time_whatever_the_order_of_reading(home, url):
    write(home, 2, passed(3.0), run_id="a")
    write(home, 0, passed(1.0), run_id="c")
    updated(home, url)
    write(home, 1, passed(2.0), run_id="b")
    assert figures(home, url) == {"syscall.getpid.latency": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize("outcome", [Failed(violations=("wrong",)), Invalid(reason="noise")])
def test_a_case_without_a_number_in_a_report_has_none_here(home, url, outcome):
    write(home, 0, [*passed(1.0, 2.0), outcome])
    assert series(home, url) == ()


def test_an_imported_value_is_kept_flagged_and_in_an_epoch_of_its_own(home, url):
    write(home, 0, passed(1.0))
    (measurement,) = passed(2.0)[0].measurements
    write(home, 1, [Unverified(source="capsem", measurements=(measurement,))])
    flags = {each.environment[epochs.HARNESS]: each.points[0].verified for each in series(home, url)}
    assert flags == {"benchproof 0.1.0": True, IMPORTED: False}


def test_a_run_that_is_not_complete_is_known_but_in_no_series(home, url):
    path = write(home, 0, passed(1.0), complete=False)
    with Index(home, url) as index:
        index.update()
        assert [(run.run_id, run.state) for run in index.runs()] == [(path.name, "running")]
        assert index.series() == ()


# ---- what happens to folders ----


def test_a_run_that_is_added_twice_is_one(home, url):
    write(home, 0, passed(1.0))
    assert [updated(home, url).added for _ in range(3)] == [1, 0, 0]
    assert figures(home, url) == {"syscall.getpid.latency": [1.0]}


def test_a_copy_of_a_run_is_named_and_counted_once(home, url):
    path = write(home, 0, passed(1.0))
    updated(home, url)
    shutil.copytree(path, path.with_name("copy"))
    found = updated(home, url)
    assert [problem.partition("' is run")[2] for problem in found.problems] == [
        f" {path.name} once more; it is counted once"
    ]
    assert figures(home, url) == {"syscall.getpid.latency": [1.0]}


def test_a_run_that_no_longer_exists_is_forgotten(home, url):
    paths = [write(home, number, passed(float(number))) for number in range(3)]
    updated(home, url)
    shutil.rmtree(paths[1])
    assert updated(home, url).removed == 1
    assert figures(home, url) == {"syscall.getpid.latency": [0.0, 2.0]}


def test_a_run_that_went_on_is_read_again(home, url):
    path = write(home, 0, passed(1.0), complete=False)
    updated(home, url)
    out = bundle.Bundle.resume(bundle.load(path))
    out.seal(b"{}\n")
    out.close()
    assert figures(home, url) == {"syscall.getpid.latency": [1.0]}


def test_a_damaged_run_is_reported_by_one_line_each_time_and_the_others_are_kept(home, url):
    paths = [write(home, number, passed(float(number))) for number in range(3)]
    damage(paths[1])
    for _ in range(2):
        (problem,) = updated(home, url).problems
        assert paths[1].name in problem
        assert "\n" not in problem
    assert figures(home, url) == {"syscall.getpid.latency": [0.0, 2.0]}


@pytest.mark.parametrize("name", ["manifest.json", "envelope.json", "warmups.jsonl"])
def test_a_changed_byte_in_any_of_its_files_makes_a_run_not_to_be_believed(home, name):
    path = write(home, 0, passed(1.0))
    content = (path / name).read_bytes()
    (path / name).write_bytes(content.replace(b"x86_64", b"x86_65") if b"x86_64" in content else content + b"\n")
    assert [path.name in problem for problem in updated(home, None).problems] == [True]
    assert figures(home, None) == {}


def test_a_line_that_was_changed_in_a_run_that_is_not_complete_is_noticed(home):
    path = write(home, 0, passed(1111.0), complete=False)
    lines = (path / "results.jsonl").read_bytes()
    (path / "results.jsonl").write_bytes(lines.replace(b"1111.0", b"1112.0"))
    (problem,) = updated(home, None).problems
    assert "not as it was recorded" in problem


def test_a_damaged_run_that_was_put_right_is_counted_again(home, url):
    path = write(home, 0, passed(1.0))
    whole = (path / "results.jsonl").read_bytes()
    damage(path)
    assert updated(home, url).problems
    (path / "results.jsonl").write_bytes(whole)
    assert updated(home, url).problems == ()
    assert figures(home, url) == {"syscall.getpid.latency": [1.0]}


def test_a_damaged_run_that_is_gone_is_no_longer_reported(home, url):
    path = write(home, 0, passed(1.0))
    damage(path)
    assert updated(home, url).problems
    shutil.rmtree(path)
    assert updated(home, url).problems == ()


def test_names_that_no_database_takes_are_refused_as_damage(home, url):
    (measurement,) = passed(2.0)[0].measurements
    odd = msgspec.structs.replace(measurement, metric="a\0b")
    write(home, 0, [Unverified(source="x", measurements=(odd,))])
    write(home, 1, passed(1.0))
    (problem,) = updated(home, url).problems
    assert "printable" in problem
    assert figures(home, url) == {"syscall.getpid.latency": [1.0]}


# ---- made anew ----


def everything(home, url):
    with Index(home, url) as index:
        return index.runs(), index.series()


def test_a_rebuilt_index_says_the_same(home, url):
    for number in range(5):
        write(home, number, passed(float(number)), described=envelope(probe_compiler=f"gcc {number // 3}"))
    damage(write(home, 5, passed(5.0)))
    problems = updated(home, url).problems
    before = everything(home, url)
    with Index(home, url) as index:
        again = index.rebuild()
    assert (again.added, again.problems) == (5, problems)
    assert everything(home, url) == before


def test_an_index_of_another_schema_says_rebuild_and_is_rebuilt(home, url):
    write(home, 0, passed(1.0))
    updated(home, url)
    opened = database.Database(database.address(home, url))
    with contextlib.closing(opened), opened.writing() as connection:
        connection.execute(database.META.update().values(text="0"))
    with pytest.raises(StoreError, match="schema 0, this benchproof needs 2; `benchproof index rebuild`"):
        updated(home, url)
    with Index(home, url) as index:
        assert index.rebuild().added == 1
    assert figures(home, url) == {"syscall.getpid.latency": [1.0]}


def test_a_file_that_is_no_database_says_rebuild_and_is_rebuilt(home):
    write(home, 0, passed(1.0))
    (home / "index.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="not a database; `benchproof index rebuild`"):
        updated(home, None)
    with Index(home, None) as index:
        assert index.rebuild().added == 1


def test_an_index_with_pages_of_rubbish_is_made_anew(home):
    for number in range(30):
        write(home, number, passed(1.0))
    updated(home, None)
    content = bytearray((home / "index.sqlite").read_bytes())
    content[8192:-4096] = random.Random(1).randbytes(len(content) - 12288)
    (home / "index.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match="malformed; `benchproof index rebuild` makes it anew"):
        updated(home, None)
    with Index(home, None) as index:
        assert index.rebuild().added == 30


def test_an_index_that_was_cut_off_is_one_line(home):
    for number in range(30):
        write(home, number, passed(1.0))
    updated(home, None)
    content = (home / "index.sqlite").read_bytes()
    (home / "index.sqlite").write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="cannot be used"):
        updated(home, None)


def test_a_server_that_is_not_there_is_one_line(home):
    with pytest.raises(StoreError, match="cannot be used") as caught:
        updated(home, f"postgresql://someone:secret@/x?host={home}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mysql://host/x", "no address", "sqlite://", "postgresql", "://", "postgresql://h:x/y"]
)
def test_an_address_of_anything_else_is_refused(home, url):
    with pytest.raises(UsageError, match="expected an index such as"):
        Index(home, url)


# ---- many at once ----

_UPDATE = """
import sys
from pathlib import Path
from benchproof.store.index import Index
with Index(Path(sys.argv[1]), sys.argv[2] or None) as index:
    print(index.update().added)
"""


def test_processes_that_update_at_once_add_each_run_once(home, url):
    for number in range(8):
        write(home, number, passed(float(number)))
    command = [sys.executable, "-c", _UPDATE, str(home), url or ""]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    added = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 3
    assert sum(map(int, added)) == 8
    assert figures(home, url) == {"syscall.getpid.latency": [float(number) for number in range(8)]}


def test_two_homes_in_one_database_touch_only_their_own_runs(home, url, tmp_path, server):
    url = url or f"sqlite:///{tmp_path}/team.sqlite"
    other = tmp_path / "other"
    write(home, 0, passed(1.0))
    path = write(other, 1, passed(2.0))
    for each in (home, other, home):
        updated(each, url)
    assert figures(home, url) == {"syscall.getpid.latency": [1.0, 2.0]}
    with Index(home, url) as index:
        assert index.rebuild().added == 1
        assert [run.path is None for run in index.runs()] == [False, True]
    shutil.rmtree(path)
    assert updated(home, url).removed == 0
    assert updated(other, url).removed == 1


def test_a_home_keeps_its_name_when_it_is_moved(home, url, tmp_path):
    url = url or f"sqlite:///{tmp_path}/team.sqlite"
    write(home, 0, passed(1.0))
    updated(home, url)
    moved = home.rename(tmp_path / "moved")
    assert (updated(moved, url).added, updated(moved, url).removed) == (0, 0)


# ---- what makes an epoch ----


@pytest.mark.parametrize(
    "change",
    [
        {"host_architecture": "aarch64", "machine_architecture": "aarch64"},
        {"host_cpu": "Another"},
        {"machine_execution": "kvm"},
        {"probe_compiler": "gcc 13"},
        {"authority_capabilities": "all"},
    ],
)
def test_another_machine_compiler_or_authority_is_another_epoch(home, change):
    write(home, 0, passed(1.0))
    write(home, 1, passed(1.0), described=envelope(**change))
    (line,) = history.lines(series(home, None))
    assert len(line.epochs) == 2


def test_another_harness_or_unit_or_parameters_are_another_epoch(home):
    write(home, 0, passed(1.0))
    write(home, 1, passed(1.0), version="0.2.0")
    write(home, 2, passed(1.0, unit="count"), version="0.2.0")
    write(home, 3, passed(1.0, unit="count"), version="0.2.0", parameters={"samples": 7})
    (line,) = history.lines(series(home, None))
    differ = [history.trend.differing(a.facts, b.facts) for a, b in itertools.pairwise(line.epochs)]
    assert differ == [
        ("harness.version: benchproof 0.1.0 -> benchproof 0.2.0",),
        ("metric.unit: ns -> count",),
        ("parameters.samples: absent -> 7",),
    ]


def test_the_system_under_test_may_change_from_run_to_run(home):
    for number in range(4):
        described = envelope(
            system_kernel=f"6.{number}.0", machine_initramfs_sha256=str(number), machine_accel_reason=str(number)
        )
        write(home, number, passed(1.0), described=described)
    (line,) = history.lines(series(home, None))
    assert len(line.epochs) == 1


def test_a_guest_that_boots_each_time_is_in_another_epoch_than_a_clone():
    booted, cloned = (epochs.facts_of(envelope(system_start=each), harness="x") for each in ("cold", "snapshot"))
    assert booted != cloned


def test_the_kernel_of_the_host_is_the_system_where_the_host_is_measured():
    def facts(version, **more):
        words = {"host_kernel": f"Linux {version} #1 SMP", "host_mitigations": version, "host_memory": "24684096 kB"}
        return epochs.facts_of(envelope(**words, **more), harness="x")

    assert facts("6.1.0") != facts("6.12.0")
    own = [
        facts(version, system_os="Linux", system_kernel=version, system_kernel_build="#1 SMP")
        for version in ("6.1.0", "6.12.0")
    ]
    assert own[0] == own[1]


def test_a_few_kilobytes_of_memory_more_are_no_other_machine():
    facts = [
        epochs.facts_of(envelope(host_memory=text), harness="x") for text in ("24684096 kB", "24684100 kB", "8 GB")
    ]
    assert facts[0] == facts[1] != facts[2]


def test_cases_with_several_parameters_in_one_run_are_lines_of_their_own(home):
    for number in range(2):
        path = write(home, number, passed(1.0), parameters={"vcpus": 1}, complete=False)
        out = bundle.Bundle.resume(bundle.load(path))
        (first,) = bundle.load(path).results
        out.append(msgspec.structs.replace(first, parameters={"vcpus": 2}))
        out.seal(b"{}\n")
        out.close()
    found = history.lines(series(home, None))
    assert [(each.parameters, len(each.epochs)) for each in found] == [('{"vcpus":1}', 1), ('{"vcpus":2}', 1)]


def test_only_what_was_asked_for_is_answered(home, url):
    both = together(passed(1.0, metric="a.x"), passed(2.0, metric="a.y"))
    write(home, 0, both, benchmark="a", target="one")
    write(home, 1, passed(3.0, metric="b.x"), benchmark="b", target="two", labels={"branch": "topic"})
    assert figures(home, url, what="a") == {"a.x": [1.0], "a.y": [2.0]}
    assert figures(home, url, what="a.y") == {"a.y": [2.0]}
    assert figures(home, url, target="two") == {"b.x": [3.0]}
    assert figures(home, url, branch="topic") == {"b.x": [3.0]}


def test_a_run_that_this_user_may_not_read_is_not_called_damaged(home, monkeypatch):
    path = write(home, 0, passed(1.0))
    monkeypatch.setattr(type(path), "read_bytes", lambda self: (_ for _ in ()).throw(PermissionError(13, "No", self)))
    with pytest.raises(StoreError, match=r"manifest\.json' cannot be read: No"):
        bundle.load(path)
