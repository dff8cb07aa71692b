"""A run as a folder: manifest, envelope, results, warm-ups, logs, objects, report.

Each result is on disk, flushed and synced, before the next invocation starts. Each line carries a hash over itself
and the line before, so that a run that was killed is as verifiable as a whole one; a torn last line is the invocation
that was in flight and is dropped on resume. The manifest holds the hash of every other file, and its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchproof.analysis.calibrate import Calibrated
from benchproof.envelope import fingerprint
from benchproof.errors import StoreError, UsageError
from benchproof.model import SMOKE_BLOCK, WARMUP_BLOCK, Envelope, Frozen, Result

FORMAT = 1
RESULTS, WARMUPS, SMOKES, ENVELOPE, MANIFEST, REPORT = (
    "results.jsonl",
    "warmups.jsonl",
    "smokes.jsonl",
    "envelope.json",
    "manifest.json",
    "report.json",
)
_LINES = (RESULTS, WARMUPS, SMOKES)  # files that grow; runs of earlier versions have no smokes
_FILE_OF_BLOCK = {WARMUP_BLOCK: WARMUPS, SMOKE_BLOCK: SMOKES}
_CHAIN = re.compile(rb',"chain":"([0-9a-f]{64})"}\Z')
_LINE_LIMIT_BYTES = 64 << 20
_ENCODER = msgspec.json.Encoder()
_RESULT = msgspec.json.Decoder(Result)


class Manifest(Frozen, frozen=True):
    """What the run is, and the hashes that hold it together."""

    format: int
    run_id: str
    benchproof: str  # version
    created_at: str
    state: str  # running | complete
    plan: dict[str, Any]
    seed: int
    definitions: list[dict[str, Any]]
    files: dict[str, str]  # path within the run -> sha256; of the growing files only once the run is complete
    labels: dict[str, str] = msgspec.field(default_factory=dict)  # commit, branch, tag and the user's own
    calibration: Calibrated = Calibrated()  # the A/A floors that held when the run began
    seal: str = ""  # sha256 of this manifest with an empty seal


class Run(Frozen, frozen=True):
    """A run as it is read back. `results`, `warmups` and `smokes` in the order in which they were recorded."""

    path: Path
    manifest: Manifest
    envelopes: dict[str, Envelope]
    target_envelopes: dict[str, str]  # target -> hash of its envelope; absent where it could not be described
    results: tuple[Result, ...]
    warmups: tuple[Result, ...]
    smokes: tuple[Result, ...] = ()
    trusted: frozenset[str] = frozenset()  # tools whose imports the user takes as verified; never read from the disk


class _Envelopes(Frozen, frozen=True):
    envelopes: dict[str, Envelope]
    targets: dict[str, str]


class Bundle:
    """A run that is being written. Raises StoreError when it cannot be; what was recorded before stays whole."""

    def __init__(self, path: Path, manifest: Manifest, lock: int) -> None:
        self.path = path
        self.manifest = manifest
        self._chains = {name: last_chain(path / name) for name in _LINES}
        self._log_count = len(list((path / "logs").glob("*")))
        self._lock = lock

    @classmethod
    def create(
        cls, path: Path, manifest: Manifest, envelopes: dict[str, Envelope], objects: dict[str, bytes]
    ) -> Bundle:
        """Start a run: an empty folder becomes a bundle. `envelopes` by target."""
        try:
            for folder in ("logs", "objects"):
                (path / folder).mkdir(parents=True, exist_ok=True)
            content = _Envelopes(
                envelopes={fingerprint(envelope): envelope for envelope in envelopes.values()},
                targets={target: fingerprint(envelope) for target, envelope in envelopes.items()},
            )
            files = {ENVELOPE: _write(path / ENVELOPE, _pretty(content))}
            for name, data in objects.items():
                files[f"objects/{name}"] = _write(path / "objects" / name, data)
            for name in _LINES:
                _write(path / name, b"")
            bundle = cls(path, msgspec.structs.replace(manifest, files=files), _locked(path))
            bundle._write_manifest()
        except BaseException as error:
            shutil.rmtree(path, ignore_errors=True)  # it holds no result yet
            if isinstance(error, OSError):
                raise _cannot_write(path, error) from error
            raise
        return bundle

    @classmethod
    def resume(cls, run: Run) -> Bundle:
        """Go on with a run that was ended: drop the torn last lines and the logs that no result names."""
        lock = _locked(run.path)
        try:
            _tidy(run)
        except BaseException:
            os.close(lock)
            raise
        return cls(run.path, run.manifest, lock)

    def close(self) -> None:
        """Let others resume the run."""
        os.close(self._lock)

    def write_log(self, name: str, content: bytes) -> tuple[str, str]:
        """Keep a log; returns its path within the run and its hash."""
        path = f"logs/{self._log_count:04d}-{name}.txt"
        self._log_count += 1
        try:
            return path, _write(self.path / path, content)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def append(self, result: Result) -> None:
        """Record one result; when this returns it is on the disk."""
        self._record(_FILE_OF_BLOCK.get(result.block, RESULTS), (result,))

    def extend(self, results: Iterable[Result]) -> None:
        """Record results that are there already, none of them of warm-up or tier 0; all of them or none."""
        self._record(RESULTS, results)

    def _record(self, name: str, results: Iterable[Result]) -> None:
        chain, lines = self._chains[name], []
        for result in results:
            body = _ENCODER.encode(result)
            chain = _link(chain, body)
            lines.append(body[:-1] + b',"chain":"' + chain.encode() + b'"}\n')
        try:
            _append(self.path / name, b"".join(lines))
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._chains[name] = chain

    def seal(self, report: bytes) -> None:
        """The run is complete: write its report, hash every file, seal the manifest."""
        try:
            _write(self.path / REPORT, report)
            files = {str(file.relative_to(self.path)): _sha256(file) for file in members(self.path)}
            self.manifest = msgspec.structs.replace(self.manifest, state="complete", files=files)
            self._write_manifest()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _write_manifest(self) -> None:
        self.manifest = msgspec.structs.replace(self.manifest, seal=seal_of(self.manifest))
        _write(self.path / MANIFEST, _pretty(self.manifest))


def load(path: Path) -> Run:
    """Read a run back. Raises StoreError if it is none or is damaged; a torn last line is left out."""
    run = _outline(path)
    try:
        results, warmups = (tuple(result for result, _ in read_lines(path / name)) for name in (RESULTS, WARMUPS))
        smokes = tuple(result for result, _ in read_lines(path / SMOKES)) if (path / SMOKES).exists() else ()
    except OSError as error:
        raise _unreadable(path, error) from error
    return msgspec.structs.replace(run, results=results, warmups=warmups, smokes=smokes)


def _outline(path: Path) -> Run:
    if not path.is_dir():
        raise StoreError(f"no run at '{path}'; `benchproof list runs` shows what there is")
    for name in (MANIFEST, ENVELOPE, *_LINES, REPORT):  # a pipe would be waited for without end
        if os.path.lexists(path / name) and not stat.S_ISREG((path / name).lstat().st_mode):
            raise StoreError(f"'{path}' is damaged: {name} is not a regular file")
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
        envelopes = msgspec.json.decode((path / ENVELOPE).read_bytes(), type=_Envelopes)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(path, error) from error
    _refuse_missing_envelopes(path, envelopes)
    return Run(
        path=path,
        manifest=manifest,
        envelopes=envelopes.envelopes,
        target_envelopes=envelopes.targets,
        results=(),
        warmups=(),
    )


def _unreadable(path: Path, error: Exception) -> StoreError:
    if isinstance(error, FileNotFoundError):
        begun = f"'{path}' is no run, or one that was ended before its first invocation"
        return StoreError(f"{begun}: {error.filename} is missing")
    if isinstance(error, OSError):
        return StoreError(f"'{error.filename or path}' cannot be read: {error.strerror}; is it this user's to read?")
    return StoreError(f"'{path}' is damaged: {error}")


def load_sealed(path: Path) -> Run:
    """A run that is what its manifest says: what a decision may be made from. Raises StoreError for any other."""
    run = load(path)
    _refuse_unsealed(path, run.manifest)
    return run


def outline_sealed(path: Path) -> Run:
    """As `load_sealed`, without the results: for who reads them line by line, however many there are."""
    run = _outline(path)
    try:
        _refuse_unsealed(path, run.manifest)
    except OSError as error:
        raise _unreadable(path, error) from error
    return run


def _refuse_unsealed(path: Path, manifest: Manifest) -> None:
    if manifest.format != FORMAT:
        raise StoreError(f"'{path}': expected format {FORMAT}, found {manifest.format}")
    if encoded(manifest) != (path / MANIFEST).read_bytes() or seal_of(manifest) != manifest.seal:
        raise StoreError(f"'{path}' is damaged: {MANIFEST} is not as it was sealed")
    if manifest.state == "complete":
        for name in {*grown(path), *manifest.files.keys() & {SMOKES}, ENVELOPE}:
            if not (path / name).exists() or manifest.files.get(name) != _sha256(path / name):
                raise StoreError(f"'{path}' is damaged: {name} is not the file that was sealed")
    elif not all(fits for name in grown(path) for _, fits in read_lines(path / name)):
        raise StoreError(f"'{path}' is damaged: a line of its results is not as it was recorded")


def grown(path: Path) -> tuple[str, ...]:
    """The files of a run that grow line by line, those that it has."""
    return tuple(name for name in _LINES if name != SMOKES or (path / SMOKES).exists())


def _refuse_missing_envelopes(path: Path, found: _Envelopes) -> None:
    for target, key in found.targets.items():
        if key not in found.envelopes:
            raise StoreError(f"'{path}' is damaged: {ENVELOPE} has no envelope of target '{target}'")


def read_lines(path: Path) -> Iterator[tuple[Result, bool]]:
    """Each whole line as a result, and whether its hash fits. Raises StoreError at a line that is no result."""
    chain, where = "", f"{path.parent.name}/{path.name}"
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LINE_LIMIT_BYTES), b""), start=1):
            if not line.endswith(b"\n"):
                return  # torn: the invocation that was in flight
            match = _CHAIN.search(line[:-1])
            if match is None:
                raise StoreError(f"{where}, line {number}: expected a result with its chain, found {line[:60]!r}")
            body = line[: match.start()] + b"}"
            try:
                result = _RESULT.decode(body)
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                raise StoreError(f"{where}, line {number}: {error}") from error
            fits = _link(chain, body) == match[1].decode()
            chain = match[1].decode()
            yield result, fits


def try_folder(path: Path) -> None:
    """Raises StoreError where no run can be written: better before the work than after it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"room")
    except OSError as error:
        raise StoreError(f"cannot write to '{path}': {error.strerror}; name another folder with --home") from error


def _locked(path: Path) -> int:
    """A descriptor that holds the run for us alone. Raises UsageError if someone else writes to it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"run '{path.name}' is still being written by another benchproof") from error
    return descriptor


def last_chain(path: Path) -> str:
    """The hash of the last whole line, empty at the start."""
    if not path.exists():
        return ""
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    match = _CHAIN.search(whole[-1][:-1]) if whole else None
    return match[1].decode() if match else ""


def seal_of(manifest: Manifest) -> str:
    """The hash that the manifest must carry."""
    return hashlib.sha256(_pretty(msgspec.structs.replace(manifest, seal=""))).hexdigest()


def encoded(manifest: Manifest) -> bytes:
    """The manifest's only valid form on disk."""
    return _pretty(manifest)


def members(path: Path) -> list[Path]:
    """Every file of a run except its manifest; what is no regular file is none of it."""
    return sorted(each for each in path.rglob("*") if stat.S_ISREG(each.lstat().st_mode) and each != path / MANIFEST)


def strangers(path: Path) -> list[Path]:
    """What no run holds: links, pipes, devices, other folders."""
    folders = {path / "logs", path / "objects"}
    return sorted(
        each
        for each in path.rglob("*")
        if not stat.S_ISREG(mode := each.lstat().st_mode) and not (stat.S_ISDIR(mode) and each in folders)
    )


def _link(chain: str, body: bytes) -> str:
    return hashlib.sha256(chain.encode() + body).hexdigest()


def _pretty(content: Frozen) -> bytes:
    return msgspec.json.format(_ENCODER.encode(content), indent=1) + b"\n"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> str:
    """Replace a file as a whole, or not at all; returns its hash."""
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return hashlib.sha256(content).hexdigest()


def _append(path: Path, line: bytes) -> None:
    """Add a line and sync it, or leave the file as it was."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            for start in iter(lambda: file.tell() - size, len(line)):  # a full disk takes a part, then refuses
                file.write(line[start:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def _tidy(run: Run) -> None:
    """Drop what the invocation in flight left: torn last lines, logs that no result names."""
    if odd := strangers(run.path):
        what = odd[0].relative_to(run.path)
        raise StoreError(f"'{run.path}' is damaged: {what} is neither a file nor a folder of a run")
    named = {log for result in (*run.results, *run.warmups, *run.smokes) for log in result.logs}
    for name in grown(run.path):
        _drop_torn_line(run.path / name)
    (run.path / "logs").mkdir(exist_ok=True)
    for log in (run.path / "logs").iterdir():
        if f"logs/{log.name}" not in named:
            log.unlink()


def _drop_torn_line(path: Path) -> None:
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write to '{path}': {error.strerror}; what was recorded before is whole: make room, then run --resume"
    )
