"""The page on the protocol is true: its table is that of the benchmarks, its example and its plans are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchproof import plan
from benchproof.cli.list_ import command
from benchproof.document import document_of
from benchproof.protocol import grammar
from benchproof.protocol.events import Damaged
from benchproof.protocol.grammar import RULES, Grammar
from benchproof.protocol.lines import lines_of
from benchproof.protocol.own import event

PAGE = Path(__file__).parent.parent / "docs" / "protocol.md"
TEXT = PAGE.read_text()


def rows() -> list[dict[str, str]]:
    done = CliRunner().invoke(command, ["benchmarks", "--json"])
    found: list[dict[str, str]] = json.loads(done.output)
    return [row for row in found if "evidence" in row]


def table() -> str:
    head = "| benchmark | what it is there | what must be told | what differs |\n| --- | --- | --- | --- |\n"
    return head + "".join(
        f"| `{row['name']}` | {row['without_posix']} | {row['evidence']} | {row['differs']} |\n" for row in rows()
    )


def test_the_table_is_that_of_the_benchmarks():
    """Written anew by `python tests/test_protocol_doc.py`."""
    assert f"-->\n\n{table()}\n" in TEXT


def test_every_line_of_the_example_is_one_of_the_protocol():
    lines = re.findall(r"^    (@bp .*)$", TEXT, re.MULTILINE)
    assert len(lines) > 10
    said = [event(line) for line in lines_of("".join(f"{line}\n" for line in lines).encode())]
    assert not [each for each in said if isinstance(each, Damaged)]


def test_the_tables_of_patterns_make_sense(tmp_path):
    blocks = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    found = []
    for number, text in enumerate(blocks):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        document = document_of(path)
        found += [grammar.of(target["grammar"]) for target in document.get("targets", {}).values()]
        if "suites" in document:
            assert plan.parse({"targets": {"host": {}}} | document, where="page").cases
    assert [each.dialect for each in found] == ["measure", "summary"]


@pytest.mark.parametrize("kind", RULES)
def test_every_pattern_and_its_groups_are_described(kind):
    assert f"`{kind}`" in TEXT
    assert all(f"`{group}`" in TEXT for group in RULES[kind])


@pytest.mark.parametrize("field", Grammar.__struct_fields__)
def test_every_key_of_a_grammar_is_described(field):
    assert f"`{field}`" in TEXT


if __name__ == "__main__":
    head, _, rest = TEXT.partition("-->\n\n")
    tail = rest[rest.index("The data: byte i") :]
    PAGE.write_text(f"{head}-->\n\n{table()}\n{tail}")
