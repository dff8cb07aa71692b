"""What each operation does: plain functions that block, called in threads, and nothing of HTTP in them."""

from __future__ import annotations

import base64
import binascii
import math
import os
from datetime import UTC, datetime

import msgspec

from benchproof.model import Completed
from benchproof.sandboxd import api, shell
from benchproof.sandboxd.limits import Limits, Refused
from benchproof.sandboxd.sandbox import Sandbox
from benchproof.sandboxd.sandboxes import Kept, Provisioned, Sandboxes
from benchproof.sandboxd.stages import Stages

_MOST_WORDS = 254  # what the agent of a guest takes
_LONGEST_COMMAND = 60_000


def provisioned(made: Provisioned) -> api.Provisioned:
    """The answer to a provision."""
    sandbox = made.sandbox
    return api.Provisioned(
        name=sandbox.name,
        image=sandbox.image,
        origin=sandbox.origin,
        probe=sandbox.instance.probe,
        cat=list(sandbox.instance.cat),
        workspace=sandbox.workspace,
        processes=list(sandbox.processes),
        stages_ns=made.stages_ns,
    )


def words_of(body: api.Exec) -> list[str]:
    """The command. Raises Refused."""
    if (body.argv is None) == (body.command is None):
        raise Refused(400, "expected either argv or command")
    if body.command is not None and not body.command.strip():
        raise Refused(400, "command: expected a line for a shell, found a blank one")
    argv = shell.words(body.command) if body.command is not None else list(body.argv or ())
    if not 1 <= len(argv) <= _MOST_WORDS or not argv[0]:
        raise Refused(400, f"argv: expected 1 to {_MOST_WORDS} words, the first not empty, found {len(argv)}")
    if any("\0" in word for word in argv) or sum(map(len, argv)) > _LONGEST_COMMAND:
        raise Refused(400, f"argv: expected at most {_LONGEST_COMMAND} characters and no NUL")
    return argv


def stdin_of(body: api.Exec) -> bytes:
    """Raises Refused."""
    if body.stdin is not None and body.stdin_base64 is not None:
        raise Refused(400, "expected stdin or stdin_base64, not both")
    try:
        return base64.b64decode(body.stdin_base64 or "", validate=True) if body.stdin is None else body.stdin.encode()
    except binascii.Error as error:
        raise Refused(400, f"stdin_base64: {error}") from error


def timeout_of(body: api.Exec, limits: Limits) -> float:
    """Raises Refused."""
    timeout_s = limits.usual_command_s if body.timeout_s is None else body.timeout_s
    if not (math.isfinite(timeout_s) and 0 < timeout_s <= limits.command_s):
        raise Refused(400, f"timeout_s: expected more than 0 and at most {limits.command_s:g}, found {timeout_s:g}")
    return timeout_s


def execute(sandboxes: Sandboxes, name: str, body: api.Exec, stages: Stages) -> api.Executed:
    """Run it. Raises Refused, InvocationError."""
    stages.lap("queue")
    done = sandboxes.run(
        name, words_of(body), stdin=stdin_of(body), timeout_s=timeout_of(body, sandboxes.limits), stages=stages
    )
    if body.command is not None:
        shell.refuse_without(done)
    return executed(done, stages)


def executed(done: Completed, stages: Stages) -> api.Executed:
    """The answer to a command."""
    texts = {}
    for name, content in (("stdout", done.stdout), ("stderr", done.stderr)):
        try:
            texts[name] = content.decode()
        except UnicodeDecodeError:
            texts[f"{name}_base64"] = base64.b64encode(content).decode()
    stages.lap("encode")
    return api.Executed(exit_status=done.exit_status, elapsed_ns=done.elapsed_ns, stages_ns=stages.done(), **texts)


def fork(sandboxes: Sandboxes, name: str, body: api.Fork, stages: Stages) -> api.Forked:
    """Freeze it. Raises Refused, InvocationError."""
    stages.lap("queue")
    kept = sandboxes.fork(name, body.image)
    stages.lap("freeze")
    described = image(kept)
    return api.Forked(
        image=kept.name,
        sandbox=name,
        size_bytes=described.size_bytes,
        files=described.files,
        stages_ns=stages.done(),
    )


def image(kept: Kept) -> api.Image:
    """What is told of an image."""
    return api.Image(
        image=kept.name,
        sandbox=kept.sandbox,
        size_bytes=kept.image.size_bytes(),
        files=[os.fspath(path) for path in kept.files],
        created_at=datetime.fromtimestamp(kept.created_s, UTC).isoformat(timespec="seconds"),
    )


def listed(sandbox: Sandbox) -> api.Listed:
    """What is told of a sandbox without looking anything up."""
    return api.Listed(name=sandbox.name, image=sandbox.image, origin=sandbox.origin, age_s=sandbox.age_s)


def inspect(sandboxes: Sandboxes, name: str) -> api.Inspected:
    """What it holds now. Raises Refused, InvocationError."""
    sandbox = sandboxes.named(name)
    held = sandbox.footprint()
    return api.Inspected(
        **msgspec.structs.asdict(listed(sandbox)),
        workspace=sandbox.workspace,
        probe=sandbox.instance.probe,
        cat=list(sandbox.instance.cat),
        processes=list(held.processes),
        files=[os.fspath(path) for path in held.files],
        memory_bytes=held.memory_bytes,
        disk_bytes=held.disk_bytes,
    )
