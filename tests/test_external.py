"""Figures that others published are read strictly, shown apart with their source, and never part of a decision."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import msgspec
import pytest

from benchproof import plan
from benchproof.analysis.published import Figure, Published
from benchproof.errors import UsageError
from benchproof.model import Unit
from benchproof.reporters import FORMATS
from exports import HOSTILE, report

SEL4 = {
    "source": "https://sel4.systems/About/Performance/",
    "machine": "i.MX8MQ at 1.5 GHz",
    "date": "2024-05-01",
    "figures": {"syscall.getpid.latency": "0.33 us", "ipc.pipe_pingpong.latency": "1234 cycles"},
}


def a_plan(table=SEL4, *, name="seL4 on i.MX8", **more):
    document = {"targets": {"host": {}}, "suites": {"s": {"benchmarks": ["syscall.getpid"]}}, "external": {name: table}}
    return plan.parse(document | more, where="plan.toml")


def test_figures_keep_their_words_and_become_base_units():
    (found,) = a_plan().published
    assert (found.name, found.source, found.machine, found.date) == ("seL4 on i.MX8", *list(SEL4.values())[:3])
    assert [(each.metric, each.text, each.value, each.unit) for each in found.figures] == [
        ("syscall.getpid.latency", "0.33 us", 330.0, "ns"),
        ("ipc.pipe_pingpong.latency", "1234 cycles", 1234.0, "cycles"),
    ]


def test_a_benchmark_with_one_metric_may_be_named_alone_and_the_plan_need_not_ask_for_it():
    (found,) = a_plan(SEL4 | {"figures": {"ipc.pipe": "1.5 GB/s"}}).published
    assert (found.figures[0].metric, found.figures[0].value) == ("ipc.pipe.throughput", 1.5e9)


def test_a_plan_is_recorded_with_its_published_figures():
    once = a_plan()
    again = plan.parse(msgspec.json.decode(msgspec.json.encode(once.document)), where="run", recorded=True)
    assert again.published == once.published


def test_a_toml_date_is_a_date(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(
        '[targets.host]\n[external.x]\nsource = "a paper"\ndate = 2024-05-01\nfigures = { "syscall.getpid" = "1 us" }\n'
    )
    assert plan.load(path).published[0].date == "2024-05-01"


def test_the_example_in_the_documentation_is_read_as_it_stands(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "reports.md").read_text()
    (table,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "plan.toml"
    path.write_text(f"[targets.host]\n{table}")
    assert [each.unit for each in plan.load(path).published[0].figures] == ["ns", "cycles"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("https://x", ["expected a table with a source and figures, found 'https://x'"]),
        (SEL4 | {"source": ""}, ["source: expected where the figures were published", "found nothing"]),
        ({"figures": SEL4["figures"]}, ["source: expected where the figures were published"]),
        (SEL4 | {"source": "a\nb"}, ["source: expected one line of at most 500 printable characters"]),
        (SEL4 | {"machine": 3}, ["machine: expected one line", "found 3"]),
        (SEL4 | {"src": "x"}, ["unknown key 'src'", "did you mean 'source'"]),
        (SEL4 | {"figures": {}}, ["figures: expected a table such as", "found {}"]),
        (SEL4 | {"figures": "x"}, ["figures: expected a table such as", "found 'x'"]),
        (
            SEL4 | {"figures": {"syscall.getpdi.latency": "1 us"}},
            ["unknown metric 'syscall.getpdi.latency'", "did you mean 'syscall.getpid.latency'"],
        ),
        (SEL4 | {"figures": {"syscall": {"getpid": "1 us"}}}, ["unknown metric 'syscall'", "needs quotes"]),
        (SEL4 | {"figures": {"syscall.getpid": 3}}, ["expected an amount such as '0.33 us', found 3"]),
        (SEL4 | {"figures": {"syscall.getpid": "fast"}}, ["expected an amount such as '0.33 us', found 'fast'"]),
        (SEL4 | {"figures": {"syscall.getpid": "-1 us"}}, ["expected an amount such as '0.33 us', found '-1 us'"]),
        (SEL4 | {"figures": {"syscall.getpid": "9" * 400 + " us"}}, ["expected an amount that is finite"]),
        (SEL4 | {"figures": {"syscall.getpid": "0.0 us"}}, ["expected more than nothing"]),
        (
            SEL4 | {"figures": {"syscall.getpid": "0.33 MB"}},
            ["the metric is in ns, so expected an amount in 's', 'ns'", "or 'cycles', found '0.33 MB'"],
        ),
        (SEL4 | {"figures": {"ipc.pipe": "300 cycles"}}, ["the metric is in bytes/s"]),
        (
            SEL4 | {"figures": {"syscall.getpid": "1 us", "syscall.getpid.latency": "2 us"}},
            ["expected each metric once, 'syscall.getpid' is the same"],
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_file_table_and_key(table, words):
    with pytest.raises(UsageError) as caught:
        a_plan(table)
    assert str(caught.value).startswith("plan.toml: external.seL4 on i.MX8: ")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_gate_cannot_be_held_against_what_others_published():
    gate = {"syscall.getpid": {"statistic": "ratio", "limit": "< 1.1", "baseline": "seL4 on i.MX8"}}
    with pytest.raises(UsageError, match=r"baseline: expected 'reference' in a plan, found 'seL4 on i\.MX8'"):
        a_plan(gates=gate)
    with pytest.raises(UsageError, match=r"unknown target 'seL4 on i\.MX8'"):
        a_plan(gates={"syscall.getpid": {"must_pass": True, "target": "seL4 on i.MX8"}})


def test_a_target_cannot_have_it_as_its_reference():
    with pytest.raises(UsageError, match=r"unknown target 'seL4 on i\.MX8'"):
        a_plan(targets={"host": {"reference": "seL4 on i.MX8"}})


def test_choosing_benchmarks_leaves_out_figures_of_what_only_some_kernel_has():
    own = {"name": "kernel.primitive", "what": "hash.chunk", "counts": ["chunks"]}
    whole = a_plan(
        SEL4 | {"figures": {"hash.chunk.latency": "1 ms", "syscall.getpid": "1 us"}},
        suites={"s": {"benchmarks": ["syscall.getpid", own]}},
    )
    assert len(whole.published[0].figures) == 2
    chosen = plan.only(whole.document, targets=(), benchmarks=("syscall.getpid",))
    assert [each.metric for each in plan.parse(chosen, where="p").published[0].figures] == ["syscall.getpid.latency"]


# ---- shown apart ----


def with_published(name="seL4 on i.MX8", source="https://sel4.systems", unit: Unit = "ns"):
    figure = Figure(metric="syscall.getpid.latency", text="0.33 us", value=330.0, unit=unit)
    return msgspec.structs.replace(report(), published=(Published(name=name, source=source, figures=(figure,)),))


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_people_see_them_in_a_table_of_their_own_with_the_source(form):
    text = FORMATS.load(form)(with_published())
    measured, _, published = text.replace("Published", "published").partition("published elsewhere: context, never")
    assert "0.33 us" not in measured
    assert "0.33 us" in published
    assert "seL4 on i.MX8: https://sel4.systems" in published


def test_machines_see_them_marked():
    lines = list(csv.DictReader(io.StringIO(FORMATS.load("csv")(with_published()))))
    (line,) = [line for line in lines if line["target"] == "seL4 on i.MX8"]
    assert (line["status"], line["median"], line["ratio"], line["n"]) == ("published", "330.0", "", "")
    found = json.loads(FORMATS.load("json")(with_published()))
    assert found["published"][0]["figures"][0]["value"] == 330.0
    assert "seL4" not in json.dumps([found["rows"], found["columns"]])


@pytest.mark.parametrize(
    "form", [each for each in FORMATS.names() if each not in {"terminal", "markdown", "html", "csv", "json"}]
)
def test_no_format_for_decisions_has_them(form):
    assert FORMATS.load(form)(with_published()) == FORMATS.load(form)(report())


def test_hostile_names_and_sources_stay_text():
    for form in ("terminal", "markdown"):
        text = FORMATS.load(form)(with_published(HOSTILE, HOSTILE * 20))
        assert not any(each in text for each in ("\x1b", "\u202e", "\x00", "<script" if form == "markdown" else "\x1b"))
