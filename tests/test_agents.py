"""Every benchmark of agents on a real MCP server of tools, and every oracle shown to fail on one that lies."""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from agency import Agency
from benchproof import document, plan, policy, suites
from benchproof.analysis.gate import Gate
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.agent import calls, work
from benchproof.errors import InvocationError, LabInvalid, NotSupported
from benchproof.model import Completed, Failed, Invalid, Measurement, Observation, Outcome, Passed, Target, Unsupported
from benchproof.outcomes import judge, outcome_of
from benchproof.policy import Policy
from benchproof.quantities import Duration, Size
from benchproof.sandboxd.tools import Toolbox
from benchproof.sandboxd.workspace import Place
from benchproof.targets.fake import Fake
from conftest import completed, lab_in
from processes import Processes

pytest.importorskip("mcp")

NAMES = SUITES["agent"]
TINY: dict[str, dict[str, Any]] = {
    "agent.startup": {"samples": 1, "warmups": 0},
    "agent.memory": {"samples": 5, "warmups": 4, "calls": 4, "sandboxes": 2},
    "agent.cpu": {"samples": 8, "warmups": 0, "rate": 0.0, "window": Duration(0.05)},
    "agent.throughput": {"samples": 4, "warmups": 0},
    "agent.network": {"samples": 3},
}


def tiny(name: str, **parameters: Any) -> Any:
    """The benchmark with as little work as it can do."""
    known = {"samples": 2, "warmups": 1, "command": ("cat",), "timeout": Duration(20)}
    return BENCHMARKS.load(name)(**(known | TINY.get(name, {}) | parameters))


def seen(benchmark: Any, target: Target) -> tuple[Outcome, Observation | None]:
    try:
        observation = benchmark.run(target)
    except InvocationError as error:
        return outcome_of(error), None
    return judge(benchmark, observation), observation


def metrics(found: Outcome) -> dict[str, Measurement]:
    assert isinstance(found, Passed), found
    return {measurement.metric.partition(".")[2]: measurement for measurement in found.measurements}


def violations(found: Outcome) -> str:
    assert isinstance(found, Failed), found
    return "; ".join(found.violations)


@contextlib.contextmanager
def an_agency(folder, host_probe, fault: str = "") -> Iterator[Agency]:
    made = Agency(lab_in(folder, host_probe.path), fault)
    with made.kept:
        yield made
    assert made.alive == []


@pytest.fixture(scope="module")
def shared(host_probe, tmp_path_factory) -> Iterator[Agency]:
    with an_agency(tmp_path_factory.mktemp("agency"), host_probe) as made:
        yield made


@pytest.fixture
def agency(shared) -> Iterator[Agency]:
    """One service for all tests; whatever it was told to do wrong, the next test finds it honest."""
    yield shared
    shared.lie("")


@pytest.fixture(scope="module")
def observed(shared) -> Callable[[str], tuple[Any, Observation]]:
    """A benchmark and what it saw of the honest service, once for all tests."""

    @functools.cache
    def of(name: str) -> tuple[Any, Observation]:
        benchmark = tiny(name)
        return benchmark, benchmark.run(shared)

    return of


# ---- the right answers ----


def expected_metrics(name: str) -> set[str]:
    several = {
        "agent.tool_call": {"latency", "server", "serialisation", "serialisation_share", "transport"},
        "agent.startup": {"latency", "process", "pool", "mcp", "first_call"},
        "agent.memory": {"peak_rss", "pss", "marginal", "growth", "growth_at_least", "growth_at_most"},
        "agent.cpu": {"per_operation", "utilisation", "window"},
        "agent.throughput": {"rate", "latency"},
    }
    return {f"{name.partition('.')[2]}.{quantity}" for quantity in several.get(name, {"latency"})}


@pytest.mark.parametrize("name", NAMES)
def test_the_tiny_size_passes_on_a_real_server(observed, name):
    found = metrics(judge(*observed(name)))
    assert set(found) == expected_metrics(name)
    assert {measurement.clock for measurement in found.values()} == {"host"}
    assert (BENCHMARKS.load(name).definition.tier, BENCHMARKS.load(name).definition.name) == (4, name)


@pytest.mark.parametrize("tool", get_args(work.Tool))
def test_each_tool_is_called_and_its_parts_are_its_whole(agency, tool):
    found, observation = seen(tiny("agent.tool_call", tool=tool), agency)
    parts = [metrics(found)[f"tool_call.{name}"].samples for name in ("server", "serialisation", "transport")]
    wholes = metrics(found)["tool_call.latency"].samples
    assert [sum(part) for part in zip(*parts, strict=True)] == list(wholes)
    assert observation is not None
    assert len(set(observation.evidence["asked"].split())) == 3


@pytest.mark.parametrize("parameters", [{"session": "new"}, {"transport": "stdio"}])
def test_a_session_may_be_new_for_each_call_and_on_standard_streams(agency, parameters):
    found, observation = seen(tiny("agent.tool_call", samples=1, warmups=0, **parameters), agency)
    assert metrics(found)["tool_call.latency"].samples[0] > metrics(found)["tool_call.server"].samples[0]
    assert observation is not None
    assert observation.evidence["exit_statuses"] == "0"


def test_a_server_that_says_no_time_has_no_parts(agency):
    agency.lie("says no time")
    found = metrics(seen(tiny("agent.tool_call"), agency)[0])
    assert set(found) == {f"tool_call.{each}" for each in ("latency", "serialisation", "serialisation_share")}


def test_larger_content_takes_longer_to_code(agency):
    few, many = (
        metrics(seen(tiny("agent.tool_call", tool="read_file", size=Size(size)), agency)[0]) for size in (32, 1 << 20)
    )
    assert min(many["tool_call.serialisation"].samples) > min(few["tool_call.serialisation"].samples)


@pytest.mark.parametrize("parameters", [{"connection": "new"}, {"via": "mcp"}, {"via": "mcp", "connection": "new"}])
def test_the_network_is_asked_by_each_way(agency, parameters):
    assert len(metrics(seen(tiny("agent.network", **parameters), agency)[0])["network.latency"].samples) == 3


def test_the_parts_of_a_start_are_the_whole_of_it(observed):
    found = metrics(judge(*observed("agent.startup")))
    parts = [found[f"startup.{part}"].samples[0] for part in ("process", "pool", "mcp", "first_call")]
    assert sum(parts) == found["startup.latency"].samples[0]
    assert min(parts) > 0


def test_memory_and_cpu_are_asked_of_a_target_without_a_service_too(lab):
    for name in ("agent.memory", "agent.cpu"):
        target = Processes(lab)
        assert isinstance(seen(tiny(name), target)[0], Passed)
        assert target.alive == []


def test_operations_are_asked_for_at_their_rate_and_one_that_was_not_reached_has_no_figure(lab):
    slow = msgspec.structs.replace(tiny("agent.cpu"), rate=20.0)
    found, observation = seen(slow, Processes(lab))
    assert isinstance(found, Passed | Invalid), found  # a busy host does not keep up
    assert observation is None or int(observation.evidence["wall_ns"]) >= 7 * 50_000_000
    found, _ = seen(msgspec.structs.replace(tiny("agent.cpu"), rate=1_000.0), Processes(lab))
    assert isinstance(found, Invalid), found
    assert re.search(r"1000 operations a second were not reached: the last began \d\.\d\d s too late", found.reason)


def test_the_suite_asks_for_each_tool(agency):
    asked = suites.benchmarks_of({"mine": {"benchmarks": ["agent"]}}, "test")
    assert [each.tool for each in asked if each.definition.name == "agent.tool_call"] == list(get_args(work.Tool))
    assert {each.definition.name for each in asked} == set(NAMES)


# ---- faults: none of them ends as a number ----


@pytest.mark.parametrize(
    ("tool", "fault", "words"),
    [
        ("exec", "does no work", "answered wrongly"),
        ("exec", "ends with a status", "exit status that is not 0, the first with 3"),
        ("write_file", "drops a write", "answered wrongly"),
        ("read_file", "is stale", "the answer to another question"),
        ("read_file", "says error as success", "answered wrongly"),
        ("list_directory", "lists more", "answered wrongly"),
        ("list_directory", "refuses", "the service refused a call: write_file: refused"),
        ("exec", "says that it took longer", "longer than the call"),
        ("read_file", "says milliseconds", "in ns that cannot be"),
        ("exec", "says milliseconds", "in ns that cannot be"),
    ],
)
def test_a_tool_that_lies_gets_no_number(agency, tool, fault, words):
    agency.lie(fault)
    assert words in violations(seen(tiny("agent.tool_call", tool=tool), agency)[0])


@pytest.mark.parametrize("name", ["agent.memory", "agent.cpu", "agent.throughput"])
def test_no_figure_is_taken_beside_work_that_was_not_done(agency, name):
    agency.lie("does no work")
    assert "answered wrongly" in violations(seen(tiny(name), agency)[0])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("is no JSON", "expected a JSON object with 200, found 200_without_JSON"),
        ("is unwell", "found 503"),
        ("runs backwards", "clock ran backwards"),
    ],
)
def test_an_exchange_that_is_none_gets_no_number(agency, fault, words):
    agency.lie(fault)
    assert words in violations(seen(tiny("agent.network"), agency)[0])


def test_a_list_without_a_tool_is_no_answer_of_a_tool_server(agency):
    agency.lie("has no tools")
    assert "it is empty" in violations(seen(tiny("agent.network", via="mcp"), agency)[0])


def test_parts_that_are_more_than_the_whole_by_our_own_fault_are_no_figures():
    with pytest.raises(LabInvalid, match="longer to code once more"):
        list(calls.measurements("x", elapsed_ns=[10, 10], server_ns=[6, 6], coding_ns=[4, 5], warmups=0))


def test_a_leak_is_found_and_a_service_without_one_is_flat(agency):
    asked = tiny("agent.memory", samples=6, calls=4, warmups=16, sandboxes=1, tolerance=Size(16 << 10))
    _, honest = seen(asked, agency)
    agency.lie("leaks")  # 4 MiB with each exec, every fourth operation
    found, leaking = seen(asked, agency)
    assert honest is not None
    assert leaking is not None
    assert (honest.evidence["growth"], leaking.evidence["growth"]) == ("flat", "grows")
    assert metrics(found)["memory.growth_at_least"].samples[0] > 16 << 10


def test_a_service_that_dies_at_work_is_a_failure(host_probe, tmp_path):
    with an_agency(tmp_path / "agency", host_probe) as dying:
        dying.lie("dies")
        assert "mcp: call of 'exec'" in violations(seen(tiny("agent.cpu"), dying)[0])


def test_a_sandbox_that_dies_at_work_is_a_failure(lab):
    target = Processes(lab, "the third one dies after its first answer")
    assert "the instance has ended" in violations(seen(tiny("agent.memory", sandboxes=3), target)[0])


def test_a_sandbox_that_dies_unnoticed_by_the_service_is_noticed(agency, monkeypatch):
    """The service goes on working, so only a look at the processes tells."""
    monkeypatch.setattr(agency, "fault", "the third one dies after its first answer")
    monkeypatch.setattr(agency, "starts", 2)
    found = seen(tiny("agent.memory", sandboxes=1), agency)[0]
    assert "processes ended while they were to work" in violations(found)


TAMPERED = [
    ("agent.memory", {"pss_bytes": "9 9 9 9 9", "rss_bytes": "8 8 8 8 8"}, "expected PSS within RSS"),
    ("agent.memory", {"pss_bytes": "0 0 0 0 0"}, "expected PSS within RSS"),
    ("agent.memory", {"pss_bytes": "1 1"}, "expected 5 looks"),
    ("agent.memory", {"sandboxes": "1"}, "sandboxes: expected 2, found 1"),
    ("agent.cpu", {"cpu_ns": str(10**15)}, "more than there is"),
    ("agent.cpu", {"cpu_ns": "0"}, "expected CPU time"),
    ("agent.cpu", {"windows_cpu_ns": str(10**15)}, "the windows have"),
    ("agent.throughput", {"sampled_ns": str(10**15)}, "the samples took"),
    ("agent.throughput", {"sessions": "1"}, "sessions: expected 2"),
    ("agent.network", {"answers": "200"}, "expected 4 answers, found 1"),
    ("agent.tool_call", {"server_ns": "1"}, "as many times of the server"),
    ("agent.startup", {"moments": "5,4,6,7,8"}, "not in their order"),
    ("agent.startup", {"walls_ns": "1"}, "the whole only 1 ns"),
    ("agent.startup", {"moments": ""}, "as many starts"),
    ("agent.startup", {"moments": "1,2,3,4,5"}, "do not follow from their moments"),
    ("agent.startup", {"moments": "1,2"}, "do not follow from their moments"),
]


@pytest.mark.parametrize(("name", "evidence", "words"), TAMPERED)
def test_each_oracle_reads_its_evidence(observed, name, evidence, words):
    benchmark, observation = observed(name)
    assert list(benchmark.verify(observation)) == []
    changed = msgspec.structs.replace(observation, evidence=observation.evidence | evidence)
    assert words in "; ".join(benchmark.verify(changed))


# ---- what cannot be asked ----


@pytest.mark.parametrize("name", NAMES)
def test_a_target_without_a_service_is_unsupported_with_the_way_out(name):
    found = seen(tiny(name), Fake(lambda argv, stdin, files: completed(stdin)))[0]
    assert isinstance(found, Unsupported)
    assert "a target" in found.missing


def test_where_no_process_is_known_memory_is_not_told(agency, monkeypatch):
    monkeypatch.setattr(agency.service(), "pid", None)
    monkeypatch.setattr(agency, "fault", "holds nothing")
    for name in ("agent.memory", "agent.cpu"):
        found = seen(tiny(name), agency)[0]
        assert isinstance(found, Unsupported)
        assert "says which processes" in found.missing


def test_a_service_without_mcp_is_unsupported(agency, monkeypatch):
    monkeypatch.setattr(agency.service(), "mcp", "")
    assert isinstance(seen(tiny("agent.tool_call"), agency)[0], Unsupported)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("agent.tool_call", {"size": Size(15)}),
        ("agent.tool_call", {"samples": 0}),
        ("agent.memory", {"samples": 4}),
        ("agent.memory", {"sandboxes": 0}),
        ("agent.cpu", {"rate": -1.0}),
        ("agent.cpu", {"window": Duration(0.001)}),
        ("agent.throughput", {"sessions": 0}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(name, parameters):
    with pytest.raises(ValueError, match="expected"):
        tiny(name, **parameters)


# ---- a sandbox whose files are inside alone ----


class Inside:
    """A host of sandboxes as the tools see it, on which a workspace is but a mirror."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.files: dict[str, bytes] = {}
        self.pulled = 0

    def run(self, sandbox: str, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        return completed(stdin)

    def workspace(self, sandbox: str) -> Place:
        return Place(root=self.root, mirrored=True)

    def pull(self, sandbox: str) -> None:
        self.pulled += 1
        for name, content in self.files.items():
            (self.root / name).write_bytes(content)

    def push(self, sandbox: str, parts: Sequence[str]) -> None:
        self.files["/".join(parts)] = self.root.joinpath(*parts).read_bytes()

    def entries(self, sandbox: str, parts: Sequence[str]) -> list[dict[str, Any]]:
        return [{"name": name} for name in sorted(self.files)]

    def get(self, sandbox: str, path: str) -> bytes:
        return self.files[path]

    def fork(self, sandbox: str, image: str) -> None:
        raise NotSupported("no fork")

    def discard(self, image: str) -> None:
        raise NotSupported("no fork")


def test_only_a_look_at_more_than_one_folder_fetches_a_whole_workspace(tmp_path):
    host = Inside(tmp_path / "mirror")
    toolbox = Toolbox(host, tmp_path / "state")
    with contextlib.closing(toolbox):
        assert toolbox.call("exec", {"argv": ["cat"], "stdin": "word"}).document["stdout"] == "word"
        assert toolbox.call("write_file", {"path": "file", "content": "word"}).error == ""
        assert toolbox.call("read_file", {"path": "file"}).document["content"] == "word"
        assert host.pulled == 0
        host.files["other"] = b"made by a command"
        listed = toolbox.call("list_directory", {}).document["entries"]
        assert ([each["name"] for each in listed], host.pulled) == (["file", "other"], 0)
        assert toolbox.call("snapshot_create", {"name": "one"}).error == ""
        assert host.pulled == 1


class Overtaken(Inside):
    """While a file is sent, somebody else wants the folder; fetching it makes it like the sandbox's."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetched = threading.Event()
        self.look: Callable[[], None] = lambda: None
        self.threads: list[threading.Thread] = []

    def pull(self, sandbox: str) -> None:
        for path in self.root.iterdir():
            path.unlink()
        super().pull(sandbox)
        self.fetched.set()

    def push(self, sandbox: str, parts: Sequence[str]) -> None:
        self.threads.append(threading.Thread(target=self.look))
        self.threads[-1].start()
        self.fetched.wait(0.3)
        super().push(sandbox, parts)


def test_a_file_that_is_being_sent_is_not_removed_by_who_fetches_the_folder(tmp_path):
    host = Overtaken(tmp_path / "mirror")
    toolbox = Toolbox(host, tmp_path / "state")
    with contextlib.closing(toolbox):
        kept = []
        host.look = lambda: kept.append(toolbox.call("snapshot_create", {"name": "one"}).document)
        assert toolbox.call("write_file", {"path": "file", "content": "word"}).error == ""
        host.threads[0].join()
        assert host.files == {"file": b"word"}
        assert kept[0]["files"] == 1


# ---- targets and bands ----

SHIPPED = {
    "agent-targets": {
        "agent.startup.latency": ("< 500 ms", "Critical"),
        "lifecycle.provision.latency": ("< 200 ms", "Critical"),
        "agent.memory.peak_rss": ("< 200 MB", "High"),
        "agent.tool_call.latency": ("< 100 ms", "High"),
        "agent.cpu.utilisation": ("< 50 %", "Medium"),
        "agent.network.latency": ("< 50 ms", "Medium"),
        "agent.throughput.rate": (">= 1000 op/min", "Medium"),
    }
}


def gates_of(text: Policy) -> dict[str, Gate]:
    known: dict[str, Any] = {name: {} for name in (*NAMES, "lifecycle.provision")}
    return {each.key: each for each in policy.gates_of(text.gates, targets=["t"], known=known, where="test")}


def test_the_plan_that_is_shipped_holds_the_targets_and_asks_every_benchmark():
    found = plan.load(document.plans()["agent"])
    assert {each.key for each in found.gates if each.priority} == set(SHIPPED["agent-targets"])
    assert {case.name for case in found.cases} == {*NAMES, "lifecycle.provision"}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_targets_that_are_shipped_are_those_of_the_guide(name):
    found = gates_of(policy.load(Path(name)))
    stated = {key: (each.limit.text, each.priority) for key, each in found.items() if each.limit is not None}
    assert stated == SHIPPED[name]
    assert all(each.title and each.statistic == "median" for each in found.values())


def test_the_bands_of_a_service_are_those_of_an_agent_on_other_metrics():
    bands = {key.split(".")[1]: each.bands for key, each in gates_of(policy.load(Path("agent-service-bands"))).items()}
    first = policy.load(Path("agent-bands")).gates
    direct = {"provision": "lifecycle.provision", "memory": "density.clones", "tool_call": "lifecycle.exec"}
    for name, other in direct.items():
        (table,) = [table for key, table in first.items() if key.startswith(other)]
        shown = {each.name: {"median": each.median.text, "p95": each.p95.text} for each in bands[name]}
        assert shown == table["bands"], name


def test_every_metric_that_a_shipped_gate_names_is_one_that_is_measured(observed):
    measured = {each.metric for name in NAMES for each in observed(name)[1].measurements}
    for name in ("agent-targets", "agent-service-bands"):
        named = {key for key in gates_of(policy.load(Path(name))) if key.startswith("agent.")}
        assert named <= measured


def test_the_gates_in_the_page_on_agents_make_sense(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "agents.md").read_text()
    (text,) = re.findall(r"```toml policy\n(.*?)```", page, re.DOTALL)
    (tmp_path / "policy.toml").write_text(text)
    assert list(gates_of(policy.load(tmp_path / "policy.toml"))) == ["agent.memory.growth_at_most"]
