"""A matrix in a target's table: one target for each combination, by a name that can be typed; nothing is guessed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import document, matrices, plan
from benchproof.errors import UsageError

ROOT = Path(__file__).parents[1]
HOST = '[targets.host]\n[suites.s]\nbenchmarks = ["scaling.primes"]\n'
PROFILES = """
[targets.host]

[targets.mine]
kind = "command"
command = ["{argv}", "--profile={profile}"]
matrix = { profile = ["fortress", "balanced", "ludicrous"] }
"""
GRID = """
[targets.linux]
kind = "qemu"
[targets.linux.matrix]
arguments = ["", "mitigations=off quiet"]
vcpus = [1, 2]
"""


def parsed(text: str, **changes: Any) -> plan.Plan:
    return plan.parse(tomllib.loads(text), where="plan.toml", **changes)


def test_each_combination_is_a_target_with_the_word_filled_in():
    found = parsed(PROFILES)
    assert list(found.targets) == ["host", "mine/fortress", "mine/balanced", "mine/ludicrous"]
    kind, settings = found.targets["mine/balanced"]
    assert (kind, settings.command[-1]) == ("command", "--profile=balanced")
    (matrix,) = found.matrices
    assert (matrix.name, matrix.base) == ("mine", "mine/fortress")
    assert {case.target for case in found.cases} == set(found.targets)


def test_lists_of_settings_are_multiplied_and_named_so_that_they_can_be_typed():
    found = parsed(GRID)
    assert {name: (each.arguments, each.vcpus) for name, (_, each) in found.targets.items()} == {
        "linux/no_arguments/vcpus=1": ("", 1),
        "linux/no_arguments/vcpus=2": ("", 2),
        "linux/mitigations=off_quiet/vcpus=1": ("mitigations=off quiet", 1),
        "linux/mitigations=off_quiet/vcpus=2": ("mitigations=off quiet", 2),
    }


def test_the_document_that_is_recorded_stays_as_it_was_written():
    found = parsed(PROFILES)
    assert found.document["targets"] == tomllib.loads(PROFILES)["targets"]
    again = plan.parse(found.document, where="run", recorded=True)
    assert (again.targets, again.matrices, again.references) == (found.targets, found.matrices, found.references)


def test_a_combination_can_be_named_as_a_reference_and_as_the_base():
    text = PROFILES.replace("matrix = {", 'reference = "mine/fortress"\nmatrix = { reference = "mine/balanced",')
    found = parsed(text)
    assert found.references["mine/ludicrous"] == "mine/fortress"
    assert found.matrices[0].base == "mine/balanced"


def test_each_combination_can_have_a_reference_of_its_own():
    text = PROFILES + '[targets.old]\nkind = "command"\ncommand = ["{argv}"]\nreference = "mine/fortress"\n'
    text = text.replace("matrix =", 'reference = "{target}"\nmatrix =')
    assert parsed(text).references["mine/balanced"] == "mine/balanced"


def test_numbers_and_truths_are_words_too():
    text = '[targets.x]\nkind = "command"\ncommand = ["{argv}", "{n}{fast}"]\nmatrix = { n = [1, 2.5], fast = [true] }'
    found = parsed(text)
    assert [each.command[1] for _, each in found.targets.values()] == ["1true", "2.5true"]
    assert list(found.targets) == ["x/n=1/fast=true", "x/n=2.5/fast=true"]


def test_a_path_is_named_by_its_last_part():
    text = '[targets.x]\nkind = "command"\ncommand = ["{argv}", "{k}"]\nmatrix = { k = ["a/one.elf", "two.elf/"] }'
    assert list(parsed(text).targets) == ["x/one.elf", "x/two.elf"]


def test_a_gate_on_a_matrix_is_one_on_each_of_its_targets():
    gate = '[gates."syscall.getpid"]\nstatistic = "median"\nlimit = "< 1 ms"\ntarget = '
    assert [each.target for each in parsed(f'{PROFILES}{gate}"mine"').gates] == list(parsed(PROFILES).targets)[1:]
    assert [each.target for each in parsed(f'{PROFILES}{gate}"mine/balanced"').gates] == ["mine/balanced"]
    with pytest.raises(UsageError, match="target: unknown target 'mine/fast'"):
        parsed(f'{PROFILES}{gate}"mine/fast"')


def test_a_gate_on_the_beginning_of_a_name_is_one_on_all_that_begin_so():
    gate = '[gates."syscall.getpid"]\nstatistic = "median"\nlimit = "< 1 ms"\ntarget = "linux/no_arguments"\n'
    assert [each.target for each in parsed(GRID + gate).gates] == [
        "linux/no_arguments/vcpus=1",
        "linux/no_arguments/vcpus=2",
    ]


def only(text: str, *targets: str) -> plan.Plan:
    document = plan.only(tomllib.loads(text), targets=targets, benchmarks=())
    return plan.parse(document, where="plan.toml")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("mine",), ["mine/fortress", "mine/balanced", "mine/ludicrous"]),
        (("mine/balanced",), ["mine/balanced"]),
        (("mine/ludicrous", "host"), ["host", "mine/ludicrous"]),
        (("host",), ["host"]),
    ],
)
def test_one_job_of_a_ci_can_run_one_profile(names, expected):
    found = only(PROFILES, *names)
    assert list(found.targets) == expected
    again = plan.parse(found.document, where="run", recorded=True)
    assert list(again.targets) == expected


def test_the_beginning_of_a_combination_chooses_all_that_begin_so():
    found = only(GRID, "linux/no_arguments")
    assert list(found.targets) == ["linux/no_arguments/vcpus=1", "linux/no_arguments/vcpus=2"]
    assert found.matrices[0].base == "linux/no_arguments/vcpus=1"


def test_a_combination_whose_reference_was_not_chosen_stands_alone():
    text = PROFILES.replace("matrix =", 'reference = "host"\nmatrix =')
    assert only(text, "mine").references == {
        f"mine/{each}": f"mine/{each}" for each in ("fortress", "balanced", "ludicrous")
    }
    assert set(only(text, "mine", "host").references.values()) == {"host"}


def test_gates_of_profiles_that_were_not_chosen_go_too():
    gate = '[gates."syscall.getpid"]\nstatistic = "median"\nlimit = "< 1 ms"\ntarget = "mine"\n'
    assert [each.target for each in only(PROFILES + gate, "mine/balanced").gates] == ["mine/balanced"]
    assert only(PROFILES + gate, "host").gates == ()


def test_instructions_of_every_profile_can_be_counted():
    document, left_out = plan.counted(tomllib.loads(f"[targets.host]\n{GRID}".replace("vcpus = [1, 2]", "")))
    assert left_out == ("host",)
    found = plan.parse(document, where="plan.toml")
    assert found.exact == {"linux/no_arguments", "linux/mitigations=off_quiet"}


WRONG = {
    'profile = ["a"]\nfortress = 3': "matrix: fortress: expected a list of at least one value, found 3",
    "profile = []": "matrix: profile: expected a list of at least one value, found []",
    'profile = "a"': "matrix: profile: expected a list of at least one value, found 'a'",
    "profile = [[1]]": "matrix: profile: expected texts and numbers, found [1]",
    'profil = ["a"]': "profil: expected a setting of this kind, or a word that some setting takes as {profil}",
    'profile = ["a"]\ncpu = ["0"]': "cpu: expected a setting of this kind, or a word",
    'profile = ["a", "a"]': "two combinations are called 'mine/a'",
    'profile = ["a b", "a_b"]': "two combinations are called 'mine/a_b'",
    'kind = ["host", "bwrap"]': "'kind' cannot vary in a matrix",
    'command = [["{argv}"]]': "command: expected texts and numbers",
    'profile = ["a"]\nreference = "a"': "reference: no combination is called 'a'; known: mine/a",
    'profile = ["a"]\nonly = ["b"]': "only: no combination is called 'b'",
    'profile = ["a"]\nonly = []': "only: expected names of combinations, found []",
    f"profile = {list(map(str, range(65)))}": "expected up to 64 combinations, found 65",
    "": "matrix: expected at least one list",
}


@pytest.mark.parametrize(("text", "words"), WRONG.items())
def test_a_matrix_that_makes_no_sense_is_refused_by_key(text, words):
    table = '[targets.mine]\nkind = "command"\ncommand = ["{argv}", "{profile}"]\n[targets.mine.matrix]\n'
    with pytest.raises(UsageError) as caught:
        parsed(table + text)
    assert str(caught.value).startswith("plan.toml: targets.mine")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("matrix = 3", "matrix: expected a table of lists"),
        ('command = ["{argv}", "{flavour}"]\nmatrix = { cpus = ["0"] }', "{flavour} has no value; known: cpus"),
        ('command = ["{argv}"]\ncpus = "0"\nmatrix = { cpus = ["0"] }', "cpus: expected it here or in the table above"),
        ('kind = "comand"\nmatrix = { a = [1] }', "kind: unknown target kind 'comand'; did you mean 'command'?"),
    ],
)
def test_what_surrounds_a_matrix_has_to_fit_it(text, words):
    kind = "" if "kind" in text else 'kind = "command"\n'
    with pytest.raises(UsageError) as caught:
        parsed(f"[targets.mine]\n{kind}{text}")
    assert words in str(caught.value)


def test_a_name_that_two_targets_have_is_refused():
    with pytest.raises(UsageError, match="two targets are called 'mine/fortress'"):
        parsed(f'{PROFILES}[targets."mine/fortress"]\nkind = "host"\n')


def test_an_unknown_profile_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="the plan has no target 'mine/fortres'; did you mean 'mine/fortress'"):
        only(PROFILES, "mine/fortres")


@pytest.mark.parametrize("page", ["profiles.md", "scaling.md"])
def test_the_plans_in_the_documentation_make_sense(page):
    texts = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert texts
    for text in texts:
        targets = "" if "[targets" in text else HOST
        found = plan.parse(tomllib.loads(targets + text), where=page, recorded=True)
        assert found.gates or found.matrices


def test_the_shipped_plan_of_widths_has_a_system_of_one_two_and_four_vcpus():
    found = plan.load(document.plans()["smp-scaling"])
    assert [name for name in found.targets if name.startswith("linux/")] == [f"linux/vcpus={n}" for n in (1, 2, 4)]
    assert [gate.limit.text for gate in found.gates if gate.limit] == [">= 1.6"]


@given(st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 9), min_size=1, max_size=3), min_size=1))
def test_every_combination_is_there_once(axes):
    table = {"kind": "command", "command": ["{argv}", *(f"{{{axis}}}" for axis in axes)]}
    found, (matrix,) = matrices.expanded({"x": table | {"matrix": {key: sorted(axes[key]) for key in axes}}}, "plan")
    many = 1
    for values in axes.values():
        many *= len(values)
    assert len({tuple(each["command"]) for each in found.values()}) == len(matrix.targets) == many
