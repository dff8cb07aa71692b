"""Names from a bundle as one part of a path of a URL, and back.

A run's id is whatever its manifest says. Percent signs do not do: servers and proxies decode `%2F` and then see two
parts, or `..`. A tilde and two digits survive all of them.
"""

from __future__ import annotations

import re
import string

from benchproof.errors import UsageError

_PLAIN = frozenset(string.ascii_letters + string.digits + "-_.")
_ESCAPED = re.compile(rb"~([0-9A-F]{2})")
_WRITTEN = re.compile(r"([A-Za-z0-9._-]|~[0-9A-F]{2})+")


def part(name: str) -> str:
    """As a part of a path; that of another name is another."""
    found = "".join(letter if letter in _PLAIN else _hex(letter) for letter in name)
    return "~2E" + found[1:] if found.startswith(".") else found  # `.` and `..` lead elsewhere


def _hex(letter: str) -> str:
    return "".join(f"~{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def name(written: str) -> str:
    """The name that was written so. Raises UsageError."""
    try:
        if _WRITTEN.fullmatch(written):
            return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), written.encode()).decode()
    except UnicodeDecodeError:
        pass
    raise UsageError(f"expected a name as the pages link to it, found '{written[:80]}'")
