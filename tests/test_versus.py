"""Two runs or two targets side by side: nothing is left out, and nothing is compared that differs in anything else."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import statistics

import msgspec
import pytest

from benchproof.analysis import invocations, stats
from benchproof.analysis.compare import Comparison, Design
from benchproof.analysis.matrix import Cell, Row
from benchproof.analysis.versus import ASSUMED_DRIFT, Half, between, pooled
from benchproof.reporters import versus as reporter
from commands import command
from test_gate_verb import LATENCY, a_run

THROUGHPUT = {"unit": "bytes/s", "better": "higher"}


def a_half(run="one", target="t", *, exact=False, complete=True, envelope="sha256:e", **metrics) -> Half:
    """`metrics`: name -> values by block, or a status; `(values, {unit, better})` where it is no latency."""
    rows, values = {}, {}
    for name, found in metrics.items():
        given, kind = found if isinstance(found, tuple) else (found, {"unit": "ns", "better": "lower"})
        key = (invocations.question(name, {}), name)
        passed = not isinstance(given, str)
        cell = Cell(
            status="passed" if passed else given,
            n=len(given) if passed else 0,
            median=stats.median(given) if passed else None,
            spread=None,
            comparison=None,
            notes=() if passed else ("no such call",),
            values=tuple(given) if passed else (),
        )
        unit, better = (kind["unit"], kind["better"]) if passed else (None, None)
        rows[key] = Row(name, {}, 1, name, unit, better, {target: cell})
        if passed:
            values[key] = dict(enumerate(given))
    return Half(run_id=run, target=target, exact=exact, complete=complete, envelope=envelope, rows=rows, values=values)


def noisy(factor=1.0, *, n=20, seed=1, cv=0.002):
    chance = random.Random(seed)
    return [100 * factor * math.exp(chance.gauss(0, cv)) for _ in range(n)]


def verdicts(base: Half, new: Half, **more):
    found = between(base, new, **{"context": (), "vary": ("system",), "design": Design()} | more)
    return {row.metric: row.comparison for row in found.rows}, found


def test_thirty_per_cent_more_throughput_is_better_and_less_is_worse():
    base = a_half(up=(noisy(), THROUGHPUT), down=(noisy(), THROUGHPUT))
    new = a_half("two", up=(noisy(1.3, seed=2), THROUGHPUT), down=(noisy(0.7, seed=3), THROUGHPUT))
    found, _ = verdicts(base, new)
    assert (found["up"].verdict, found["down"].verdict) == ("faster", "slower")


def test_units_that_differ_are_refused_by_name():
    base, new = a_half(x=noisy()), a_half("two", x=(noisy(), {"unit": "cycles", "better": "lower"}))
    found, _ = verdicts(base, new)
    assert found["x"].verdict == "incomparable"
    assert found["x"].reason == "units or directions differ: ns, lower against cycles, lower"


def test_a_metric_that_one_side_lacks_is_listed_and_not_intersected_away():
    base = a_half(kept=noisy(), gone=noisy(), broke=noisy())
    new = a_half("two", kept=noisy(), broke="failed", fresh=noisy())
    found, whole = verdicts(base, new)
    assert set(found) == {"kept", "gone", "broke", "fresh"}
    assert found["gone"].reason == "missing in new: it was not asked there"
    assert found["broke"].reason == "failed in new: no such call"
    assert (set(whole.lost), set(whole.gained)) == ({"gone", "broke"}, {"fresh"})


def test_what_the_laboratory_spoiled_is_not_lost():
    _, whole = verdicts(a_half(x=noisy()), a_half("two", x="invalid"))
    assert whole.lost == ()
    assert whole.verdicts == {"incomparable": 1}


def test_what_differs_undeclared_forbids_every_ratio_and_is_named():
    found, _ = verdicts(a_half(x=noisy()), a_half("two", x=noisy()), context=("host.cpu: A against B",))
    assert found["x"].ratio is None
    assert found["x"].reason == "what was not declared to vary differs: host.cpu: A against B"


def test_a_small_difference_between_two_times_is_drift_until_drift_is_measured():
    base, new = a_half(x=noisy()), a_half("two", x=noisy(1.06, seed=2))
    assumed, whole = verdicts(base, new)
    assert (assumed["x"].verdict, assumed["x"].margin) == ("same", ASSUMED_DRIFT)
    assert "made at different times" in whole.warnings[0]
    measured, _ = verdicts(base, new, drift={(invocations.question("x", {}), "x"): 0.01})
    assert measured["x"].verdict == "slower"
    inside, whole = verdicts(a_half(x=noisy()), a_half(target="u", envelope="sha256:f", x=noisy(1.06, seed=2)))
    assert (inside["x"].verdict, whole.warnings) == ("slower", ())


def test_counts_of_two_runs_need_no_statistics_and_know_no_drift():
    found, whole = verdicts(a_half(exact=True, x=[346.0]), a_half("two", exact=True, x=[347.0]))
    assert (found["x"].verdict, found["x"].difference.estimate, whole.warnings) == ("slower", 1.0, ())


def test_counts_are_never_held_against_time():
    found, _ = verdicts(a_half(exact=True, x=[346.0]), a_half("two", x=noisy()))
    assert found["x"].reason == "one side was counted in instructions and the other timed"


def test_the_same_system_on_both_sides_is_noise_and_never_a_regression():
    found, whole = verdicts(a_half(x=noisy()), a_half(target="u", x=noisy(1.5, seed=2)))
    assert found["x"].verdict == "undecided"
    assert "never a regression" in found["x"].reason
    assert "noise of this machine" in whole.warnings[0]


def test_one_invocation_a_side_is_insufficient_evidence():
    found, _ = verdicts(a_half(x=[100.0]), a_half("two", x=[200.0]))
    assert found["x"].reason.startswith("insufficient evidence: 1 pair")


def test_a_table_names_metric_figures_ratio_verdict_and_reason_and_lets_no_markup_in():
    base, new = a_half(x=noisy(), gone=noisy()), a_half("two", "[red]t", x=noisy(1.5, seed=2))
    _, whole = verdicts(base, new)
    text = reporter.render([whole], width=200)
    assert "two/[red]t against one/t" in text
    for word in ("100.0", "1.50x [1.50, 1.50]", "slower", "lost: gone", "made at different times"):
        assert word in text
    assert msgspec.json.decode(reporter.as_json([whole]))[0]["verdicts"] == {"slower": 1, "incomparable": 1}


def test_a_narrow_terminal_still_says_which_metric_is_what():
    _, whole = verdicts(a_half(x=noisy()), a_half("two", x=noisy(1.5, seed=2)))
    lines = reporter.render([whole], width=40).splitlines()
    at = lines.index("- slower: x")
    assert lines[at + 1].split() == ["100.0", "->", lines[at + 1].split()[2], "ns"]
    assert "1.50x [1.50, 1.50]" in lines[at + 2]


def test_what_a_comparison_amounts_to_stands_above_its_table_the_worst_first():
    base = a_half(up=noisy(), down=noisy(), like=noisy(), gone=noisy(), vague=noisy(cv=0.3))
    new = a_half("two", up=noisy(2, seed=2), down=noisy(0.5, seed=3), like=noisy(seed=4), vague=noisy(cv=0.3, seed=5))
    _, whole = verdicts(base, new)
    lines = reporter.render([whole], width=200).splitlines()
    assert lines[0] == "two/t against one/t"
    assert lines[1].startswith("- 1 slower, + 1 faster, = 1 same, ~ 1 undecided, ! 1 incomparable, 1 lost; margin ")
    assert [line.split()[0] for line in lines if "~ undecided" in line] == ["vague"]


def test_the_largest_effect_comes_first_where_that_is_asked_and_nothing_is_left_out():
    base = a_half(small=noisy(), gone=noisy(), large=noisy(), up=noisy())
    new = a_half("two", small=noisy(1.2, seed=2), large=noisy(0.1, seed=3), up=noisy(3, seed=4))
    _, whole = verdicts(base, new)
    for width in (60, 200):
        text = reporter.render([whole], width=width, by_effect=True)
        found = re.findall(r"\b(large|up|small|gone)\b", text)
        assert list(dict.fromkeys(found)) == ["large", "up", "small", "gone"]


@pytest.mark.parametrize("width", [20, 40, 80, 100, 120, 200])
def test_no_figure_of_a_comparison_is_cut_however_narrow_the_terminal_is(width):
    many = {f"a.benchmark.of.many.words.{n}": noisy(cv=0.3, seed=n) for n in range(3)}
    _, whole = verdicts(a_half(**many), a_half("two", **{name: noisy(1e3, cv=0.3) for name in many}))
    words = set(reporter.render([whole], width=width).split())
    for row in whole.rows:
        figures = " ".join(text for text in reporter.texts(whole, row)[2:5])
        assert set(figures.split()) <= words


def test_a_comparison_is_drawn_where_that_is_asked_and_says_the_same_in_words():
    _, whole = verdicts(a_half(x=noisy()), a_half("two", x=noisy(1.5, seed=2)))
    drawn, plain = (reporter.render([whole], width=120, draw=draw) for draw in (True, False))
    assert "●" in drawn
    assert "●" not in plain
    assert set(plain.split()) <= set(drawn.split())
    counted = {"unit": "instructions", "better": "lower"}
    _, exact = verdicts(a_half(x=([5.0, 5.0], counted)), a_half("two", x=([6.0, 6.0], counted)))
    assert "drawn" not in reporter.render([exact], width=120, draw=True)


def test_values_at_the_ends_of_what_a_float_holds_are_no_crash():
    big, small = [1e300] * 8, [1e-300] * 8
    for one, other, verdict in ((big, small, "faster"), (small, big, "slower")):
        found, whole = verdicts(a_half(x=one), a_half("two", x=other))
        assert (found["x"].verdict, found["x"].ratio) == (verdict, None)
        assert verdict in reporter.render([whole], width=200)


# ---- several runs ----


def several(many, factor=1.2, *, drift=0.0, n=10):
    """(base, new) of so many runs; `drift`: by how much the true ratio differs from run to run, as SD of logarithms."""
    chance = random.Random(5)
    ratios = [factor * math.exp(chance.gauss(0, drift)) for _ in range(many)]
    return [
        (
            a_half(f"run{number}", x=noisy(n=n, seed=number, cv=0.01)),
            a_half(f"run{number}", "u", envelope="sha256:f", x=noisy(ratio, n=n, seed=100 + number, cv=0.01)),
        )
        for number, ratio in enumerate(ratios)
    ]


def together(pairs):
    each = [between(*pair, context=(), vary=("system",), design=Design()) for pair in pairs]
    return pooled(pairs, each)


def test_several_runs_are_one_nested_design_and_say_of_what_they_speak():
    few, many = together(several(3)).rows[0].comparison, together(several(12, drift=0.02)).rows[0].comparison
    assert few.verdict == many.verdict == "slower"
    assert few.reason.startswith("of these runs, 3: resampled were values within each run")
    assert many.reason.startswith("of runs like these, 12: resampled were runs, each with all its values")


def test_runs_that_differ_widen_the_interval_that_speaks_of_others():
    steady, unsteady = (together(several(12, drift=drift)).rows[0].comparison.ratio for drift in (0.0, 0.05))
    assert unsteady.high - unsteady.low > 3 * (steady.high - steady.low)


def test_too_few_invocations_in_several_runs_are_insufficient_evidence():
    found = together(several(2, n=3)).rows[0].comparison
    assert (found.verdict, found.ratio) == ("undecided", None)
    assert found.reason.startswith("insufficient evidence")


def test_a_metric_that_is_missing_in_one_of_the_runs_is_compared_in_none():
    pairs = several(3)
    pairs[1] = (pairs[1][0], a_half("run1", "u", envelope="sha256:f", x="failed"))
    found = together(pairs)
    assert found.rows[0].comparison.reason == "in run run1: failed in new: no such call"
    assert found.lost == ("x",)


def test_the_same_system_in_several_runs_is_noise_and_never_a_regression():
    alike = [(base, msgspec.structs.replace(new, envelope=base.envelope)) for base, new in several(3)]
    found = together(alike)
    assert (found.rows[0].comparison.verdict, found.verdicts) == ("undecided", {"undecided": 1})
    assert "never a regression" in found.rows[0].comparison.reason
    assert found.rows[0].comparison.ratio.low > 1.1


def test_of_several_runs_the_widest_floor_is_the_one_that_is_told():
    def with_floor(half, floor):
        told = {
            key: msgspec.structs.replace(
                row,
                cells={
                    name: msgspec.structs.replace(cell, comparison=Comparison(verdict="undecided", floor=floor))
                    for name, cell in row.cells.items()
                },
            )
            for key, row in half.rows.items()
        }
        return msgspec.structs.replace(half, rows=told)

    floors = (None, 0.04, 0.03)
    pairs = [(base, with_floor(new, floor)) for (base, new), floor in zip(several(3), floors, strict=True)]
    found = together(pairs).rows[0].comparison
    assert (found.floor, found.margin) == (0.04, 0.04)


# ---- targets of an imported file ----


def imported(half):
    return msgspec.structs.replace(half, imported=True)


def test_targets_of_an_imported_file_did_not_take_turns_so_drift_is_in_their_ratio():
    base, new = imported(a_half(x=noisy())), imported(a_half(target="u", x=noisy(1.06, seed=2)))
    found, whole = verdicts(base, new)
    assert (found["x"].verdict, found["x"].margin, whole.interleaved) == ("same", ASSUMED_DRIFT, False)
    assert "does not say that its targets took turns" in whole.warnings[0]


def test_one_envelope_of_an_imported_file_does_not_make_its_targets_the_same_system():
    found, whole = verdicts(imported(a_half(x=noisy())), imported(a_half(target="u", x=noisy(1.5, seed=2))))
    assert found["x"].verdict == "slower"
    assert not [each for each in whole.warnings if "same system" in each]


# ---- the command ----


def test_what_another_tool_reported_is_compared_only_where_the_user_trusts_it(tmp_path):
    """Two files of hyperfine: every start of the command is an invocation, thirty per cent apart."""
    for name, factor in (("a", 1.0), ("b", 1.3)):
        times = [each / 1000 * factor for each in noisy(n=12, seed=3)]
        result = {"command": "true", "times": times, "exit_codes": [0] * 12, "mean": statistics.fmean(times)}
        result |= {"median": statistics.median(times), "stddev": statistics.stdev(times), "user": 0.0, "system": 0.0}
        result |= {"min": min(times), "max": max(times)}
        (tmp_path / f"{name}.json").write_text(json.dumps({"results": [result]}))
        read = command("import", "--home", tmp_path, "--format", "hyperfine", tmp_path / f"{name}.json")
        assert read.returncode == 0, read.stderr
    first, second = sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir())
    refused = json.loads(compare(tmp_path, first, second, "--json").stdout)[0]
    assert refused["verdicts"] == {"incomparable": 1}
    assert refused["rows"][0]["comparison"]["reason"].startswith("unverified in base")
    trusted = json.loads(compare(tmp_path, first, second, "--json", "--trust", "hyperfine").stdout)[0]
    assert trusted["rows"][0]["comparison"]["verdict"] in {"faster", "slower"}
    assert "time" in trusted["vary"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two runs of the host, one of which also measured a sandbox's worth of a second benchmark."""
    folder = tmp_path_factory.mktemp("compare")
    plan = folder / "plan.toml"
    plan.write_text('[targets.host]\n[run]\nquick = true\nlimits = { clock_step = "any" }\n')  # whatever the noise
    for more in (["-b", "syscall.getpid"], ["-b", "syscall.getpid", "-b", "syscall.stat"]):
        done = command("run", "--home", folder, "--plan", plan, *more)
        assert done.returncode == 0, done.stderr
    return folder


def compare(home, *arguments):
    return command("compare", "--home", home, *arguments)


def test_two_runs_are_compared_and_what_is_only_in_one_is_told(home):
    first, second = sorted(path.name for path in (home / "runs").iterdir() if path.is_dir())
    done = compare(home, second, first, "--json")
    (found,) = json.loads(done.stdout)
    assert done.returncode == 1  # syscall.stat is lost
    assert found["lost"] == ["syscall.stat.latency"]
    assert {row["metric"] for row in found["rows"]} == {"syscall.getpid.latency", "syscall.stat.latency"}
    done = compare(home, first, second, "--margin", "1000 %", "--json")
    assert done.returncode in {
        0,
        3,
    }  # real figures of a machine that others use: same or undecided, and nothing is lost
    assert json.loads(done.stdout)[0]["lost"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["last"], ["nothing to compare with 'host'", "name a second run"]),
        (["last", "branch:nowhere"], ["no run is a baseline 'branch:nowhere'"]),
        (["last,last", "last"], ["as many runs on either side, found 2 and 1"]),
        (["last,last", "last,last"], ["expected each run once on a side", "2 times"]),
        ([""], ["expected a run, found nothing"]),
        (["last", "nowhere"], ["no run is called 'nowhere'"]),
        (["last", "--targets", "host,host"], ["'host' of one run is the same on both sides"]),
        (["last", "last", "--targets", "host"], ["expected two names, BASE,NEW"]),
        (["last", "last", "--targets", "host,hots"], ["no target 'hots'", "did you mean 'host'"]),
        (["last", "last", "--targets", "host,host", "--vary", "tme"], ["unknown facet 'tme'", "did you mean 'time'"]),
        (
            ["last", "last", "--targets", "host,host", "--margin", "2 ms"],
            ["--margin: expected an amount such as '2 %'"],
        ),
        (["last", "last", "--targets", "host,host", "--fdr", "0"], ["--fdr: expected a share between 0 and 1"]),
    ],
)
def test_a_wrong_question_gets_one_line_and_status_2(home, arguments, words):
    done = compare(home, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert all(word in done.stderr for word in words)


def test_the_newest_run_of_a_branch_is_not_held_against_itself(tmp_path):
    for name in ("one", "two"):
        a_run(tmp_path, name, labels={"branch": "main"}, t={LATENCY: noisy(n=8)})
    done = compare(tmp_path, "branch:main", "last", "--json")
    (found,) = json.loads(done.stdout)
    assert (found["base"], found["new"]) == ("one/t", "two/t")


@pytest.mark.parametrize("verb", ["compare", "gate", "report"])
def test_no_verb_decides_or_shows_anything_of_a_run_that_was_changed(home, tmp_path, verb):
    """`verify` says what is wrong with it; everything else refuses."""
    copy = shutil.copytree(home, tmp_path / "home")
    path = min(each for each in (copy / "runs").iterdir() if each.is_dir())
    results = path / "results.jsonl"
    results.write_bytes(results.read_bytes().replace(b'"iterations":', b'"iterations":1', 1))
    done = command(verb, path.name, *(["last"] if verb == "compare" else []), "--home", copy)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is damaged: results.jsonl is not the file that was sealed" in done.stderr


def test_values_are_those_of_the_invocations():
    assert invocations.values([], "x") == {}
