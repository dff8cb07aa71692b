"""JSON pointers and templates of a service's description."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof.errors import UsageError
from benchproof.service import pointers

# the example of RFC 6901, section 5
RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_standard_hold(pointer, found):
    pointers.check(pointer)
    assert pointers.find(RFC, pointer) == found


def test_a_star_stands_for_each_element():
    document = {"boxes": [{"id": "a"}, {"id": "b"}]}
    assert pointers.find(document, "/boxes/*/id") == ["a", "b"]
    assert pointers.find({"boxes": []}, "/boxes/*/id") == []


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        ({"a": {"c": 1}}, "/a/b", "nothing at '/a/b'; there is c"),
        ({"a": [1]}, "/a/1", "nothing at '/a/1': '/a' is a list"),
        ({"a": [1]}, "/a/01", "nothing at '/a/01'"),
        ({"a": "x"}, "/a/b", "'/a' is text"),
        (None, "/a", "'/' is null"),
        ({"a": [{"b": 1}, {}]}, "/a/*/b", "nothing at '/a/\\*/b'"),
    ],
)
def test_what_is_not_there_says_where_it_ended(document, pointer, words):
    with pytest.raises(pointers.Missing, match=words):
        pointers.find(document, pointer)


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=1, max_size=4))
def test_every_key_can_be_pointed_at(document):
    for key, value in document.items():
        pointer = "/" + key.replace("~", "~0").replace("/", "~1")
        pointers.check(pointer)
        assert pointers.find(document, pointer) == value


@given(st.text(max_size=30))
def test_whatever_is_filled_into_a_path_stays_one_part_of_it(name):
    path = pointers.path("/exec/{name}/run", {"name": name})
    assert re.fullmatch(r"/exec/[^/?#\s]*/run", path)


def test_a_placeholder_alone_keeps_its_type_and_one_without_a_value_takes_its_key_along():
    template = {"argv": "{argv}", "limit": "{timeout_s}", "image": "{image}", "as": "x-{name}", "list": ["{image}", 1]}
    values = {"argv": ["a", "b c"], "timeout_s": 1.5, "name": "n", "image": None}
    assert pointers.filled(template, values) == {"argv": ["a", "b c"], "limit": 1.5, "as": "x-n", "list": [1]}


def test_an_unknown_placeholder_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown placeholder '\{nmae\}'; did you mean 'name'"):
        pointers.check_places({"a": ["{nmae}"]}, {"name", "image"})
