"""A load on HTTP services that are right, and on those that lie: no fault of theirs ever becomes a fast answer."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from benchmarks.http_vs_wrk import as_wrk_corrects
from benchproof import plan
from benchproof.benchmarks.guest import origins, proxies
from benchproof.benchmarks.guest.http_download import Download
from benchproof.benchmarks.guest.http_requests import Requests
from benchproof.benchmarks.guest.loaded import TROUBLES, Loaded
from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.model import Observation
from benchproof.probe import loads
from benchproof.quantities import Duration, Size
from benchproof.targets import KINDS
from benchproof.targets.fake import Fake
from tests.conftest import completed, why_unusable

BODY = bytes(range(256)) * 8
SHA256 = hashlib.sha256(BODY).hexdigest()
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"400;name=value\r\n" + BODY[:1024] + b"\r\n400\r\n" + BODY[1024:] + b"\r\n0\r\nTrailer: x\r\n\r\n"
)
needs_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
needs_mitmproxy = pytest.mark.skipif(not shutil.which("mitmdump"), reason="mitmproxy is not installed")


def host(lab):
    kind = KINDS.load("host")
    return kind(kind.Settings(), lab)


# ---- a service that answers as it is told; the first answers are right, so that the load begins ----

T = TypeVar("T")
Answer = Callable[[socket.socket], bool]  # returns whether the connection goes on


def bytes_of(answer: bytes, *, goes_on: bool = True) -> Answer:
    def give(client: socket.socket) -> bool:
        client.sendall(answer)
        return goes_on

    return give


def reset(client: socket.socket) -> bool:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def silence(client: socket.socket) -> bool:
    client.settimeout(30)
    with contextlib.suppress(OSError):
        client.recv(1)  # until the other side gives up
    return False


class Service:
    """One answer for each request, in the order in which they come over all connections; the last is given for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.asked = 0
        self.heard: list[bytes] = []
        self._counting = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/body"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while request := self._request(client):
                with self._counting:
                    answer = self.answers[min(self.asked, len(self.answers) - 1)]
                    self.asked += 1
                    self.heard.append(request)
                if not answer(client):
                    return

    @staticmethod
    def _request(client: socket.socket) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request:
            chunk = client.recv(65536)
            if not chunk:
                return b""
            request += chunk
        return request

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def load(url: str, **parameters: object) -> Requests:
    usual = {"requests": 20, "connections": 1, "timeout": Duration(30), "size": Size(len(BODY))}
    return Requests(url=url, sha256=SHA256, **usual | parameters)


def seen(benchmark: Loaded, lab) -> tuple[Observation, list[str]]:
    observation = benchmark.run(host(lab))
    return observation, list(benchmark.verify(observation))


@pytest.mark.parametrize("answer", [GOOD, CHUNKED], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["connections kept", "closed each time"])
def test_a_service_that_answers_rightly_is_measured(answer, goes_on, lab):
    answer = answer if goes_on else answer.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
    with Service(bytes_of(answer, goes_on=goes_on)) as service:
        observation, violations = seen(load(service.url, connections=3), lab)
    assert violations == []
    assert len(observation.measurements[0].samples) == 20
    assert observation.evidence["reconnects"] == ("0" if goes_on else "20")
    assert service.asked == 24  # one to learn the body, one for each connection


def test_a_body_without_a_length_ends_with_its_connection(lab):
    with Service(bytes_of(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, goes_on=False)) as service:
        assert seen(load(service.url), lab)[1] == []


LIES = {
    "a body cut short": (bytes_of(GOOD[:-1], goes_on=False), "truncated 1"),
    "chunks cut short": (bytes_of(CHUNKED[:-300], goes_on=False), "truncated 1"),
    "nothing at all": (bytes_of(b"", goes_on=False), "truncated 1"),
    "one wrong byte": (bytes_of(GOOD[:-1] + b"\0"), "body 1"),
    "one wrong byte in a chunk": (bytes_of(CHUNKED.replace(b"\x80\x81", b"\x80\x80")), "body 1"),
    "a shorter body": (bytes_of(GOOD.replace(b": 2048", b": 2047")[:-1]), "length 1"),
    "a longer body": (bytes_of(GOOD.replace(b": 2048", b": 2049") + b"x"), "length 1"),
    "ten gigabytes": (bytes_of(GOOD.replace(b": 2048", b": 10000000000")), "length 1"),
    "a server error": (bytes_of(GOOD.replace(b"200 OK", b"500 NO")), "status 1"),
    "a page elsewhere": (bytes_of(GOOD.replace(b"200 OK", b"302 Found")), "status 1"),
    "a cut connection": (reset, "reset 1"),
    "silence": (silence, "timeout 1"),
    "no HTTP": (bytes_of(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", goes_on=False), "malformed 1"),
    "a head without end": (bytes_of(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000), "malformed 1"),
    "a length that is none": (bytes_of(GOOD.replace(b": 2048", b": -1")), "malformed 1"),
    "chunks that are none": (bytes_of(CHUNKED.replace(b"400;", b"4x0;")), "malformed 1"),
    "a chunk without end": (bytes_of(CHUNKED.replace(b"400;", b"ffffffffffffffff;")), "malformed 1"),
    "an answer too many": (bytes_of(GOOD + b"HTTP/1.1 200 OK\r\n"), "malformed 1"),
}


def patience(lie: Answer) -> dict[str, Duration]:
    """Little only where it is waited out: a busy host keeps a right answer back, too."""
    return {"timeout": Duration(0.5)} if lie is silence else {}


@pytest.mark.parametrize(("lie", "words"), LIES.values(), ids=LIES)
def test_a_lie_among_right_answers_fails_and_is_no_latency(lie, words, lab):
    right = bytes_of(GOOD)
    with Service(*[right] * 7, lie, right) as service:
        observation, violations = seen(load(service.url, **patience(lie)), lab)
    assert f"1 of 20 requests failed ({words})" in violations[0]
    assert len(observation.measurements[0].samples) == 19
    assert {name for name in TROUBLES if name in observation.evidence} == {words.split()[0]}


@pytest.mark.parametrize(("lie", "words"), LIES.values(), ids=LIES)
def test_a_service_that_lies_from_the_start_is_not_measured(lie, words, lab):
    with Service(lie) as service, pytest.raises(TargetFailed, match="the first request, untimed"):
        seen(load(service.url, **patience(lie)), lab)


def test_a_first_body_with_another_hash_is_not_taken_for_the_right_one(lab):
    with Service(bytes_of(GOOD[:-1] + b"\0")) as service, pytest.raises(TargetFailed, match="SHA-256"):
        seen(load(service.url), lab)


def test_a_service_that_nobody_runs_is_a_failure_in_words(lab):
    with pytest.raises(TargetFailed, match="connect: Connection refused"):
        seen(load(f"http://127.0.0.1:{origins.free_port()}/body"), lab)


def test_a_service_that_dies_under_the_load_fails_every_request_that_is_left(lab):
    def die(client: socket.socket) -> bool:
        service.__exit__()
        return reset(client)

    with contextlib.suppress(OSError), Service(*[bytes_of(GOOD)] * 7, die) as service:
        observation, violations = seen(load(service.url), lab)
    assert "15 of 20 requests failed (connect 14, reset 1)" in violations[0]
    assert observation.evidence["answered"] == "5"


def test_a_load_that_is_not_over_in_time_is_a_failure(lab):
    slow = {"requests": 10_000, "budget": Duration(0.2)}
    with Service(*[bytes_of(GOOD)] * 2, held_back(0.02)) as service:  # ten of them at most
        _, violations = seen(load(service.url, **slow), lab)
    assert any(violation.startswith("begun: expected 10000") for violation in violations), violations


# ---- open loop ----


def held_back(seconds: float) -> Answer:
    def give(client: socket.socket) -> bool:
        time.sleep(seconds)
        client.sendall(GOOD)
        return True

    return give


def undisturbed(answers: Sequence[Answer], lab, **parameters: object) -> tuple[Observation, list[str]]:
    """What is seen of a load that the laboratory could send in time; a run tries a few times, too."""
    for last in (False, False, False, True):
        with Service(*answers) as service:
            try:
                return seen(load(service.url, **parameters), lab)
            except LabInvalid:
                if last:
                    raise
    raise AssertionError("unreachable")


def test_in_an_open_loop_a_stall_is_in_the_latency_of_all_that_were_due_meanwhile(lab):
    interval_ns, stall_s = 10_000_000, 0.2
    right = bytes_of(GOOD)
    with Service(*[right] * 12, held_back(stall_s), right) as service:
        closed, _ = seen(load(service.url, requests=60), lab)
    observation, _ = undisturbed([*[right] * 12, held_back(stall_s), right], lab, requests=60, rate=100)
    late = [sum(each > interval_ns for each in seen.measurements[0].samples) for seen in (closed, observation)]
    assert late[1] >= stall_s * 1e9 / interval_ns - 2 > late[0]
    assert "op/s" not in {each.unit for each in observation.measurements}  # the rate was ours, and is no finding


def test_a_rate_that_was_not_reached_is_told(lab):
    right = bytes_of(GOOD)
    observation, violations = undisturbed([right, right, held_back(0.02)], lab, rate=1000)
    assert violations[-1].startswith("rate: 1000 requests/s were intended")
    assert observation.evidence["answered"] == "20"


def test_a_load_that_was_late_by_its_own_fault_is_the_laboratorys():
    benchmark = load("http://127.0.0.1:1/", requests=100, rate=100)
    benchmark.refuse_late({"late_by_own_fault": "1"})
    with pytest.raises(LabInvalid, match="2 of 100 requests went out 10 ms late"):
        benchmark.refuse_late({"late_by_own_fault": "2"})


# ---- nginx and mitmproxy ----


@needs_nginx
def test_nginx_of_our_own_is_asked_as_often_as_it_counts(lab):
    observation, violations = seen(Requests(requests=200, connections=8), lab)
    assert violations == []
    assert observation.evidence["origin_was_asked"] == "209"
    assert {each.metric.rpartition(".")[2] for each in observation.measurements} == {
        "latency",
        "latency_p90",
        "latency_p95",
        "latency_p99",
        "throughput",
    }


@needs_nginx
def test_a_download_is_verified_by_its_hash(lab):
    benchmark = Download().quick()
    observation, violations = seen(benchmark, lab)
    assert violations == []
    assert observation.evidence["body_bytes"] == "2000000"
    assert [each.unit for each in observation.measurements] == ["bytes/s"]


def test_a_download_with_a_wrong_byte_is_found_when_the_clock_does_not_run(lab):
    right = bytes_of(GOOD)
    with Service(right, right, bytes_of(GOOD[:-1] + b"\0"), right) as service:
        benchmark = Download(url=service.url, sha256=SHA256, size=Size(len(BODY)), samples=4)
        observation, violations = seen(benchmark, lab)
    assert "1 of 4 requests failed (body 1)" in violations[0]
    assert len(observation.measurements[0].samples) == 3


@needs_nginx
@needs_mitmproxy
@pytest.mark.parametrize(("kind", "https"), [("host", False), ("qemu", True)])
def test_a_load_passes_mitmproxy_which_marks_every_answer(kind, https, lab):
    if reason := why_unusable(kind):
        pytest.skip(reason)
    loaded = KINDS.load(kind)
    target = loaded(loaded.Settings(network="host"), lab)
    benchmark = Requests(requests=20, connections=2, proxy="mitmproxy", https=https, timeout=Duration(60))
    observation = unless_without_tls(lambda: benchmark.run(target))
    assert list(benchmark.verify(observation)) == []
    assert observation.evidence["origin_was_asked"] == "23"
    assert observation.evidence["proxy_marks"] == "yes"
    assert observation.evidence["proxy_software"].startswith("Mitmproxy")


@needs_nginx
@needs_mitmproxy
def test_a_large_body_passes_mitmproxy_as_it_comes(lab):
    """Kept whole, 100 MB took it more than a minute."""
    benchmark = Download(samples=1, proxy="mitmproxy", https=True)
    observation = unless_without_tls(lambda: benchmark.run(host(lab)))
    assert list(benchmark.verify(observation)) == []
    assert (int(benchmark.size), observation.evidence["proxy_marks"]) == (100_000_000, "yes")
    assert observation.evidence["proxy_software"].endswith("bodies of 1m and more are streamed")


def unless_without_tls(run: Callable[[], T]) -> T:
    try:
        return run()
    except NotSupported as error:
        if "TLS" not in error.reason:
            raise
        pytest.skip(str(error))


@needs_nginx
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("another authority", "not correctly signed by the trusted CA"),
        ("another name", "Common Name .* does not match"),
        ("yesterday's", "validity has expired"),
    ],
)
def test_a_certificate_that_cannot_be_trusted_ends_the_load(fault, words, lab, tmp_path, monkeypatch):
    ours = origins.certificates

    def planted(folder: Path) -> Path:
        days = -1 if fault == "yesterday's" else 2
        ca = ours(folder, name="elsewhere.test" if fault == "another name" else "localhost", days=days)
        (tmp_path / "other").mkdir()
        return ours(tmp_path / "other") if fault == "another authority" else ca

    monkeypatch.setattr(origins, "certificates", planted)
    with pytest.raises(TargetFailed, match=f"handshake: .*{words}"):
        unless_without_tls(lambda: seen(Requests(requests=5, https=True), lab))


def test_a_probe_without_tls_says_so(lab):
    words = [str(lab.probe), "http", "https://localhost:1/", "--size", "1", "--sha256", "0" * 64]
    done = subprocess.run(words, capture_output=True, check=False)
    with pytest.raises(NotSupported, match="built without TLS"):
        loads.read(completed(done.stdout, exit_status=done.returncode))


@needs_nginx
def test_a_proxy_that_answers_from_a_cache_is_found_by_what_the_origin_counts(lab):
    with origins.nginx(lab, size_bytes=len(BODY)) as origin:
        benchmark = Requests(requests=20, connections=1)
        observation = benchmark.run(host(lab))
    cached = msgspec.structs.replace(observation, evidence=observation.evidence | {"origin_was_asked": "1"})
    assert list(benchmark.verify(cached)) == ["origin_was_asked: expected 22, found 1"]
    assert origin.size_bytes == len(BODY)


def test_a_proxy_is_asked_by_the_whole_url_and_an_answer_without_its_mark_fails(lab):
    marked = GOOD.replace(b"OK\r\n", b"OK\r\nVia: mine\r\n")
    with Service(*[bytes_of(marked)] * 5, bytes_of(GOOD), bytes_of(marked)) as proxy:
        benchmark = load("http://127.0.0.1:9/body", proxy=proxy.url, proxy_mark="via: mine")
        _, violations = seen(benchmark, lab)
    assert "1 of 20 requests failed (unmarked 1)" in violations[0]
    assert {each.split(b"\r\n")[0] for each in proxy.heard} == {b"GET http://127.0.0.1:9/body HTTP/1.1"}


def test_a_proxy_that_does_not_open_a_tunnel_is_named(lab, tmp_path):
    ca = str(origins.certificates(tmp_path))
    with (
        Service(bytes_of(b"HTTP/1.1 403 no\r\n\r\n")) as proxy,
        pytest.raises(TargetFailed, match="proxy: CONNECT was answered with status 403"),
    ):
        unless_without_tls(lambda: seen(load("https://localhost:9/", proxy=proxy.url, ca=ca), lab))


# ---- targets ----


@needs_nginx
@pytest.mark.parametrize("kind", ["bwrap", "gvisor", "qemu"])
def test_a_sandbox_reaches_a_service_of_the_host_only_with_its_network(kind, lab):
    if reason := why_unusable(kind):
        pytest.skip(reason)
    loaded = KINDS.load(kind)
    benchmark = Requests(requests=20, connections=2)
    observation = benchmark.run(loaded(loaded.Settings(network="host"), lab))
    assert list(benchmark.verify(observation)) == []
    with pytest.raises(NotSupported, match='network = "host"'):
        benchmark.run(loaded(loaded.Settings(), lab))


def test_nothing_beyond_this_host_is_asked_unless_the_plan_says_so(lab):
    with pytest.raises(NotSupported, match="another machine's; beyond_loopback = true"):
        seen(load("http://192.0.2.1/body"), lab)


def test_without_nginx_or_mitmproxy_it_is_unsupported_with_the_way_to_them(lab, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(NotSupported, match="apt-get install nginx-light"):
        seen(Requests(), lab)
    with pytest.raises(NotSupported, match="apt-get install mitmproxy"):
        proxies.program()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "ftp://x/"}, "url"),
        ({"url": "http://x/"}, "sha256"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"proxy": "socks5://x"}, "proxy"),
        ({"proxy_mark": "no mark"}, "proxy_mark"),
        ({"requests": 0}, "requests"),
        ({"connections": 1001}, "connections"),
        ({"rate": -1}, "rate"),
        ({"size": Size(2**31)}, "size"),
        ({"timeout": Duration(0)}, "timeout"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        Requests(**wrong)


# ---- the reader ----


@pytest.fixture(scope="module")
def output(host_probe) -> bytes:
    with Service(bytes_of(GOOD)) as service:
        words = [host_probe.path, "http", service.url, "--size", str(len(BODY)), "--sha256", SHA256, "--requests", "10"]
        return subprocess.run(words, capture_output=True, check=True, timeout=60).stdout


def test_a_whole_output_is_read(output):
    found = loads.read(completed(output))
    assert len(found.latencies_ns) == 10
    assert min(found.latencies_ns) > 0
    assert found.evidence["statuses"] == "200:10"


def test_an_output_that_is_cut_anywhere_or_damaged_is_no_load(output):
    for end in range(0, len(output) - 1, 7):
        with pytest.raises(LabInvalid):
            loads.read(completed(output[:end]))
    for at in range(0, output.rindex(b'{"line":"end"'), 11):
        with pytest.raises(LabInvalid):
            loads.read(completed(output[:at] + bytes([output[at] ^ 1]) + output[at + 1 :]))


# ---- the page ----


def test_the_page_on_http_names_every_parameter_and_its_plan_makes_sense():
    page = (Path(__file__).parent.parent / "docs" / "http.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(plan.parse(tomllib.loads(text), where="docs/http.md").cases) == 5
    for name in {*Requests.__struct_fields__, *Download.__struct_fields__}:
        assert f"`{name}`" in page
    assert all(f"`{name}`" in page for name in TROUBLES)


def test_what_wrk_adds_to_its_latencies_is_added_to_ours_where_the_two_are_held_together():
    assert as_wrk_corrects([1, 5, 6, 10], 3) == [1, 5, 6, 10, 7, 4]


def test_a_guest_of_another_architecture_gets_no_probe_that_it_cannot_run(lab):
    def answer(argv, _stdin, _files):
        assert argv[1] == "facts"
        return completed(b'{"architecture":"another"}')

    target = Fake(answer)
    target.lab = lab
    with pytest.raises(NotSupported, match="for this host's architecture alone"):
        load("https://127.0.0.1:1/", gateway="127.0.0.1", ca="/etc/hostname").run(target)


def test_nginx_is_asked_for_its_counts_directly_whatever_proxy_the_environment_names(lab, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with origins.nginx(lab, size_bytes=1) as origin:
        assert origin.asked() > 0
