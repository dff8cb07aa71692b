"""Target `service`: a foreign sandbox API over real sockets, honest and lying."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from benchproof import laboratory, oracles, plan
from benchproof.benchmarks import BENCHMARKS
from benchproof.benchmarks.lifecycle import leaks
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.errors import NotSupported, StartFailed, TargetFailed, UsageError
from benchproof.model import Footprint, Forkable, Lab, Served
from benchproof.service import daemon, description
from benchproof.service.http import Client
from benchproof.targets import KINDS
from benchproof.targets.service import SandboxService
from tests import sandbox_service
from tests.conftest import why_unusable
from tests.test_targets import Contract

CAPSEM = (Path(description.__file__).parent / "apis" / "capsem.toml").read_text()
_EXEC = 'method = "POST"\npath = "/exec'
STEPS = ("provision", "exec", "fork", "delete", "list")
LIES = {
    "closes": "closed the connection without an answer",
    "resets": "cut the connection|ended in its middle|before the length",
    "is cut off": "before the length that it said|ended in its middle",
    "never ends": "larger than 49152 KiB",
    "says an error with a good status": "status 200, but the answer holds an error: 'the disk is full'",
    "fails": "expected status 2xx, found 500: 'out of memory'",
    "is no HTTP": "is not HTTP: BadStatusLine",
    "redirects": r"redirect \(307\) to 'http://127.0.0.1:1/elsewhere'",
    "has a huge header": "is not HTTP: LineTooLong",
    "has many headers": "got more than 100 headers",
    "is longer than it says": "longer than it said",
}
LATE = {"hangs": "no whole answer within", "drips": "no whole answer within"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    with sandbox_service.serving(tmp_path_factory.mktemp("service")) as (service, url):
        yield SimpleNamespace(service=service, url=url)


@pytest.fixture
def honest(served):
    """The service, whose fault a test plants; a test leaves no sandbox that it does not say that it leaves."""
    served.service.fault = ""
    served.service.token = ""
    yield served.service
    served.service.fault = ""
    served.service.token = ""
    for name in (*served.service.sandboxes, *served.service.images):
        served.service.delete(name)


@pytest.fixture
def room(lab):
    with lab.until_closed:
        yield lab


def made(served, room: Lab, **settings) -> SandboxService:
    return SandboxService(SandboxService.Settings(**({"api": "capsem", "url": served.url} | settings)), room)


@pytest.fixture
def target(served, honest, room) -> SandboxService:
    return made(served, room)


def impatient(tmp_path: Path, step: str) -> str:
    """The same interface, for a caller who does not wait for one of the answers."""
    head, tail = CAPSEM.split(f"\n[{step}]\n")
    table, bracket, rest = tail.partition("\n[")
    table = 'timeout = "0.2 s"\n' + re.sub(r"(?m)^timeout = .*\n", "", table)
    grace = 'grace = "0.1 s"\n' if step == "exec" else ""  # beyond the time that a command may take
    (tmp_path / "impatient.toml").write_text(f"{grace}{head}\n[{step}]\n{table}{bracket}{rest}")
    return str(tmp_path / "impatient.toml")


class TestService(Contract):
    kind = "service"

    @pytest.fixture
    def target(self, served, honest, room, tmp_path):
        (tmp_path / "bytes.toml").write_text(
            CAPSEM.replace('stdout = "', 'stdout_base64 = "/stdout_base64", stdout = "')
        )
        return made(served, room, api=str(tmp_path / "bytes.toml"))


def once(name: str, samples: int = 1):
    return msgspec.structs.replace(BENCHMARKS.load(name)(), samples=samples, warmups=0)


def take(target: SandboxService, step: str, plant) -> None:
    """A life in which `plant` is called right before that step."""
    if step == "provision":
        plant()
    with target.start() as sandbox:
        if step == "exec":
            plant()
            sandbox.run(["true"], timeout_s=0.2)
        if step == "fork":
            plant()
            sandbox.freeze()
        if step == "list":
            plant()
            sandbox.footprint()
        if step == "delete":
            plant()


# ---- an honest service ----


def test_a_foreign_service_is_forkable_and_served(target):
    assert isinstance(target, Forkable)
    assert isinstance(target, Served)


@pytest.mark.parametrize(
    "name",
    [
        "lifecycle.provision",
        "lifecycle.exec_ready",
        "lifecycle.exec",
        "lifecycle.delete",
        "lifecycle.total",
        "fork.fork",
        "fork.image_size",
        "fork.boot_provision",
        "fork.boot_ready",
        "fork.workspace_survived",
    ],
)
def test_each_life_cycle_and_fork_benchmark_passes_on_a_foreign_service_over_http(target, honest, name):
    benchmark = once(name)
    observation = benchmark.run(target)
    assert list(benchmark.verify(observation)) == []
    assert all(sample > 0 for sample in observation.measurements[0].samples)
    assert not honest.sandboxes
    assert not honest.images


def test_a_life_is_one_request_each_and_nothing_is_asked_twice(target, honest):
    target.service()
    before = len(honest.asked)
    with target.start() as sandbox:
        sandbox.run(["true"], timeout_s=30)
    asked = [re.sub(r"benchproof-\w+", "NAME", line) for line in honest.asked[before:]]
    assert asked == ["POST /provision", "POST /exec/NAME", "DELETE /delete/NAME"]


def test_input_goes_through_a_pipe_or_a_file_where_the_interface_has_none(target):
    with target.start() as sandbox:
        for size in (0, 1, 1000, 200_000):
            text = os.urandom(size).hex().encode()
            assert sandbox.run(["cat"], stdin=text, timeout_s=60).stdout == text
        assert sandbox.run(["sh", "-c", "exit 7"], stdin=b"x", timeout_s=60).exit_status == 7


def test_facts_name_the_interface_and_no_address(target, served):
    facts = target.facts()
    assert facts["system"]["api"] == "capsem"
    assert facts["system"]["served"] == "loopback"
    assert facts["system"]["os"] == "Linux"
    assert served.url.rpartition(":")[2] not in str(facts)


def test_processes_that_the_service_lists_are_looked_at_on_this_host(target, honest):
    with target.start() as sandbox:
        found = sandbox.footprint()
        assert next(iter(honest.sandboxes.values())).process.pid in found.processes
        assert found.memory_bytes > 0
        assert not found.untold


def test_a_service_on_another_host_is_its_own_witness(target, honest, monkeypatch):
    """A life cycle without any process of this host: the service's list and its refusals are the evidence."""
    target.service().calls.client.is_loopback = False
    benchmark = once("lifecycle.delete")
    observation = benchmark.run(target)
    assert list(benchmark.verify(observation)) == []
    assert observation.evidence["fewest_processes_held"] == "0"
    assert observation.evidence["gone_by_its_service"] == observation.evidence["instances_ended"]
    with pytest.raises(NotSupported, match="memory of a clone is not known"):
        BENCHMARKS.load("density.clones")().quick().run(target)


def test_a_start_from_nothing_is_not_to_be_had(target):
    with pytest.raises(NotSupported, match="start from nothing"):
        target.cold()


# ---- liars ----


TOLD = [
    *(("exec", what) for what in LIES),
    *((step, what) for step in STEPS for what in ("closes", "says an error with a good status", "fails")),
]


@pytest.mark.parametrize(("step", "what"), dict.fromkeys(TOLD))
def test_a_lie_is_told_with_its_step_and_leaves_nothing(target, honest, step, what):
    def plant() -> None:
        honest.fault = f"{step}: {what}"

    with pytest.raises(TargetFailed, match=f"^{step}: .*({LIES[what]})"):
        take(target, step, plant)
    if step != "delete":
        assert not honest.sandboxes


@pytest.mark.parametrize(("step", "what"), [*((step, "hangs") for step in STEPS), ("exec", "drips")])
def test_a_service_that_does_not_answer_in_time_holds_nobody(served, honest, room, tmp_path, step, what):
    def plant() -> None:
        honest.fault = f"{step}: {what}"

    with pytest.raises(TargetFailed, match=f"^{step}: {LATE[what]}"):
        take(made(served, room, api=impatient(tmp_path, step)), step, plant)


@pytest.mark.parametrize(
    ("step", "what", "words"),
    [
        ("provision", "is no JSON", "the answer is no JSON: .*<html>it works</html>"),
        ("provision", "is a list", "holds nothing that the description maps: name: nothing at '/id'"),
        ("exec", "is of another kind", "exit_status: expected a whole number, found '0'"),
        ("fork", "is of another kind", "asked for an image called 'benchproof-.*', found '8'"),
        ("list", "is no JSON", "the answer is no JSON"),
        ("list", "is of another kind", "names: .*'/sandboxes' is a number"),
        ("provision", "names another", "asked for a sandbox called 'benchproof-.*', found 'another'"),
    ],
)
def test_an_answer_that_makes_no_sense_is_shown(target, honest, step, what, words):
    def plant() -> None:
        honest.fault = f"{step}: {what}"

    with pytest.raises(TargetFailed, match=f"^{step}: .*{words}"):
        take(target, step, plant)
    assert not honest.sandboxes


def test_an_old_sandbox_that_is_given_out_as_new_is_found(target, honest):
    take(target, "list", lambda: None)  # marks it
    honest.fault = "provision: gives an old sandbox"
    with pytest.raises(TargetFailed, match="is not new: it holds the mark of 'benchproof-"):
        take(target, "list", lambda: None)


def test_an_answer_to_another_question_is_found(target, honest):
    witness = Witness(30)
    with target.start() as sandbox:
        witness.ask(sandbox)
        honest.fault = "exec: gives an old answer"
        witness.ask(sandbox)
    assert any("the answer to another question" in words for words in oracles.answers(witness.evidence(), at_least=2))


def test_a_clone_with_old_files_is_found(target, honest):
    benchmark = once("fork.file_survived")
    with target.start() as other:
        other.freeze()
        honest.fault = "fork: keeps an old file"
        violations = list(benchmark.verify(benchmark.run(target)))
    assert any("differ from file_put" in words for words in violations)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("delete: leaves the process", "left behind by an instance that was ended: process .*(bwrap|sleep)"),
        ("delete: does nothing", "left behind by an instance that was ended: process"),
    ],
)
def test_a_delete_that_leaves_something_is_found(target, honest, fault, words):
    honest.fault = fault
    benchmark = once("lifecycle.delete")
    assert any(re.search(words, each) for each in benchmark.verify(benchmark.run(target)))


@pytest.mark.usefixtures("hasty")
def test_on_another_host_a_delete_that_does_nothing_is_found_by_asking(target, honest):
    target.service().calls.client.is_loopback = False
    honest.fault = "delete: does nothing"
    benchmark = once("lifecycle.delete")
    found = " ".join(benchmark.verify(benchmark.run(target)))
    assert "list still names it" in found
    assert "a command in it gets status 200, expected 404/410" in found


def test_an_image_that_is_not_deleted_is_found(target, honest):
    honest.fault = "delete: keeps the image"
    benchmark = once("fork.fork")
    assert any("an image that was deleted takes no room" in each for each in benchmark.verify(benchmark.run(target)))
    honest.fault = ""


def test_a_service_that_says_gone_too_early_is_refused(served, honest, room, tmp_path):
    text = CAPSEM.replace('path = "/delete/{name}"\n', 'path = "/delete/{name}"\nanswer = { gone = "/success" }\n')
    (tmp_path / "gone.toml").write_text(text)
    honest.fault = "delete: leaves the process"
    with pytest.raises(TargetFailed, match=r"^delete: .* is said to be gone, and there still is process"):
        take(made(served, room, api=str(tmp_path / "gone.toml")), "list", lambda: None)


def test_after_a_command_that_was_not_answered_the_sandbox_is_gone(target, honest):
    with target.start() as sandbox:
        with pytest.raises(TargetFailed, match=r"the command did not end in time: '.*did not end within"):
            sandbox.run(["sleep", "30"], timeout_s=1)
        assert not honest.sandboxes
        with pytest.raises(TargetFailed, match="ended, with a command"):
            sandbox.run(["true"], timeout_s=1)


def test_an_oracle_without_evidence_of_the_end_is_not_content():
    """No process and nobody to ask: whether it is gone cannot be known; one to ask who still knows it is a leak."""
    silent = Footprint(processes=(), files=(), memory_bytes=0, disk_bytes=0)
    ledger = leaks.Ledger()
    ledger.ended(leaks.held(silent))
    assert "gone_by_its_service" not in ledger.evidence()
    asked = Footprint(processes=(), files=(), memory_bytes=0, disk_bytes=0, remains=list)
    ledger.ended(leaks.held(asked))
    assert ledger.evidence()["gone_by_its_service"] == "1"
    assert ledger.evidence()["instances_ended"] == "2"


# ---- tokens ----


def test_a_token_opens_the_service_and_is_written_nowhere(served, honest, room, tmp_path, monkeypatch):
    honest.token = "tok-5ecret-1"  # noqa: S105 - it is not
    (tmp_path / "token").write_text("tok-5ecret-1\n")
    monkeypatch.setenv("SANDBOX_TOKEN", "tok-5ecret-1")
    for settings in ({"token_file": str(tmp_path / "token")}, {"token_env": "SANDBOX_TOKEN"}):
        target = made(served, room, **settings)
        assert target.service().headers == {"Authorization": "Bearer tok-5ecret-1"}
        take(target, "provision", lambda: None)
    assert "5ecret" not in str(target.facts())
    monkeypatch.setenv("SANDBOX_TOKEN", "tok-5ecret-2")
    honest.token = "tok-5ecret-1"  # noqa: S105 - it is not
    with pytest.raises(TargetFailed, match="401") as caught:
        take(made(served, room, token_env="SANDBOX_TOKEN"), "provision", lambda: None)  # noqa: S106 - a name
    assert "5ecret-2" not in str(caught.value)
    monkeypatch.delenv("SANDBOX_TOKEN")
    with pytest.raises(NotSupported, match="set SANDBOX_TOKEN"):
        made(served, room, token_env="SANDBOX_TOKEN").service()  # noqa: S106 - a name


def test_a_redirect_that_repeats_the_token_is_told_without_it(served, honest):
    honest.fault = "list: redirects"
    client = Client(served.url, headers={"Authorization": "Bearer elsewhere"})
    with contextlib.closing(client), pytest.raises(TargetFailed, match=r"redirect \(307\) to '.*/\[token\]'"):
        client.ask("list", "GET", "/list", timeout_s=5)


# ---- a service that is started ----


def words(tmp_path: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.sandbox_service", "{port}", str(tmp_path / "state"))


@pytest.fixture
def started(room, tmp_path, monkeypatch):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent.parent), *sys.path]))
    url = "http://127.0.0.1:{port}"
    settings = SandboxService.Settings(api="capsem", url=url, start=words(tmp_path))
    settings.refuse_missing()
    return SandboxService(settings, room)


def test_a_service_is_started_with_the_run_and_ended_with_it(started, room):
    with room.until_closed:
        service = started.service()
        assert started.service() is service
        with started.start() as sandbox:
            assert sandbox.run(["cat"], stdin=b"here", timeout_s=30).stdout == b"here"
            processes = leaks.held(sandbox.footprint())
        assert started.facts()["system"]["served"] == "started with the run"
        assert Path(f"/proc/{service.pid}").exists()
    assert not Path(f"/proc/{service.pid}").exists()
    assert leaks.left(processes) == []


def test_a_fresh_process_says_when_it_is_ready(started):
    with started.serve() as service:
        ready_ns = service.await_ready(timeout_s=60)
        assert service.await_ready(timeout_s=60) == ready_ns > 0
        with contextlib.closing(Client(service.url)) as client:
            assert client.ask("list", "GET", "/list", timeout_s=30).status == 200
    assert not Path(f"/proc/{service.pid}").exists()


@pytest.mark.parametrize(
    ("start", "timeout_s", "said"),
    [
        (("sh", "-c", "echo no disk >&2; exit 3"), 30, "ended with status 3 before it served: no disk"),
        (("sh", "-c", "echo '{\"url\"' > $1; sleep 60", "sh", "{ready}"), 1, "within 1 s: its ready file is no JSON"),
        (("sh", "-c", "sleep 60", "sh", "{ready}"), 0.1, "within 0.1 s: .*has not written its ready file"),
    ],
)
def test_a_service_that_does_not_start_says_why(room, start, timeout_s, said):
    settings = SandboxService.Settings(api="capsem", start=start, start_timeout=timeout_s)
    with pytest.raises(StartFailed, match=said):
        SandboxService(settings, room).service()


def test_a_service_that_runs_already_is_not_started_by_us(target):
    with pytest.raises(NotSupported, match="runs already"), target.serve():
        pass


def test_nobody_listens_there(room):
    gone = SandboxService.Settings(api="capsem", url=f"http://127.0.0.1:{daemon._free_port()}", start_timeout=0.1)
    with pytest.raises(StartFailed, match="nobody listens there"):
        SandboxService(gone, room).service()


# ---- descriptions and plans ----


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (("[fork]", "[frok]"), "unknown key 'frok'; did you mean 'fork'"),
        (("/exec/{name}", "/exec/{nmae}"), "exec: unknown placeholder '{nmae}'; did you mean 'name'"),
        (
            ('stdout = "/stdout"', 'stdout = "stdout"'),
            "exec: answer: stdout: expected a JSON pointer",
        ),
        (('stdout = "/stdout"', 'sdtout = "/stdout"'), "exec: answer: unknown field 'sdtout'; did you mean 'stdout'"),
        (('exit_status = "/exit_code", ', ""), "expected answer.exit_status: nothing can be verified without it"),
        (
            (_EXEC, _EXEC.replace("method", "methd")),
            "exec: unknown key 'methd'; did you mean 'method'",
        ),
        (
            (_EXEC, _EXEC.replace("POST", "SEND")),
            "exec.method: Invalid enum value 'SEND'",
        ),
        (('command = "{command}", ', ""), "exec: expected {argv} or {command}"),
        (('"/delete/{name}"', '"/delete"'), "delete: expected {name} in the request: which sandbox"),
        (("[delete]\n", "[delete]\ntimeout_s = 3\n"), "delete: unknown key 'timeout_s'; did you mean 'timeout'"),
        (('error = "/error"', 'token = "Bearer"'), "token: expected a header line with {token}"),
        (('stdout = "/stdout"', 'stdout = "/a~2b"'), "expected '~0' for '~'"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_by_name(tmp_path, change, trouble):
    (tmp_path / "api.toml").write_text(CAPSEM.replace(*change, 1))
    with pytest.raises(UsageError, match=f"^api.toml: .*{trouble}"):
        description.load(str(tmp_path / "api.toml"))


def test_an_unknown_description_names_ours():
    with pytest.raises(UsageError, match="no such file: 'capsen'; did you mean 'capsem'"):
        description.load("capsen")


@pytest.mark.parametrize("api", description.OWN)
def test_the_descriptions_that_come_along_make_sense(api):
    assert description.load(api).title


@pytest.mark.parametrize(
    ("table", "trouble"),
    [
        ('api = "capsem"', "expected the address of a service of api 'capsem'"),
        ('url = "http://127.0.0.1:1"\nbackend = "qemu"', "backend: expected neither url nor start"),
        ('start = ["no-such-daemon", "{ready}"]', "start: expected a program, found none: 'no-such-daemon'"),
        ('start = ["sleep", "1"]', "start: expected {ready}"),
        ('token_env = "A"\ntoken_file = "b"', "token_env: expected no token_file"),
        ('url = "127.0.0.1:1"', "url: expected something like"),
        ('url = "http://me:secret@127.0.0.1:1"', "url: expected something like"),
        ('ulr = "http://127.0.0.1:1"', "unknown key 'ulr'; did you mean 'url'"),
        ("pool = 2000", "pool: expected 0 to 1024"),
        ('token_file = "no-such-file"', "token_file: expected a file"),
    ],
)
def test_a_plan_for_a_service_that_makes_no_sense_is_refused(tmp_path, table, trouble):
    path = tmp_path / "plan.toml"
    path.write_text(f'[targets.mine]\nkind = "service"\n{table}\n[suites.s]\nbenchmarks = ["lifecycle.exec"]\n')
    with pytest.raises(UsageError, match=trouble):
        plan.load(path)


def test_the_kind_is_in_the_table():
    assert KINDS.load("service") is SandboxService


def test_the_room_has_what_a_service_needs(host_probe):
    with laboratory.opened(host_probe) as room:
        assert isinstance(room, Lab)
