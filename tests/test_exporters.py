"""Reports in the formats of others: only verified numbers are numbers, and no name breaks out of its place.

The formats were checked with the tools that read them: pytest-benchmark 5.3.1 `compare`, Google Benchmark 1.7.1
`compare.py`, prometheus_client 0.26 and the JUnit schema of Windy Road (2011); here are the properties they asked for.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import importers
from benchproof.analysis.matrix import Report
from benchproof.model import Unverified
from benchproof.reporters import FORMATS
from benchproof.reporters.export import plain
from benchproof.reporters.pytest_benchmark import stats_of
from exports import HOSTILE, passed, report, row, verdict, without_number

NUMBERS = ("pytest-benchmark", "bencher", "google-benchmark", "openmetrics")
TEXT = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates and all


def render(form: str, found: Report | None = None) -> str:
    return str(FORMATS.load(form)(found or report()))


def document(form: str, found: Report | None = None) -> dict:
    return json.loads(render(form, found))


def only(*rows) -> Report:
    return msgspec.structs.replace(report(), rows=rows)


# what has no number


@pytest.mark.parametrize("form", NUMBERS)
@pytest.mark.parametrize("status", ["failed", "unsupported", "invalid", "unverified", "missing"])
def test_what_did_not_pass_is_no_number_in_any_format(form, status):
    cells = {"base": passed(100.0), "gone": without_number(status, "why")}
    text = render(form, only(row("syscall.getpid.latency", "ns", cells)))
    without = render(form, only(row("syscall.getpid.latency", "ns", {"base": passed(100.0)})))
    if form in {"bencher", "openmetrics"}:
        assert text == without
    else:
        assert status in text
        assert re.findall(r"(?:time|median|value)\": [-\d.e]+", text) == re.findall(
            r"(?:time|median|value)\": [-\d.e]+", without
        )


@pytest.mark.parametrize("form", NUMBERS)
def test_an_unverified_cell_is_not_exported_though_it_has_values(form):
    smuggled = msgspec.structs.replace(passed(1.0), status="unverified")
    text = render(form, only(row("a.b.latency", "ns", {"x": smuggled})))
    assert not re.search(r"real_time|\"data\"|\"value\"|benchproof_median", text)


# pytest-benchmark


FIELDS = {
    *("min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "iqr_outliers", "stddev_outliers"),
    *("outliers", "ld15iqr", "hd15iqr", "ops", "total", "data", "iterations"),
}


def test_an_entry_has_every_field_that_pytest_benchmark_compares():
    found = document("pytest-benchmark")
    assert {"machine_info", "commit_info", "benchmarks", "datetime", "version"} <= found.keys()
    for entry in found["benchmarks"]:
        assert {"group", "name", "fullname", "params", "param", "extra_info", "options", "stats"} == entry.keys()
        assert entry["stats"].keys() == FIELDS
    assert found["commit_info"]["id"] == "0123abc"


def test_times_are_seconds_and_a_rate_is_the_time_of_one():
    by_name = {entry["name"]: entry["stats"] for entry in document("pytest-benchmark")["benchmarks"]}
    assert by_name["syscall.getpid.latency[base]"]["data"] == pytest.approx([90e-9, 100e-9, 110e-9])
    assert by_name["ipc.pipe.throughput[base]"]["data"] == [1 / 2e9, 1 / 4e9]
    assert len(by_name) == 2  # bytes have no time


def test_what_pytest_benchmark_has_no_place_for_is_listed_beside():
    beside = document("pytest-benchmark")["benchproof"]
    assert [(each["name"], each["status"]) for each in beside["without_number"]] == [
        ("syscall.getpid.latency", "unsupported"),
        ("ipc.pipe.throughput", "failed"),
        ("net.rtt", "invalid"),
        ("net.rtt", "missing"),
    ]
    assert {each["name"] for each in beside["without_time"]} == {
        "memory.memcpy.bytes size=1024",
        "memory.memcpy.bytes size=2048",
    }


# what pytest_benchmark.stats.Stats (5.3.1) gives for the same values
THEIRS = (
    ((1.0,), {"stddev": 0, "q1": 1.0, "q3": 1.0, "outliers": "0;0", "ld15iqr": 1.0, "hd15iqr": 1.0, "ops": 1.0}),
    (
        (1.0, 2.0, 3.5, 4.0),
        {"stddev": 1.3768926368215255, "q1": 1.5, "q3": 3.75, "outliers": "1;0", "hd15iqr": 4.0, "total": 10.5},
    ),
    ((1.0, 2.0, 3.5, 4.0, 9.0), {"q1": 1.75, "q3": 5.25, "iqr": 3.5, "outliers": "1;0", "hd15iqr": 9.0}),
    (
        (1.0, 2.0, 3.5, 4.0, 9.0, 30.0, 2.5),
        {"median": 3.5, "q1": 2.125, "q3": 7.75, "iqr": 5.625, "outliers": "1;1", "ld15iqr": 1.0, "hd15iqr": 9.0},
    ),
)


@pytest.mark.parametrize(("values", "theirs"), THEIRS)
def test_the_statistics_are_those_of_pytest_benchmark(values, theirs):
    ours = stats_of(values)
    for name, value in theirs.items():
        assert ours[name] == (value if isinstance(value, str) else pytest.approx(value))


# Bencher


def test_bencher_gets_benchmark_measure_and_three_values():
    found = document("bencher")
    assert found["syscall.getpid (base)"] == {"latency": {"value": 100.0, "lower_value": 90.0, "upper_value": 110.0}}
    assert list(found["ipc.pipe (base)"]) == ["throughput (bytes/s)"]  # Bencher's own `throughput` is in op/s
    assert found["memory.memcpy size=2048 (other)"]["bytes (bytes)"]["value"] == 2049


def test_names_longer_than_bencher_allows_are_cut_and_stay_different():
    rows = [row(f"x.{'y' * 100}{end}", "count", {"t" * 2000: passed(1.0)}) for end in "ab"]
    found = document("bencher", only(*rows))
    assert max(map(len, found)) == 1024
    (measures,) = found.values()
    assert [len(name) for name in measures] == [64, 64]


# Google Benchmark


def test_google_benchmark_gets_an_entry_for_each_invocation():
    entries = [entry for entry in document("google-benchmark")["benchmarks"] if "real_time" in entry]
    times = [entry["real_time"] for entry in entries if entry["name"] == "syscall.getpid.latency/base"]
    assert times == pytest.approx([90.0, 100.0, 110.0])
    for entry in entries:
        assert (entry["run_type"], entry["time_unit"], entry["cpu_time"]) == ("iteration", "ns", entry["real_time"])
        assert entry["label"].endswith("cpu_time repeats it")
        assert entry["repetition_index"] < entry["repetitions"]
    assert [entry["bytes_per_second"] for entry in entries if "bytes_per_second" in entry] == [2e9, 4e9]


def test_an_error_has_no_time_and_a_name_that_no_time_has():
    """compare.py reads a time of every entry that is no aggregate, and of two entries of one name."""
    entries = document("google-benchmark")["benchmarks"]
    errors = [entry for entry in entries if entry.get("error_occurred")]
    assert [entry["error_message"] for entry in errors][:2] == ["unsupported: no such call", "failed: no such call"]
    for entry in errors:
        assert not {"real_time", "cpu_time", "time_unit", "iterations"} & entry.keys()
        assert entry["run_type"] == "aggregate"
        assert entry["name"].endswith(entry["aggregate_name"])


# OpenMetrics


_VALUE = r"-?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?)"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(
    rf"(?P<name>[a-zA-Z_:][\w:]*)(?:\{{(?P<labels>(?:{_LABEL}(?:,{_LABEL})*)?)\}})? (?P<value>{_VALUE})"
)
_META = re.compile(r"# (?P<kind>TYPE|UNIT|HELP) (?P<name>[a-zA-Z_:][\w:]*) (?P<said>[^\n]*)")


def exposition(text: str) -> dict[str, dict]:
    """A strict reader of what we write: families in one piece, no series twice, the end marked."""
    assert text.endswith("\n# EOF\n")
    families: dict[str, dict] = {}
    current = ""
    for line in text[: -len("# EOF\n")].split("\n")[:-1]:
        if line.startswith("#"):
            name, kind, said = _META.fullmatch(line).group("name", "kind", "said")
            if kind == "TYPE":
                assert name not in families
                current = name
                families[name] = {"type": said, "unit": "", "samples": {}}
            assert name == current
            families[name][kind.lower()] = said
        else:
            name, labels, value = _SAMPLE.fullmatch(line).group("name", "labels", "value")
            assert name == current + ("_info" if families[current]["type"] == "info" else "")
            assert labels not in families[current]["samples"]
            families[current]["samples"][labels] = float(value)
    for name, family in families.items():
        assert not family["unit"] or name.endswith("_" + family["unit"])
    if "prometheus_client" in sys.modules or _real_parser_is_here():
        from prometheus_client.openmetrics.parser import text_string_to_metric_families  # noqa: PLC0415

        assert [each.name for each in text_string_to_metric_families(text)] == list(families)
    return families


def _real_parser_is_here() -> bool:
    try:
        import prometheus_client  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


def test_openmetrics_has_base_units_and_few_labels():
    families = exposition(render("openmetrics"))
    labels = 'benchmark="syscall.getpid",target="base",metric="syscall.getpid.latency"'
    assert families["benchproof_median_seconds"]["samples"] == {labels: 1e-7}
    assert families["benchproof_median_bytes_per_second"]["unit"] == "bytes_per_second"
    assert families["benchproof_invocations"]["samples"][labels] == 3
    assert 'run_id="20261120T000000Z-abcdef"' in next(iter(families["benchproof_run"]["samples"]))
    assert sum("run_id" in line for line in render("openmetrics").splitlines()) == 1


def test_every_unit_has_a_family():
    units = ("ns", "bytes", "bytes/s", "op/s", "instructions", "cycles", "count", "ratio")
    rows = [row(f"a.b.{number}", unit, {"t": passed(2.0)}) for number, unit in enumerate(units)]
    families = exposition(render("openmetrics", only(*rows)))
    assert sum(name.startswith("benchproof_median_") for name in families) == len(units)
    assert len(families["benchproof_invocations"]["samples"]) == len(units)


@given(TEXT, TEXT)
def test_any_name_is_a_valid_label(target, run_id):
    found = msgspec.structs.replace(report(target=target or "x"), run_id=run_id)
    exposition(render("openmetrics", found))


# JUnit


GATES = (
    verdict("met"),
    verdict("not met", "beyond the limit"),
    verdict("undecided", "too few"),
    verdict("review", "wide floor"),
    verdict("off"),
)
_SUITE = {"name", "package", "id", "tests", "failures", "errors", "skipped", "hostname", "timestamp", "time"}


def suites(found: Report) -> dict[str, ET.Element]:
    """Read back, with what the schema asks of it."""
    root = ET.fromstring(render("junit", found).encode())  # noqa: S314 - our own text
    assert (root.tag, root.attrib) == ("testsuites", {})
    for suite in root:
        assert suite.attrib.keys() == _SUITE
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        cases = suite.findall("testcase")
        assert [each.tag for each in suite] == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        for case in cases:
            assert case.attrib.keys() == {"name", "classname", "time"}
            assert re.fullmatch(r"\d+(\.\d+)?", case.get("time"))
            assert len(case) <= 1
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(name)) == len(suite.findall(f"testcase/{tag}"))
        assert int(suite.get("tests")) == len(cases)
    return {suite.get("name"): suite for suite in root}


def kinds(suite: ET.Element) -> list[str]:
    return [case[0].tag if len(case) else "" for case in suite.findall("testcase")]


def test_a_gate_is_a_test_case_that_ends_as_its_verdict():
    gates = suites(report(gates=GATES))["gates"]
    assert kinds(gates) == ["", "failure", "error", "skipped", "skipped"]
    message = gates.find("testcase/failure").get("message")
    assert message == "NOT MET: syscall.getpid of base: median 100.0 ns, limit < 95 ns: beyond the limit"


def test_a_benchmark_on_a_target_is_one_test_case_however_many_metrics_it_has():
    cells = {"base": passed(1.0), "other": without_number("failed", "wrong")}
    rows = [row(f"boot.phases.{name}", "ns", cells) for name in ("kernel", "user")]
    cases = suites(only(*rows))["cases"]
    assert [case.get("name") for case in cases.findall("testcase")] == ["boot.phases on base", "boot.phases on other"]
    assert kinds(cases) == ["", "failure"]


def test_the_cases_end_as_their_status_and_take_as_long_as_they_took():
    cases = suites(report())["cases"]
    assert kinds(cases) == ["", "skipped", "", "failure", "", "", "", "", "error", "error"]
    assert cases.find("testcase").get("time") == "1.5"
    assert cases.find("testcase/skipped").get("message") == "unsupported; no such call"


@given(TEXT, TEXT)
def test_xml_stays_well_formed_whatever_a_bundle_says(target, reason):
    suites(report(target=target or "x", reason=reason, gates=(verdict("not met", reason, target=target),)))


# GitHub


def test_annotations_are_by_severity_and_gates_come_first():
    lines = render("github", report(gates=GATES)).splitlines()
    assert [line.split(" ")[0] for line in lines] == [
        *("::error", "::error", "::warning"),
        *("::notice", "::error", "::warning", "::warning", "::notice"),
    ]
    assert lines[0] == (
        "::error title=gate syscall.getpid on base::"
        "NOT MET: syscall.getpid of base: median 100.0 ns, limit < 95 ns: beyond the limit"
    )
    assert lines[-1].endswith("6/10 passed; gates: 1 met, 1 NOT MET, 1 undecided, 1 review, 1 off")


def test_percent_signs_colons_and_commas_are_escaped_where_they_mean_something():
    (line, _) = render(
        "github", only(row("a", None, {"b, c: 5 %": without_number("failed", "x: 5 %, y")}))
    ).splitlines()
    assert line == "::error title=a on b%2C c%3A 5 %25%3A failed::x: 5 %25, y"


@given(TEXT, TEXT)
def test_no_text_begins_a_command_of_its_own(target, reason):
    found = report(target=target or "x", reason=reason, gates=(verdict("not met", reason, target=target),))
    lines = render("github", found).split("\n")
    assert len(lines) == len(render("github", report(gates=(verdict("not met"),))).split("\n"))
    assert all(re.fullmatch(r"::(error|warning|notice) title=[^:,]*::.*", line) for line in lines[:-1])


# there and back


@pytest.mark.parametrize("form", ["pytest-benchmark", "google-benchmark"])
@pytest.mark.parametrize("target", ["other", HOSTILE])
def test_what_is_exported_can_be_imported_with_the_same_values_and_unverified(form, target):
    rows = [row(f"a.b.{name}", "ns", {"base": passed(90.0, 100.0, 110.0), target: passed(7.0)}) for name in "xy"]
    (run,) = importers.read_as(form, render(form, only(*rows, *report().rows[:1])).encode(), "x.json")
    samples = [each.outcome.measurements[0].samples for each in run.results if isinstance(each.outcome, Unverified)]
    assert len(samples) == len(run.results) == 5
    assert sorted(sorted(each) for each in samples) == [
        pytest.approx(each) for each in ([7.0], [7.0], *[[90.0, 100.0, 110.0]] * 3)
    ]


# hostile text in all of them


MACHINES = (*NUMBERS, "junit", "github")


@pytest.mark.parametrize("form", MACHINES)
def test_no_control_character_and_no_change_of_direction_comes_through(form):
    gates = (verdict("not met", HOSTILE, target=HOSTILE),)
    text = render(form, report(target=HOSTILE, reason=HOSTILE, gates=gates))
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    text.encode()  # no lone surrogate either
    if form not in {"github", "openmetrics"}:  # these are no part of a page
        assert "<script" not in text


@given(TEXT, TEXT)
def test_json_of_hostile_names_is_json_and_plain_text_keeps_names_apart(one, other):
    for form in ("pytest-benchmark", "bencher", "google-benchmark"):
        text = render(form, report(target=one or "x", reason=other))
        assert text.isascii()
        json.loads(text)
    assert (plain(one) == plain(other)) == (one == other)


def test_times_that_no_clock_could_measure_end_no_export():
    rows = [
        row(f"a.{name}", unit, {"t": passed(value)})
        for name, unit, value in (
            ("huge", "ns", 1e308),
            ("tiny", "op/s", 5e-324),
            ("none", "bytes/s", 0.0),
            ("zero", "ns", 0.0),
        )
    ]
    assert [each["name"] for each in document("pytest-benchmark", only(*rows))["benchmarks"]] == ["a.zero[t]"]
    for form in NUMBERS:
        render(form, only(*rows))


def test_csv_tells_rows_of_one_metric_apart_by_their_parameters():
    lines = list(csv.DictReader(io.StringIO(render("csv"))))
    assert {line["parameters"] for line in lines if line["metric"] == "memory.memcpy.bytes"} == {
        '{"size":1024}',
        '{"size":2048}',
    }


# the documentation


PAGE = (Path(__file__).parent.parent / "docs" / "formats.md").read_text()


def test_the_page_on_formats_names_every_format():
    named = re.findall(
        r"`([\w-]+)`", " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    )
    assert sorted(named) == sorted(FORMATS.own)


def test_the_examples_on_the_page_are_what_is_written():
    examples = dict(
        zip(("github", "bencher", "openmetrics"), re.findall(r"```\w*\n(.*?)```", PAGE, re.DOTALL), strict=True)
    )
    gate = verdict("not met")
    for form, example in examples.items():
        assert example in render(form, report(gates=(gate,)))
