"""What was really timed stands beside every ratio, and what is of another unit or of nobody's proof is in none."""

from __future__ import annotations

import csv
import io
import json
import random
from xml.etree import ElementTree as ET

import msgspec
import pytest

from benchproof.analysis import gate, invocations, matrix, profiles, relative
from benchproof.analysis.cells import unlike
from benchproof.analysis.compare import Design
from benchproof.analysis.gate import Gate
from benchproof.analysis.limit import Limit
from benchproof.analysis.matrix import Column
from benchproof.analysis.versus import Half, between
from benchproof.model import Measurement, Passed, Result, Unsupported, Unverified
from benchproof.reporters import FORMATS
from benchproof.reporters import profiles as words
from benchproof.reporters import versus as reporter
from exports import report

GETPID = "raw getpid system call"
RING = {"mechanism": "ring entry no-op", "difference": "no registers are saved"}
COLUMNS = (
    Column(target="linux", reference="linux", envelope="sha256:a", context=()),
    Column(target="bare", reference="linux", envelope="sha256:b", context=(), labels=("debug build",)),
)


def a_measurement(value, unit="ns"):
    return Measurement(
        metric="syscall.getpid.latency", unit=unit, better="lower", clock="target", iterations=1, samples=(value,)
    )


def results(target, outcomes, **more):
    """One result a block."""
    return [
        Result(
            run_id="r",
            target=target,
            benchmark="syscall.getpid",
            parameters={},
            tier=1,
            block=block,
            started_at="2026-11-21T00:00:00Z",
            duration_ns=1,
            envelope="",
            attempt=1,
            outcome=outcome,
            **more,
        )
        for block, outcome in enumerate(outcomes)
    ]


def passed(target, level, *, unit="ns", n=8, **more):
    draw = random.Random(target)
    values = [level * (1 + 0.001 * draw.gauss(0, 1)) for _ in range(n)]
    return results(target, [Passed(measurements=(a_measurement(each, unit),)) for each in values], **more)


def a_report(*found):
    cases = [(column.target, "syscall.getpid", {}, 1) for column in COLUMNS]
    rows = matrix.rows(cases, [each for some in found for each in some], COLUMNS, mechanisms={"syscall.getpid": GETPID})
    return msgspec.structs.replace(report(), columns=COLUMNS, rows=rows, gates=())


def both(**more):
    return a_report(passed("linux", 100), passed("bare", 50, **more))


def test_a_ratio_of_unlike_mechanisms_says_what_each_side_times_and_by_what_that_differs():
    found = both(evidence=RING)
    words = "bare: ring entry no-op; linux: raw getpid system call; differs: no registers are saved"
    assert found.rows[0].cells["bare"].comparison.unlike == words
    for form in ("terminal", "markdown", "csv", "json"):
        text = " ".join(FORMATS.load(form)(found).split())
        assert words in text, form


def test_a_gate_on_such_a_ratio_says_it_too():
    found = both(evidence=RING)
    limit = Limit.parse("< 1.1")
    bound = Gate(key="syscall.getpid", benchmark="syscall.getpid", metric=None, statistic="ratio", limit=limit)
    (verdict,) = gate.judge(
        [msgspec.structs.replace(bound, baseline=gate.REFERENCE, target="bare")],
        [("bare", "syscall.getpid", {}, 1)],
        passed("bare", 50, evidence=RING),
        blocks={(invocations.question("syscall.getpid", {}), "bare"): 8},
        ratios=relative.within(found),
        complete=True,
    )
    assert (verdict.verdict, verdict.reason.partition(": ")[0]) == ("met", "unlike things are compared")
    with_gate = msgspec.structs.replace(found, gates=(verdict,))
    for form in ("markdown", "json"):
        assert "unlike things are compared" in FORMATS.load(form)(with_gate)


def test_profiles_of_unlike_mechanisms_say_it_beneath_their_table():
    found = both(evidence=RING)
    between_them = between(a_half(found, "linux"), a_half(found, "bare"), context=(), vary=("system",), design=Design())
    made = profiles.of("mine", "linux", ["linux", "bare"], lambda _base, _new: between_them, emulated=False)
    (table,) = words.costs(msgspec.structs.replace(found, profiles=(made,)))
    assert any("ring entry no-op" in remark for remark in table.remarks)


def test_one_mechanism_on_both_sides_needs_no_words():
    (row,) = both().rows
    assert [cell.mechanism for cell in row.cells.values()] == [GETPID, GETPID]
    assert row.cells["bare"].comparison.unlike == ""


def test_a_cell_without_a_figure_has_timed_nothing():
    (row,) = a_report(passed("linux", 100), results("bare", [Unsupported(reason="no calls")])).rows
    assert (row.cells["bare"].mechanism, row.cells["bare"].difference) == ("", "")


def test_a_system_that_changes_its_story_is_quoted_with_all_of_it():
    told = [*passed("bare", 50, n=4, evidence=RING)]
    told += [
        msgspec.structs.replace(each, block=each.block + 4, evidence={"mechanism": "a table look-up"}) for each in told
    ]
    assert (
        a_report(passed("linux", 100), told).rows[0].cells["bare"].mechanism == "ring entry no-op; or: a table look-up"
    )


def test_cycles_have_a_row_of_their_own_and_no_ratio_to_time():
    timed, counted = a_report(passed("linux", 100), passed("bare", 50, unit="cycles")).rows
    assert (timed.unit, list(timed.cells), counted.unit, list(counted.cells)) == ("ns", ["linux"], "cycles", ["bare"])
    assert counted.cells["bare"].comparison is None
    for form in FORMATS.names():
        text = FORMATS.load(form)(a_report(passed("linux", 100), passed("bare", 50, unit="cycles")))
        assert "0.50x" not in text
    text = FORMATS.load("terminal")(a_report(passed("linux", 100), passed("bare", 50, unit="cycles")))
    (line,) = [line.split() for line in text.splitlines() if line.strip().startswith("syscall.getpid")]
    assert (line[1], line[2], line[5]) == ("passed", "cycles", "ns")
    assert "bare: in cycles, and 'linux' in ns: figures of two units have no ratio" in text


def test_what_failed_stands_in_the_row_of_its_reference():
    (row,) = a_report(passed("linux", 100), results("bare", [Unsupported(reason="no calls")])).rows
    assert (list(row.cells), row.unit) == (["linux", "bare"], "ns")


def test_a_unit_that_changes_between_invocations_is_no_figure():
    mixed = [*passed("bare", 50, n=4), *passed("bare", 50, n=4, unit="cycles")]
    mixed = [msgspec.structs.replace(each, block=number) for number, each in enumerate(mixed)]
    cells = [row.cells["bare"] for row in a_report(passed("linux", 100), mixed).rows if "bare" in row.cells]
    assert {cell.status for cell in cells} == {"invalid"}
    assert "its unit changed between invocations: cycles, ns" in cells[0].notes


def test_what_a_system_states_without_evidence_is_shown_with_a_doubt_and_never_compared():
    stated = results("bare", [Unverified(source="kevlar", measurements=(a_measurement(50),))] * 8)
    (row,) = a_report(passed("linux", 100), stated).rows
    cell = row.cells["bare"]
    assert (cell.status, cell.median, cell.comparison) == ("unverified", 50, None)
    assert cell.notes[0] == "stated by kevlar, not verified (8 of 8)"
    text = FORMATS.load("terminal")(a_report(passed("linux", 100), stated), width=400)
    assert "50.00 ?" in text
    assert "A ? behind a figure: its system states it without evidence" in text
    assert "behind a figure" not in FORMATS.load("terminal")(both(), width=400)
    assert "(bare" not in FORMATS.load("bencher")(a_report(passed("linux", 100), stated))


@pytest.mark.parametrize("form", [name for name in FORMATS.names() if name != "scaling-csv"])
def test_a_label_travels_into_every_format(form):
    assert "debug build" in FORMATS.load(form)(both())


def test_a_label_stands_on_top_of_what_people_read():
    for form in ("terminal", "markdown"):
        text = FORMATS.load(form)(both())
        assert text.index("bare: debug build") < text.index("syscall.getpid")


def test_a_label_that_all_targets_have_is_said_once_on_top_and_stays_in_every_series():
    found = both()
    columns = tuple(msgspec.structs.replace(each, labels=("nested", *each.labels)) for each in found.columns)
    found = msgspec.structs.replace(found, columns=columns)
    text = FORMATS.load("terminal")(found, width=200)
    assert "note: every target: nested: the figures are of such systems alone" in text
    assert "bare [debug build] against linux\n" in text.replace(" \n", "\n").replace("  ", "")
    assert "(linux [nested])" in FORMATS.load("bencher")(found)


def test_what_two_kernels_have_in_common_is_no_difference_between_them():
    other = passed("linux", 100, evidence=RING | {"mechanism": "a trap"})
    (row,) = a_report(other, passed("bare", 50, evidence=RING)).rows
    old, new = row.cells["linux"], row.cells["bare"]
    assert unlike("linux", old, "bare", new) == "bare: ring entry no-op; linux: a trap"


def test_machines_read_mechanism_difference_and_labels_in_fields_of_their_own():
    found = both(evidence=RING)
    line = list(csv.DictReader(io.StringIO(FORMATS.load("csv")(found))))[1]
    assert (line["target"], line["labels"]) == ("bare", "debug build")
    assert (line["mechanism"], line["mechanism_differs"]) == (RING["mechanism"], RING["difference"])
    cell = json.loads(FORMATS.load("json")(found))["rows"][0]["cells"]["bare"]
    assert (cell["mechanism"], cell["difference"]) == (RING["mechanism"], RING["difference"])
    root = ET.fromstring(FORMATS.load("junit")(found))  # noqa: S314 - our own
    said = root.findall("testsuite/system-out")[1].text
    assert "syscall.getpid on bare: ring entry no-op; differs: no registers are saved" in said
    assert 'mechanism="ring entry no-op"' in FORMATS.load("openmetrics")(found)
    assert 'mechanism="raw' not in FORMATS.load("openmetrics")(found)


def test_the_logs_of_what_did_not_pass_are_named():
    refused = results("bare", [Unsupported(reason="no calls")], logs=("logs/0001-console.txt",))
    assert a_report(refused).rows[0].cells["bare"].logs == ("logs/0001-console.txt",)


def a_half(found, target):
    (row,) = found.rows
    return Half(
        run_id="one",
        target=target,
        exact=False,
        complete=True,
        envelope=f"sha256:{target}",
        rows={(("syscall.getpid", "{}"), row.metric): row},
        values={(("syscall.getpid", "{}"), row.metric): dict(enumerate(row.cells[target].values))},
    )


def test_the_verb_compare_says_it_too():
    found = both(evidence=RING)
    pair = between(a_half(found, "linux"), a_half(found, "bare"), context=(), vary=("system",), design=Design())
    assert pair.rows[0].comparison.unlike.startswith("one/bare: ring entry no-op; one/linux: raw getpid system call")
    for width in (60, 140):
        assert "no registers are saved" in " ".join(reporter.render([pair], width=width).split())
