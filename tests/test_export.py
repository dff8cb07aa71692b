"""Everything in the store as tables: what is read back is what was recorded, in memory that does not grow with it."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tracemalloc
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import databases
from benchproof import exports, report
from benchproof.cli import benchproof
from benchproof.errors import StoreError, UsageError
from benchproof.exports import of_runs
from benchproof.exports.tables import RESULTS, TABLES, Column, Table
from benchproof.model import Failed, Invalid, Result, Unsupported, Unverified
from benchproof.reporters import FORMATS
from benchproof.reporters.export import no_formula
from benchproof.store import bundle
from benchproof.store.files import placed
from exports import report as export_report
from exports import verdict
from runs import passed, together, write

FORMS = ("csv", "parquet")
PAGE = (Path(__file__).parent.parent / "docs" / "exports.md").read_text()
FORMULA = '=HYPERLINK("http://example.org?x="&A1,"ok")'
NASTY = (
    FORMULA,
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "'x",
    "''",
    'a"b',
    "a\nb,c",
    "",
    " ",
    "\x00",
    "\u202e",
    "0",
    "null",
)
PLAN = """
[targets.host]
[suites.calls]
benchmarks = ["syscall.getpid"]
[suites.life]
benchmarks = ["lifecycle.exec"]
[run]
blocks = 2
quick = true
[gates."syscall.getpid"]
statistic = "max"
limit = "< 1 s"
[gates."lifecycle.exec"]
must_pass = true
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Every kind of outcome, warm-ups and logs among them; values that no rounding survives."""
    folder = tmp_path_factory.mktemp("store")
    outcomes = [
        *passed(0.1 + 0.2, 1e-300, 12345678901234.5),
        *together(passed(1.0, 0.0), passed(-0.0, 5.0, metric="syscall.getpid.rate", unit="op/s", better="higher")),
        Failed(violations=NASTY),
        Unsupported(reason="no such call", missing="another kernel"),
        Unsupported(reason=FORMULA),
        Invalid(reason="noise: steal 3 %"),
        Unverified(source="a tool 1.0", measurements=passed(7.0)[0].measurements),
    ]
    plan = {"targets": {"linux": {"kind": "host"}}, "suites": {"s": {"benchmarks": ["syscall.getpid"]}}}
    write(folder, 0, outcomes, parameters={"size": 2**60, "text": FORMULA, "deep": {"a": [1, None]}}, plan=plan)
    write(folder, 1, passed(5.0), complete=False, labels={"branch": FORMULA, "note": "'x"}, plan=plan)
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of the runner's own: of two benchmarks the host can do one."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "plan.toml").write_text(PLAN)
    ran = invoke("run", "--plan", str(folder / "plan.toml"), "--home", str(folder))
    assert ran.exit_code in {0, 1, 3}, ran.output
    return folder


def invoke(*words):
    return CliRunner().invoke(benchproof, [*map(str, words)], standalone_mode=False)


def exported(home, form, folder, what="all", *more):
    done = invoke("export", "--home", home, "--format", form, "--what", what, "--out", folder, *more)
    if done.exception:
        raise done.exception
    return done


def table_of(path: Path, table: Table) -> list[dict]:
    """As any reader of the format gets it, with what CSV cannot say said by the table's columns."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = path.read_bytes().decode()
    return [
        {column.name: value(line[column.name], column) for column in table.columns}
        for line in csv.DictReader(io.StringIO(text, newline=""), strict=True)
    ]


def value(text: str, column: Column):
    if text == "":
        return None
    readers = {"integer": int, "number": float, "flag": "true".__eq__, "time": datetime.fromisoformat}
    readers |= {"texts": json.loads, "numbers": json.loads, "integers": json.loads}
    return readers.get(column.kind, lambda text: text.removeprefix("'"))(text)


def results_of(rows: list[dict]) -> list[Result]:
    """Back from rows to what was recorded."""
    lines: dict[tuple, list[dict]] = {}
    for row in rows:
        lines.setdefault((row["run_id"], row["file"], row["line"]), []).append(row)
    return [_result(some) for some in lines.values()]


def _result(rows: list[dict]) -> Result:
    row = rows[0]
    known = {name: row[name] for name in Result.__struct_fields__ if name in row}
    noise = ("steal", "pressure", "load", "context_switches", "involuntary_switches", "clock_source", "cpu_mhz")
    outcome = {name: row[name] for name in ("status", "reason", "missing", "violations", "source") if row[name]}
    fields = ("metric", "unit", "better", "clock", "iterations", "warmups", "samples")
    measurements = [{name: each[name] for name in fields} for each in rows if each["metric"]]
    outcome |= {"measurements": measurements} if measurements else {}
    more = {
        "parameters": json.loads(row["parameters"]),
        "evidence": json.loads(row["evidence"]),
        "noise": {name: row[name] for name in (*noise, "clock_step_ns")},
        "outcome": outcome,
        "started_at": row["started_at"].isoformat(),
        "envelope": row["envelope"] or "",
    }
    return msgspec.convert(known | more, Result)


# there and back


@pytest.mark.parametrize("form", FORMS)
def test_the_results_that_are_read_back_are_those_that_were_recorded(home, tmp_path, form):
    exported(home, form, tmp_path)
    found = results_of(table_of(tmp_path / f"results.{form}", RESULTS))
    stored = [each for path in sorted((home / "runs").iterdir()) for each in bundle.load(path).results]
    assert found == stored
    assert len(stored) == 11


@pytest.mark.parametrize("form", FORMS)
def test_the_figures_and_gates_that_are_read_back_are_those_of_the_report(measured, tmp_path, form):
    exported(measured, form, tmp_path)
    (path,) = (measured / "runs").iterdir()
    found = report.build(bundle.load_sealed(path))
    figures = {row["benchmark"]: row for row in table_of(tmp_path / f"figures.{form}", TABLES["figures"])}
    cell = next(row.cells["host"] for row in found.rows if row.benchmark == "syscall.getpid")
    measured_row = figures["syscall.getpid"]
    assert (measured_row["median"], measured_row["values"]) == (cell.median, list(cell.values))
    assert (measured_row["sample_count"], measured_row["sd"]) == (cell.extent.n, cell.summary.sd)
    assert measured_row["lines"] == list(cell.lines)
    gates = {row["gate"]: row for row in table_of(tmp_path / f"gates.{form}", TABLES["gates"])}
    assert (gates["syscall.getpid"]["verdict"], gates["syscall.getpid"]["bound"]) == ("met", 1e9)
    assert (gates["lifecycle.exec"]["verdict"], gates["lifecycle.exec"]["figure"]) == ("not met", None)


@pytest.mark.parametrize("form", FORMS)
def test_what_has_no_figure_has_a_row_with_its_status_and_nothing_in_place_of_a_number(measured, tmp_path, form):
    exported(measured, form, tmp_path)
    rows = table_of(tmp_path / f"figures.{form}", TABLES["figures"])
    (missing,) = [row for row in rows if row["benchmark"] == "lifecycle.exec"]
    numbers = [column.name for column in TABLES["figures"].columns if column.kind in {"number", "numbers"}]
    assert missing["status"] == "unsupported"
    assert "cannot be frozen" in missing["notes"][0]
    assert {missing[name] for name in numbers} == {None}
    unanswered = [row for row in table_of(tmp_path / f"results.{form}", RESULTS) if row["status"] == "unsupported"]
    assert unanswered
    assert {row["samples"] for row in unanswered} == {None}


@pytest.mark.parametrize("form", FORMS)
def test_the_points_of_the_index_and_their_series_belong_together(home, tmp_path, form):
    exported(home, form, tmp_path)
    points, series = (table_of(tmp_path / f"{name}.{form}", TABLES[name]) for name in ("points", "series"))
    assert {row["series"] for row in points} == {row["series"] for row in series}
    assert [(row["value"], row["n"], row["verified"], row["state"]) for row in points] == [(5.0, 1, True, "running")]
    assert json.loads(series[0]["environment"])["host.cpu"] == "A CPU"


def test_both_formats_say_the_same(home, tmp_path):
    for form in FORMS:
        exported(home, form, tmp_path)
    for name, table in TABLES.items():
        one, other = (table_of(tmp_path / f"{name}.{form}", table) for form in FORMS)
        assert len(one) == len(other)
        for row, same in zip(one, other, strict=True):
            assert row == {key: found if found != "" else None for key, found in same.items()}


def test_only_the_named_runs_are_exported(home, tmp_path):
    (first, _) = sorted(path.name for path in (home / "runs").iterdir())
    exported(home, "csv", tmp_path, "all", "--force", first)
    for name in ("runs", "results", "envelopes"):
        assert {row["run_id"] for row in table_of(tmp_path / f"{name}.csv", TABLES[name])} == {first}
    assert table_of(tmp_path / "points.csv", TABLES["points"]) == []  # it has a wrong answer, and so no value


@pytest.mark.skipif(not databases.programs(), reason="PostgreSQL is not installed")
def test_the_points_of_an_index_in_postgresql_are_the_same(tmp_path):
    write(tmp_path, 0, passed(5.0), plan={"targets": {"linux": {"kind": "host"}}})
    exported(tmp_path, "csv", tmp_path / "sqlite.csv", "points")
    with databases.postgresql() as server:
        address = databases.new_database(server, "exports")
        exported(tmp_path, "csv", tmp_path / "postgresql.csv", "points", "--index", address)
    assert (tmp_path / "sqlite.csv").read_text() == (tmp_path / "postgresql.csv").read_text()
    assert len((tmp_path / "sqlite.csv").read_text().splitlines()) == 2


# types and units


def test_parquet_has_types_in_place_of_texts_and_units_in_its_schema(home, tmp_path):
    exported(home, "parquet", tmp_path, "results")
    schema = pq.read_schema(tmp_path / "results.parquet")
    types = {field.name: str(field.type) for field in schema}
    assert types["duration_ns"] == "int64"
    assert types["started_at"] == "timestamp[us, tz=UTC]"
    assert types["status"].startswith("dictionary<values=string")
    assert types["samples"].startswith("list<")
    assert schema.field("duration_ns").metadata[b"unit"] == b"ns"
    assert schema.metadata[b"key"] == b"run_id, file, line, metric"
    stored = pq.ParquetFile(tmp_path / "results.parquet").metadata.row_group(0).column(0)
    assert "RLE_DICTIONARY" in stored.encodings


@pytest.mark.parametrize("name", TABLES)
def test_no_two_rows_of_a_table_share_its_key(home, measured, tmp_path, name):
    for number, store in enumerate((home, measured)):
        exported(store, "csv", tmp_path / str(number))
        rows = table_of(tmp_path / str(number) / f"{name}.csv", TABLES[name])
        keys = [tuple(row[column] for column in TABLES[name].key) for row in rows]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_is_a_formula_and_one_apostrophe_less_is_the_text(text):
    safe = no_formula(text)
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert (safe.removeprefix("'") if safe != text else text) == text
    assert (safe == text) == (not text.startswith(("=", "+", "-", "@", "\t", "\r", "'")))


def test_no_field_of_the_csv_is_a_formula(home, tmp_path):
    exported(home, "csv", tmp_path)
    for path in tmp_path.iterdir():
        kinds = [column.kind for column in TABLES[path.stem].columns]
        with path.open(newline="") as file:
            for line in list(csv.reader(file, strict=True))[1:]:
                texts = [text for text, kind in zip(line, kinds, strict=True) if kind not in {"number", "integer"}]
                assert not [text for text in texts if text.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_no_field_of_a_report_as_csv_is_a_formula_either():
    gates = (verdict("not met", FORMULA, target=FORMULA),)
    found = export_report(target=FORMULA, reason=FORMULA, gates=gates)
    fields = [field for line in csv.reader(io.StringIO(FORMATS.load("csv")(found))) for field in line]
    assert f"'{FORMULA}" in fields
    assert not [field for field in fields if field.startswith(("=", "+", "-", "@"))]


def test_csv_ends_its_lines_as_the_standard_says(home):
    text = invoke("export", "--home", home, "--what", "runs").stdout_bytes
    assert text.startswith(b"run_id,created_at,")
    assert text.count(b"\r\n") == 3


# memory


def many(count: int):
    """Rows that are made when they are asked for."""
    table = Table(
        "many", "", ("n",), (Column("n", "integer", ""), Column("text", "name", ""), Column("list", "numbers", ""))
    )
    return ((n, "x", (float(n),) * 5) for n in range(count)), table


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path, form):
    def peak(count: int) -> int:
        with (tmp_path / "out").open("wb") as file:
            tracemalloc.start()
            assert exports.write(*many(count), file, form) == count
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    peak(10)  # what is imported at first use
    assert peak(16_000) < 2 * peak(4_000)


def test_a_large_table_has_several_row_groups_and_rows_of_many_samples_smaller_ones(tmp_path):
    def groups(rows, table) -> list[int]:
        with (tmp_path / "out").open("wb") as file:
            exports.write(rows, table, file, "parquet")
        found = pq.ParquetFile(tmp_path / "out").metadata
        return [found.row_group(number).num_rows for number in range(found.num_row_groups)]

    assert len(groups(*many(70_000))) == 2
    rows, table = many(10)
    assert groups(((n, text, (0.1 * n,) * 1_000_000) for n, text, _ in rows), table) == [9, 1]


# files


def test_a_file_that_is_there_stays_as_it_is_unless_force_is_given(home, tmp_path):
    (tmp_path / "points.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"points\.csv' exists; name another, or add --force"):
        exported(home, "csv", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["points.csv"]
    assert (tmp_path / "points.csv").read_text() == "mine"
    exported(home, "csv", tmp_path, "all", "--force")
    assert (tmp_path / "points.csv").read_text().startswith("series,")


def test_an_export_that_breaks_off_leaves_nothing(tmp_path):
    with pytest.raises(StoreError, match="table results, column duration_ns: expected integer, found"):  # noqa: SIM117
        with placed(tmp_path / "x.parquet", remedy="") as file:
            exports.write(rows_with(tmp_path, duration_ns="soon"), RESULTS, file, "parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_number_that_no_column_holds_is_missing_and_spoils_no_other(tmp_path):
    with placed(tmp_path / "x.parquet", remedy="") as file:
        exports.write(rows_with(tmp_path, duration_ns=2**70), RESULTS, file, "parquet")
    (row,) = table_of(tmp_path / "x.parquet", RESULTS)
    assert (row["duration_ns"], row["samples"]) == (None, [1.0])


def rows_with(home, **changes):
    """Of a line that says something else than any run would."""
    result = bundle.load(write(home, 0, passed(1.0))).results[0]
    return list(of_runs._of_line("r", "results.jsonl", 1, msgspec.structs.replace(result, **changes)))


def test_a_run_that_is_not_what_its_manifest_says_is_named_and_left_out(home, tmp_path):
    good, bad = (write(tmp_path, day, passed(2.0), plan={"targets": {"linux": {"kind": "host"}}}) for day in (0, 1))
    lines = (bad / "results.jsonl").read_bytes()
    (bad / "results.jsonl").write_bytes(lines.replace(b"2.0", b"3.0"))
    done = exported(tmp_path, "csv", tmp_path / "out")
    assert done.return_value == 1
    assert f"left out: '{bad}' is damaged: results.jsonl is not the file that was sealed" in done.stderr
    rows = table_of(tmp_path / "out" / "results.csv", RESULTS)
    assert {row["run_id"] for row in rows} == {good.name}


def test_a_line_that_changes_while_it_is_exported_is_not(tmp_path):
    path = write(tmp_path, 0, passed(*range(100))) / "results.jsonl"
    rows = of_runs.results(path.parent)
    next(rows)
    path.write_bytes(path.read_bytes().replace(b"[99]", b"[98]"))
    with pytest.raises(StoreError, match="line 100 is not as it was recorded"):
        list(rows)


def test_of_a_named_run_that_is_left_out_nothing_is_exported_and_nothing_in_its_place(tmp_path):
    _, bad = (write(tmp_path, day, passed(2.0), plan={"targets": {"linux": {"kind": "host"}}}) for day in (0, 1))
    (bad / "envelope.json").write_text("{}")
    done = exported(tmp_path, "csv", tmp_path / "out", "points", bad.name)
    assert done.return_value == 1
    assert (tmp_path / "out").read_text().count("\n") == 1  # the head


def test_a_run_whose_plan_makes_no_sense_here_has_results_and_no_figures(tmp_path):
    write(tmp_path, 0, passed(1.0), plan={"targets": {"linux": {"kind": "of tomorrow"}}})
    done = exported(tmp_path, "csv", tmp_path / "out")
    assert done.return_value == 1
    assert "left out: figures of" in done.stderr
    assert len(table_of(tmp_path / "out" / "results.csv", RESULTS)) == 1
    assert table_of(tmp_path / "out" / "figures.csv", TABLES["figures"]) == []


def test_a_line_that_was_changed_in_an_unfinished_run_is_not_exported(tmp_path):
    path = write(tmp_path, 0, passed(1.0, 2.0), complete=False)
    lines = (path / "results.jsonl").read_bytes()
    (path / "results.jsonl").write_bytes(lines.replace(b"2.0", b"3.0"))
    assert of_runs.sound([path], [].append) == []
    with pytest.raises(StoreError, match="not as it was recorded"):
        list(of_runs.results(path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--what", "all"), "expected --out with a folder or a file"),
        (("--what", "runs", "--format", "parquet"), "expected --out with a folder or a file"),
        (("--what", "runs", "nothing"), "no run is called 'nothing'"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(home, words, message):
    done = invoke("export", "--home", home, *words)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_a_home_without_runs_is_refused(tmp_path):
    assert isinstance(invoke("export", "--home", tmp_path).exception, UsageError)


# the documentation


def test_the_example_on_the_page_reads_an_export(measured, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exported(measured, "parquet", tmp_path / "tables")
    command = [sys.executable, "-c", example.replace('"bwrap"', '"host"')]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("{'benchmark': 'syscall.getpid', 'median': ")


def test_the_page_lists_every_column_of_every_table():
    for table in TABLES.values():
        section = PAGE.partition(f"\n### `{table.name}`")[2].partition("\n### ")[0]
        assert [column.name for column in table.columns if f"`{column.name}`" not in section] == []
