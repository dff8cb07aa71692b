"""Many agents at once and things that break, on real processes, sandboxes and guests; every oracle shown to fail."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchproof import cgroups, outcomes
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.resilience import events, figures, invariants, own, snapshot_under_write
from benchproof.benchmarks.resilience.events import Event, Journal
from benchproof.errors import InvocationError, NotSupported, TargetFailed
from benchproof.model import Completed, Failed, Lab, Observation, Outcome, Passed, Target, Unsupported
from benchproof.quantities import Duration, Share, Size
from benchproof.targets import KINDS
from conftest import lab_in, why_unusable
from processes import Processes, ProcessImage, ProcessInstance

CHAOS = ("chaos.kill_guest", "chaos.pause_guest", "chaos.exhaust_memory", "chaos.fill_disk")
TINY: dict[str, dict[str, Any]] = {
    "scale.agents": {"agents": 3, "rounds": 2},
    "soak.agents": {"agents": 2, "lifetime": 2, "duration": Duration(1)},
    "chaos.pause_guest": {"pause": Duration(0.2)},
    "chaos.exhaust_memory": {"limit": Size(64 << 20)},
}


def tiny(name: str, **parameters: Any) -> Any:
    given = {} if not name.startswith("chaos") else {"agents": 2, "rounds": 2}
    given |= {"deadline": Duration(60)} if name in CHAOS else {}  # this host may be busy
    return BENCHMARKS.load(name)(**(given | TINY.get(name, {}) | parameters))


def seen(benchmark: Any, target: Target) -> tuple[Outcome, Observation | None]:
    try:
        observation = benchmark.run(target)
    except InvocationError as error:
        return outcomes.outcome_of(error), None
    return outcomes.judge(benchmark, observation), observation


def complaints(benchmark: Any, target: Target) -> str:
    found, _ = seen(benchmark, target)
    assert isinstance(found, Failed), found
    return "; ".join(found.violations)


# ---- targets of real processes, some of which lie ----


class Liar(ProcessInstance):
    """What a test makes of a request: (instance, argv, answer) -> answer."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        return self._target.lie(self, argv, lambda: super(Liar, self).run(argv, stdin=stdin, timeout_s=timeout_s))


class Liars(Processes):
    """Instances whose answers pass through `lie`."""

    lie: Callable[[Any, Sequence[str], Callable[[], Completed]], Completed]

    @contextlib.contextmanager
    def started(self, content: Any) -> Iterator[ProcessInstance]:
        with super().started(content) as instance:
            instance.__class__ = Liar
            yield instance


@pytest.fixture
def make(lab) -> Iterator[Any]:
    made: list[Processes] = []

    def target(fault: str = "", lie: Any = None) -> Processes:
        made.append(Liars(lab, fault) if lie else Processes(lab, fault))
        if lie:
            made[-1].lie = lie
        return made[-1]

    yield target
    for each in made:
        each.sweep()
        assert each.alive == []
    assert not [path.name for path in lab.scratch.glob("instance-*") if any(path.iterdir())]


def spoiled(done: Completed, stdout: bytes) -> Completed:
    return msgspec.structs.replace(done, stdout=stdout)


# ---- scale ----


def test_agents_that_all_succeed_have_their_figures(make):
    found, observation = seen(tiny("scale.agents"), make())
    assert isinstance(found, Passed), found
    by_name = {each.metric.removeprefix("scale.agents."): each for each in found.measurements}
    assert set(by_name) == {"success", "latency", "throughput", "ready", "memory"}
    assert by_name["success"].samples == (1.0,)
    assert len(by_name["latency"].samples) == 3 * 2 * 3
    assert observation is not None
    assert observation.evidence["success"].startswith("24 of 24 (100.000%; 95%: ")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("answers wrongly", "answers are wrong"),
        ("answers an old question", "answers are wrong"),
        ("says nothing", "answers are wrong"),
        ("ends with a status", "success rate of 1 or more"),
        ("the third one is dead", "success rate of 1 or more"),
        ("the third one dies after its first answer", "success rate of 1 or more"),
        ("leaves a process", "left behind"),
        ("leaves a file", "left behind"),
        ("holds nothing", "held no process"),
        ("memory is not counted", "hold 0 bytes"),
    ],
)
def test_a_fault_among_many_agents_is_found(make, fault, words, request):
    few = {}
    if fault.startswith("leaves"):
        request.getfixturevalue("hasty")
        few = {"agents": 1}  # each is waited for
    assert words in complaints(tiny("scale.agents", **few), make(fault))


def test_a_file_that_is_stale_is_found(make):
    first: dict[str, bytes] = {}

    def lie(instance: Any, argv: Sequence[str], answer: Callable[[], Completed]) -> Completed:
        done = answer()
        stale = first.setdefault(f"{instance.number}", done.stdout) if len(argv) > len(instance.cat) else done.stdout
        return spoiled(done, stale)

    assert "read of agent" in complaints(tiny("scale.agents"), make(lie=lie))


def test_a_lower_success_rate_can_be_asked_for_and_then_has_its_figure(make):
    def lie(instance: Any, argv: Sequence[str], answer: Callable[[], Completed]) -> Completed:
        if instance.number == 3 and len(argv) > len(instance.cat):
            instance.die()
        return answer()

    found, _ = seen(tiny("scale.agents", least_success=Share(0.5)), make(lie=lie))
    assert isinstance(found, Passed), found
    success = next(each for each in found.measurements if each.metric == "scale.agents.success")
    assert 0.5 <= success.samples[0] < 1


def test_where_nothing_tells_what_it_holds_nobody_can_know_what_is_left(lab):
    kind = KINDS.load("host")
    found, _ = seen(tiny("scale.agents"), kind(kind.Settings(), lab))
    assert isinstance(found, Unsupported)
    assert "does not tell what its instances hold" in found.reason


def test_figures_that_do_not_follow_from_the_events_are_found(make):
    benchmark = tiny("scale.agents")
    _, observation = seen(benchmark, make())
    assert observation is not None
    for index, each in enumerate(observation.measurements):
        better = msgspec.structs.replace(each, samples=tuple(sample * 0.9 for sample in each.samples))
        changed = [*observation.measurements]
        changed[index] = better
        forged = msgspec.structs.replace(observation, measurements=tuple(changed))
        assert [f"{each.metric}: does not follow from the events"] == list(benchmark.verify(forged))
    fewer = msgspec.structs.replace(observation, measurements=observation.measurements[1:])
    assert list(benchmark.verify(fewer)) == ["scale.agents.success: missing"]


def changed(observation: Observation, change: Callable[[list[Event]], list[Event]]) -> Observation:
    """With other events, and the figures that they would give."""
    after = change(list(events.read(observation.evidence)))
    evidence = dict(observation.evidence) | {"events": msgspec.json.encode(after).decode()}
    return msgspec.structs.replace(observation, evidence=evidence)


def edited(event: Event, **changes: Any) -> Event:
    return msgspec.structs.replace(event, **changes)


SCALE_EDITS: dict[str, tuple[Callable[[list[Event]], list[Event]], str]] = {
    "nothing is on record": (lambda _: [], "expected a list of operations"),
    "one is left out": (lambda found: [each for each in found if each.agent != 2], "expected 3 starts, found 2"),
    "a word is asked for twice": (
        lambda found: [edited(each, asked="x", seen="x") if each.operation == "echo" else each for each in found],
        "asked for twice",
    ),
    "time runs backwards": (
        lambda found: [edited(found[0], ended_ns=found[0].started_ns - 1), *found[1:]],
        "expected times in order",
    ),
    "later than the end": (lambda found: [edited(found[0], ended_ns=1 << 62), *found[1:]], "expected times in order"),
    "work before all are there": (
        lambda found: [edited(each, started_ns=0) if each.operation == "echo" else each for each in found],
        "before all sandboxes were there",
    ),
    "an end before the last work": (
        lambda found: [edited(each, started_ns=0) if each.operation == "end" else each for each in found],
        "not alive together",
    ),
    "an end that failed": (
        lambda found: [edited(each, status="failed") if each.operation == "end" else each for each in found],
        "3 operations failed",
    ),
    "idlers": (
        lambda found: [each for each in found if each.operation not in invariants.WORK],
        "an agent that was started did no work",
    ),
}


@pytest.fixture(scope="module")
def scaled(host_probe, tmp_path_factory):
    target = Processes(lab_in(tmp_path_factory.mktemp("scaled"), host_probe.path))
    found, observation = seen(tiny("scale.agents"), target)
    assert isinstance(found, Passed), found
    return observation


@pytest.mark.parametrize("edit", SCALE_EDITS)
def test_events_that_cannot_have_been_are_found(scaled, edit):
    change, words = SCALE_EDITS[edit]
    found = list(tiny("scale.agents").verify(changed(scaled, change)))
    assert any(words in each for each in found), found


def test_evidence_that_is_no_list_of_events_has_none():
    assert events.read({"events": '[["1"]]'}) == events.read({"events": "{"}) == events.read({}) == ()


# ---- chaos ----


def usable(kind: str, host_probe: Any, folder: Any, **settings: Any) -> Target:
    if why := why_unusable(kind):
        pytest.skip(why)
    loaded = KINDS.load(kind)
    return loaded(loaded.Settings(**settings), lab_in(folder, host_probe.path))


def fallen(name: str, target: Target) -> Observation:
    if name == "chaos.exhaust_memory":
        try:
            cgroups.hierarchy()
        except NotSupported as error:
            pytest.skip(str(error))
    found, observation = seen(tiny(name), target)
    assert isinstance(found, Passed), found
    assert observation is not None
    return observation


@pytest.fixture(scope="module")
def guests(host_probe, tmp_path_factory) -> Target:
    return usable("qemu", host_probe, tmp_path_factory.mktemp("guests"), accel="tcg")


@pytest.fixture(scope="module")
def struck(guests) -> Callable[[str], Observation]:
    """What was seen of each kind of chaos on guests, which passed."""
    found: dict[str, Observation] = {}

    def of(name: str) -> Observation:
        if name not in found:
            found[name] = fallen(name, guests)
        return found[name]

    return of


@pytest.mark.parametrize("name", CHAOS)
def test_guests_live_through_it(struck, name):
    observation = struck(name)
    metrics = {each.metric.removeprefix(f"{name}."): each.samples for each in observation.measurements}
    assert set(metrics) == {"recovery", "bystanders", "bystander_latency"}
    assert metrics["bystanders"] == (1.0,)
    assert metrics["recovery"][0] > 0


def test_memory_that_is_exhausted_is_counted_where_it_was_limited(struck):
    evidence = struck("chaos.exhaust_memory").evidence
    assert (evidence["victim_kills"], evidence["other_kills"]) == ("1", "0")


def test_a_full_disk_is_said_by_the_guest_which_goes_on(struck):
    observation = struck("chaos.fill_disk")
    assert observation.evidence["filled"].endswith("No space left on device")
    refused = [each for each in events.read(observation.evidence) if each.status == "failed"]
    assert refused
    assert all("No space left on device" in each.seen for each in refused)


@pytest.mark.parametrize("name", ["chaos.kill_guest", "chaos.pause_guest"])
def test_sandboxes_of_gvisor_live_through_it(host_probe, tmp_path, name):
    fallen(name, usable("gvisor", host_probe, tmp_path))


def edit_of(operation: str, **changes: Any) -> Callable[[list[Event]], list[Event]]:
    return lambda found: [edited(each, **changes) if each.operation == operation else each for each in found]


def without(operation: str, *, agent: int | None = None) -> Callable[[list[Event]], list[Event]]:
    return lambda found: [
        each for each in found if each.operation != operation or (agent is not None and each.agent != agent)
    ]


def lose(agent: int) -> Callable[[list[Event]], list[Event]]:
    """The files that an agent looked for in the end are gone."""
    return lambda found: [
        edited(each, status="failed", seen="no such file")
        if (each.operation, each.agent) == ("recall", agent)
        else each
        for each in found
    ]


def delay(agent: int) -> Callable[[list[Event]], list[Event]]:
    """Everything that an agent did took until the very end."""

    def change(found: list[Event]) -> list[Event]:
        last_ns = max(each.ended_ns for each in found)
        return [
            edited(each, ended_ns=last_ns) if each.agent == agent and each.operation in invariants.WORK else each
            for each in found
        ]

    return change


EVERYWHERE: dict[str, tuple[Callable[[list[Event]], list[Event]], str]] = {
    "no fault was planted": (without("fault"), "expected one fault, found 0"),
    "a bystander failed": (
        lambda found: [
            edited(each, status="failed") if each.agent == 2 and each.operation == "echo" else each for each in found
        ],
        "operations failed",
    ),
    "a bystander lost its files": (lose(2), "acknowledged and lost: recall of agent 2"),
    "nobody looked for a bystander's files": (without("recall", agent=2), "nobody looked for it in the end"),
    "a bystander did nothing": (
        lambda found: [each for each in found if each.agent != 2],
        "agent 2 did nothing while the fault lasted",
    ),
    "nobody recovered": (
        lambda found: [each for each in found if each.agent in {0, 2}],
        "there was no recovery",
    ),
    "a wrong answer": (
        lambda found: [edited(each, seen="?") if each.operation == "read" else each for each in found],
        "answers are wrong",
    ),
}


@pytest.mark.parametrize("edit", EVERYWHERE)
@pytest.mark.parametrize("name", CHAOS)
def test_each_invariant_of_chaos_fails_where_it_is_broken(struck, name, edit):
    change, words = EVERYWHERE[edit]
    found = list(tiny(name).verify(changed(struck(name), change)))
    assert any(words in each for each in found), found


@pytest.mark.parametrize("name", CHAOS)
def test_a_bystander_that_waits_too_long_is_found(struck, name):
    strict = msgspec.structs.replace(tiny(name), deadline=Duration(1e-6))
    assert any("missed the deadline" in each for each in strict.verify(struck(name)))


VICTIMS: dict[str, tuple[str, Callable[[list[Event]], list[Event]], dict[str, str], str]] = {
    "the dead answer": ("chaos.kill_guest", edit_of("denied", status="answered"), {}, "the killed sandbox answered"),
    "the dead are not asked": ("chaos.kill_guest", without("denied"), {}, "expected one request to the killed"),
    "the heir has lost the files": ("chaos.kill_guest", lose(3), {}, "acknowledged and lost: recall of agent 3"),
    "the heir was not asked": ("chaos.kill_guest", without("recall", agent=3), {}, "agent 1: 'file-"),
    "it answers while it stands": (
        "chaos.pause_guest",
        lambda found: [
            edited(each, ended_ns=each.started_ns + 1) if each.operation == "patience" else each for each in found
        ],
        {},
        "stood still answered",
    ),
    "the pause is too short": (
        "chaos.pause_guest",
        lambda found: [edited(each, started_ns=0) if each.operation == "healed" else each for each in found],
        {},
        "was let go before",
    ),
    "it does not wake": ("chaos.pause_guest", edit_of("patience", status="failed"), {}, "operations failed"),
    "it wakes without its files": ("chaos.pause_guest", lose(1), {}, "acknowledged and lost: recall of agent 1"),
    "others were killed too": ("chaos.exhaust_memory", list, {"other_kills": "1"}, "other_kills: expected 0"),
    "it died of something else": ("chaos.exhaust_memory", list, {"victim_kills": "0"}, "no limit on its memory"),
    "nothing stopped it": ("chaos.exhaust_memory", list, {"hoard": "0 268435456 limit"}, "nothing stopped it"),
    "a full disk ended it": ("chaos.fill_disk", list, {"room_made": "the guest is gone"}, "a full disk ended"),
    "what was acknowledged is gone": ("chaos.fill_disk", lose(1), {}, "acknowledged and lost: recall of agent 1"),
}


@pytest.mark.parametrize("edit", VICTIMS)
def test_each_invariant_of_the_victim_fails_where_it_is_broken(struck, edit):
    name, change, evidence, words = VICTIMS[edit]
    observation = changed(struck(name), change)
    observation = msgspec.structs.replace(observation, evidence=dict(observation.evidence) | evidence)
    found = list(tiny(name).verify(observation))
    assert any(words in each for each in found), found


def test_a_process_is_killed_and_what_was_frozen_lives_on(make):
    found, observation = seen(tiny("chaos.kill_guest", agents=3), make())
    assert isinstance(found, Passed), found
    assert observation is not None
    assert observation.evidence["processes_killed"] == "1"


def test_a_freeze_that_loses_what_was_acknowledged_is_found(make, monkeypatch):
    target = make()

    def forgetful(instance: ProcessInstance) -> ProcessImage:
        image = ProcessImage(target, target.copy(instance._folder))
        (image.folder / "file-0").unlink()
        return image

    monkeypatch.setattr(ProcessInstance, "freeze", forgetful)
    assert "acknowledged and lost: recall of agent" in complaints(tiny("chaos.kill_guest"), target)


def test_one_that_takes_its_neighbours_along_is_found(make):
    fatal: list[Any] = []

    def lie(instance: Any, _argv: Sequence[str], answer: Callable[[], Completed]) -> Completed:
        fatal.extend([instance] if instance.ended else [])
        return dead() if fatal and instance.number <= 2 else answer()

    target = make(lie=lie)
    assert "operations failed" in complaints(tiny("chaos.kill_guest"), target)


def dead() -> Completed:
    raise TargetFailed("my neighbour is dead")


def test_one_that_answers_after_it_was_killed_is_found(make):
    def lie(instance: Any, argv: Sequence[str], answer: Callable[[], Completed]) -> Completed:
        if not instance.ended:
            return answer()
        other = next(each for each in instance._target.alive if not each.ended)
        return ProcessInstance.run(other, argv, stdin=b"?", timeout_s=10)

    found = complaints(tiny("chaos.kill_guest"), make(lie=lie))
    assert "the killed sandbox answered" in found


def test_a_pause_that_stops_nothing_is_found(make):
    """The commands of these instances run beside their process."""
    assert "stood still answered" in complaints(tiny("chaos.pause_guest"), make())


def test_memory_that_nothing_limits_is_found(make):
    assert "nothing stopped it" in complaints(tiny("chaos.exhaust_memory", limit=Size(1 << 20)), make())


def test_a_workspace_that_is_not_full_after_the_most_is_not_filled_any_further(make):
    found, _ = seen(tiny("chaos.fill_disk", most=Size(1 << 20)), make())
    assert isinstance(found, Unsupported), found
    assert "is not full" in found.reason


def test_what_another_process_traces_is_not_stopped_by_itself():
    traced = "import ctypes, sys; ctypes.CDLL(None).ptrace(0, 0, 0, 0); print('on', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", traced], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout.readline() == b"on\n"
            assert own.untraced([program.pid, os.getpid()]) == (os.getpid(),)
        finally:
            program.kill()


def test_only_our_own_processes_are_harmed(host_probe):
    with pytest.raises(NotSupported, match="we did not start its process 1"), own.held([1]):
        pass
    with pytest.raises(NotSupported, match="no process of its own"), own.held([]):
        pass
    ended = subprocess.Popen(["true"])
    ended.wait()
    with pytest.raises(NotSupported, match="No such process"), own.held([ended.pid]):
        pass
    with subprocess.Popen([host_probe.path, "wait", "60000000000"]) as program, own.held([program.pid]) as held:
        assert held.pids == (program.pid,)
        program.kill()
        program.wait()
        held.signal(9)  # the number may be another's by now, the descriptor is not


# ---- frozen while it is written to ----


class Locked(ProcessInstance):
    """One request after another, as a service serves them."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        with self._target.lock:
            return super().run(argv, stdin=stdin, timeout_s=timeout_s)

    def put(self, source: Path, name: str) -> str:
        with self._target.lock:
            return super().put(source, name)

    def freeze(self) -> ProcessImage:
        with self._target.lock:
            image = super().freeze()
            self._target.spoil(image.folder)
        time.sleep(0.1)  # its answer takes its time: a copy of so little is over before anybody else has worked
        return image


class Service(Processes):
    """Serves; `spoil` is given each image before anybody has it."""

    def __init__(self, lab: Lab, spoil: Callable[[Path], object] = lambda _: None) -> None:
        super().__init__(lab)
        self.lock = threading.RLock()
        self.spoil = spoil

    @contextlib.contextmanager
    def started(self, content: Any) -> Iterator[ProcessInstance]:
        with super().started(content) as instance:
            instance.__class__ = Locked
            yield instance

    def serve(self) -> Any:
        raise NotSupported("not asked here")

    service = serve


@pytest.fixture(scope="module")
def under_write(host_probe, tmp_path_factory) -> Observation:
    target = Service(lab_in(tmp_path_factory.mktemp("written"), host_probe.path))
    found, observation = seen(tiny("chaos.snapshot_under_write"), target)
    assert isinstance(found, Passed), found
    assert observation is not None
    return observation


def test_an_image_made_under_write_holds_what_was_acknowledged_and_nothing_later(under_write):
    found = events.read(under_write.evidence)
    (frozen,) = events.of(found, "fault")
    entries = [each for each in events.of(found, "write") if each.agent == 1 and each.asked.startswith("entry-")]
    assert any(each.ended_ns < frozen.started_ns for each in entries)
    assert any(each.started_ns > frozen.ended_ns for each in entries)


def tear(folder: Path) -> None:
    path = max(folder.glob("entry-*"), key=lambda each: int(each.name.partition("-")[2]))
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (tear, "answers are wrong"),
        (lambda folder: (folder / "entry-0").unlink(), "acknowledged and lost: recall of agent 3"),
        (lambda folder: (folder / "file-1").write_bytes(b"old"), "answers are wrong"),
    ],
)
def test_an_image_that_is_torn_or_lacks_a_file_is_found(lab, spoil, words):
    assert words in complaints(tiny("chaos.snapshot_under_write"), Service(lab, spoil))


def test_an_image_that_holds_what_was_written_later_is_found(under_write):
    def all_there(found: list[Event]) -> list[Event]:
        return [
            edited(each, status="answered", seen=each.asked) if each.operation == "recall" else each for each in found
        ]

    found = list(tiny("chaos.snapshot_under_write").verify(changed(under_write, all_there)))
    assert any("which was written after it was made" in each for each in found), found


def test_an_image_with_a_gap_is_found():
    promised = [f"entry-{n}:digest" for n in range(4)]
    frozen = Event(0, "fault", 15, 60, "answered", "", "")
    writes = [Event(1, "write", 10 * n + 1, 10 * n + 9, "answered", each, each) for n, each in enumerate(promised)]
    looks = [Event(3, "recall", 90, 95, "answered", each, each) for each in (promised[0], promised[3])]
    found = list(snapshot_under_write._beginning([frozen, *writes, *looks], 3, frozen))
    assert found == [f"the image holds '{promised[3]}' and not '{promised[1]}', which was written before it"]


def test_two_requests_at_once_need_a_service(make):
    found, _ = seen(tiny("chaos.snapshot_under_write"), make())
    assert isinstance(found, Unsupported)
    assert "need a service" in found.reason


# ---- soak ----


@pytest.fixture(scope="module")
def soaked(host_probe, tmp_path_factory) -> Observation:
    target = Processes(lab_in(tmp_path_factory.mktemp("soaked"), host_probe.path))
    found, observation = seen(tiny("soak.agents"), target)
    assert isinstance(found, Passed), found
    assert observation is not None
    return observation


def test_agents_come_and_go_while_it_lasts(soaked):
    metrics = {each.metric.removeprefix("soak.agents."): each for each in soaked.measurements}
    assert set(metrics) == {"success", "latency", "throughput", "provision", "drift"}  # too short for growth
    assert metrics["success"].samples == (1.0,)
    assert int(soaked.evidence["instances_ended"]) > 3


def looked(observation: Observation, *looks: tuple[int, int, int]) -> Observation:
    evidence = dict(observation.evidence) | {"looks": msgspec.json.encode(looks).decode()}
    return msgspec.structs.replace(observation, evidence=evidence)


def of_an_hour(*, growth_bytes: int) -> list[tuple[int, int, int]]:
    """Looks of an hour in which memory goes up and down by 8 MiB and grows by so much."""
    return [(n * 30_000_000_000, 9, (100 << 20) + (n % 3) * (4 << 20) + growth_bytes * n // 120) for n in range(121)]


def test_memory_that_grows_is_told_from_memory_that_does_not(soaked):
    benchmark = tiny("soak.agents")
    leaking = "; ".join(benchmark.verify(looked(soaked, *of_an_hour(growth_bytes=1 << 30))))
    flat = "; ".join(benchmark.verify(looked(soaked, *of_an_hour(growth_bytes=0))))
    assert "memory grows by 10" in leaking
    assert "memory grows" not in flat


def test_processes_that_stay_after_a_soak_are_found(soaked):
    found = list(tiny("soak.agents").verify(looked(soaked, (0, 3, 1), (1, 4, 1))))
    assert "there were 3 processes before it and 4 after: some are left behind" in found
    assert "looks: expected two or more, found 0" in list(tiny("soak.agents").verify(looked(soaked)))


SOAK_EDITS: dict[str, tuple[Callable[[list[Event]], list[Event]], str]] = {
    "one failed": (
        lambda found: [edited(each, status="failed") if each is found[9] else each for each in found],
        "success rate of 1 or more",
    ),
    "it stopped working": (lambda found: found[:9], "found less than half of it"),
    "one never worked": (lambda found: [each for each in found if each.agent != 2], "agent 2 did no work"),
    "files are lost": (lose(1), "operations failed"),
    "a wrong answer": (edit_of("read", seen="?"), "answers are wrong"),
}


@pytest.mark.parametrize("edit", SOAK_EDITS)
def test_what_goes_wrong_in_a_soak_is_found(soaked, edit):
    change, words = SOAK_EDITS[edit]
    found = list(tiny("soak.agents").verify(changed(soaked, change)))
    assert any(words in each for each in found), found


@pytest.mark.usefixtures("hasty")
def test_sandboxes_that_leave_something_in_a_soak_are_found(make):
    few = tiny("soak.agents", agents=1, lifetime=1000, duration=Duration(0.3))
    assert "left behind" in complaints(few, make("leaves a file"))


# ---- the parts ----


def test_a_word_of_an_error_is_bounded_and_its_operation_failed():
    journal = Journal()

    def long() -> str:
        raise TargetFailed("x" * 1000)

    event = journal.timed(1, "echo", "word", long)
    assert (event.status, len(event.seen), event.right, event.wrong) == ("failed", 200, False, False)


def test_a_write_that_was_not_acknowledged_is_owed_to_nobody():
    journal = Journal()
    journal.note(1, "write", 0, asked="file-0:a", seen="file-0:a")
    journal.note(1, "write", 0, asked="file-0:b", seen="no room", status="failed")
    journal.note(1, "write", 0, asked="file-1:c", seen="file-1:c")
    assert invariants.acknowledged(journal.events, 1) == {"file-1:c"}
    assert invariants.acknowledged(journal.events, 2) == frozenset()


def test_a_success_rate_is_told_with_its_interval():
    assert figures.sure(9, 10) == "9 of 10 (90.000%; 95%: 55.498% to 99.747%)"
    assert figures.sure(0, 0) == "nothing was done"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("scale.agents", {"agents": 0}),
        ("scale.agents", {"rounds": 0}),
        ("scale.agents", {"least_success": Share(1.5)}),
        ("scale.agents", {"file": Size(0)}),
        ("scale.agents", {"timeout": Duration(0)}),
        ("chaos.kill_guest", {"agents": 1}),
        ("chaos.kill_guest", {"deadline": Duration(0)}),
        ("chaos.pause_guest", {"pause": Duration(0)}),
        ("chaos.pause_guest", {"pause": Duration(9), "timeout": Duration(9)}),
        ("chaos.exhaust_memory", {"limit": Size(1)}),
        ("chaos.fill_disk", {"most": Size(1)}),
        ("chaos.snapshot_under_write", {"writes": 0}),
        ("soak.agents", {"duration": Duration(0)}),
        ("soak.agents", {"least_success": Share(2)}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, parameters):
    with pytest.raises(ValueError, match="expected"):
        tiny(name, **parameters)


def test_every_benchmark_of_the_suite_has_a_quick_form():
    assert {"scale.agents", *CHAOS} <= set(SUITES["resilience"])
    for name in SUITES["resilience"]:
        quick = BENCHMARKS.load(name)().quick()
        assert quick == quick.quick()


def test_what_was_started_here_is_not_running_any_more(host_probe):
    del host_probe
    strays = [pid for pid in own.descendants(os.getpid()) if "qemu" in _command(pid) or "runsc" in _command(pid)]
    assert strays == []


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""
