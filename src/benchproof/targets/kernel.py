"""Any system that QEMU boots and that measures itself: it needs nothing but a serial console to say what it did.

Each question is one start, or the pair of starts of exact mode: nothing is asked of a system that answered before.
Where a system cannot choose what to run (`shared`), one start answers each question once; one that comes again, in the
next block or as a retry, starts it anew. What a console is worth is decided in `benchproof.protocol`.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import NoReturn

import msgspec

from benchproof import noise
from benchproof.errors import LabInvalid, NotSupported, TargetFailed
from benchproof.guest import console, ports
from benchproof.guest.appliance import Appliance
from benchproof.guest.architecture import X86_64, Architecture, emulated_by
from benchproof.guest.hardware import emulator_version
from benchproof.model import Clock, Completed, Facts, Frozen, Lab, Noise, Reported
from benchproof.protocol import faults, grammar, transcript
from benchproof.protocol.transcript import Ended, Heard, Transcript
from benchproof.targets.settings import KernelSettings

_MARK = b"@bp "
_RELEASE = frozenset({"", "release"})
_MUTE = "no program can be started in it: it speaks by its console alone"
_HOW = 'a target of kind "qemu" for what needs a program'


class _Spoken(Frozen, frozen=True):
    """What one start said, or the two of an exact pair, and which questions it has answered."""

    recordings: tuple[console.Recording, ...]
    token: str
    noise: Noise
    answered: set[str] = msgspec.field(default_factory=set)


class _Speaking:
    """What a benchmark sees: something that reports and can do nothing else."""

    probe = ""
    cat = ()

    def __init__(self, target: Kernel) -> None:
        self._target = target
        self.clock: Clock = "instructions" if target.settings.exact else "target"

    def report(self, name: str, *, timeout_s: float) -> Reported:
        return self._target.report(name, timeout_s=timeout_s)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        del argv, stdin, timeout_s
        _raise_mute()

    def put(self, source: Path, name: str) -> str:
        del source, name
        _raise_mute()

    def get(self, path: str) -> bytes:
        del path
        _raise_mute()


def _raise_mute() -> NoReturn:
    raise NotSupported(f"not_applicable: {_MUTE}", missing=_HOW)


class Kernel:
    """Starts of one image on one machine."""

    Settings = KernelSettings

    def __init__(self, settings: KernelSettings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab
        self.grammar = self._grammar(settings)
        self._spoken: _Spoken | None = None
        self._booted_first: list[tuple[int, int]] = []  # size and time of change of image and initrd of the first start

    @staticmethod
    def _grammar(settings: KernelSettings) -> grammar.Grammar:
        found = grammar.of(settings.grammar)
        return msgspec.structs.replace(found, names=found.names | settings.names)

    @contextlib.contextmanager
    def start(self) -> Iterator[_Speaking]:
        """Nothing runs before a question is asked."""
        self.machine.refuse_no_kernel()
        yield _Speaking(self)

    # ---- the machine ----

    @cached_property
    def architecture(self) -> Architecture:
        """What the emulator plays. Raises NotSupported where it is not installed."""
        found = emulated_by(self.settings.emulator or X86_64.emulator)
        emulator_version(found)
        return found

    @cached_property
    def machine(self) -> Appliance:
        """With the accelerator that works. Raises NotSupported where KVM was demanded and does not."""
        emulated = self._emulated
        return emulated if self.kvm_trouble else emulated.with_kvm()

    @cached_property
    def _emulated(self) -> Appliance:
        hardware = self.settings.hardware(self.architecture)
        if self.settings.forward:
            hardware = msgspec.structs.replace(hardware, network=True)
        return Appliance(
            **msgspec.structs.asdict(hardware),
            image=Path(self.settings.image).absolute(),
            initrd=Path(self.settings.initrd).absolute() if self.settings.initrd else None,
            arguments=self.settings.arguments,
            reboot=self.settings.reboot,
        )

    @cached_property
    def kvm_trouble(self) -> str:
        """Why KVM is not used; empty if it is."""
        return self.settings.kvm_trouble(
            lambda: console.kvm_verdict(self._emulated, supervisor=self.lab.probe, cache=self.lab.cache)
        )

    # ---- what it says ----

    def facts(self) -> Facts:
        """From one start in which it runs all that it has, so that its clock is seen for as long as can be."""
        self.machine.refuse_no_kernel()
        spoken = self._boot("", timeout_s=float(self.settings.timeout))
        said, *_ = [each.described() for each in self._transcripts(spoken)]
        self._refuse_fallen(spoken)
        trouble = self.kvm_trouble if self.machine.accel == "tcg" else ""
        return {
            "machine": self.machine.facts(accel_reason=trouble),
            "system": self._booted() | self._labels(said) | said,
        }

    def _booted(self) -> dict[str, str]:
        settings, machine = self.settings, self.machine
        words = " ".join(self._words("", "TOKEN"))
        found = {
            "kind": "kernel",
            "image_sha256": _sha256(machine.image),
            "initrd_sha256": _sha256(machine.initrd) if machine.initrd else "",
            "command": " ".join(machine.described().command(monitor="FD", arguments=words)),
            "start": "cold",
            "ends": settings.ends,
            "shared": "one start for each block" if settings.shared else "",
        }
        return {fact: value for fact, value in found.items() if value}

    def _labels(self, said: dict[str, str]) -> dict[str, str]:
        """What every report has to say of it beside its name."""
        stated = said.get("stated_build", "")
        build = self.settings.build or ("" if stated in _RELEASE else stated)
        unshown = [] if said.get("freshness") == "token" else ["freshness of its transcripts"]
        unshown += ["pace of its clock"] if said.get("pace") == "not shown" else []
        found = {
            "build_label": f"{build} build" if build else "",
            "tolerate_label": f"tolerated: {', '.join(map(repr, self.settings.tolerate))}"
            if self.settings.tolerate
            else "",
            "unshown_label": f"not shown: {', '.join(unshown)}" if unshown else "",
        }
        return {fact: value for fact, value in found.items() if value}

    def report(self, name: str, *, timeout_s: float) -> Reported:
        """What it says of our benchmark `name`. Raises InvocationError."""
        spoken = self._asked(name, min(timeout_s, float(self.settings.timeout)))
        found, *_ = [each.of(name) for each in self._transcripts(spoken)]
        self._refuse_fallen(spoken)
        if difference := _difference(spoken.recordings, self.grammar):
            raise LabInvalid(f"two exact runs do not agree: {difference}")
        leads = ", ".join(f"{ports.ADDRESS}:{ours} to {theirs}" for theirs, ours in spoken.recordings[0].leads.items())
        known = {"protocol.ended": spoken.recordings[0].how} | ({"protocol.ports": leads} if leads else {})
        around = spoken.noise if self.settings.shared else None  # of a start of its own, the runner sees it
        return msgspec.structs.replace(found, evidence=found.evidence | known, noise=around)

    def _asked(self, name: str, timeout_s: float) -> _Spoken:
        """A start that has not answered this question yet; what it said is kept with each that it answers."""
        if not self.settings.shared:
            return self._boot(name, timeout_s=timeout_s)
        if self._spoken is None or name in self._spoken.answered:
            self._spoken = None  # also where the next start fails
            self._spoken = self._boot("", timeout_s=timeout_s)
        else:
            self._log(self._spoken.recordings)
        self._spoken.answered.add(name)
        return self._spoken

    def _boot(self, name: str, *, timeout_s: float) -> _Spoken:
        """One start, or the two of exact mode, side by side, with the same words."""
        self._refuse_another_image()
        token = secrets.token_hex(8) if self.settings.select else ""
        before = noise.snapshot()
        once = partial(
            console.record,
            self.machine,
            self._patience(timeout_s),
            supervisor=self.lab.probe,
            arguments=" ".join(self._words(name, token)),
            forward=self.settings.forward,
            records=self.lab.cache / "ports",
        )
        if self.settings.exact:
            with ThreadPoolExecutor(2) as pool:
                runs = [pool.submit(once) for _ in range(2)]
                recordings = tuple(each.result() for each in runs)
        else:
            recordings = (once(),)
        self._log(recordings)
        return _Spoken(recordings, token, noise.between(before, noise.snapshot()))

    def _refuse_another_image(self) -> None:
        """A build that is finished meanwhile would put two kernels under one name. Raises LabInvalid."""
        try:
            found = [path.stat() for path in (self.machine.image, self.machine.initrd) if path]
        except OSError as error:
            raise LabInvalid(f"the image cannot be read any more: {error.strerror}") from error
        identity = [(each.st_size, each.st_mtime_ns) for each in found]
        self._booted_first = self._booted_first or identity
        if self._booted_first != identity:
            raise LabInvalid("image or initrd is not the one with which the run began; start a new run")

    def _words(self, name: str, token: str) -> list[str]:
        """What is added to its command line; a name is one of its own."""
        if not self.settings.select:
            return []
        return [f"bp.token={token}", *([f"bp.run={self.grammar.names.get(name, name)}"] if name else [])]

    def _patience(self, timeout_s: float) -> console.Patience:
        return console.Patience(
            timeout_s=timeout_s,
            linger_s=float(self.settings.linger) if self.settings.ends == "line" else None,
            exit_status=self.settings.exit_status,
            is_over=lambda text: transcript.is_over(text, self.grammar),
            is_dead=lambda text: any(each.kind == "panic" for each in faults.find(text, self.settings.tolerate)),
        )

    def _log(self, recordings: Sequence[console.Recording]) -> None:
        for recording in recordings:
            self.lab.log("console", recording.text)
            if recording.stderr:
                self.lab.log("qemu", recording.stderr)

    def _transcripts(self, spoken: _Spoken) -> list[Transcript]:
        """Of every start: the second one of an exact pair has to end as well as the first."""
        return [
            Transcript(
                Heard(recording.text, recording.arrivals),
                ended=_ended(recording, self.settings),
                grammar=self.grammar,
                token=spoken.token,
                tolerate=self.settings.tolerate,
                exact=self.settings.exact,
            )
            for recording in spoken.recordings
        ]

    def _refuse_fallen(self, spoken: _Spoken) -> None:
        """A number and then a crash is a crash."""
        for recording in spoken.recordings:
            if recording.fell:
                raise TargetFailed(f"{recording.complaint}, after its transcript was whole")
            if self.settings.ends == "power-off" and recording.how == "exited":
                raise TargetFailed("the machine ended by itself, expected that it is powered off")


def _ended(recording: console.Recording, settings: KernelSettings) -> Ended:
    return Ended(
        how=recording.how,
        exit_status=recording.exit_status,
        expected_status=settings.exit_status if _is_debug_exit(recording, settings) else 0,
        complaint=recording.complaint,
        at_ns=recording.at_ns,
    )


def _is_debug_exit(recording: console.Recording, settings: KernelSettings) -> bool:
    """Whether the machine was to end with a status of its own; one that may end as it likes can do so or power off."""
    return settings.ends == "debug-exit" or (settings.ends == "line" and recording.how == "debug-exit")


def _difference(recordings: Sequence[console.Recording], spoken: grammar.Grammar) -> str:
    """Where the lines of an exact pair first differ, both sides; empty if they agree in every byte."""
    sides = [_protocol_lines(each.text, spoken) for each in recordings]
    for lines in zip_longest(*sides, fillvalue=b"nothing"):
        if len(set(lines)) > 1:
            return " and ".join(line[:120].decode(errors="replace") for line in lines)
    return ""


def _protocol_lines(text: bytes, spoken: grammar.Grammar) -> list[bytes]:
    """Of our own protocol its lines alone; of a dialect every line, since any may be one."""
    lines = text.splitlines()
    return [line for line in lines if line.startswith(_MARK)] if spoken.is_own else lines


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
