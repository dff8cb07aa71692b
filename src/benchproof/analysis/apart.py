"""By which of its parameters a case is told from its neighbours: most are the same in all, and defaults are no news."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from benchproof.analysis.invocations import INJECTIONS


def told_apart(cases: Iterable[str]) -> dict[str, str]:
    """Of each case (its parameters as JSON) those that are not the same in all; empty where none is to be told.

    That something was made slower on purpose is always told.
    """
    decoded = {each: _flat(each) for each in cases}
    names = {name for found in decoded.values() for name in found}
    told = {name for name in names if len({found.get(name) for found in decoded.values()}) > 1} | {*INJECTIONS}
    return {
        each: _text({name: found[name] for name in sorted(found) if name in told}) for each, found in decoded.items()
    }


def _flat(parameters: str) -> dict[str, bytes]:
    """Each as the JSON that it is: 1 is not "1"."""
    found = msgspec.json.decode(parameters or "{}", type=dict[str, msgspec.Raw])
    return {name: bytes(each) for name, each in found.items()}


def _text(parameters: dict[str, bytes]) -> str:
    found = {name: msgspec.Raw(each) for name, each in parameters.items()}
    return msgspec.json.encode(found).decode() if found else ""
