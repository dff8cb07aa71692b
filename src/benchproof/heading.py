"""What stands at the head of a published page, and where the evidence behind its figures can be had.

The version and the day are those of what was measured. Status, maintainer and issue are somebody's word: the plan's
`[document]` table says them, else the run's labels, and whoever publishes has the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote

from benchproof.errors import UsageError
from benchproof.tables import refuse_unknown

KEYS = ("title", "status", "maintainer", "issue")
_LONGEST = 200
_FIELDS = {"run_id", "version", "path"}
_ADDRESS = re.compile(r"(?:https?://[\w.:\[\]-]+(?:/[\w./~%+=&?@:,-]*)?|(?!/)[\w.~-][\w./~%+=-]*)", re.ASCII)


def stated(table: Mapping[str, Any], where: str) -> dict[str, str]:
    """A `[document]` table. Raises UsageError."""
    refuse_unknown(dict(table), list(KEYS), f"{where}: document")
    return {key: _text(text, f"{where}: document.{key}") for key, text in table.items()}


def given(words: Iterable[str]) -> dict[str, str]:
    """Of `--document NAME=TEXT`. Raises UsageError."""
    pairs = dict(word.partition("=")[::2] for word in words)
    return stated(pairs, "--document")


def together(plan: Mapping[str, str], labels: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """What holds: the last of labels, plan and whoever publishes. An empty text takes it back."""
    found = {key: text for key in KEYS if (text := {**labels, **plan, **said}.get(key, ""))}
    return {key: _text(text, key) for key, text in found.items()}


def _text(text: object, where: str) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isprintable():
        raise UsageError(f"{where}: expected one line of at most {_LONGEST} printable characters, found {text!r:.80}")
    return text.strip()


def template(text: str, *, run_id: str, version: str) -> str:
    """Where the files of a run are, `{path}` being left for the name of the file. Raises UsageError."""
    example = "'https://example.org/{run_id}/{path}'"
    try:
        fields = {
            name for _, name, form, conversion in Formatter().parse(text) if name is not None or form or conversion
        }
    except ValueError as error:
        raise UsageError(f"--evidence-url: expected such as {example}, found '{text[:80]}': {error}") from error
    if not fields <= _FIELDS or "path" not in fields:
        raise UsageError(
            f"--evidence-url: expected {{path}}, and {{run_id}} and {{version}} at will, found '{text[:80]}'"
        )
    found = text.replace("{run_id}", quote(run_id, safe="")).replace("{version}", quote(version, safe=""))
    if not address(found, "x"):
        raise UsageError(f"--evidence-url: expected an address such as {example}, found '{text[:80]}'")
    return found


def address(template: str, path: str) -> str:
    """The address of one file of the run; empty where the template makes none that a page may link to."""
    found = template.replace("{path}", quote(path))
    return found if _ADDRESS.fullmatch(found) else ""
