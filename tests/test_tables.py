"""Which tables a report has and what stands beside the figures: nothing twice, nothing cut, no bundle obeyed."""

from __future__ import annotations

import re

import msgspec
import pytest

from benchproof.analysis import matrix
from benchproof.analysis.matrix import Column, Report, Smoke
from benchproof.model import Failed, Unsupported
from benchproof.reporters import FORMATS, layout, tables
from exports import HOSTILE, report
from test_mechanisms import GETPID, RING, passed, results

TCG = {"machine": {"execution": "tcg"}, "system": {"kind": "qemu"}}
SYSTEMS = {
    "sha256:host": {"machine": {"execution": "native"}, "system": {"kind": "host"}},
    "sha256:guest": TCG,
    "sha256:bare": {"machine": {"execution": "tcg"}, "system": {"kind": "kernel"}},
}


def a_column(target, reference, envelope="sha256:guest", **more):
    return Column(target=target, reference=reference, envelope=envelope, **{"context": ()} | more)


HOST = a_column("host", "linux", "sha256:host", context=("machine.execution: native against tcg",))
LINUX, NEWER, BARE = a_column("linux", "linux"), a_column("newer", "linux"), a_column("bare", "linux", "sha256:bare")
LEVELS = {"host": 98.7, "linux": 1234.5, "newer": 1357.2, "bare": 876.5}


def a_report(*columns: Column, found=(), evidence=RING) -> Report:
    """`found`: results in place of good ones, by target."""
    replaced = {each.target for each in found}
    good = [
        each
        for column in columns
        if column.target not in replaced
        for each in passed(
            column.target, LEVELS.get(column.target, 500), evidence=evidence if column.target == "bare" else {}
        )
    ]
    cases = [(column.target, "syscall.getpid", {}, 1) for column in columns]
    rows = matrix.rows(cases, [*good, *found], columns, mechanisms={"syscall.getpid": GETPID})
    hashes = {key: dict.fromkeys(sections, "sha256:y") for key, sections in SYSTEMS.items()}
    changes = {"columns": columns, "rows": rows, "gates": (), "envelopes": SYSTEMS, "section_hashes": hashes}
    return msgspec.structs.replace(report(), **changes)


def shown(found: Report):
    """Each table as the targets that it tells of."""
    return [
        (table.new.target, table.base.target)
        if isinstance(table, tables.Pair)
        else [column.target for column in table.columns]
        for table in tables.of(found)
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((LINUX, BARE), [("bare", "linux")]),  # the only pair there is: no matrix beside it
        ((HOST, LINUX, BARE), [("bare", "linux"), ["host"]]),  # native is context, apart from the ratios
        ((BARE, LINUX, NEWER), [("bare", "linux"), ("newer", "linux")]),
        ((LINUX, *(a_column(f"mine/{each}", "linux") for each in "abc")), [["linux", "mine/a", "mine/b", "mine/c"]]),
        (
            (a_column("host", "host", "sha256:host"), *(a_column(each, "host", "sha256:host") for each in "ab")),
            [["host", "a", "b"]],
        ),
        ((LINUX,), [["linux"]]),
        (
            (a_column("host", "host", "sha256:host"), a_column("bwrap", "host", "sha256:host"), LINUX, BARE),
            [("bare", "linux"), ["host", "bwrap"]],
        ),
    ],
)
def test_a_target_against_its_guest_comes_first_and_nothing_is_told_twice(columns, expected):
    assert shown(a_report(*columns)) == expected


def test_time_and_instructions_are_in_no_table_together():
    columns = [a_column("linux", "linux"), a_column("bare", "linux")]
    columns += [a_column(f"{each}-exact", "linux-exact", exact=True) for each in ("linux", "bare")]
    assert shown(a_report(*columns)) == [("bare", "linux"), ("bare-exact", "linux-exact")]


def test_a_pair_tells_status_unit_both_medians_ratio_verdict_and_notes():
    text = FORMATS.load("markdown")(a_report(HOST, LINUX, BARE))
    (line,) = [line for line in text.splitlines() if "ring entry no-op | passed" in line]
    fields = [field.strip() for field in line.strip("|").split("|")]
    assert fields[:4] == ["syscall.getpid", "ring entry no-op", "passed", "ns"]
    assert re.fullmatch(r"87\d\.\d", fields[4])
    assert re.fullmatch(r"1,23\d", fields[5])
    assert re.fullmatch(r"0\.71x \[0\.71, 0\.71\]", fields[6])
    assert fields[7:] == ["faster", "[1]"]
    assert "[1] bare: ring entry no-op; linux: raw getpid system call; differs: no registers are saved" in text


def test_a_pair_of_which_one_has_no_figure_says_which_and_why():
    refused = results("bare", [Unsupported(reason="not_applicable: there are no calls")])
    (pair,) = tables.of(a_report(LINUX, BARE, found=refused))
    (line,) = pair.lines
    assert (line.status, line.new, line.comparison) == ("unsupported", "", None)
    assert (line.base, line.unit) == ("1.234", "us")
    (pair,) = tables.of(a_report(LINUX, BARE, found=results("linux", [Failed(violations=("wrong",))])))
    assert pair.lines[0].status == "reference failed"
    assert (
        "failed"
        in FORMATS.load("terminal")(
            a_report(LINUX, BARE, found=results("linux", [Failed(violations=("wrong",))])), width=60
        )
        .partition("notes")[2]
        .partition("There is no")[0]
    )


def test_what_neither_has_is_named_beneath_and_takes_no_lines():
    refused = [each for name in ("linux", "bare") for each in results(name, [Unsupported(reason="there is none")])]
    found = a_report(LINUX, BARE, found=refused)
    (pair,) = tables.of(found)
    assert (pair.lines, pair.neither) == ((), ("syscall.getpid",))
    for form in ("terminal", "markdown"):
        assert "neither has: syscall.getpid" in FORMATS.load(form)(found).lower()
    half = [each for each in refused if each.target == "bare"]
    (pair,) = tables.of(a_report(LINUX, BARE, found=half + results("linux", [Failed(violations=("wrong",))])))
    assert [line.status for line in pair.lines] == ["unsupported"]


def test_rows_of_several_tiers_are_in_sections_of_their_own():
    found = a_report(HOST, LINUX, BARE)
    (row,) = found.rows
    other = msgspec.structs.replace(row, benchmark="file.reread", metric="file.reread.latency", tier=2)
    both = msgspec.structs.replace(found, rows=(other, row))
    for form in ("terminal", "markdown"):
        text = FORMATS.load(form)(both).lower()
        at = [text.index(word) for word in ("tier 1: primitives", "syscall.getpid", "tier 2: common", "file.reread")]
        assert at == sorted(at)
        assert "tier 1" not in FORMATS.load(form)(found).lower()


COLUMNS = [a_column("linux", "linux"), *(a_column(f"sandbox-number-{each}", "linux") for each in range(6))]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("columns", [COLUMNS, [HOST, LINUX, BARE], [HOST, BARE, LINUX, NEWER]])
def test_no_figure_and_no_ratio_is_cut_however_narrow_the_terminal_is(columns, width):
    found = a_report(*columns)
    text = FORMATS.load("terminal")(found, width=width)
    assert max(map(len, text.splitlines())) <= width
    words = set(re.findall(r"\S+", text))
    for figure in figures(found):
        assert set(figure.split()) <= words


def figures(found):
    """All that the tables show of numbers."""
    for table in tables.of(found):
        if isinstance(table, tables.Pair):
            yield from (each for line in table.lines for each in (line.new, line.base))
            yield from (layout.ratio_text(line.comparison) for line in table.lines)
        else:
            for row in table.rows:
                cells = [row.cells[column.target] for column in table.columns]
                yield from (layout.figure_text(cell, layout.scale(row)[0], row.unit) for cell in cells)
                yield from (layout.ratio_text(cell.comparison) for cell in cells)


def test_a_context_of_many_facts_names_the_command_that_lists_them_all():
    many = msgspec.structs.replace(HOST, context=tuple(f"host.fact{number}: a against b" for number in range(5)))
    text = FORMATS.load("terminal")(a_report(many, LINUX, BARE), width=1000)
    command = "benchproof compare 20261120T000000Z-abcdef --targets linux,host"
    assert f"host.fact2: a against b; and 2 more, told by {command}" in text


def test_the_label_is_what_is_really_timed_where_there_is_room():
    assert "ring entry no-op" in FORMATS.load("terminal")(a_report(LINUX, BARE), width=100).partition("Medians")[0]


def test_a_system_that_measures_itself_and_a_linux_guest_beside_it_have_their_caveats():
    text = FORMATS.load("terminal")(a_report(HOST, LINUX, BARE), width=1000)
    assert "caveat: bare measures itself" in text
    assert "caveat: linux is a Linux guest on the same machine" in text
    assert "caveat: host is native: a ceiling" in text
    assert "caveat" not in FORMATS.load("terminal")(a_report(LINUX, NEWER))


def test_that_a_clock_was_held_against_the_hosts_is_said_only_where_it_was():
    found = a_report(LINUX, BARE)
    assert "checked against its own counts alone;" in FORMATS.load("terminal")(found, width=1000)
    system = {"kind": "kernel", "pace": "held against the host's"}
    held = found.envelopes | {"sha256:bare": found.envelopes["sha256:bare"] | {"system": system}}
    text = FORMATS.load("terminal")(msgspec.structs.replace(found, envelopes=held), width=1000)
    assert "checked against its own counts and the host's clock;" in text


# ---- troubles, smokes, artifacts ----


def test_every_answer_that_is_missing_is_in_the_summary_with_its_log():
    crashed = results("bare", [Failed(violations=("line 17: panic",))], logs=("logs/0003-console.txt",))
    text = FORMATS.load("markdown")(a_report(HOST, LINUX, BARE, found=crashed))
    link = "[logs/0003-console.txt](runs/20261120T000000Z-abcdef/logs/0003-console.txt)"
    assert f"| failed | syscall.getpid | bare | [1] | {link} |" in text
    assert "[1] bare: line 17: panic" in text
    assert "Every answer was checked and right." in FORMATS.load("markdown")(a_report(LINUX, BARE))


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "logs/a](http://x)", "/etc/passwd", "logs/..", "javascript:alert(1)"]
)
def test_a_path_that_leads_elsewhere_is_no_link(path):
    crashed = results("bare", [Failed(violations=("wrong",))], logs=(path,))
    text = FORMATS.load("markdown")(a_report(LINUX, BARE, found=crashed))
    (line,) = [line for line in text.splitlines() if line.startswith("| failed")]
    assert "](" not in line.replace("\\](", "")


def test_smokes_are_told_before_any_figure_and_those_of_no_use_count_for_nothing():
    smokes = (
        Smoke("bare", "smoke.protocol", "passed", ""),
        Smoke("linux", "smoke.ipc", "failed", "a stale handle was taken"),
        Smoke("linux", "smoke.boot", "passed", ""),
        Smoke("linux", "smoke.protocol", "unsupported", "it does not report"),
    )
    found = msgspec.structs.replace(a_report(LINUX, BARE), smokes=smokes)
    for form in ("terminal", "markdown"):
        text = FORMATS.load(form)(found).replace("*", "")
        assert "bare 1/1, linux 1/2" in text
        assert "linux: smoke.ipc failed: a stale handle was taken; its figures are not kept" in text
        assert text.index("smoke.ipc") < text.index("syscall.getpid")
        assert "it does not report" not in text


# ---- texts from a kernel ----

LONG = HOSTILE + "x" * 500 + "END"


@pytest.mark.parametrize("form", ["terminal", "markdown", "summary", "github", "junit"])
def test_hostile_words_of_a_kernel_obey_nobody(form):
    story = {"mechanism": LONG, "difference": LONG}
    crashed = results("newer", [Unsupported(reason=LONG)], logs=(LONG,))
    found = a_report(LINUX, msgspec.structs.replace(BARE, labels=(LONG,)), NEWER, found=crashed, evidence=story)
    found = msgspec.structs.replace(found, smokes=(Smoke(LONG, LONG, "failed", LONG),))
    text = FORMATS.load(form)(found)
    assert not re.search("[\x00\x1b\r\u202e\ud800]", text)
    assert not re.search("^::error", text, re.MULTILINE)
    if form in {"markdown", "junit"}:
        assert "<script" not in text


@pytest.mark.parametrize("word", ["|", "\\|", "\\\\|", "a\\", "`|`", "<b>|"])
def test_no_word_of_a_kernel_opens_a_cell_of_a_markdown_table(word):
    """As GitHub splits a line: a backslash takes the next character with it, another backslash too."""
    labelled = msgspec.structs.replace(BARE, labels=(word,))
    crashed = results("newer", [Unsupported(reason=word)], logs=(word,))
    told = {"mechanism": word, "difference": word}
    text = FORMATS.load("markdown")(a_report(LINUX, labelled, NEWER, found=crashed, evidence=told))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("| --- "):
            end = next(after for after in range(number, len(lines)) if not lines[after].startswith("|"))
            table = lines[number - 1 : end]
            assert len({re.sub(r"\\.", "", each).count("|") for each in table}) == 1, table


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_long_words_of_a_kernel_are_cut_for_people_and_whole_in_the_data(form):
    found = a_report(LINUX, BARE, evidence={"mechanism": "m" * 600, "difference": "d" * 600})
    text = re.sub(r"\s", "", FORMATS.load(form)(found))
    assert "m" * 401 not in text
    assert "m" * 600 in FORMATS.load("json")(found)


def test_a_long_label_does_not_push_a_figure_out_of_the_table():
    labelled = msgspec.structs.replace(BARE, labels=("a debug build with everything on " * 12,))
    text = FORMATS.load("terminal")(a_report(HOST, LINUX, labelled), width=100)
    assert max(map(len, text.splitlines())) <= 100
    assert re.search(r"87\d\.\d +1,23\d", text)
