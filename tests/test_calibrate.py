"""Calibration on data whose noise is known: false alarms, floors and detectable effects come out as they must."""

from __future__ import annotations

import functools
import itertools
import math
import random
import statistics
import zlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof import calibration, plan, runner
from benchproof.analysis import calibrate, stats
from benchproof.analysis.calibrate import Calibrated, Calibration
from benchproof.analysis.compare import STANDARD, Design, planned_looks
from benchproof.analysis.invocations import question
from benchproof.benchmarks.primitive import memcpy
from benchproof.errors import NotSupported, StoreError, UsageError
from benchproof.model import Envelope, Failed, Measurement
from benchproof.reporters import FORMATS
from benchproof.store import bundle, calibrations
from benchproof.targets.fake import Fake
from benchproof.verify import verify
from commands import command
from conftest import completed, transcript

GETPID = question("syscall.getpid", {"samples": 20})
LATENCY = Measurement(
    metric="syscall.getpid.latency", unit="ns", better="lower", clock="target", iterations=1, samples=(1.0,)
)
NOISE = 0.03  # standard deviation of the log ratio of a pair
STUDIED = 400


def copies(blocks=STUDIED, *, noise=NOISE, bias=1.0, drift=0.0, many=2, seed=1):
    """Series of one target under several names; the last name is `bias` times slower, each value by itself noisy."""
    chance = random.Random(seed)
    return {
        f"host~{number}": {
            block: 100 * (bias if number == many else 1) * math.exp(chance.gauss(drift * block, noise / math.sqrt(2)))
            for block in range(blocks)
        }
        for number in range(1, many + 1)
    }


def study(series, *, blocks=10, design=STANDARD):
    return calibrate.study(series, LATENCY, question=GETPID, blocks=blocks, design=design)


@functools.cache
def study_of_equals(seed=1):
    return study(copies(seed=seed))


# ---- binomial intervals ----


def test_a_rate_has_the_exact_interval_of_clopper_and_pearson():
    found = calibrate.rate(2, 20)  # their textbook value
    assert (found.low, found.high) == (pytest.approx(0.0123, abs=1e-4), pytest.approx(0.3170, abs=1e-4))
    assert calibrate.rate(0, 30).high == pytest.approx(1 - 0.025 ** (1 / 30))
    assert (calibrate.rate(0, 9).low, calibrate.rate(9, 9).high) == (0.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(of=st.integers(1, 200), data=st.data())
def test_a_rate_lies_in_its_own_interval_however_many_there_are(of, data):
    found = calibrate.rate(data.draw(st.integers(0, of)), of)
    assert 0 <= found.low <= found.events / of <= found.high <= 1


# ---- equal things ----


def test_equal_copies_are_called_different_as_often_as_the_error_allows():
    excluded = [study_of_equals(seed).excluded for seed in range(5)]
    total = calibrate.rate(sum(each.events for each in excluded), sum(each.of for each in excluded))
    assert total.of == 5 * STUDIED // 10
    assert total.low <= 0.05  # the interval of the comparison has 95 %
    assert total.high > 0.01


def test_the_floor_is_what_95_percent_of_windows_stay_below():
    expected = math.expm1(1.96 * NOISE / math.sqrt(10) * math.sqrt(math.pi / 3))  # efficiency of Hodges-Lehmann
    found = [study_of_equals(seed).floors[10] for seed in range(4)]
    assert statistics.median(found) == pytest.approx(expected, rel=0.15)


def test_a_floor_of_many_blocks_is_lower_than_one_of_few():
    floors = study_of_equals().floors
    assert sorted(floors) == [6, 10, 20, 30]
    assert sorted(floors.values(), reverse=True) == list(floors.values())


def test_a_copy_that_is_not_equal_is_found_as_a_floor_and_as_false_alarms():
    found = study(copies(bias=1.06))
    assert found.floors[10] > 0.06
    assert found.false.events > found.false.of * 0.5


def test_drift_is_no_floor_between_neighbours_but_between_runs_made_apart():
    still, drifting = (study(copies(noise=0.005, drift=drift)) for drift in (0.0, 0.0005))
    assert drifting.floors[10] == pytest.approx(still.floors[10], rel=0.3)
    assert still.floor_apart < 0.01
    assert drifting.floor_apart > 0.15  # 400 blocks of 0.05 %


def test_the_study_says_the_same_of_the_same_results():
    assert study(copies()) == study_of_equals()


# ---- what can be found ----


@pytest.mark.parametrize("design", [Design(), Design(looks=planned_looks(30))], ids=["one look", "planned looks"])
def test_the_detectable_effect_is_found_as_often_as_it_says(design):
    blocks = design.looks[-1].blocks if design.looks else 10
    known = study(copies(1000, seed=7), blocks=blocks, design=design)
    effects = dict(known.detectable)
    assert effects["80 %"] < effects["95 %"]
    for name, share in (("80 %", 0.80), ("95 %", 0.95)):
        slow = copies(4000, bias=1 + effects[name], seed=8)
        plain = {"host~1": slow["host~1"], "host~2": slow["host~1"]}
        shifted = {"host~1": slow["host~2"], "host~2": slow["host~2"]}
        caught = calibrate.power(plain, shifted, known, {"inject": 1e-9}, design).caught
        assert caught.events / caught.of == pytest.approx(share, abs=0.07)


def test_the_least_effect_of_a_margin_is_beyond_it_and_the_bare_one_is_not():
    found = study(copies())
    assert found.margin == max(0.02, found.floors[10])
    assert found.detectable["80 %"] > max(found.margin, found.detectable_bare["80 %"])


def test_without_noise_anything_beyond_the_margin_is_found():
    found = study(copies(noise=0.0))
    assert found.floors[10] == 0
    assert found.detectable == {"80 %": pytest.approx(0.02), "95 %": pytest.approx(0.02)}


def test_a_question_that_an_early_look_ends_as_the_same_is_not_found_by_a_later_one():
    looks = Design(margin=0.05, looks=planned_looks(30)).looks
    calm, late = [0.0] * 10, [0.2] * 20
    assert calibrate._threshold(calm + late, looks, 0.05) == pytest.approx(0.05)


# ---- injected delays ----


def test_power_is_measured_beside_what_was_predicted():
    plain, known = copies(seed=3), study(copies(seed=3))
    factor = 1.05
    slow = {name: {block: value * factor for block, value in each.items()} for name, each in copies(seed=4).items()}
    found = calibrate.power(plain, slow, known, {"inject": 5e-9})
    assert found.asked == pytest.approx(0.05, rel=0.02)
    assert found.seen == pytest.approx(0.05, abs=0.01)
    assert found.caught.of == 2 * STUDIED // 10
    assert found.caught.low - 0.1 <= found.predicted <= found.caught.high + 0.1


def test_instructions_have_no_time_beforehand_and_power_is_predicted_from_what_was_seen():
    plain = copies(seed=3)
    slow = {name: {block: value * 1.2 for block, value in each.items()} for name, each in plain.items()}
    found = calibrate.power(plain, slow, study(plain), {"inject_instructions": 100})
    assert (found.asked, found.predicted) == (None, 1.0)


# ---- too little, or of the wrong kind ----


def test_with_too_few_blocks_a_figure_is_absent_with_the_reason():
    found = study(copies(12))
    assert (found.floors, found.detectable) == ({}, {})
    assert found.absent["floors"] == "needs 20 blocks, found 12 pairs in all"
    assert found.false.of == 1
    assert study(copies(4)).absent.keys() == {"false", "floors", "detectable", "floor_apart"}


def test_three_copies_make_three_pairs():
    assert study(copies(10, many=3)).pairs == 30


def test_values_that_are_not_positive_have_no_floor_and_say_so():
    found = study({"a": dict.fromkeys(range(40), 0.0), "b": dict.fromkeys(range(40), 0.0)})
    assert found.floors == {}
    assert found.absent == {"all": "values that are not positive have no ratio"}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0.1, 1e6), min_size=0, max_size=25).map(lambda values: dict(enumerate(values))),
        min_size=2,
        max_size=3,
    )
)
def test_no_series_whatever_makes_it_crash(series):
    found = study(dict(zip("abc", series, strict=False)), blocks=6)
    assert all(math.isfinite(each) for each in itertools.chain(found.floors.values(), found.detectable.values()))


# ---- kept, and found again where they hold ----

SECTIONS = {
    "host": {"cpu": "a", "kernel": "1"},
    "machine": {"execution": "tcg", "accel_reason": "none"},
    "system": {"kind": "qemu", "kernel": "6.1", "command": "qemu -kernel 1", "start": "snapshot"},
    "probe": {"source_sha256": "x"},
    "authority": {"capabilities": "none"},
}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def changed(section=None, **facts):
    return Envelope({name: each | (facts if name == section else {}) for name, each in SECTIONS.items()})


def keep(home, *, name="first", age=timedelta(0), envelope=None, noise=NOISE):
    found = Calibration(
        run_id=name,
        created_at=(NOW - age).isoformat(),
        benchproof="0",
        target="linux",
        envelope=envelope or changed(),
        studies=(study(copies(40, noise=noise)),),
    )
    calibrations.write(home, found)
    return found


def test_a_floor_is_found_for_the_longest_comparison_that_it_covers(tmp_path):
    known = keep(tmp_path).studies[0].floors
    for blocks, length in ((6, 6), (10, 10), (15, 10), (500, 30)):
        (found,) = calibrations.find(tmp_path, {"mine": changed()}, blocks=blocks, now=NOW).floors
        assert (found.target, found.blocks, found.floor) == ("mine", length, known[length])
    assert calibrations.find(tmp_path, {"mine": changed()}, blocks=5, now=NOW).floors == ()


@pytest.mark.parametrize(
    ("section", "facts"),
    [
        ("host", {"cpu": "b"}),
        ("host", {"governor": "powersave"}),
        ("machine", {"execution": "kvm"}),
        ("probe", {"source_sha256": "y"}),
        ("authority", {"capabilities": "all"}),
        ("system", {"kind": "gvisor"}),
        ("system", {"start": "cold"}),
    ],
)
def test_a_floor_does_not_hold_where_a_fact_differs(tmp_path, section, facts):
    keep(tmp_path)
    found = calibrations.find(tmp_path, {"linux": changed(section, **facts)}, blocks=10, now=NOW)
    assert found.floors == ()
    named = [f"{section}.{fact}" for fact in facts]
    assert all(any(name in note for note in found.notes) for name in named if name != "system.kind")


@pytest.mark.parametrize(
    ("section", "facts"),
    [
        ("system", {"kernel": "6.12"}),
        ("system", {"command": "qemu -kernel 2"}),
        ("machine", {"accel_reason": "other"}),
    ],
)
def test_a_floor_holds_for_another_build_of_the_same_kind_of_system(tmp_path, section, facts):
    keep(tmp_path)
    assert calibrations.find(tmp_path, {"linux": changed(section, **facts)}, blocks=10, now=NOW).floors


def test_the_latest_study_counts_and_an_old_one_is_warned_of(tmp_path):
    keep(tmp_path, name="b", age=timedelta(days=50), noise=0.1)
    found = calibrations.find(tmp_path, {"linux": changed()}, blocks=10, now=NOW)
    assert found.notes == ("the A/A floors of 'linux' are 50 days old: benchproof calibrate",)
    keep(tmp_path, name="a", age=timedelta(days=1))
    found = calibrations.find(tmp_path, {"linux": changed()}, blocks=10, now=NOW)
    assert (found.floors[0].run_id, found.notes) == ("a", ())


def test_a_damaged_calibration_is_one_line_and_never_half_read(tmp_path):
    keep(tmp_path)
    path = tmp_path / "calibrations" / "first.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="no calibration"):
        calibrations.find(tmp_path, {"linux": changed()}, blocks=10)


def test_of_a_pair_the_larger_floor_counts(tmp_path):
    keep(tmp_path, name="a")
    keep(tmp_path, name="b", envelope=changed("host", cpu="b"), noise=0.2)
    found = calibrations.find(tmp_path, {"calm": changed(), "noisy": changed("host", cpu="b")}, blocks=10, now=NOW)
    key = (GETPID, LATENCY.metric)
    by_pair = calibrate.floors(found, {"calm": "calm", "noisy": "calm"})
    assert by_pair[*key, "noisy"] > 0.1 > by_pair[*key, "calm"]
    assert calibrate.floors(found, {"calm": "noisy", "noisy": "noisy"})[*key, "calm"] == by_pair[*key, "noisy"]
    calm, noisy = (each.floor_apart for each in found.floors)
    assert calibrate.drift((found, "calm"), (found, "noisy"))[key] == max(calm, noisy)
    assert calibrate.drift((found, "calm"), (found, "calm"))[key] == calm


def test_what_a_system_did_between_two_studies_counts_as_drift_of_runs_made_apart(tmp_path):
    first = keep(tmp_path, name="a", age=timedelta(days=2))
    median = first.studies[0].median
    later = msgspec.structs.replace(first.studies[0], median=1.5 * median)
    calibrations.write(tmp_path, msgspec.structs.replace(first, run_id="b", studies=(later,)))
    same, other = (
        calibrations.find(tmp_path, {"linux": each}, blocks=10, now=NOW).floors[0].floor_apart
        for each in (changed(), changed("system", kernel="6.12"))
    )
    assert same == pytest.approx(0.5)
    assert other == first.studies[0].floor_apart


def test_the_thresholds_are_those_of_the_interval_itself():
    """The short way, moving the interval, against the long one, moving the data."""
    chance = random.Random(5)
    shifts = [chance.gauss(0, 0.02) for _ in range(10)]
    edge, look = math.log1p(0.02), calibrate._looks(Design(), 10)
    least = calibrate._threshold(shifts, look, edge)
    for effect, found in ((least - 1e-9, False), (least + 1e-9, True)):
        interval = stats.hodges_lehmann([each + effect for each in shifts], confidence=1 - 2 * look[0].alpha)
        assert (interval.low > edge) == found


# ---- the whole way: a plan, an ordinary run, a calibration, and a later run that uses it ----

DOCUMENT = {
    "targets": {"host": {}, "counted": {"kind": "qemu", "exact": True}},
    "suites": {"s": {"benchmarks": ["syscall.getpid", "memory.memcpy"]}},
    "run": {"blocks": 6, "seed": 1},
    "gates": {},
}


class Listener:
    def __init__(self):
        self.notes = []

    def planned(self, invocations): ...
    def note(self, message):
        self.notes.append(message)

    def done(self, block, target, benchmark, outcome): ...


def noisy(seed=1, noise=0.03):
    """The host's probe, made up: getpid takes 100 ns and what was injected, and noise on top."""
    chance = random.Random(seed)

    def answer(argv, _stdin, _files):
        delay_ns = float(argv[argv.index("--inject-ns") + 1]) if "--inject-ns" in argv else 0.0
        took = round((100 + delay_ns) * 1000 * math.exp(chance.gauss(0, noise / math.sqrt(2))))
        injected = {"injected_ns": f"{delay_ns:.3f}", "injected_operations": 100, "lingered_ns": round(delay_ns * 101)}
        evidence = injected if delay_ns else {}
        if argv[2] == "memory.memcpy":
            evidence = {"copies": 100, "body_crc32": zlib.crc32(memcpy.pattern(1 << 20)[8:-8])}
        return completed(transcript(argv[2], samples=(took,) * 3, iterations=1000, evidence=evidence, wall_ns=900_000))

    return Fake(answer)


@pytest.fixture
def calibrated(tmp_path, monkeypatch, host_probe):
    """Calibrate the plan above with a made-up host; returns what was found and where it is kept."""
    target = noisy()
    monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, _name, _lab: target)

    def go(**more):
        wanted = plan.parse(DOCUMENT, where="test")
        listener = Listener()
        return list(calibration.run(DOCUMENT, wanted, tmp_path, host_probe, listener, **more))

    return go


def test_the_study_of_a_target_is_an_ordinary_run_of_copies(calibrated, tmp_path):
    done, refused = calibrated(blocks=24)
    assert (refused.target, refused.calibration) == ("counted", None)
    assert "no noise to measure" in refused.reason
    run = bundle.load(tmp_path / "runs" / done.calibration.run_id)
    assert run.manifest.state == "complete"
    assert {result.target for result in run.results} == {"host~1", "host~2"}
    assert verify(run.path).problems == ()
    by_metric = {study.metric: study for study in done.calibration.studies}
    assert sorted(by_metric) == ["memory.memcpy.throughput", "syscall.getpid.latency"]
    found = by_metric["syscall.getpid.latency"]
    assert (found.copies, found.pairs, found.blocks, found.false.of) == (2, 24, 6, 4)
    assert 0.01 < found.floors[6] < 0.08
    assert found.median == pytest.approx(100, rel=0.03)


def test_a_study_follows_from_its_bundle_alone(calibrated, tmp_path):
    done, _ = calibrated(blocks=24)
    run = bundle.load(tmp_path / "runs" / done.calibration.run_id)
    again = calibration.calibration_of(run, "host", plan.parse(DOCUMENT, where="test"))
    assert again == done.calibration


@pytest.mark.parametrize("kind", ["results", "warmups"])
def test_one_wrong_answer_of_a_copy_takes_the_study_away_and_is_told(calibrated, tmp_path, kind):
    done, _ = calibrated(blocks=24)
    run = bundle.load(tmp_path / "runs" / done.calibration.run_id)
    first, *others = getattr(run, kind)
    wrong = msgspec.structs.replace(first, outcome=Failed(violations=("the checksum is another one",)))
    broken = msgspec.structs.replace(run, **{kind: (wrong, *others)})
    found = calibration.calibration_of(broken, "host", plan.parse(DOCUMENT, where="test"))
    assert first.benchmark not in {study.benchmark for study in found.studies}
    assert len(found.studies) == len(done.calibration.studies) - 1
    assert len(found.troubles) == 1
    assert "failed: the checksum is another one" in found.troubles[0]


def test_a_share_is_turned_into_a_delay_by_a_pilot_run_and_found_again(calibrated):
    done, _ = calibrated(blocks=36, injection=calibration.Injection.parse("20 %"))
    found = {study.metric: study for study in done.calibration.studies}
    (power,) = found["syscall.getpid.latency"].injected
    assert power.asked == pytest.approx(0.2, rel=0.1)
    assert power.seen == pytest.approx(0.2, abs=0.05)
    assert (power.caught.events, power.caught.of) == (12, 12)
    assert power.predicted > 0.95
    assert found["memory.memcpy.throughput"].injected == ()
    assert any("memory.memcpy: nothing is injected" in trouble for trouble in done.calibration.troubles)


def test_a_later_run_is_told_its_floors_and_its_report_follows_from_the_bundle(calibrated, tmp_path, host_probe):
    done, _ = calibrated(blocks=24)
    known = {study.metric: study.floors[6] for study in done.calibration.studies}
    document = DOCUMENT | {"targets": {"one": {"kind": "host"}, "two": {"kind": "host"}}}
    with runner.begin(plan.parse(document, where="test"), tmp_path, host_probe, Listener()) as session:
        list(session.run())
        report = session.close()
    assert {(each.target, each.metric, each.floor) for each in session.out.manifest.calibration.floors} == {
        (target, metric, floor) for target in ("one", "two") for metric, floor in known.items()
    }
    for row in report.rows:
        comparison = row.cells["two"].comparison
        assert comparison.floor == known[row.metric]
        assert comparison.margin == max(0.02, comparison.floor)
    assert "A/A floors, by which equal things were measured to differ here" in FORMATS.load("terminal")(report)
    assert verify(session.out.path).problems == ()


def test_a_changed_floor_in_a_bundle_is_noticed(calibrated, tmp_path, host_probe):
    calibrated(blocks=24)
    document = DOCUMENT | {"targets": {"one": {"kind": "host"}, "two": {"kind": "host"}}}
    with runner.begin(plan.parse(document, where="test"), tmp_path, host_probe, Listener()) as session:
        list(session.run())
        session.close()
    run = bundle.load(session.out.path)
    wide = tuple(msgspec.structs.replace(each, floor=0.5) for each in run.manifest.calibration.floors)
    forged = msgspec.structs.replace(run.manifest, calibration=Calibrated(floors=wide))
    forged = msgspec.structs.replace(forged, seal=bundle.seal_of(forged))
    (run.path / "manifest.json").write_bytes(bundle.encoded(forged))
    assert any("does not follow from the results" in problem for problem in verify(run.path).problems)


def test_a_plan_of_exact_targets_alone_has_nothing_to_calibrate(tmp_path, host_probe):
    document = DOCUMENT | {"targets": {"counted": {"kind": "qemu", "exact": True}}}
    with pytest.raises(UsageError, match="counts have no noise to measure"):
        list(calibration.run(document, plan.parse(document, where="test"), tmp_path, host_probe, Listener()))


def test_a_target_that_cannot_be_started_has_no_calibration_and_says_so(tmp_path, monkeypatch, host_probe):
    def refuse(_argv, _stdin, _files):
        raise NotSupported("no such thing here")

    broken = Fake(refuse)
    monkeypatch.setattr(broken, "facts", lambda: refuse((), b"", {}))
    monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, _name, _lab: broken)
    document = DOCUMENT | {"targets": {"host": {}}}
    wanted = plan.parse(document, where="test")
    (done,) = calibration.run(document, wanted, tmp_path, host_probe, Listener(), blocks=6)
    assert (done.calibration, calibrations.known(tmp_path)) == (None, [])
    assert "could not be started" in done.reason


@pytest.mark.parametrize("text", ["", "5", "0 %", "5 bananas", "-5 %", "1.5 instructions", "0 ns", "inf ns"])
def test_an_injection_that_makes_no_sense_is_refused(text):
    if text == "5":  # a plain number is seconds
        assert calibration.Injection.parse(text).kind == "inject"
        return
    with pytest.raises(UsageError, match="--inject"):
        calibration.Injection.parse(text)


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [("5 %", "share", 0.05), ("50 ns", "inject", 50e-9), ("100 instructions", "inject_instructions", 100)],
)
def test_an_injection_is_a_share_a_time_or_a_count(text, kind, amount):
    assert calibration.Injection.parse(text) == calibration.Injection(kind, pytest.approx(amount))


def test_the_verb_measures_prints_a_table_and_keeps_what_it_found(tmp_path):
    words = ("--targets", "host", "--quick", "-b", "syscall.getpid", "--blocks", "7", "--inject", "50 instructions")
    done = command("calibrate", "--home", tmp_path, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "syscall.getpid.latency" in done.stdout
    assert "50 instructions" in done.stdout
    assert "needs 20 blocks, found 7 pairs in all" in done.stdout
    (kept,) = calibrations.known(tmp_path)
    assert f"host: kept in {tmp_path / 'calibrations' / kept.run_id}.json" in done.stderr
    assert kept.studies[0].injected[0].parameters == {"inject_instructions": 50}
