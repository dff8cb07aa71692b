"""What pages that list ask of the index, on SQLite and on PostgreSQL: filters, paging, the newest answers, gates."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest

from benchproof.errors import UsageError
from benchproof.model import Failed, Invalid, Unsupported, Unverified
from benchproof.store import asked, bundle, listings
from benchproof.store.index import Index
from benchproof.store.listings import Wanted
from databases import new_database, postgresql, programs
from runs import passed, write
from test_gate_verb import a_run

_NAMES = itertools.count()


@pytest.fixture(scope="module")
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
    return new_database(request.getfixturevalue("server"), f"listings{next(_NAMES)}")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home" / "runs").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def index(request, tmp_path_factory):
    """Five runs, of days 0 to 4; tests only read."""
    home = tmp_path_factory.mktemp("five") / "home"
    (home / "runs").mkdir(parents=True)
    url = None if request.param == "sqlite" else new_database(request.getfixturevalue("server"), "five")
    write(home, 0, passed(1.0), labels={"branch": "main", "commit": "a1"})
    write(home, 1, [Failed(violations=("wrong sum",))], labels={"branch": "next"}, benchmark="ipc.pipe")
    write(home, 2, passed(3.0), labels={"branch": "main", "note": '"branch":"next"'}, target='b"r%_[')
    write(home, 3, [Unsupported(reason="no KVM")], labels={}, complete=False)
    foreign = [Unverified(source="tool 1", measurements=each.measurements) for each in passed(5.0)]
    write(home, 4, foreign, labels={"branch": "main"})
    with Index(home, url) as opened:
        assert opened.update().problems == ()
        yield opened


def days(index, **wanted):
    """Of the runs found, the newest first."""
    found = listings.runs(index, Wanted(**wanted), skip=0, most=50)
    assert found.total == len(found.lines)
    return [int(line.run.run_id[6:8]) - 1 for line in found.lines]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"text": "20260102"}, [1]),
        ({"text": "A1"}, [0]),
        ({"text": "%"}, [2]),
        ({"branch": "main"}, [4, 2, 0]),
        ({"branch": "next"}, [1]),
        ({"branch": "mai"}, []),
        ({"benchmark": "syscall.getpid"}, [4, 3, 2, 0]),
        ({"benchmark": "ipc.pipe"}, [1]),
        ({"benchmark": "syscall.getpid", "target": "linux"}, [4, 3, 0]),
        ({"target": 'b"r%_['}, [2]),
        ({"target": "lin_x"}, []),
        ({"status": "failed"}, [1]),
        ({"status": "unsupported"}, [3]),
        ({"status": "unverified"}, [4]),
        ({"status": "running"}, [3]),
        ({"status": "complete"}, [4, 2, 1, 0]),
        ({"since": "2026-01-03"}, [4, 3, 2]),
        ({"until": "2026-01-03"}, [2, 1, 0]),
        ({"since": "2026-01-02", "until": "2026-01-02T00"}, [1]),
        ({"since": "2027"}, []),
        ({"branch": "main", "status": "unverified"}, [4]),
    ],
)
def test_every_filter_finds_the_runs_that_it_names_and_no_other(index, wanted, expected):
    assert days(index, **wanted) == expected


def test_a_list_is_shown_a_page_at_a_time_and_nothing_twice(index):
    pages = [listings.runs(index, Wanted(), skip=skip, most=2) for skip in (0, 2, 4, 6)]
    assert [len(each.lines) for each in pages] == [2, 2, 1, 0]
    assert {each.total for each in pages} == {5}
    assert len({line.run.run_id for each in pages for line in each.lines}) == 5


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("time", ["yesterday", "2026-1", "20261120", "2026-11-20 10", "٢٠٢٦"])
def test_a_time_that_is_none_is_refused(name, time):
    with pytest.raises(UsageError, match=f"{name}: expected the beginning of a time"):
        Wanted(**{name: time})


def test_a_line_counts_the_questions_with_a_verified_answer(home, url):
    write(home, 0, [*passed(1.0), Invalid(reason="noise")])
    a_run(home, "two", host={"syscall.getpid": [1.0], "ipc.pipe": [2.0]})
    with Index(home, url) as index:
        index.update()
        found = {line.run.run_id: line for line in listings.runs(index, Wanted(), skip=0, most=9).lines}
    assert (found["two"].passed, found["two"].asked, found["two"].targets) == (2, 2, ("host",))
    (other,) = (line for name, line in found.items() if name != "two")
    assert (other.passed, other.asked, other.troubles) == (0, 1, ("invalid",))


def test_the_newest_answer_is_that_of_the_newest_run_whatever_came_into_the_index_last(home, url):
    write(home, 5, [Failed(violations=("wrong",))])
    write(home, 5, passed(1.0), benchmark="ipc.pipe", run_id="other")
    with Index(home, url) as index:
        index.update()
        write(home, 1, passed(1.0))
        index.update()
        found = {each.benchmark: each for each in asked.latest(index)}
    late = found["syscall.getpid"]
    assert (late.status, late.reason, late.passed, late.asked, late.at[:10]) == ("failed", "wrong", 0, 1, "2026-01-06")
    assert found["ipc.pipe"].status == "passed"


def test_a_run_that_is_gone_is_in_no_list(home, url):
    path = write(home, 0, passed(1.0))
    with Index(home, url) as index:
        index.update()
        shutil.rmtree(path)
        index.update()
        assert listings.runs(index, Wanted(), skip=0, most=9).total == 0
        assert asked.latest(index) == []
        assert asked.gates(index, branch="", skip=0, most=9) == ([], [], 0)


# ---- gates ----


def gated(home, run_id, *verdicts, branch="main"):
    """A complete run whose sealed report has these verdicts."""
    path = write(home, int(run_id), passed(1.0), labels={"branch": branch}, complete=False)
    said = [
        {"gate": {"key": "ipc.pipe", "benchmark": "ipc.pipe"}, "target": f"t{n}", "parameters": {}, "verdict": verdict}
        for n, verdict in enumerate(verdicts)
    ]
    bundle.Bundle.resume(bundle.load(path)).seal(json.dumps({"gates": said}).encode())
    return path


def test_gates_are_told_run_by_run_the_newest_first_and_the_worst_is_that_of_the_run(home, url):
    gated(home, "0", "met", "met")
    gated(home, "1", "met", "not met")
    gated(home, "2", "undecided", branch="next")
    with Index(home, url) as index:
        index.update()
        runs, gates, total = asked.gates(index, branch="", skip=0, most=2)
        assert [run.labels["branch"] for run in runs] == ["next", "main"]
        assert (total, [gate.target for gate in gates]) == (3, ["t0", "t1"])
        assert [each.verdict for each in gates[0].said.values()] == ["met", "undecided"]
        assert asked.gates(index, branch="main", skip=0, most=9)[2] == 2
        assert days(index, gate="not met") == [1]
        assert [line.gates for line in listings.runs(index, Wanted(), skip=0, most=9).lines] == [
            "undecided",
            "not met",
            "met",
        ]


def test_a_report_that_was_changed_after_it_was_sealed_has_no_gates(home, url):
    path = gated(home, "0", "not met")
    (path / "report.json").write_bytes((path / "report.json").read_bytes().replace(b"not met", b"met"))
    with Index(home, url) as index:
        index.update()
        assert asked.gates(index, branch="", skip=0, most=9) == ([], [], 0)


@pytest.mark.parametrize("verdict", ["good", "", 1, "met "])
def test_a_verdict_that_no_gate_has_is_none(home, verdict):
    gated(home, "0", verdict)
    with Index(home) as index:
        index.update()
        assert asked.gates(index, branch="", skip=0, most=9) == ([], [], 0)


def test_series_are_found_by_part_of_any_of_their_names(index):
    names, total = listings.series(index, "GETPID", skip=0, most=9)
    assert (total, {target for target, _, _ in names}) == (2, {"linux", 'b"r%_['})
    assert listings.series(index, "nothing", skip=0, most=9) == ([], 0)
