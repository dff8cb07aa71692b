"""A sandbox service behind HTTP, ours or a stranger's: what its interface is like, a description says.

A service that the plan names by `url` runs already; one that it gives words for is started with the run and ended with
it; with neither, the service that comes with benchproof is. All three are measured in the same way.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from benchproof.errors import InvocationError, NotSupported, UsageError
from benchproof.model import Facts, Lab
from benchproof.quantities import Duration
from benchproof.service import daemon, description, openapi
from benchproof.service.freshness import Freshness
from benchproof.service.http import refuse_bad
from benchproof.targets.host import Host
from benchproof.targets.observed import observe, sections
from benchproof.targets.sandboxes import Elsewhere, Origin, Sandbox, UsualImage, sandbox
from benchproof.targets.settings import Pinned

_TIMEOUT_S = 60.0
_FOUND_S = 10.0  # for a service that is said to run: who starts it waits for it with `start`


class SandboxService:
    """Sandboxes of one service."""

    class Settings(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`api`: a description of ours, or the path of one; `url`: a service that runs; `start`: words to start one.

        `backend`, `pool` and `options` are for the service that comes with benchproof. `image`: what each sandbox
        starts from. `token_env`, `token_file`: where the token is found. `mcp`: its MCP endpoint.
        """

        api: str = "sandboxd"
        url: str = ""
        start: tuple[str, ...] = ()
        backend: str = ""
        pool: int = 0
        options: tuple[str, ...] = ()
        image: str = ""
        mcp: str = ""
        token_env: str = ""
        token_file: str = ""
        start_timeout: Duration = Duration(120)

        def __post_init__(self) -> None:
            super().__post_init__()
            given = [key for key in ("backend", "pool", "options") if getattr(self, key)]
            if given and (self.url or self.start):
                raise UsageError(
                    f"{given[0]}: expected neither url nor start beside it: it is for the embedded service"
                )
            if self.url and not self.start and self.cpus:
                raise UsageError("cpus: expected a service that is started here, found the url of one that runs")
            if self.token_env and self.token_file:
                raise UsageError("token_env: expected no token_file beside it")
            if self.url:
                refuse_bad(self.url.replace("{port}", "1"))
            if not 0 <= self.pool <= 1024:
                raise UsageError(f"pool: expected 0 to 1024 sandboxes, found {self.pool}")

        def refuse_missing(self) -> None:
            super().refuse_missing()
            found = description.load(self.api)
            if not (self.url or self.start or found.start):
                raise UsageError(f"url: expected the address of a service of api '{self.api}', or words to `start` one")
            daemon.refuse_missing(self.start, self.url)
            if self.token_file and not Path(self.token_file).is_file():
                raise UsageError(f"token_file: expected a file, found none: '{self.token_file}'")

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab
        self._running: daemon.Running | None = None
        self._freshness = Freshness()

    @cached_property
    def description(self) -> description.Description:
        """Of the interface. An OpenAPI document that is behind an address is fetched once, without a token."""
        found = description.load(self.settings.api)
        if "://" not in found.openapi:
            return found
        where = Path(self.settings.api).name
        return description.checked(description.resolved(found, openapi.fetch(found.openapi, where), where), where)

    # ---- Served ----

    @contextlib.contextmanager
    def serve(self) -> Iterator[daemon.Running]:
        """A process of its own, just started."""
        with self._served() as running:
            yield running

    def serve_in(self, folder: Path) -> contextlib.AbstractContextManager[daemon.Running]:
        """The same with its state in a folder that is there before and after it: to see what it does when it is killed.

        What it started then lives on, unless it saw to that itself; leaving the context ends it all the same.
        """
        return self._served(folder)

    @contextlib.contextmanager
    def reached(self, url: str) -> Iterator[Elsewhere]:
        """The same interface at another address: a service of its own, or the usual one by way of something between."""
        with contextlib.closing(
            daemon.Running(self.description, url=url, headers=self._headers, mcp=self.settings.mcp)
        ) as running:
            yield Elsewhere(Origin(running.calls, self.lab, self._freshness), self.settings.image or None)

    @contextlib.contextmanager
    def _served(self, folder: Path | None = None) -> Iterator[daemon.Running]:
        if not self._words:
            raise NotSupported("the service runs already, at the url in the plan", missing="words to `start` one")
        with daemon.served(
            self.description,
            self._words,
            lab=self.lab,
            headers=self._headers,
            url=self.settings.url,
            mcp=self.settings.mcp,
            token_file=self.settings.token_file,
            cpus=self.settings.cpu_numbers,
            folder=folder,
        ) as running:
            yield running

    def service(self) -> daemon.Running:
        """Ready; started at first use, and kept until the run ends. Raises StartFailed."""
        if self._running is None:
            with contextlib.ExitStack() as life:
                running = life.enter_context(self.serve() if self._words else self._found())
                patience_s = float(self.settings.start_timeout)
                running.await_ready(timeout_s=patience_s if self._words else min(patience_s, _FOUND_S))
                self.lab.until_closed.push(life.pop_all())
            self._running = running
        return self._running

    @contextlib.contextmanager
    def _found(self) -> Iterator[daemon.Running]:
        with contextlib.closing(
            daemon.Running(
                self.description,
                url=self.settings.url,
                headers=self._headers,
                mcp=self.settings.mcp,
                token_file=self.settings.token_file,
            )
        ) as running:
            yield running

    @property
    def _words(self) -> tuple[str, ...]:
        """That start it; none where it runs already."""
        if self.settings.start or self.settings.url:
            return self.settings.start
        backend = ("--backend", self.settings.backend) if self.settings.backend else ()
        pool = ("--pool", str(self.settings.pool)) if self.settings.pool else ()
        token = ("--token-file", self.settings.token_file) if self.settings.token_file else ()
        return (*self.description.start, *backend, *pool, *token, *self.settings.options)

    @cached_property
    def _headers(self) -> dict[str, str]:
        """With the token, if there is one. Raises NotSupported where it is not to be found."""
        if not (self.settings.token_env or self.settings.token_file):
            return {}
        name, _, value = self.description.token.partition(":")
        return {name.strip(): value.strip().replace("{token}", self._token())}

    def _token(self) -> str:
        if self.settings.token_env:
            found = os.environ.get(self.settings.token_env, "").strip()
            missing = f"set {self.settings.token_env}"
        else:
            try:
                found = Path(self.settings.token_file).read_text().strip()
            except OSError as error:
                raise NotSupported(f"the token cannot be read: {error.strerror}", missing="token_file") from error
            missing = f"write it into '{self.settings.token_file}'"
        if not found or not found.isascii() or not found.isprintable():
            raise NotSupported("the service's token is not there, or no line of text", missing=missing)
        return found

    # ---- Forkable ----

    def facts(self) -> Facts:
        running = self.service()
        version = str(running.calls.health().get("version", ""))
        with self.start() as instance:
            observed = self._observed(instance)
        here = Host(Host.Settings(), self.lab).facts()["machine"]
        same_processor = observed.get("cpu") == here.get("cpu")  # a service may emulate, or be elsewhere
        declared = {
            "api": self.description.title or self.settings.api,
            "api_sha256": self.description.sha256,
            "service_version": version,
            "served": self._how(running),
            "command": " ".join(self._words),
            "image": self.settings.image,
        }
        return sections(
            observed,
            execution="native" if same_processor else "unknown",
            cpus=(),  # those of the service, which a guest in it need not see
            kind="service",
            **{name: value for name, value in declared.items() if value},
        )

    def _how(self, running: daemon.Running) -> str:
        if self._words:
            return "started with the run"
        return "loopback" if running.calls.client.is_loopback else "remote"

    def _observed(self, instance: Sandbox) -> dict[str, str]:
        """By the probe; where it does not run in there, by the system's own commands."""
        try:
            runs = instance.run([instance.probe, "exit", "0"], timeout_s=_TIMEOUT_S).exit_status == 0
        except InvocationError as error:
            self.lab.log("service", f"no probe in there: {error}\n".encode())
            runs = False
        if runs:
            return observe(instance)
        with self.start() as other:  # the first may have been ended by its own trouble
            said = other.run(["uname", "-s", "-r", "-m"], timeout_s=_TIMEOUT_S)
        words = said.stdout.decode(errors="replace").split()
        if said.exit_status or len(words) != 3:
            raise NotSupported("neither the probe nor `uname` runs in a sandbox of this service")
        return dict(zip(("os", "kernel", "architecture"), words, strict=True)) | {"probe_runs": "no"}

    @contextlib.contextmanager
    def start(self) -> Iterator[Sandbox]:
        with sandbox(self._origin, self.settings.image or None) as started:
            yield started

    def cold(self) -> contextlib.AbstractContextManager[Sandbox]:
        """A service starts a sandbox as it sees fit."""
        raise NotSupported("a service cannot be asked for a start from nothing", missing='start = "snapshot"')

    def image(self) -> UsualImage:
        """What a sandbox usually starts from: the service knows how."""
        return UsualImage(self._origin, self.settings.image or None)

    @property
    def _origin(self) -> Origin:
        return Origin(self.service().calls, self.lab, self._freshness)
