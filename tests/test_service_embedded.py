"""The service that comes with benchproof, started by target `service` and measured exactly as a stranger's is."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from benchproof import laboratory
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import NotSupported, TargetFailed, UsageError
from benchproof.service import daemon, description, mcp_client
from benchproof.service.http import Client
from benchproof.targets.service import SandboxService
from tests.conftest import why_unusable
from tests.test_targets import Contract

pytest.importorskip("starlette")
BY_ID = """
openapi = "OPENAPI"
[health]
operation = "health"
answer = { version = "/version" }
[provision]
operation = "provision"
body = { name = "{name}", image = "{image}" }
answer = { name = "/name", probe = "/probe", cat = "/cat", workspace = "/workspace", processes = "/processes" }
[exec]
operation = "exec"
body = { argv = "{argv}", stdin_base64 = "{stdin_base64}", timeout_s = "{timeout_s}" }
answer = { exit_status = "/exit_status", stdout = "/stdout", stdout_base64 = "/stdout_base64" }
[delete]
operation = "delete"
answer = { gone = "/gone" }
[put]
operation = "put_file"
query = { path = "{path}", mode = "{mode}" }
raw = "{content}"
answer = { path = "/path" }
"""


def started(backend: str, probe):
    if reason := why_unusable(backend):
        pytest.skip(reason)
    with laboratory.opened(probe) as room:
        yield SandboxService(SandboxService.Settings(backend=backend), room)


@pytest.fixture(scope="module")
def boxes(host_probe):
    yield from started("bwrap", host_probe)


@pytest.fixture(scope="module")
def guests(host_probe):
    yield from started("qemu", host_probe)


class TestEmbedded(Contract):
    kind = "service"

    @pytest.fixture
    def target(self, boxes):
        return boxes


def once(name: str, target):
    benchmark = msgspec.structs.replace(BENCHMARKS.load(name)(), samples=1, warmups=0)
    observation = benchmark.run(target)
    assert list(benchmark.verify(observation)) == []
    return observation


@pytest.mark.parametrize("name", ["lifecycle.exec_ready", "lifecycle.exec", "lifecycle.delete"])
def test_a_life_over_http_leaves_no_process_of_it(boxes, name):
    observation = once(name, boxes)
    assert int(observation.evidence["fewest_processes_held"]) >= 0
    assert observation.evidence["gone_by_its_service"] == observation.evidence["instances_ended"]


def test_what_a_service_that_was_killed_with_its_run_left_is_cleared_by_the_run(tmp_path, monkeypatch):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with laboratory.opened(laboratory.prepare_probe(laboratory.cache_folder())) as room:
        SandboxService(SandboxService.Settings(backend="bwrap"), room).service()
        assert len(list(tmp_path.glob("benchproof-scratch-*"))) == 2  # ours, and that of the service
    assert list(tmp_path.iterdir()) == []


def test_what_a_backend_cannot_do_is_unsupported_in_its_own_words(boxes):
    with pytest.raises(NotSupported, match=r"^fork: the service cannot do that: '.* cannot be frozen"):
        once("fork.fork", boxes)


@pytest.mark.parametrize("name", ["lifecycle.exec_ready", "fork.image_size", "fork.workspace_survived"])
def test_guests_live_and_fork_over_http(guests, name):
    observation = once(name, guests)
    assert int(observation.evidence["fewest_processes_held"]) >= 1
    assert observation.evidence["left_behind"] == "nothing"


def test_a_clock_that_a_guest_runs_on_is_no_host_s(guests):
    facts = guests.facts()
    assert facts["system"]["service_version"]
    assert facts["machine"]["execution"] in {"unknown", "native"}


def by_id(folder: Path, openapi: str, text: str = BY_ID) -> str:
    (folder / "by-id.toml").write_text(text.replace("OPENAPI", openapi))
    return str(folder / "by-id.toml")


def test_operations_are_found_by_their_ids_in_what_the_service_says_of_itself(boxes, lab, tmp_path):
    url = boxes.service().url
    for openapi in (f"{url}/openapi.json", "openapi.json"):
        with closing(Client(url)) as client:
            (tmp_path / "openapi.json").write_bytes(client.ask("get", "GET", "/openapi.json", timeout_s=30).body)
        with lab.until_closed:
            target = SandboxService(SandboxService.Settings(api=by_id(tmp_path, openapi), url=url), lab)
            with target.start() as sandbox:
                assert sandbox.run(sandbox.cat, stdin=b"\0\xff", timeout_s=60).stdout == b"\0\xff"
                assert target.description.exec.path == "/exec/{name}"


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (('operation = "exec"', 'operation = "exce"'), "exec: operation: unknown id 'exce'; did you mean 'exec'"),
        (("argv =", "args ="), "exec: body: unknown key 'args'; did you mean 'argv'"),
        (("mode =", "mod ="), "put: query: unknown parameter 'mod'; did you mean 'mode'"),
        (('openapi = "openapi.json"', 'openapi = "other.json"'), "openapi: cannot read 'other.json'"),
        (('openapi = "openapi.json"', 'openapi = "by-id.toml"'), "openapi: expected JSON"),
    ],
)
def test_a_description_that_contradicts_its_openapi_document_is_refused(boxes, tmp_path, change, trouble):
    with closing(Client(boxes.service().url)) as client:
        (tmp_path / "openapi.json").write_bytes(client.ask("get", "GET", "/openapi.json", timeout_s=30).body)
    changed = BY_ID.replace("OPENAPI", "openapi.json").replace(*change)
    with pytest.raises(UsageError, match=trouble):
        description.load(by_id(tmp_path, "openapi.json", changed))


def test_a_service_with_a_token_is_spoken_to_over_http_and_on_standard_streams(host_probe, tmp_path):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    secret = tmp_path / "token"
    secret.touch(mode=0o600)
    secret.write_text("a-token-of-this-test-alone-0123456789\n")
    with laboratory.opened(host_probe) as room:
        target = SandboxService(SandboxService.Settings(backend="bwrap", token_file=str(secret)), room)
        service = target.service()
        for transport in ("http", "stdio"):
            with mcp_client.session(service, transport=transport, timeout_s=60) as session:
                said = session.call("exec", {"argv": ["/bin/cat"], "stdin": transport})
            assert (said.error, said.document["stdout"]) == ("", transport)
        bare = daemon.Running(target.description, url=service.url, headers={})
        with (
            closing(bare),
            pytest.raises(TargetFailed),
            mcp_client.session(bare, transport="stdio", timeout_s=60) as no,
        ):
            no.call("exec", {"argv": ["/bin/true"]})


def test_sandboxes_of_gvisor_are_made_worked_with_frozen_and_ended_by_the_service(host_probe):
    if reason := why_unusable("gvisor"):
        pytest.skip(reason)
    with laboratory.opened(host_probe) as room:
        target = SandboxService(SandboxService.Settings(backend="gvisor"), room)
        assert target.facts()["system"]["kernel"].startswith("4.4")
        with target.start() as instance:
            done = instance.run(instance.cat, stdin=b"a word", timeout_s=60)
            assert (done.exit_status, done.stdout) == (0, b"a word")
            held = instance.footprint()
        assert held.processes
        assert not any(Path(f"/proc/{pid}").exists() for pid in held.processes)
