"""Every benchmark of whole systems on real processes and on guests, and every oracle shown to fail."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from benchproof import oracles, plan, runner
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.pool import Pool, pooled
from benchproof.errors import InvocationError, StartFailed, TargetFailed
from benchproof.model import Failed, Footprint, Forkable, Measurement, Observation, Outcome, Passed, Target, Unsupported
from benchproof.quantities import Duration, Size
from benchproof.targets import KINDS
from benchproof.targets.fake import Fake
from conftest import completed, lab_in, why_unusable
from processes import Processes

NAMES = tuple(name for name in SUITES["lifecycle"] if name != "fork.package_survived")  # that: test_package_survived.py
CYCLES = ("lifecycle.provision", "lifecycle.exec_ready", "lifecycle.delete", "lifecycle.total")
FORKS = (
    "fork.fork",
    "fork.image_size",
    "fork.boot_provision",
    "fork.boot_ready",
    "fork.file_survived",
    "fork.workspace_survived",
)
TINY: dict[str, dict[str, Any]] = {
    "fork.fanout": {"samples": 1, "warmups": 0, "clones": 3},
    "density.clones": {"warmups": 1, "limit": 3},
    "lifecycle.exec": {"samples": 3, "warmups": 1},
    "boot.phases": {"samples": 1, "warmups": 1},
}


def tiny(name: str, **parameters: Any) -> Any:
    """The benchmark with as little work as it can do: no p99 is asked for, so one of clones needs no 100 samples."""
    usual = {} if name == "density.clones" else {"samples": 1}
    benchmark = BENCHMARKS.load(name)(**({"warmups": 1} | usual | TINY.get(name, {}) | parameters))
    if name == "density.clones" and "samples" not in parameters:
        msgspec.structs.force_setattr(benchmark, "samples", 10)
    return benchmark


def seen(benchmark: Any, target: Target) -> tuple[Outcome, Observation | None]:
    try:
        observation = benchmark.run(target)
    except InvocationError as error:
        return runner.outcome_of(error), None
    return runner.judge(benchmark, observation), observation


def outcome(benchmark: Any, target: Target) -> Outcome:
    return seen(benchmark, target)[0]


@pytest.fixture
def make(lab) -> Iterator[Any]:
    """Makes targets of real processes; whatever happens in a test, none of their instances is alive after it."""
    made: list[Processes] = []

    def target(fault: str = "") -> Processes:
        made.append(Processes(lab, fault))
        return made[-1]

    yield target
    for each in made:
        each.sweep()
        assert each.alive == []
    assert not [path.name for path in lab.scratch.glob("instance-*") if any(path.iterdir())]


# ---- the right answers ----


def metrics(found: Outcome) -> dict[str, Measurement]:
    assert isinstance(found, Passed), found
    return {measurement.metric: measurement for measurement in found.measurements}


def expected_metrics(name: str) -> set[str]:
    several = {
        "density.clones": {"density.clones.alive", "density.clones.marginal_memory", "density.clones.victim_exec"},
        "fork.image_size": {"fork.image_size.size"},
        "fork.file_survived": {"fork.file_survived.survived"},
        "fork.workspace_survived": {"fork.workspace_survived.survived"},
    }
    return several.get(name, {f"{name}.latency"})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "boot.phases"])
def test_the_tiny_size_passes_on_real_processes(make, name):
    target = make()
    assert isinstance(target, Forkable)
    found = metrics(outcome(tiny(name), target))
    assert set(found) == expected_metrics(name)
    assert all(sample > 0 for measurement in found.values() for sample in measurement.samples)
    assert {measurement.clock for measurement in found.values()} == {"host"}
    assert not [image.folder for image in target.images if image.folder.exists()]


def test_each_phase_of_a_boot_is_a_metric_of_its_own(make):
    found = metrics(outcome(tiny("boot.phases", samples=2), make()))
    assert list(found) == ["boot.phases.kernel", "boot.phases.init", "boot.phases.ready"]
    assert all(len(measurement.samples) == 2 for measurement in found.values())


@pytest.mark.parametrize("start", ["cold", "pool"])
@pytest.mark.parametrize("name", [*CYCLES, "lifecycle.exec"])
def test_instances_come_from_nothing_or_from_a_pool_as_the_plan_says(make, name, start):
    target = make()
    found, observation = seen(tiny(name, start=start, pool=2), target)
    assert set(metrics(found)) == {f"{name}.latency"}
    assert observation is not None
    assert ("pool_taken" in observation.evidence) == (start == "pool" and name != "lifecycle.exec")


def test_warmups_are_kept_apart_and_a_sample_is_one_life(make):
    target = make()
    (measurement,) = metrics(outcome(tiny("lifecycle.total", samples=2, warmups=1), target)).values()
    assert (len(measurement.samples), len(measurement.warmups), measurement.iterations) == (2, 1, 1)
    assert target.starts == 3


def test_a_survival_is_one_and_more_is_better(make):
    for name in ("fork.file_survived", "fork.workspace_survived"):
        (measurement,) = metrics(outcome(tiny(name), make())).values()
        assert (measurement.samples, measurement.unit, measurement.better) == ((1,), "count", "higher")


def test_an_image_is_measured_in_blocks_and_not_in_its_logical_size(make):
    (measurement,) = metrics(outcome(tiny("fork.image_size"), make())).values()
    assert measurement.unit == "bytes"
    assert measurement.samples[0] % 512 == 0
    assert measurement.samples[0] != 1 << 20


def test_density_ends_at_the_limit_or_within_the_budget_and_says_which(make):
    found, observation = seen(tiny("density.clones", samples=100), make())
    assert observation is not None
    assert metrics(found)["density.clones.alive"].samples == (3,)
    assert (observation.evidence["ended_by"], observation.evidence["alive"]) == ("limit", "3")
    assert len(metrics(found)["density.clones.victim_exec"].samples) == 100
    # what a process shares with others of this machine comes and goes: room for a few more than three of them
    budget = Size(2 * int(observation.evidence["memory_all_bytes"]))
    found, observation = seen(tiny("density.clones", limit=50, memory_budget=budget), make())
    assert observation is not None, found
    assert observation.evidence["ended_by"] == "budget"
    assert int(observation.evidence["memory_all_bytes"]) <= budget
    assert isinstance(found, Passed), found


def test_of_a_single_clone_no_marginal_memory_is_told(make):
    found = metrics(outcome(tiny("density.clones", limit=1), make()))
    assert set(found) == {"density.clones.alive", "density.clones.victim_exec"}


def test_a_budget_in_which_no_clone_fits_is_unsupported_with_the_way_out(make):
    found = outcome(tiny("density.clones", memory_budget=Size(1)), make())
    assert isinstance(found, Unsupported)
    assert found.missing == "a larger memory_budget"


# ---- faults: none of them ends as a number ----

EVERYWHERE = ("answers wrongly", "answers an old question", "ends with a status", "says nothing", "holds nothing")


@pytest.mark.parametrize("fault", EVERYWHERE)
@pytest.mark.parametrize("name", NAMES)
def test_no_benchmark_believes_a_wrong_answer_or_what_cannot_be_checked(make, name, fault):
    found = outcome(tiny(name, warmups=int(fault == "answers an old question")), make(fault))
    assert isinstance(found, Failed), found
    words = {
        "ends with a status": "exit status that is not 0, the first with 3",
        "answers an old question": "the answer to another question",
        "holds nothing": "held no process",
    }
    assert any(words.get(fault, "answered wrongly") in violation for violation in found.violations), found


LEAKS = {"leaves a process": "process ", "leaves a dead process": "not awaited", "leaves a file": "file /"}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("lifecycle.delete", fault) for fault in LEAKS),
        *((name, "leaves a file") for name in ("lifecycle.exec", "fork.fork", "density.clones")),
        *((name, "leaves a process") for name in ("fork.fanout", "boot.phases", "lifecycle.total")),
    ],
)
def test_what_an_end_leaves_behind_is_a_violation(make, name, fault):
    few = {"fork.fanout": {"clones": 1}, "density.clones": {"limit": 1}}
    found = outcome(tiny(name, warmups=0, **few.get(name, {})), make(fault))
    assert isinstance(found, Failed), found
    assert any("left behind" in violation and LEAKS[fault] in violation for violation in found.violations), found


@pytest.mark.parametrize("name", [name for name in NAMES if name != "boot.phases"])
def test_a_dead_clone_is_a_failure(make, name):
    found = outcome(tiny(name), make("the clone is dead"))
    assert isinstance(found, Failed), found
    assert "the instance has ended" in found.violations[0]


@pytest.mark.parametrize("name", CYCLES)
def test_a_pool_that_hands_out_a_dead_clone_is_a_failure_and_is_not_tried_again(make, name):
    target = make("the third one dies after its first answer")
    found = outcome(tiny(name, start="pool", pool=3, samples=5), target)
    assert isinstance(found, Failed), found
    assert target.starts == 5  # three, and one for each that was taken before
    assert isinstance(outcome(tiny(name, start="pool", pool=3), make("the third one is dead")), Failed)


@pytest.mark.parametrize(("name", "fault"), [
    ("fork.fanout", "the second one answers wrongly"),
    ("fork.fanout", "the third one is dead"),
    ("density.clones", "the second one answers wrongly"),
    ("density.clones", "the third one is dead"),
    ("density.clones", "memory is not counted"),
    ("density.clones", "memory is that of the first alone"),
])  # fmt: skip
def test_one_bad_clone_of_many_is_enough(make, name, fault):
    found = outcome(tiny(name), make(fault))
    assert isinstance(found, Failed), found


FORK_FAULTS = {
    "the freeze damages a byte": "differ from",
    "the freeze is an old one": "differ from",
    "the original dies": "the instance has ended",
    "the image has no size": "an image takes room on the disk",
    "the image has its logical size": "differ from image_bytes_counted",
    "the image stays": "an image that was deleted takes no room",
    "the image leaves a file": "an image that was deleted",
}


@pytest.mark.parametrize("fault", FORK_FAULTS)
@pytest.mark.parametrize("name", FORKS)
def test_a_fork_that_is_not_one_has_no_figures(make, name, fault):
    found = outcome(tiny(name, warmups=int(fault == "the freeze is an old one")), make(fault))
    assert isinstance(found, Failed), found
    assert any(FORK_FAULTS[fault] in violation for violation in found.violations), found


@pytest.mark.parametrize("name", FORKS)
def test_a_file_that_is_lost_takes_the_figures_away(make, name):
    for fault, kind in (("the freeze loses a file", "file"), ("the freeze loses the workspace", "workspace")):
        found = outcome(tiny(name, warmups=0), make(fault))
        concerned = name not in {"fork.file_survived", "fork.workspace_survived"} or name == f"fork.{kind}_survived"
        assert isinstance(found, Failed) == concerned, found
        if isinstance(found, Failed):
            assert any(violation.startswith(f"{kind}_") for violation in found.violations), found


PHASE_FAULTS = {
    "phases run backwards": "run backwards or take no time",
    "a phase takes no time": "run backwards or take no time",
    "phases take longer than the start": "the host saw the whole start",
    "phases differ": "expected the same phases",
    "tells no phases": "expected the same phases",
}


@pytest.mark.parametrize("fault", PHASE_FAULTS)
def test_phases_that_cannot_be_have_no_figures(make, fault):
    found = outcome(tiny("boot.phases", samples=2), make(fault))
    assert isinstance(found, Failed), found
    assert any(PHASE_FAULTS[fault] in violation for violation in found.violations), found


def test_a_target_that_does_not_tell_its_phases_is_unsupported(make):
    found = outcome(tiny("boot.phases"), make("knows no phases"))
    assert isinstance(found, Unsupported)
    assert "does not tell its boot phases" in found.reason


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_cannot_be_cloned_is_unsupported_with_the_way_to_get_it(name):
    found = outcome(tiny(name), Fake(lambda _argv, stdin, _files: completed(stdin)))
    assert isinstance(found, Unsupported)
    assert 'kind = "qemu"' in found.missing


# ---- the oracles by themselves ----


@pytest.mark.parametrize("name", NAMES)
def test_no_evidence_is_a_violation(name):
    assert list(tiny(name).verify(Observation(measurements=(), evidence={})))


@pytest.mark.parametrize(
    ("asked", "answered", "statuses"),
    [
        ("a", "a", "0 0"),
        ("a b", "a", "0 0"),
        ("a a", "a a", "0 0"),
        ("a b", "b a", "0 0"),
        ("", "", ""),
        ("a", "a", "0"),
    ],
)
def test_answers_that_do_not_fit_their_questions_are_violations(asked, answered, statuses):
    assert list(oracles.answers({"asked": asked, "answered": answered, "exit_statuses": statuses}, at_least=2))


def test_a_process_that_was_given_an_old_number_is_not_taken_for_a_leak():
    with subprocess.Popen(["sleep", "60"]) as program:
        now = leaks.held(Footprint(processes=(program.pid,), files=(), memory_bytes=1, disk_bytes=0))
        earlier = leaks.Held(processes=((program.pid, now.processes[0][1] - 1),), files=())
        assert leaks.left(now) == [f"process {program.pid} (sleep)"]
        assert leaks.left(earlier) == []
        program.kill()
    assert leaks.left(now) == []


def test_only_what_exists_is_held(tmp_path):
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.symlink_to(gone)  # also a link that leads nowhere is something that is left
    footprint = Footprint(processes=(os.getpid(), 2**22 + 1), files=(there, gone), memory_bytes=1, disk_bytes=0)
    held = leaks.held(footprint)
    assert [pid for pid, _ in held.processes] == [os.getpid()]
    assert held.files == (there,)


@pytest.mark.parametrize("name", NAMES)
def test_quick_asks_the_same_question_with_no_more_work(name):
    full = BENCHMARKS.load(name)()
    quick = full.quick()
    assert type(quick) is type(full)
    assert quick.samples <= full.samples
    assert msgspec.structs.replace(full, samples=full.samples).quick() == quick


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_says_what_a_reader_must_know(name):
    definition = BENCHMARKS.load(name).definition
    assert definition.name == name
    assert definition.tier == 2
    assert definition.question.endswith("?")
    assert all((definition.mechanism, definition.without_posix, definition.oracle, definition.authority))


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("lifecycle.provision", {"pool": 0}, "pool: expected 1 to 20"),
        ("lifecycle.provision", {"pool": 21}, "pool: expected 1 to 20"),
        ("lifecycle.provision", {"refresh": Duration(0)}, "refresh"),
        ("lifecycle.exec", {"samples": 0}, "1 to 10000 samples"),
        ("lifecycle.total", {"timeout": Duration(0)}, "timeout"),
        ("fork.fanout", {"clones": 0}, "1 to 256 clones"),
        ("density.clones", {"samples": 99}, "at least 100"),
        ("density.clones", {"limit": 0}, "limit: expected 1 to 1024"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, parameters, words):
    with pytest.raises(ValueError, match=words):
        BENCHMARKS.load(name)(**parameters)


# ---- the pool ----


class Counter:
    """Starts that can be told to fail, and the number of what is alive."""

    def __init__(self) -> None:
        self.started = 0
        self.alive: list[int] = []
        self.fails_at = 0
        self.ends_badly = 0

    @contextlib.contextmanager
    def start(self) -> Iterator[Any]:
        self.started += 1
        if self.started == self.fails_at:
            raise StartFailed("no room")
        number = self.started
        self.alive.append(number)
        try:
            yield number
        finally:
            self.alive.remove(number)
        if number == self.ends_badly:
            raise TargetFailed("it crashed")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def pool_of(counter: Counter, clock: Clock, size: int = 3, check: Any = lambda _instance: None) -> Pool:
    return Pool(counter.start, size=size, refresh_s=10, check=check, clock=clock)


def test_a_pool_hands_out_the_oldest_and_is_filled_up_again():
    counter = Counter()
    with pooled(pool_of(counter, Clock())) as pool:
        assert counter.alive == [1, 2, 3]
        with pool.take() as instance:
            assert instance == 1
        assert counter.alive == [2, 3]
        pool.tend()
        assert counter.alive == [2, 3, 4]
    assert counter.alive == []


def test_clones_that_grew_too_old_are_replaced():
    counter, clock = Counter(), Clock()
    with pooled(pool_of(counter, clock)) as pool:
        clock.now_s = 5
        with pool.take():
            pass
        pool.tend()
        clock.now_s = 12  # 2 and 3 are older than 10 s, 4 is not
        pool.tend()
        assert (counter.alive, pool.replaced, pool.taken) == ([4, 5, 6], 2, 1)


def test_a_pool_that_cannot_be_filled_leaves_nothing():
    counter = Counter()
    counter.fails_at = 3
    with pytest.raises(StartFailed), pooled(pool_of(counter, Clock())):
        pass
    assert counter.alive == []


def test_a_pool_ends_all_its_clones_also_when_one_of_them_ends_badly():
    counter = Counter()
    counter.ends_badly = 2
    with pytest.raises(TargetFailed, match="it crashed"), pooled(pool_of(counter, Clock())):
        pass
    assert counter.alive == []


def test_a_clone_that_is_not_healthy_is_ended_and_not_handed_out():
    counter, asked = Counter(), []

    def check(instance: Any) -> None:
        asked.append(instance)
        if asked.count(1) == 2:
            raise TargetFailed("no answer")

    with (
        pooled(pool_of(counter, Clock(), check=check)) as pool,
        pytest.raises(TargetFailed, match="no answer"),
        pool.take(),
    ):
        pytest.fail("handed out")
    assert counter.alive == []
    assert asked == [1, 2, 3, 1]
    assert pool.taken == 0


# ---- guests and sandboxes ----


@pytest.fixture(scope="module", params=["qemu", "gvisor"])
def system(request, host_probe, tmp_path_factory) -> Target:
    if reason := why_unusable(request.param):
        pytest.skip(reason)
    kind = KINDS.load(request.param)
    target: Target = kind(kind.Settings(), lab_in(tmp_path_factory.mktemp("system"), host_probe.path))
    return target


SAME_FORK = ("fork.boot_provision", "fork.boot_ready", "fork.file_survived")  # another figure of what fork.fork does


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak) if name in SAME_FORK else name for name in NAMES]
)
def test_the_tiny_size_passes_on_guests_and_sandboxes(system, name):
    found = outcome(tiny(name, warmups=0), system)
    if name != "boot.phases":
        assert set(metrics(found)) == expected_metrics(name)
    elif isinstance(system, KINDS.load("qemu")):
        assert list(metrics(found)) == [f"boot.phases.{phase}" for phase in ("firmware", "kernel", "init", "ready")]
    else:
        assert isinstance(found, Unsupported)
        assert "does not tell its boot phases" in found.reason


@pytest.mark.parametrize("start", ["cold", "pool"])
def test_guests_and_sandboxes_start_from_nothing_and_from_a_pool(system, start):
    found = outcome(tiny("lifecycle.total", warmups=0, start=start, pool=2), system)
    assert set(metrics(found)) == expected_metrics("lifecycle.total")


def test_one_word_asks_for_the_whole_suite():
    document = {"targets": {"host": {}}, "suites": {"mine": {"benchmarks": ["lifecycle"]}}}
    assert tuple(case.name for case in plan.parse(document, where="test").cases) == SUITES["lifecycle"]
