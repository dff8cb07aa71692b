"""Likely causes are shown where all that speaks for them was seen, and never without."""

from __future__ import annotations

import msgspec
import pytest

from benchproof import report
from benchproof.analysis import hints
from benchproof.analysis.cells import Cell, Extent
from benchproof.analysis.compare import Comparison
from benchproof.analysis.hints import Figured, Seen
from benchproof.analysis.stats import Interval
from benchproof.reporters import causes, markdown, terminal
from benchproof.reporters import json as as_json
from benchproof.store import bundle
from runs import passed, together
from test_gate_verb import a_run

MS = 1e6


def figured(value, *, most=None, verdict="", unit="ns"):
    ratio = Interval(estimate=1.5, low=1.4, high=1.6, confidence=0.95, n=6)
    comparison = Comparison(verdict=verdict, ratio=ratio) if verdict else None
    extent = Extent(n=10, min=1.0, mean=value, max=value if most is None else most)
    return Figured(
        Cell(status="passed", n=3, median=value, spread=None, comparison=comparison, notes=(), extent=extent), unit
    )


def seen(benchmark, *, figures=None, parameters=None, evidence=None, facts=None, reference=None):
    return Seen(
        target="mine",
        benchmark=benchmark,
        parameters=parameters or {},
        figures={f"{benchmark}.{name}": each for name, each in (figures or {}).items()},
        evidence=(evidence,) if evidence else (),
        facts=facts or {},
        reference=(reference,) if reference else (),
    )


def parts(**shares):
    return {"latency": figured(100 * MS)} | {name: figured(share * 100 * MS) for name, share in shares.items()}


SLOWER = {"throughput": figured(1e8, verdict="slower", unit="bytes/s")}
TYPICAL = {
    "byte-copy": seen("snapshot.create", figures=parts(clone_ws=0.6), evidence={"clone": "copy"}),
    "large-workspace": seen("snapshot.create", figures=parts(clone_ws=0.6), parameters={"files": 500}),
    "many-files-hashed": seen("snapshot.changes", figures=parts(hash=0.6), parameters={"files": 500}),
    "slow-to-hash": seen("snapshot.create", figures=parts(hash=0.6), parameters={"files": 10}),
    "overlapping-snapshots": seen("snapshot.compact", figures=parts(compact=0.6), parameters={"files": 500}),
    "disk-slower-than-reference": seen("disk.sequential_read", figures=SLOWER),
    "file-system-changed": seen(
        "disk.random_read", figures=SLOWER, evidence={"filesystem": "virtiofs"}, reference={"filesystem": "ext4"}
    ),
    "storage-changed": seen(
        "disk.random_read", figures=SLOWER, evidence={"storage": "disk"}, reference={"storage": "memory"}
    ),
    "shared-folder": seen("disk.random_read", evidence={"filesystem": "virtiofs"}),
    "cold-start": seen("lifecycle.provision", figures={"latency": figured(900 * MS)}, parameters={"start": "cold"}),
    "no-pool": seen("lifecycle.provision", figures={"latency": figured(300 * MS)}, parameters={"start": "snapshot"}),
    "pool-too-small": seen("lifecycle.exec_ready", evidence={"pool_missed": "3"}),
    "pool-replaced": seen("lifecycle.exec", evidence={"pool_replaced": "1"}),
    "emulated": seen(
        "lifecycle.exec_ready",
        figures={"latency": figured(900 * MS)},
        facts={"machine": {"execution": "tcg"}},
    ),
    "memory-grows": seen("agent.memory", evidence={"growth": "grows"}),
    "memory-of-many-sandboxes": seen(
        "agent.memory", figures={"pss": figured(300 * 2**20, unit="bytes")}, evidence={"growth": "flat"}
    ),
    "new-session": seen("agent.tool_call", figures={"latency": figured(150 * MS)}, parameters={"session": "new"}),
    "tool-itself": seen("agent.tool_call", figures={"latency": figured(150 * MS), "server": figured(120 * MS)}),
    "transport": seen("agent.tool_call", figures={"latency": figured(44 * MS), "transport": figured(41 * MS)}),
    "serialisation": seen("agent.tool_call", figures={"serialisation_share": figured(0.4, unit="ratio")}),
    "spikes": seen("agent.network", figures={"latency": figured(40 * MS, most=300 * MS)}),
}
HARMLESS = {
    "byte-copy": [{"evidence": ({"clone": "reflink"},)}],
    "large-workspace": [{"parameters": {"files": 10}}],
    "many-files-hashed": [{"parameters": {"files": 10}}],
    "slow-to-hash": [{"parameters": {"files": 500}}],
    "overlapping-snapshots": [{"parameters": {"files": 10}}],
    "file-system-changed": [{"reference": ({"filesystem": "virtiofs"},)}],
    "storage-changed": [{"reference": ({"storage": "disk"},)}],
    "shared-folder": [{"evidence": ({"filesystem": "ext4"},)}],
    "cold-start": [{"parameters": {"start": "pool"}}],
    "no-pool": [{"parameters": {"start": "pool"}}],
    "pool-too-small": [{"evidence": ({"pool_missed": "0"},)}, {"evidence": ({"pool_missed": "many"},)}],
    "pool-replaced": [{"evidence": ({"pool_replaced": "0"},)}],
    "emulated": [{"facts": {"machine": {"execution": "kvm"}}}],
    "memory-grows": [{"evidence": ({"growth": "flat"},)}, {"evidence": ({"growth": "undecided"},)}],
    "memory-of-many-sandboxes": [{"evidence": ({"growth": "grows"},)}],
    "new-session": [{"parameters": {"session": "reused"}}],
}


def fired(each):
    return {hint.rule for hint in hints.of([each], hints.rules())}


def test_every_rule_has_a_typical_case_here():
    assert TYPICAL.keys() == {rule.name for rule in hints.rules().rules}
    assert len(TYPICAL) == len(hints.rules().rules)


@pytest.mark.parametrize("rule", TYPICAL)
def test_a_rule_fires_and_names_what_was_seen(rule):
    (hint,) = [hint for hint in hints.of([TYPICAL[rule]], hints.rules()) if hint.rule == rule]
    (known,) = [each for each in hints.rules().rules if each.name == rule]
    assert len(hint.seen) == len(known.when)
    assert all(hint.seen)
    assert (hint.target, hint.benchmark, hint.cause, hint.remedy) == (
        "mine",
        TYPICAL[rule].benchmark,
        known.cause,
        known.remedy,
    )


@pytest.mark.parametrize("rule", TYPICAL)
@pytest.mark.parametrize("gone", ["figures", "evidence", "parameters", "facts", "reference"])
def test_a_rule_does_not_fire_where_part_of_what_speaks_for_it_was_not_seen(rule, gone):
    typical = TYPICAL[rule]
    if not getattr(typical, gone):
        return
    nothing = () if gone in {"evidence", "reference"} else {}
    assert rule not in fired(msgspec.structs.replace(typical, **{gone: nothing}))


@pytest.mark.parametrize(("rule", "other"), [(rule, other) for rule in HARMLESS for other in HARMLESS[rule]])
def test_a_rule_does_not_fire_on_what_is_harmless(rule, other):
    assert rule not in fired(msgspec.structs.replace(TYPICAL[rule], **other))


@pytest.mark.parametrize("rule", [name for name, each in TYPICAL.items() if each.figures])
def test_a_rule_does_not_fire_on_figures_that_are_small(rule):
    def shrunk(name, each):
        keep = name.endswith(".latency") and any("share" == known.__struct_config__.tag for known in conditions)  # noqa: SIM300
        small = each.cell.median if keep else each.cell.median / 1000
        return figured(small, verdict="faster" if each.cell.comparison else "", unit=each.unit)

    conditions = next(each.when for each in hints.rules().rules if each.name == rule)
    small = {name: shrunk(name, each) for name, each in TYPICAL[rule].figures.items()}
    assert rule not in fired(msgspec.structs.replace(TYPICAL[rule], figures=small))


@pytest.mark.parametrize("rule", TYPICAL)
def test_a_rule_is_about_its_own_benchmarks_alone(rule):
    other = msgspec.structs.replace(TYPICAL[rule], benchmark="syscall.getpid")
    assert fired(other) == set()


def test_a_breakdown_has_every_stage_and_the_rest_and_their_shares_are_the_whole():
    (found,) = hints.breakdowns([TYPICAL["many-files-hashed"]], hints.rules())
    assert [(each.name, round(each.share, 6)) for each in found.stages] == [("hash", 0.6), ("rest", 0.4)]
    assert sum(each.ns for each in found.stages) == found.whole_ns


def test_parts_that_are_more_than_the_whole_are_not_shown():
    assert list(hints.breakdowns([seen("snapshot.create", figures=parts(hash=1.2))], hints.rules())) == []


def test_a_benchmark_without_stages_has_no_breakdown():
    assert list(hints.breakdowns([seen("syscall.getpid", figures=parts(hash=0.5))], hints.rules())) == []


@pytest.mark.parametrize(
    "text",
    [
        "[stages]\n[[rules]]\nname = 'x'\nbenchmarks = ['y']\nwhen = [{ if = 'moon' }]\ncause = 'c'\nremedy = 'r'",
        "[stages]\n[[rules]]\nname = 'x'",
        "[stages]\nrules = []\nmore = 1",
        "[stages]\n[[rules]]\nname='x'\nbenchmarks=['y']\nwhen=[{ if='share', part='p' }]\ncause='c'\nremedy='r'",
    ],
)
def test_a_file_of_rules_that_makes_no_sense_is_refused(text):
    with pytest.raises(msgspec.ValidationError):
        hints.read(text)


def a_report(home, **shares):
    """Of a run in which a snapshot took 100 ms, and its stages these parts of it."""
    named = {"latency": 1.0} | shares
    blocks = together(
        *(passed(*[part * 100 * MS] * 6, metric=f"snapshot.create.{name}") for name, part in named.items())
    )
    return report.build(bundle.load(a_run(home, "one", t={"snapshot.create": blocks})))


def test_stages_and_causes_stand_in_every_report_for_people_and_in_json(tmp_path):
    found = a_report(tmp_path, clone_ws=0.5, hash=0.2)
    assert [hint.rule for hint in found.hints] == ["large-workspace"]
    for text in (terminal.render(found, width=200), markdown.render(found).replace("\\", "")):
        assert "100.0 ms = clone_ws 50.00 ms (50%), hash 20.00 ms (20%), rest 30.00 ms (30%)" in text
        assert "likely (large-workspace): cloning takes long" in text
        assert "Seen: clone_ws is 50% of latency; files = 100. To do: keep" in text
    document = msgspec.json.decode(as_json.render(found))
    assert document["hints"][0]["seen"] == ["clone_ws is 50% of latency", "files = 100"]
    assert [each["name"] for each in document["stages"][0]["stages"]] == ["clone_ws", "hash", "rest"]


def test_a_report_without_stages_says_nothing_of_them(tmp_path):
    found = a_report(tmp_path)
    assert (found.stages, found.hints) == ((), ())
    assert causes.TITLE not in terminal.render(found)
    assert causes.TITLE.capitalize() not in markdown.render(found)
