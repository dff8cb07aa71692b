"""Badges: the worst verdict in words, in a picture that any name leaves whole, in files that nothing overwrites."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from benchproof import badges
from benchproof.analysis.gate import WORST_FIRST
from benchproof.charts.palette import contrast
from benchproof.cli import benchproof
from benchproof.errors import UsageError
from exports import HOSTILE

PLAN = """
[targets.host]
[suites.calls]
benchmarks = ["syscall.getpid", "lifecycle.exec"]
[run]
blocks = 1
quick = true
[gates."syscall.getpid"]
statistic = "max"
limit = "< 1 s"
[gates."lifecycle.exec"]
must_pass = true
"""
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("badges")
    (folder / "plan.toml").write_text(PLAN)
    invoke("run", "--plan", str(folder / "plan.toml"), "--home", str(folder))
    return folder


def invoke(*words):
    return CliRunner().invoke(benchproof, [*words], standalone_mode=False)


def made(home, out, *more):
    done = invoke("badge", "--home", str(home), "--out", str(out), *more)
    if done.exception:
        raise done.exception
    return {path.stem: path.read_text() for path in out.glob("*.svg")}


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own


def one(*verdicts: str, gate: str = "a.b"):
    (badge,) = badges.of_gates((gate, f"t{number}", verdict) for number, verdict in enumerate(verdicts))
    return badge


def test_a_run_has_a_badge_for_each_gate_and_one_for_its_coverage(home, tmp_path):
    found = made(home, tmp_path)
    assert {name: "".join(parsed(text).itertext()) for name, text in found.items()} == {
        "syscall.getpid": "gate syscall.getpid: host metsyscall.getpidmet",
        "lifecycle.exec": "gate lifecycle.exec: host not metlifecycle.execnot met",
        "coverage": "coverage: 1/2 verifiedcoverage1/2 verified",
    }


def test_the_document_beside_it_is_what_badge_services_take(home, tmp_path):
    made(home, tmp_path, "--gate", "syscall.getpid")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["syscall.getpid.json", "syscall.getpid.svg"]
    document = json.loads((tmp_path / "syscall.getpid.json").read_text())
    assert document.keys() == {"schemaVersion", "label", "message", "color", "labelColor"}
    assert (document["schemaVersion"], document["label"], document["message"]) == (1, "syscall.getpid", "met")


def test_an_unknown_gate_is_refused_with_those_that_there_are(home, tmp_path):
    with pytest.raises(UsageError, match=r"no gate .syscall\.getpod'; did you mean .syscall\.getpid."):
        made(home, tmp_path, "--gate", "syscall.getpod")


def test_the_gate_of_an_inspired_benchmark_says_so(tmp_path):
    table = '[inspired."TPC-C"]\nunmet = ["no audit"]\n'
    (tmp_path / "plan.toml").write_text(PLAN + table)
    invoke("run", "--plan", str(tmp_path / "plan.toml"), "--home", str(tmp_path), "-b", "syscall.getpid")
    (name, text) = next(iter(made(tmp_path, tmp_path / "out", "--gate", "syscall.getpid").items()))
    assert name.startswith("syscall.getpid-inspired-by-tpc-c-")
    assert ">syscall.getpid (inspired by TPC-C)<" in text


def test_a_policy_is_judged_in_place_of_the_plan(home, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[gates."syscall.getpid"]\nstatistic = "max"\nlimit = "< 1 ns"\n')
    assert "not met" in made(home, tmp_path / "out", "--policy", str(policy))["syscall.getpid"]


@pytest.mark.parametrize(
    ("verdicts", "message"),
    [
        (("met", "met"), "met"),
        (("met", "undecided"), "undecided 1/2"),
        (("undecided", "not met", "review"), "not met 1/3"),
        (("off",), "off"),
        (("off", "met"), "met 1/2"),
        (("review", "met"), "review 1/2"),
    ],
)
def test_a_badge_says_the_worst_of_its_gates_verdicts(verdicts, message):
    assert one(*verdicts).message == message


@pytest.mark.parametrize(("passed", "total", "verdict"), [(2, 2, "met"), (1, 2, "undecided"), (0, 0, "undecided")])
def test_a_coverage_that_is_not_whole_is_not_green(passed, total, verdict):
    assert badges.of_coverage(passed, total).verdict == verdict


@pytest.mark.parametrize("name", [HOSTILE, "x" * 500, "", "]]>", "\ufffe", "速い", '"/><script>'])
def test_any_name_leaves_the_picture_whole_and_has_a_safe_file(name):
    badge = one("met", gate=name)
    tree = parsed(badges.svg(badge))
    assert {each.tag for each in tree.iter()} == {
        f"{SVG}{tag}" for tag in ("svg", "title", "rect", "path", "g", "text")
    }
    assert len(tree.findall(f".//{SVG}text")[0].text or "") <= 60
    assert all(character in "abcdefghijklmnopqrstuvwxyz0123456789._-" for character in badge.name)
    assert 0 < len(badge.name) < 100
    assert not badge.name.startswith((".", "-"))
    json.dumps(badges.endpoint(badge)).encode()


def test_different_gates_have_different_files():
    names = ["a.b", "a.B", "a/b", "a b", "../a.b", "coverage", "a.b size=1", "a.b size=2", "COM1", "\ud800", "\ud801"]
    found = [badge.name for badge in badges.of_gates((name, "t", "met") for name in names)]
    found += [badges.of_coverage(1, 1).name, badges.of_coverage(1, 1, prefix="a").name]
    assert len({name.lower() for name in found}) == len(found)
    assert found[0] == "a.b"


@pytest.mark.parametrize("verdict", WORST_FIRST)
def test_words_can_be_read_on_every_colour(verdict):
    tree = parsed(badges.svg(one(verdict)))
    grounds = [tree.find(f"{SVG}rect").get("fill"), tree.find(f"{SVG}path").get("fill")]
    ink = tree.find(f"{SVG}g").get("fill")
    assert min(contrast(ink, ground) for ground in grounds) >= 4.5


def test_a_text_fits_its_part_of_the_picture():
    tree = parsed(badges.svg(one("undecided", gate="W" * 40)))
    label, message = tree.findall(f".//{SVG}text")
    assert float(label.get("x")) + int(label.get("textLength")) / 2 < int(tree.get("width")) - int(
        message.get("textLength")
    )
    assert badges.width("W") > badges.width("i") > 0


def test_a_screen_reader_hears_every_target():
    tree = parsed(badges.svg(one("met", "not met")))
    assert tree.get("role") == "img"
    assert tree.get("aria-label") == tree.find(f"{SVG}title").text == "gate a.b: t0 met, t1 not met"
