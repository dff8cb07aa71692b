"""What `http.requests` and `http.download` share: a load from within the target on an origin, by way of a proxy or not.

The load generator is the probe: see http.c. It looks at every byte of every body; here the counts are judged, those of
the origin too where it is ours. Nothing beyond the loopback is asked unless the plan says so.
"""

from __future__ import annotations

import contextlib
import ipaddress
import platform
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from benchproof import authority, oracles, probe
from benchproof.benchmarks.guest import origins, proxies
from benchproof.benchmarks.guest.inside import refuse_without_programs
from benchproof.benchmarks.guest.origins import Origin
from benchproof.benchmarks.guest.proxies import Proxy
from benchproof.errors import LabInvalid, NotSupported
from benchproof.model import (
    Authority,
    Definition,
    Frozen,
    Housed,
    Instance,
    Measurement,
    Networked,
    Observation,
    Target,
)
from benchproof.oracles import Evidence
from benchproof.probe import loads
from benchproof.quantities import Duration, Size

AUTHORITY = Authority(network=True)
CORPUS = "random bytes, new in each invocation, or the body that the plan states by its SHA-256"
WITHOUT_POSIX = "the same requests over the system's own network interface"
UNSUPPORTED = (
    "a target without a network to this host, or a missing nginx, mitmproxy or TLS library, with the way to it"
)
_FETCH_TIMEOUT_S = 120.0
_LONGER_S = 30.0  # than its own budget, for a probe to start, to hash and to say what it saw
_MOST_BYTES = 1 << 30
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[!-~]*)?")
_MARK = re.compile(r"[A-Za-z0-9-]+: [!-~]+( [!-~]+)*")
_LATE_SHARE = 0.01
_REACHED_SHARE = 0.95
TROUBLES = (
    "connect",
    "handshake",
    "proxy",
    "reset",
    "truncated",
    "timeout",
    "malformed",
    "status",
    "length",
    "body",
    "unmarked",
)


class Loaded(Frozen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parameters that both share; those of the load itself are the kind's own.

    `url`: what to ask, with `sha256` and `size` of the only right body; without one, nginx is started with a body of
    that size, over TLS where `https`. `ca`: a file with the certificate that an https origin's is signed by. `proxy`: a
    URL, or "mitmproxy" for one of our own; `proxy_mark`: a header (`NAME: VALUE`) by which a proxy marks each answer.
    `gateway`: the address at which the target reaches this host, where its kind does not tell. `beyond_loopback`: ask a
    host that is not this one. `timeout` is for each request, `budget` for all of them.
    """

    definition: ClassVar[Definition]

    url: str = ""
    sha256: str = ""
    size: Size = Size(1 << 10)
    https: bool = False
    ca: str = ""
    proxy: str = ""
    proxy_mark: str = ""
    gateway: str = ""
    beyond_loopback: bool = False
    timeout: Duration = Duration(5)
    budget: Duration = Duration(60)

    def __post_init__(self) -> None:
        if self.url and not _URL.fullmatch(self.url):
            raise ValueError(f"url: expected http://HOST[:PORT]/PATH, found '{self.url}'")
        if self.proxy not in {"", proxies.OURS} and not (
            _URL.fullmatch(self.proxy) and self.proxy.startswith("http://")
        ):
            raise ValueError(f"proxy: expected http://HOST:PORT or \"{proxies.OURS}\", found '{self.proxy}'")
        if bool(self.url) != bool(self.sha256) or (self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256)):
            raise ValueError("url, sha256: expected both, the second as 64 hex digits, or neither")
        if self.url and self.https:
            raise ValueError("https: expected it without a url, which has it in itself")
        if self.proxy_mark and not _MARK.fullmatch(self.proxy_mark):
            raise ValueError(f"proxy_mark: expected 'NAME: VALUE', found '{self.proxy_mark}'")
        if not 0 <= self.size <= _MOST_BYTES:
            raise ValueError(f"size: expected up to 1 GiB, found {float(self.size):g} B")
        if not 0 < self.timeout <= 3600 or not 0 < self.budget <= 3600:
            raise ValueError("timeout, budget: expected more than 0 s, and an hour at most")

    @property
    def count(self) -> int:
        """Requests that are timed."""
        raise NotImplementedError

    def words(self) -> dict[str, int]:
        """The load, as options of `probe http`."""
        raise NotImplementedError

    def measured(self, load: loads.Load) -> tuple[Measurement, ...]:
        """The metrics. `load` has at least one latency."""
        raise NotImplementedError

    def run(self, target: Target) -> Observation:
        """One invocation. Raises InvocationError."""
        if not isinstance(target, Housed):
            raise NotSupported("this target does not say in which room it is started", missing="`lab` on the target")
        with contextlib.ExitStack() as stack:
            origin = stack.enter_context(self._origin(target))
            proxy = stack.enter_context(proxies.named(target.lab, self.proxy, self.proxy_mark, origin))
            instance = stack.enter_context(target.start())
            refuse_without_programs(instance)
            return self._loaded(target, instance, origin, proxy)

    @contextlib.contextmanager
    def _origin(self, target: Housed) -> Iterator[Origin]:
        if self.url:
            ca = Path(self.ca) if self.ca else None
            yield Origin(url=self.url, sha256=self.sha256, size_bytes=int(self.size), ca=ca)
            return
        with origins.nginx(target.lab, size_bytes=int(self.size), https=self.https) as origin:
            yield origin

    def _loaded(self, target: Housed, instance: Instance, origin: Origin, proxy: Proxy) -> Observation:
        words = self._words(target, instance, origin, proxy)
        before = origin.asked() if origin.status_url else 0
        done = instance.run(words, timeout_s=float(self.budget) + _LONGER_S)
        load = loads.read(done)
        evidence = load.evidence | {
            "tick_ns": str(load.tick_ns),
            "summed_ns": str(sum(load.latencies_ns)),
            "shortest_ns": str(min(load.latencies_ns, default=0)),
            "longest_ns": str(max(load.latencies_ns, default=0)),
            "host_ns": str(done.elapsed_ns),
            "body_sha256": origin.sha256,
            "origin": origin.software or "stated by the plan",
            "proxy_software": proxy.software or ("stated by the plan" if proxy.url else "none"),
            "proxy_marks": "yes" if proxy.mark else "no",
        }
        if origin.status_url:
            evidence["origin_was_asked"] = str(origin.asked() - before - 1)  # the question itself is counted
        authority.check(evidence, self.definition.authority)
        oracles.refuse_starved(evidence)
        self.refuse_late(evidence)
        return Observation(measurements=self.measured(load) if load.latencies_ns else (), evidence=evidence)

    def _words(self, target: Housed, instance: Instance, origin: Origin, proxy: Proxy) -> list[str]:
        secure = origin.url.startswith("https")
        address = self._address(instance, proxy.url or origin.url)
        program, ca = self._with_tls(target, instance, proxy.ca or origin.ca) if secure else (instance.probe, "")
        options = {
            "--size": origin.size_bytes,
            "--sha256": origin.sha256,
            "--timeout-ns": round(self.timeout * 1e9),
            "--budget-ns": round(self.budget * 1e9),
            "--address": address,
            **({"--proxy": proxy.url} if proxy.url else {}),
            **({"--mark": proxy.mark} if proxy.mark else {}),
            **({"--ca": ca} if ca else {}),
            **self.words(),
        }
        return [program, "http", origin.url, *(str(word) for option in options.items() for word in option)]

    def _with_tls(self, target: Housed, instance: Instance, ca: Path | None) -> tuple[str, str]:
        """Where the larger probe and the certificate lie inside. Raises NotSupported, TargetFailed."""
        if ca is None:
            raise NotSupported(
                "nobody says whom to trust for https", missing='ca = "FILE" in the table of the benchmark'
            )
        facts = instance.run([instance.probe, "facts"], timeout_s=_LONGER_S).stdout
        if f'"architecture":"{platform.machine()}"'.encode() not in facts:
            raise NotSupported(
                "https: the probe with TLS is built for this host's architecture alone", missing="http://"
            )
        trusted = instance.put(ca, "ca.pem")
        program = f"{trusted.removesuffix('ca.pem')}probe-tls"
        with origins.file_server(probe.build_with_tls(target.lab.cache).path) as file:
            words = ["--size", str(file.size_bytes), "--sha256", file.sha256, "--store", "1", "--requests", "1"]
            words += [
                "--address",
                self._address(instance, file.url),
                "--timeout-ns",
                str(60 * 10**9),
                "--save",
                program,
            ]
            loads.read(instance.run([instance.probe, "http", file.url, *words], timeout_s=_FETCH_TIMEOUT_S))
        return program, trusted

    def _address(self, instance: Instance, url: str) -> str:
        """Of who is spoken to first, as the target has to call it. Raises NotSupported."""
        host = urlsplit(url).hostname or ""
        try:
            address = socket.gethostbyname(host)
        except OSError as error:
            raise NotSupported(f"the host of '{url}' has no address here: {error}", missing="an address") from error
        if not ipaddress.ip_address(address).is_loopback:
            if self.beyond_loopback:
                return address
            raise NotSupported(f"'{url}' is another machine's", missing="beyond_loopback = true, where that is meant")
        known = self.gateway or (instance.host_address if isinstance(instance, Networked) else "")
        if known:
            return address if known == origins.LOOPBACK else known
        raise NotSupported(
            "this target has no network to this host, or none that is known",
            missing='network = "host" in its table, or gateway = "ADDRESS" in the table of the benchmark',
        )

    def refuse_late(self, evidence: Evidence) -> None:
        """Raises LabInvalid where it was ourselves who did not send in time."""
        late = oracles.number(evidence, "late_by_own_fault")
        if late > self.count * _LATE_SHARE:
            raise LabInvalid(f"{late} of {self.count} requests went out 10 ms late, though a connection was free")

    def verify(self, observation: Observation) -> Iterator[str]:
        """The violations."""
        evidence, count = observation.evidence, self.count
        yield from _no_trouble(evidence)
        for name in ("begun", "answered"):
            yield from oracles.equals(evidence, name, count)
        yield from oracles.equals(evidence, "statuses", f"200:{count}")
        yield from oracles.equals(evidence, "body_bytes", count * int(self.size))
        if "origin_was_asked" in evidence:
            asked = count + oracles.number(evidence, "warmups")
            yield from oracles.equals(evidence, "origin_was_asked", asked)
        if self.proxy == proxies.OURS:
            yield from oracles.equals(evidence, "proxy_marks", "yes")
        yield from oracles.clocks_agree(evidence)
        yield from self._took_time(evidence)

    def _took_time(self, evidence: Evidence) -> Iterator[str]:
        timed, whole = oracles.number(evidence, "timed_ns"), oracles.number(evidence, "wall_ns")
        if oracles.number(evidence, "shortest_ns") < 1:
            yield "no request was answered, or one in no time"
        if not max(1, oracles.number(evidence, "longest_ns")) <= timed <= whole:
            yield f"a request took {evidence.get('longest_ns')} ns of {timed} ns that were timed of {whole} ns in all"

    def reached(self, evidence: Evidence, rate: int) -> Iterator[str]:
        """Of an open loop: the requests went out at the rate that was asked for."""
        sending = oracles.number(evidence, "sending_ns")
        found = (self.count - 1) / (sending / 1e9) if sending > 0 else 0.0
        if self.count > 1 and found < rate * _REACHED_SHARE:
            words = "every connection was waiting for an answer"
            yield f"rate: {rate} requests/s were intended, {found:.1f} went out: {words}"


def _no_trouble(evidence: Evidence) -> Iterator[str]:
    found = {name: evidence[name] for name in TROUBLES if evidence.get(name, "0") != "0"}
    if found or evidence.get("failed") != "0":
        kinds = ", ".join(f"{name} {count}" for name, count in found.items())
        first = evidence.get("first_failure", "nothing said")
        yield f"{evidence.get('failed')} of {evidence.get('begun')} requests failed ({kinds}); the first: {first}"
