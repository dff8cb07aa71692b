"""Foreign text and JSON: what is ambiguous or absurd is refused with its place, all else is read as it is."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof.importers import Unreadable, strict

ABSURD = {
    b'{"a": 1, "b": 2,\n "a": 3}': 'f: line 2, column 2: key "a" for the second time',
    b'{"a": 1, "\\u0061": 3}': 'f: line 1, column 10: key "\\u0061" for the second time',
    b'[{"a": {"b": 1}}, {"a": {"b": 1, "b": 1}}]': 'f: line 1, column 34: key "b" for the second time',
    b"[1, NaN]": "f: line 1, column 5: expected a finite number of at most 1e+30, found NaN",
    b"[1,\n-Infinity]": "f: line 2, column 1: expected a finite number of at most 1e+30, found -Infinity",
    b'[{}, 1e400.5]}"a":': "f: line 1, column 6: expected a finite number of at most 1e+30, found 1e400",
    b'{"a": 1e400}': "f: line 1, column 7: expected a finite number of at most 1e+30, found 1e400",
    b'{"a": -1e31}': "f: line 1, column 7: expected a finite number of at most 1e+30, found -1e31",
    b'{"a": ' + b"9" * 5000 + b"}": "f: line 1, column 7: a number of 5000 digits",
    b'{"a": ' + b"9" * 35 + b"}": "f: line 1, column 7: expected a finite number of at most 1e+30, found " + "9" * 35,
    b'["\\ud83d"]': 'f: line 1, column 2: half of a surrogate pair in "\\ud83d"',
    b'{"\\udc00x": 1}': 'f: line 1, column 2: half of a surrogate pair in "\\udc00x"',
    b"[" * 65 + b"]" * 65: "f: line 1, column 65: nested more than 64 deep",
    b"[" * 500_000: "f: line 1, column 65: nested more than 64 deep",
    b'{"a":' * 100_000: "f: line 1, column 321: nested more than 64 deep",
    b'{"a": 1': "f: line 1, column 8: not JSON: Expecting ',' delimiter",
    b'{"a": 1} x': "f: line 1, column 10: not JSON: Extra data",
    b"": "f: line 1, column 1: not JSON: Expecting value",
    b'["a\x01"]': "f: line 1, column 4: not JSON: Invalid control character at",
    b"\xef\xbb\xbf{}": "f: byte 0: a byte order mark of UTF-8; save it as UTF-8 without one",
    "{}".encode("utf-16"): "f: byte 0: a byte order mark of UTF-16; save it as UTF-8 without one",
    b'{"a":\x00 1}': "f: byte 5: a zero byte; this is no text",
    b'{"\xff": 1}': "f: byte 2: expected UTF-8, found byte 0xff",
}


@pytest.mark.parametrize("content", ABSURD, ids=lambda content: repr(content[:20]))
def test_what_is_absurd_is_refused_with_its_place(content):
    with pytest.raises(Unreadable, match=f"^{re.escape(ABSURD[content])}$"):
        strict.document(content, "f")


def test_a_file_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(strict, "LIMIT_BYTES", 1 << 20)
    with pytest.raises(Unreadable, match="f: longer than 1 MiB"):
        strict.document(b" " * ((1 << 20) + 1), "f")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**29), 10**29)
    | st.floats(-1e30, 1e30, allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))


@settings(max_examples=50)
@given(DOCUMENTS, st.booleans())
def test_an_honest_document_is_read_as_it_is(found, ascii_only):
    try:
        content = json.dumps(found, ensure_ascii=ascii_only).encode()
    except UnicodeEncodeError:
        return
    if b"\0" not in content and not strict._has_lone_surrogate(found):
        assert strict.document(content, "f") == found


@given(st.binary() | st.text('[]{}:,"\\0123456789eE+-.NaInfity \nud8c').map(str.encode))
def test_no_bytes_crash_the_reader(content):
    try:
        strict.document(content, "f")
    except Unreadable as error:
        assert "\n" not in str(error)


def test_each_line_of_json_lines_keeps_its_number():
    assert list(strict.lines(b'{"a": 1}\n\n[2]\n', "f")) == [(1, {"a": 1}), (3, [2])]
    with pytest.raises(Unreadable, match="f: line 3, column 2: not JSON"):
        list(strict.lines(b'{"a": 1}\n\n[', "f"))


class Shape(msgspec.Struct):
    size: strict.Count
    parts: list[strict.Amount] = []


def test_a_wrong_type_is_named_with_its_path():
    assert strict.typed(b'{"size": 3, "parts": [1, 2.5], "other": {}}', "f", Shape) == Shape(3, [1, 2.5])
    for content, expected in {
        b'{"size": "3"}': "f: $.size: Expected `int`, got `str`",
        b'{"size": -3}': "f: $.size: Expected `int` >= 0",
        b'{"size": true}': "f: $.size: Expected `int`, got `bool`",
        b'{"size": 1, "parts": [1, null]}': "f: $.parts[1]: Expected `float`, got `null`",
        b"{}": "f: $: Object missing required field `size`",
        b"[]": "f: $: Expected `object`, got `array`",
    }.items():
        with pytest.raises(Unreadable, match=f"^{re.escape(expected)}$"):
            strict.typed(content, "f", Shape)


def test_a_console_may_print_anything():
    found = strict.console(b"BENCH a\r\n\x1b[31m\xff\0\tb\xe2\x80\xaec\n", "f")
    assert found == ["BENCH a", r"\x1b[31m\xff\x00 b\u202ec", ""]


@given(st.text(), st.text())
def test_plain_text_has_no_control_characters(one, other):
    assert strict.plain(one).isprintable()
    if "\\" not in one + other:
        assert (strict.plain(one) == strict.plain(other)) == (one == other)
