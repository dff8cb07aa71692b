"""Where few letters are known: look-alikes for what we draw, escapes for what others wrote, never an exception.

A stream that says ASCII gets ASCII: click would answer it in UTF-8. It refuses to guess letters of foreign words: what
has no look-alike is written as JSON writes it, so that a document stays one.
"""

from __future__ import annotations

import codecs
import io

_ASCII = "benchproof-ascii"  # under another name, since click takes "ascii" for a mistake
LOOKALIKES = {
    "±": "+-",
    "\u2212": "-",
    "\u2013": "-",
    "—": "-",
    "…": "...",
    "\u00d7": "x",
    "µ": "u",
    "\u2018": "'",
    "\u2019": "'",
    "─": "-",
    "━": "=",
    "│": "|",
    "┊": ":",
    "┼": "+",
    "├": "(",
    "┤": ")",
    "●": "o",
    "\u2039": "<",
    "\u203a": ">",
    **dict(zip("▁▂▃▄▅▆▇█", ".:-=+*%@", strict=True)),
}


def plain(text: str, encoding: str) -> str:
    """The text in letters that the encoding has, with look-alikes in place of those that it has not."""
    if knows(encoding, text):
        return text
    return "".join(LOOKALIKES.get(each, each) if not knows(encoding, each) else each for each in text)


def knows(encoding: str, text: str) -> bool:
    """Whether the text can be written in it; an encoding that nobody knows has ASCII alone."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    except LookupError:
        return text.isascii()
    return True


def prepare(stream: io.TextIOWrapper) -> None:
    """Let whatever is written to it be written."""
    codecs.register_error("benchproof", _instead)
    encoding = codecs.lookup(stream.encoding).name
    if encoding == "ascii":
        codecs.register(_find)
        encoding = _ASCII
    stream.reconfigure(encoding=encoding, errors="benchproof")


def _find(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode,
        known.decode,
        known.streamreader,
        known.streamwriter,
        known.incrementalencoder,
        known.incrementaldecoder,
        _ASCII,
    )


def _instead(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(LOOKALIKES.get(each) or _escape(each) for each in missing), error.end


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
