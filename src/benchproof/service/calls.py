"""What a described service is asked, one method an operation, and what of each answer is believed: see `Description`.

Every trouble is a TargetFailed that begins with the operation. A status that is wrong, an error in an answer whose
status is right, an answer that is no JSON, a field that is not where the description says, or that is of another kind:
each is said with what was seen. 501 is NotSupported: the service has the route and cannot do it.
"""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlencode

import msgspec

from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Completed, Frozen
from benchproof.service import pointers
from benchproof.service.description import Description, Operation
from benchproof.service.http import Answer, Client

_INLINE_BYTES = 64 << 10  # of input within a command line, as base64 in one word
_CHUNK_BYTES = 48 << 10  # of a file that goes in by commands; a multiple of 3
_SIMPLE_S = 60.0


class Provisioned(Frozen, frozen=True, kw_only=True):
    """A sandbox, as the service speaks of it."""

    name: str
    probe: str = ""  # where it says that the probe lies inside
    processes: tuple[int, ...] = ()
    cat: tuple[str, ...] = ()  # the words of its own that copy
    workspace: str = ""  # the folder inside that files go into


class Forked(Frozen, frozen=True, kw_only=True):
    """An image, as the service speaks of it."""

    image: str
    size_bytes: int | None
    files: tuple[Path, ...] = ()


class Inspected(NamedTuple):
    """What a sandbox holds of the host that the service runs on."""

    processes: tuple[int, ...]
    files: tuple[Path, ...]


class Calls:
    """The operations of one service. Methods may be called from any thread."""

    def __init__(self, description: Description, client: Client) -> None:
        self.description = description
        self.client = client

    def health(self, *, timeout_s: float = _SIMPLE_S) -> dict[str, Any]:
        """Version and whatever else is mapped; nothing where the API has no such operation."""
        operation = self.description.health
        return self._asked("health", operation, {}, timeout_s=timeout_s) if operation else {}

    def provision(self, name: str, image: str | None = None) -> Provisioned:
        """A sandbox that serves when this returns."""
        operation = self.description.provision
        found = self._asked("provision", operation, {"name": name, "image": image})
        chosen = operation.has("name")
        told = str(found.get("name", name))
        if chosen and told != name:
            raise TargetFailed(f"provision: asked for a sandbox called '{name}', found '{told}'")
        if image is not None and found.get("image", image) != image:
            raise TargetFailed(f"provision: asked for image '{image}', found '{found['image']}'")
        probe, cat = str(found.get("probe") or ""), _words("provision", "cat", found.get("cat") or ())
        return Provisioned(
            name=told,
            probe=probe,
            processes=_numbers("provision", found.get("processes") or ()),
            cat=cat or ((probe, "cat") if probe else self.description.cat),
            workspace=str(found.get("workspace") or self.description.workspace),
        )

    def run(self, name: str, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """One command. Its input is mapped, or goes through a shell's pipe."""
        operation = self.description.exec
        values: dict[str, Any] = {
            "name": name,
            "timeout_s": timeout_s,
            "timeout_whole_s": math.ceil(timeout_s),
            "timeout_ms": math.ceil(timeout_s * 1000),
        }
        words, command = list(argv), shlex.join(argv)
        if stdin and operation.has("stdin_base64"):
            values["stdin_base64"] = base64.b64encode(stdin).decode()
        elif stdin and operation.has("stdin") and stdin.isascii():
            values["stdin"] = stdin.decode()
        elif stdin:
            command = self._piped(name, command, stdin, timeout_s)
            words = ["sh", "-c", command]
        answer = self._sent(
            "exec",
            operation,
            values | {"argv": words, "command": command},
            timeout_s=timeout_s + float(self.description.grace),
        )
        found = self._found("exec", operation, answer)
        return Completed(
            exit_status=_number("exec", "exit_status", found.get("exit_status")),
            stdout=_bytes("exec", "stdout", found),
            stderr=_bytes("exec", "stderr", found, required=False),
            elapsed_ns=answer.elapsed_ns,
        )

    def _piped(self, name: str, command: str, stdin: bytes, timeout_s: float) -> str:
        """A shell's line that gives the command its input. What is too long for a line is put into a file before."""
        if not self.description.shell:
            raise NotSupported("this service takes no input for a command, and runs no shell")
        if len(stdin) <= _INLINE_BYTES:
            return f"printf %s {base64.b64encode(stdin).decode()} | base64 -d | {command}"
        path = f"{self.description.workspace}/.benchproof-input"
        self._put_by_commands(name, path, stdin, timeout_s=timeout_s)
        return f"{command} < {shlex.quote(path)}"

    def put(self, name: str, path: str, content: bytes) -> str:
        """Write a file, executable; returns its path inside."""
        operation = self.description.put
        if operation is None:
            self._put_by_commands(name, path, content, timeout_s=_SIMPLE_S)
            return path
        encoded = base64.b64encode(content).decode() if operation.has("content_base64") else None
        values = {"name": name, "path": path, "mode": "755", "content_base64": encoded}
        raw = content if operation.raw else None
        found = self._found("put", operation, self._sent("put", operation, values, raw=raw))
        return str(found.get("path", path))

    def _put_by_commands(self, name: str, path: str, content: bytes, *, timeout_s: float) -> None:
        quoted = shlex.quote(path)
        for at in range(0, max(1, len(content)), _CHUNK_BYTES):
            chunk = base64.b64encode(content[at : at + _CHUNK_BYTES]).decode()
            line = f"printf %s '{chunk}' | base64 -d {'>>' if at else '>'} {quoted}"
            self._must(name, line if at else f"{line} && chmod 755 {quoted}", f"put: '{path}'", timeout_s)
        size = self._must(name, f"wc -c < {quoted}", f"put: '{path}'", timeout_s).strip()
        if size != str(len(content)).encode():
            raise TargetFailed(f"put: '{path}' has {size.decode(errors='replace')} bytes, expected {len(content)}")

    def get(self, name: str, path: str) -> bytes:
        """The content of a file."""
        operation = self.description.get
        if operation is None:
            said = self._must(name, f"base64 {shlex.quote(path)}", f"get: cannot read '{path}'", _SIMPLE_S)
            return _decoded("get", "content", b"".join(said.split()))
        try:
            answer = self._sent("get", operation, {"name": name, "path": path})
        except TargetFailed as error:
            raise TargetFailed(f"get: cannot read '{path}': {str(error).removeprefix('get: ')}") from error
        if not operation.answer:
            return answer.body
        return _bytes("get", "content", self._found("get", operation, answer))

    def _must(self, name: str, line: str, what: str, timeout_s: float) -> bytes:
        """What a shell's line printed that has to end well."""
        done = self.run(name, ["sh", "-c", line], stdin=b"", timeout_s=timeout_s)
        if done.exit_status:
            said = done.stderr.decode(errors="replace").strip() or f"exit status {done.exit_status}"
            raise TargetFailed(f"{what}: {said[-200:]}")
        return done.stdout

    def delete(self, name: str) -> bool:
        """True where the service says that the sandbox is gone, false where it only says that it heard."""
        found = self._asked("delete", self.description.delete, {"name": name})
        if str(found.get("name", name)) != name:
            raise TargetFailed(f"delete: asked to delete '{name}', found '{found['name']}' deleted")
        gone = found.get("gone")
        if gone not in {None, True}:
            raise TargetFailed(f"delete: expected '{name}' to be gone, found {gone!r}")
        return gone is True

    def inspect(self, name: str) -> Inspected:
        """Nothing where the API does not tell."""
        if operation := self.description.inspect:
            found = self._asked("inspect", operation, {"name": name})
            if str(found.get("name", name)) != name:
                raise TargetFailed(f"inspect: asked for '{name}', found '{found['name']}'")
            files = found.get("files") or ()
            if not isinstance(files, Sequence) or isinstance(files, str):
                raise TargetFailed(f"inspect: files: expected a list, found {files!r}")
            return Inspected(
                _numbers("inspect", found.get("processes") or ()), tuple(Path(str(path)) for path in files)
            )
        names, pids = self._listed("pids")
        numbers = _numbers("list", pids) if pids else ()
        return Inspected(tuple(pid for pid, of in zip(numbers, names, strict=False) if of == name), ())

    def left(self, name: str) -> list[str]:
        """What the service itself still knows of a sandbox that it deleted: its list names it, or it runs commands."""
        found = [f"sandbox '{name}': list still names it"] if name in self._listed("names")[0] else []
        operation = self.description.exec
        words = list(self.description.cat)
        values = {"name": name, "argv": words, "command": shlex.join(words), "timeout_s": 5, "timeout_whole_s": 5}
        answer = self._raw_answer("exec", operation, values | {"timeout_ms": 5000}, None, _SIMPLE_S)
        if answer.status not in self.description.absent:
            refused = "/".join(map(str, self.description.absent))
            found.append(f"sandbox '{name}': a command in it gets status {answer.status}, expected {refused}")
        return found

    def _listed(self, field: str) -> tuple[list[str], Sequence[Any]]:
        """The names of all sandboxes, and a field beside them; nothing where the API does not list."""
        operation = self.description.list
        if operation is None or "names" not in operation.answer:
            return [], ()
        found = self._asked("list", operation, {})
        names, others = found["names"], found.get(field) or ()
        if not isinstance(names, list) or not isinstance(others, list | tuple):
            raise TargetFailed(f"list: expected lists, found names {names!r}"[:_INLINE_BYTES])
        return [str(each) for each in names], others

    def fork(self, name: str, image: str) -> Forked:
        """Freeze a sandbox that goes on."""
        operation = self.description.fork
        if operation is None:
            raise NotSupported("this service cannot fork a sandbox", missing="a description that maps `fork`")
        found = self._asked("fork", operation, {"name": name, "image": image})
        told = str(found.get("image", image))
        if operation.has("image") and told != image:
            raise TargetFailed(f"fork: asked for an image called '{image}', found '{told}'")
        size = found.get("size_bytes")
        return Forked(
            image=told,
            size_bytes=None if size is None else _number("fork", "size_bytes", size),
            files=tuple(Path(str(path)) for path in found.get("files") or ()),
        )

    def delete_image(self, image: str) -> None:
        """Nothing where the API cannot; then it stays, and `has_image` tells."""
        if operation := self.description.delete_image:
            self._asked("delete_image", operation, {"image": image})

    def has_image(self, image: str) -> bool | None:
        """None where the API does not tell."""
        operation = self.description.images
        if operation is None or "names" not in operation.answer:
            return None
        return image in [str(name) for name in self._asked("images", operation, {})["names"]]

    # ---- one request ----

    def _asked(
        self, step: str, operation: Operation, values: Mapping[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        return self._found(step, operation, self._sent(step, operation, values, timeout_s=timeout_s))

    def _sent(
        self,
        step: str,
        operation: Operation,
        values: Mapping[str, Any],
        *,
        raw: bytes | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """An answer with a status that is right."""
        limit_s = float(operation.timeout) if timeout_s is None else timeout_s
        answer = self._raw_answer(step, operation, values, raw, limit_s)
        right = answer.status in operation.expect if operation.expect else answer.status in range(200, 300)
        if not right:
            self._refuse(step, operation, answer)
        return answer

    def _raw_answer(
        self, step: str, operation: Operation, values: Mapping[str, Any], raw: bytes | None, timeout_s: float
    ) -> Answer:
        path = pointers.path(operation.path, values)
        if query := pointers.filled(operation.query, values):
            path += f"?{urlencode(query)}"
        headers = dict(pointers.filled(operation.headers, values))
        body = raw
        if operation.body is not None:
            body = msgspec.json.encode(pointers.filled(operation.body, values))
            headers.setdefault("Content-Type", "application/json")
        elif raw is not None:
            headers.setdefault("Content-Type", "application/octet-stream")
        headers = {**self.description.headers, **headers}
        return self.client.ask(step, operation.method, path, body=body, headers=headers, timeout_s=timeout_s)

    def _refuse(self, step: str, operation: Operation, answer: Answer) -> NoReturn:
        expected = " or ".join(map(str, operation.expect)) or "2xx"
        said = self._error_of(answer) or answer.shown
        words = f"{step}: expected status {expected}, found {answer.status}: {said}"
        if step == "exec" and answer.status in {408, 504}:
            raise TargetFailed(f"exec: the command did not end in time: {said}")
        if answer.status == 501:
            raise NotSupported(f"{step}: the service cannot do that: {said}")
        raise TargetFailed(words)

    def _error_of(self, answer: Answer) -> str:
        try:
            said = pointers.find(msgspec.json.decode(answer.body), self.description.error)
        except (msgspec.MsgspecError, UnicodeDecodeError, pointers.Missing):
            return ""
        return f"'{said}'" if said else ""

    def _found(self, step: str, operation: Operation, answer: Answer) -> dict[str, Any]:
        """All that is mapped and there. Raises TargetFailed for an error, and where nothing is."""
        if not operation.answer and not answer.body:
            return {}
        try:
            document = msgspec.json.decode(answer.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if not operation.answer:
                return {}
            raise TargetFailed(f"{step}: the answer is no JSON: {error}: {answer.shown}") from error
        if isinstance(document, dict) and (said := self._error_of(answer)):
            raise TargetFailed(f"{step}: status {answer.status}, but the answer holds an error: {said}")
        found, missing = {}, ""
        for field, pointer in operation.answer.items():
            try:
                found[field] = pointers.find(document, pointer)
            except pointers.Missing as error:
                missing = missing or f"{field}: {error}"
        if operation.answer and not found:
            raise TargetFailed(f"{step}: the answer holds nothing that the description maps: {missing}")
        for field in _REQUIRED.get(step, ()):
            if field in operation.answer and field not in found:
                raise TargetFailed(f"{step}: {field}: expected it at '{operation.answer[field]}': {missing}")
        return found


_REQUIRED = {
    "provision": ("name",),
    "exec": ("exit_status",),
    "list": ("names",),
    "images": ("names",),
    "fork": ("image",),
}


def _number(step: str, field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TargetFailed(f"{step}: {field}: expected a whole number, found {value!r}")
    return value


def _numbers(step: str, value: object) -> tuple[int, ...]:
    if isinstance(value, int):
        value = (value,)
    if not isinstance(value, list | tuple):
        raise TargetFailed(f"{step}: processes: expected a list of numbers, found {value!r}")
    return tuple(_number(step, "processes", each) for each in value)


def _words(step: str, field: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise TargetFailed(f"{step}: {field}: expected a list of words, found {value!r}")
    return tuple(value)


def _bytes(step: str, field: str, found: Mapping[str, Any], *, required: bool = True) -> bytes:
    """Of a field that is text, or base64 in a field beside it."""
    if (encoded := found.get(f"{field}_base64")) is not None:
        return _decoded(step, field, encoded.encode() if isinstance(encoded, str) else b"?")
    text = found.get(field)
    if text is None and not required:
        return b""
    if not isinstance(text, str):
        raise TargetFailed(f"{step}: {field}: expected text, found {text!r}")
    return text.encode()


def _decoded(step: str, field: str, encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise TargetFailed(f"{step}: {field}: expected base64, found {encoded[:40]!r}") from error
