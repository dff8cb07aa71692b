"""The worked example on kernels: what docs/kernels.md tells to do can be done, and its two kernels do differ."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from benchproof import plan
from benchproof.benchmarks import BENCHMARKS
from benchproof.cli import benchproof
from benchproof.targets import KINDS
from conftest import lab_in, why_unusable
from test_kernels import why_not

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "kernels.md").read_text()
OLD, NEW = "debian:linux-image-cloud-amd64", "debian:linux-image-6.12-cloud-amd64"


def commands(page: str) -> list[str]:
    """All that a page tells to type, with the lines that go on; beginning with the verb."""
    typed = re.findall(r"^(?:\$ )benchproof ((?:.*\\\n)*.*)$", page, re.MULTILINE)
    return [each.replace("\\\n", " ") for each in (*typed, *re.findall(r"`benchproof ([^`]+)`", page))]


@pytest.mark.parametrize("page", ["kernels", "explain", "gates"])
def test_a_command_that_a_page_shows_has_only_options_that_exist(page):
    shown = commands((DOCS / f"{page}.md").read_text())
    assert shown
    for verb, *words in map(shlex.split, shown):
        command = benchproof.get_command(None, verb)
        assert command is not None, verb
        needed = ["syscall.getpid"] if verb == "explain" and not words else []
        command.make_context(verb, [*words, *needed])  # raises a usage error for an option or a choice that is none


def test_the_plans_of_the_page_make_sense():
    exact, own = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert plan.parse(tomllib.loads(exact), where="docs/kernels.md").exact == {"base", "mine"}
    found = plan.parse(tomllib.loads(own), where="docs/kernels.md", recorded=True)  # there is no such image here
    assert found.references == dict.fromkeys(("mine-linux", "mine", "linux-6_12"), "mine-linux")
    assert {settings.vcpus for _, settings in found.targets.values()} == {2}


def test_the_page_has_every_setting_of_a_kernel_and_of_its_machine_and_no_other():
    tables = PAGE.split("# A kernel that runs no program of ours")[1]
    told = set()
    for row in re.findall(r"^\| (`[a-z_`, ]+`) \|", tables, re.MULTILINE):
        told |= set(re.findall(r"`([a-z_]+)`", row))
    assert told == set(KINDS.load("kernel").Settings.__struct_fields__)


def test_the_shipped_plan_compares_time_with_time_and_counts_with_counts():
    found = plan.load(Path("kernel-vs-kernel"))
    assert found.references == {
        "linux-6_1": "linux-6_1",
        "linux-6_12": "linux-6_1",
        "linux-6_1-exact": "linux-6_1-exact",
        "linux-6_12-exact": "linux-6_1-exact",
    }
    assert found.exact == {"linux-6_1-exact", "linux-6_12-exact"}
    assert {name: settings.kernel for name, (_, settings) in found.targets.items() if "6_12" in name} == dict.fromkeys(
        ("linux-6_12", "linux-6_12-exact"), NEW
    )
    assert {settings.accel for name, (_, settings) in found.targets.items() if name not in found.exact} == {"tcg"}
    assert not [name for name in re.findall(r"--(?:target|against) (\S+)", PAGE) if name not in found.targets]


@pytest.mark.skipif(bool(why_unusable("qemu")), reason=why_unusable("qemu") or "QEMU runs")
def test_the_two_kernels_of_the_page_take_different_numbers_of_instructions(tmp_path, host_probe):
    if reason := why_not(NEW):
        pytest.skip(reason)
    kind, getpid = KINDS.load("qemu"), BENCHMARKS.load("syscall.getpid")()
    found = {}
    for name in (OLD, NEW):
        target = kind(kind.Settings(kernel=name, exact=True), lab_in(tmp_path / "scratch", host_probe.path))
        observation = getpid.run(target)
        assert list(getpid.verify(observation)) == []
        evidence = observation.evidence
        assert evidence["statistic"] == "mode"  # neither kernel was busy with its own start
        (found[name],) = observation.measurements[0].samples
    assert found[OLD] != found[NEW]
