"""Foreign files become runs: recognised by what is in them, read as a whole, kept with the file itself, or not at all.

A run is made in a folder of its own and appears under its name when it is complete. Its id is the time that the file
states and a hash of what it says, so the same content is found again and never counted twice.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchproof import __version__, foreign, report
from benchproof.errors import StoreError, UsageError
from benchproof.foreign import Origin
from benchproof.importers import FORMATS, Format, Glimpse, Imported, Unreadable, read_as, strict
from benchproof.model import Frozen
from benchproof.store import bundle

_HEAD_BYTES = 64 << 10
_PARTS = 4  # of a path: enough to tell files of one name apart, too few to tell of the machine
_HASH_DIGITS = 12
_UNDATED = "0000-undated"  # sorts before every time: the last run is never one of these
_DRAFTS = "importing"


class Kept(Frozen, frozen=True):
    """A run that is in the store now. `new`: it was not there before."""

    run_id: str
    targets: tuple[str, ...]
    results: int
    new: bool


class Taken(Frozen, frozen=True):
    """What became of one file."""

    file: str
    format: str
    runs: tuple[Kept, ...]


def take(path: Path, home: Path, *, form: str = "", target: str = "", labels: dict[str, str] | None = None) -> Taken:
    """Import every run of a file. Raises UsageError if it cannot be read, StoreError if it cannot be kept."""
    content = contents(path)
    form = form or recognised(content, str(path))
    runs = [foreign.renamed(each, target) for each in read_as(form, content, str(path))]
    where = strict.plain("/".join(path.parts[-_PARTS:]).lstrip("/"))
    bundle.try_folder(home / "runs")
    kept = [_keep(run, content, home, _origin(run, form, where, target), labels or {}) for run in runs]
    return Taken(file=strict.plain(str(path)), format=form, runs=tuple(kept))


def contents(path: Path) -> bytes:
    """All of a regular file that is not too long. Raises Unreadable; nothing is waited for."""
    try:
        with open(path, "rb", opener=_at_once) as file:  # it closes what is no file; os.fdopen does not
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable(str(path), "", "expected a file, found a pipe, a device or a socket")
            content = file.read(strict.LIMIT_BYTES + 1)
    except IsADirectoryError as error:
        raise Unreadable(str(path), "", "expected a file, found a folder") from error
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise Unreadable(str(path), "", f"cannot be read: {found}") from error
    if len(content) > strict.LIMIT_BYTES:
        raise Unreadable(str(path), "", f"longer than {strict.LIMIT_BYTES >> 20} MiB; no recorded run is")
    return content


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def recognised(content: bytes, name: str) -> str:
    """The one format that the content looks like. Raises Unreadable."""
    problem = ""
    try:
        document = strict.document(content, name)
    except Unreadable as error:
        document, problem = None, str(error).removeprefix(f"{name}: ")
    glimpse = Glimpse(head=content[:_HEAD_BYTES].decode(errors="replace"), document=document)
    found = [form for form in FORMATS.names() if _looks_like(form, glimpse)]
    if len(found) == 1:
        return found[0]
    known = f"name its format with --format: {', '.join(FORMATS.names())}"
    if found:
        raise Unreadable(name, "", f"it may be of {' or '.join(found)}; {known}")
    hint = f" (as JSON: {problem})" if problem and glimpse.head.lstrip()[:1] in {"{", "["} else ""
    raise Unreadable(name, "", f"of no format that is known{hint}; {known}")


def _looks_like(form: str, glimpse: Glimpse) -> bool:
    known: Format = FORMATS.load(form)
    return known.sniff(glimpse)


def _origin(run: Imported, form: str, where: str, target: str) -> Origin:
    return Origin(
        format=form, tool=run.tool, version=run.version, file=where, sha256="", target=target, notes=run.notes
    )


def _keep(run: Imported, content: bytes, home: Path, origin: Origin, labels: dict[str, str]) -> Kept:
    """The run of that content in the store, written now unless it is there."""
    content = run.content or content
    digest = hashlib.sha256(content).hexdigest()
    origin = msgspec.structs.replace(origin, sha256=digest)
    run_id = f"{_moment(run.created_at)}-{digest[:_HASH_DIGITS]}"
    place = home / "runs" / run_id
    targets = tuple(dict.fromkeys(each.target for each in run.results))
    if place.exists():
        _refuse_another(bundle.load(place), origin, run.labels | labels)
        return Kept(run_id, targets, len(run.results), new=False)
    with _draft(home, run_id) as draft:
        _write(draft, run, content, origin, run_id, labels)
        new = _published(draft, place)
    return Kept(run_id, targets, len(run.results), new=new)


def _moment(created_at: str) -> str:
    return f"{datetime.fromisoformat(created_at):%Y%m%dT%H%M%SZ}" if created_at else _UNDATED


def _refuse_another(there: bundle.Run, origin: Origin, labels: dict[str, str]) -> None:
    """The same content under other names is the same run: it cannot be there twice."""
    stated = foreign.origin_of(there)
    if stated is None or stated.sha256 != origin.sha256:
        raise StoreError(f"run {there.manifest.run_id} is there and is another one; remove it or import elsewhere")
    if (stated.format, stated.target, there.manifest.labels) != (origin.format, origin.target, labels):
        words = ", ".join(f"{key}={value}" for key, value in there.manifest.labels.items()) or "no labels"
        named = f"target '{stated.target}', " if stated.target else ""
        raise UsageError(
            f"{origin.file} is imported already, as run {there.manifest.run_id} ({stated.format}, {named}{words}); "
            "remove that folder to import it in another way"
        )


@contextlib.contextmanager
def _draft(home: Path, run_id: str) -> Iterator[Path]:
    """A folder in which a run is made; gone afterwards, whatever happened. Raises StoreError."""
    try:
        (home / _DRAFTS).mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=home / _DRAFTS))
    except OSError as error:
        raise StoreError(f"cannot write to '{home}': {error.strerror}; name another folder with --home") from error
    try:
        yield folder / run_id
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another import is using it
            (home / _DRAFTS).rmdir()


def _write(draft: Path, run: Imported, content: bytes, origin: Origin, run_id: str, labels: dict[str, str]) -> None:
    """The whole run, sealed."""
    created_at = run.created_at or datetime.now(UTC).isoformat(timespec="seconds")
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=run_id,
        benchproof=__version__,
        created_at=created_at,
        state="running",
        plan={foreign.KEY: msgspec.to_builtins(origin)},
        seed=0,
        definitions=[],
        files={},
        labels=run.labels | labels,
    )
    out = bundle.Bundle.create(draft, manifest, foreign.envelopes_of(run), {origin.sha256: content})
    with contextlib.closing(out):
        out.extend(foreign.results_of(run, run_id, created_at))
        written = bundle.load(draft)
        complete = msgspec.structs.replace(written.manifest, state="complete")
        out.seal(report.encoded(report.build(msgspec.structs.replace(written, manifest=complete))))


def _published(draft: Path, place: Path) -> bool:
    """Under its name from now on, in one step; False if someone else was faster with the same run."""
    try:
        draft.rename(place)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise StoreError(f"cannot write '{place}': {error.strerror}; name another folder with --home") from error
    return True
