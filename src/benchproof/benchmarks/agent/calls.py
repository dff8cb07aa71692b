"""What a call of a tool is made of: what the server says that the tool took, coding of JSON, and the rest.

The parts are never more than the whole; a server that says so is not believed, nor one whose unit cannot be ns. The
messages are coded once more behind the call, with the same library and the same content: within the call, its time
cannot be told from that of the event loop. So the share is that of the client alone.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchproof.benchmarks.agent.work import Took
from benchproof.errors import LabInvalid
from benchproof.model import Measurement
from benchproof.oracles import Evidence

_LEAST_NS = {"exec": 50_000}  # what starts a process
_LEAST_OTHER_NS = 1_000


def recoded_ns(tool: str, took: Took) -> int:
    """Time to encode the request and to decode the answer of a call, as the client does it."""
    from mcp_types import CallToolResult, JSONRPCRequest, jsonrpc_message_adapter  # noqa: PLC0415 - slow to import

    result = {
        "content": [{"type": "text", "text": took.answer.text}],
        "structuredContent": took.answer.document,
        "isError": False,
    }
    wire = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
    began_ns = time.monotonic_ns()
    request = JSONRPCRequest(
        jsonrpc="2.0", id=1, method="tools/call", params={"name": tool, "arguments": took.arguments}
    )
    request.model_dump_json(by_alias=True, exclude_unset=True).encode()
    message: Any = jsonrpc_message_adapter.validate_json(wire, by_name=False)
    CallToolResult.model_validate(message.result)
    return time.monotonic_ns() - began_ns


def measurements(
    name: str, *, elapsed_ns: Sequence[int], server_ns: Sequence[int | None], coding_ns: Sequence[int], warmups: int
) -> Iterator[Measurement]:
    """The whole and its parts; without the server's word there is no rest to tell. Raises LabInvalid."""
    yield _measurement(f"{name}.latency", elapsed_ns, warmups)
    yield _measurement(f"{name}.serialisation", coding_ns, warmups)
    share = statistics.median(coding_ns[warmups:]) / statistics.median(elapsed_ns[warmups:])
    yield Measurement(
        metric=f"{name}.serialisation_share",
        unit="ratio",
        better="lower",
        clock="host",
        iterations=len(elapsed_ns) - warmups,
        samples=(share,),
    )
    stated = [each for each in server_ns if each is not None]
    if len(stated) == len(elapsed_ns):
        rest = [whole - server - coding for whole, server, coding in zip(elapsed_ns, stated, coding_ns, strict=True)]
        if min(rest) < 0 and all(server <= whole for whole, server in zip(elapsed_ns, stated, strict=True)):
            raise LabInvalid("the messages of a call took longer to code once more than they can have within the call")
        yield _measurement(f"{name}.server", stated, warmups)
        yield _measurement(f"{name}.transport", rest, warmups)


def _measurement(metric: str, values: Sequence[float], warmups: int) -> Measurement:
    return Measurement(
        metric=metric,
        unit="ns",
        better="lower",
        clock="host",
        iterations=1,
        warmups=tuple(values[:warmups]),
        samples=tuple(values[warmups:]),
    )


def evidence(elapsed_ns: Sequence[int], server_ns: Sequence[int | None]) -> dict[str, str]:
    """What `within` reads: two lists of equal length."""
    return {
        "elapsed_ns": " ".join(map(str, elapsed_ns)),
        "server_ns": " ".join("unstated" if each is None else str(each) for each in server_ns),
    }


def within(evidence: Evidence, tool: str) -> Iterator[str]:
    """What a server says of its own time fits into the time that passed, and can be in ns."""
    wholes, stated = (evidence.get(name, "").split() for name in ("elapsed_ns", "server_ns"))
    if not wholes or len(wholes) != len(stated):
        yield f"expected as many times of the server as of calls, found {len(stated)} of {len(wholes)}"
    least_ns = _LEAST_NS.get(tool, _LEAST_OTHER_NS)
    pairs = [(int(whole), int(server)) for whole, server in zip(wholes, stated, strict=False) if server != "unstated"]
    if beyond := [pair for pair in pairs if pair[1] > pair[0]]:
        whole, server = beyond[0]
        yield f"{len(beyond)} of {len(wholes)} times of the server are longer than the call: {server} ns of {whole} ns"
    if few := [server for _, server in pairs if server < least_ns]:
        yield f"the server says that '{tool}' took {few[0]}: in ns that cannot be, {least_ns} is the least"
