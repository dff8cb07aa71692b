"""Damage that a plain fuzzer hardly finds: a value of another type, a key that is gone, a line that comes twice.

The same seed damages the same input in the same way.
"""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

_VALUES = (
    None,
    True,
    0,
    -1,
    1,
    0.0,
    -0.0,
    5e-324,
    1e29,
    1e308,
    2**31,
    2**63,
    2**64,
    10**25,
    "",
    "0",
    "nan",
    "x\x1b[2J\u202e\u0000\n",
    "99.9",
    "2026-01-01",
    "y" * 3000,
    [],
    {},
    [[]],
    [0],
    [None, "a"],
    {"": ""},
)
_LONGEST_BYTES = 256 << 10  # changes multiply
_WORDS = (
    b"0",
    b"-1",
    b"1e308",
    b"9" * 30,
    b"9" * 5000,
    b"nan",
    b"0.0",
    b"",
    b" ",
    b"\x1b",
    b"\xff",
    b"{",
    b'"',
    b",,,,",
)
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?")


def mutated(content: bytes, random: Random) -> bytes:
    """The content with one to five changes."""
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        content = _changed(content, random)[:_LONGEST_BYTES]
    return content


def _changed(content: bytes, random: Random) -> bytes:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _changed_lines(content, random)
    if random.random() < 0.1:
        return _spliced(content, random)
    return json.dumps(_damaged(document, random)).encode()


def _damaged(node: Any, random: Random) -> Any:
    """One place somewhere below, mostly far below, is damaged."""
    if not isinstance(node, dict | list) or not node or random.random() < 0.05:
        return random.choice(_VALUES)
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    key = random.choice(keys)
    copy: Any = node.copy()
    draw = random.random()
    if draw < 0.1:
        del copy[key]
    elif draw < 0.2:
        copy[key] = node[random.choice(keys)]
    elif draw < 0.25 and isinstance(copy, list):
        copy *= random.choice((2, 30))
    elif draw < 0.3 and isinstance(copy, dict):
        copy[random.choice(("", "name", "error", "x" * 1500, "\u202e"))] = copy.pop(key)
    else:
        copy[key] = _damaged(node[key], random)
    return copy


def _changed_lines(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    place = random.randrange(len(lines))
    line = lines[place]
    draw = random.random()
    if draw < 0.1:
        del lines[place]
    elif draw < 0.2:
        lines.insert(random.randrange(len(lines)), line)
    elif draw < 0.3:
        lines[place] = line[: random.randrange(len(line) + 1)]
    elif draw < 0.4:
        lines[place] = line * random.choice((2, 1000))
    elif draw < 0.7 and (numbers := list(_NUMBER.finditer(line))):
        match = random.choice(numbers)
        lines[place] = line[: match.start()] + random.choice(_WORDS) + line[match.end() :]
    elif line.startswith(b"{"):
        lines[place] = _changed_object(line, random)
    else:
        lines[place] = _spliced(line, random)
    return b"\n".join(lines)


def _changed_object(line: bytes, random: Random) -> bytes:
    try:
        return json.dumps(_damaged(json.loads(line), random)).encode()
    except (ValueError, RecursionError):
        return _spliced(line, random)


def _spliced(content: bytes, random: Random) -> bytes:
    start, end = sorted(random.randrange(len(content) + 1) for _ in range(2))
    keep = content[start:end] if random.random() < 0.3 else b""
    return content[:start] + keep + random.choice(_WORDS) + content[end if random.random() < 0.5 else start :]
