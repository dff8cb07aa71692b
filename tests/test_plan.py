"""A plan is understood as a whole, or refused in one line before anything is written."""

from __future__ import annotations

import math
import os
import tomllib

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchproof import plan
from benchproof.benchmarks import SUITES
from benchproof.document import DEFAULT, document_of
from benchproof.errors import UsageError
from benchproof.model import WARMUP_BLOCK
from benchproof.plan import Settings
from benchproof.quantities import Duration, Share, Size
from commands import command

HOST = "[targets.host]\n"
GUEST = '[targets.guest]\nkind = "qemu"\n'
QUANTITIES = (Size, Duration, Share)
patient = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # the machine may be busy


def refused(folder, name, *words):
    """Exit status 2, nothing written, and one line on standard error that holds all these words."""
    before = sorted(folder.rglob("*"))
    done = command("run", "--plan", name, "--home", folder / "home", cwd=folder)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("benchproof: ")
    assert done.stderr.removesuffix("\n").isprintable(), done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert sorted(folder.rglob("*")) == before


def suite(*items):
    return f"{HOST}[suites.s]\nbenchmarks = [{', '.join(items)}]\n"


def bad(name, document, *words):
    return pytest.param(document, words, id=name.replace(" ", "-"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        # unknown keys: the table, the key, the nearest one that is known
        bad("key of the plan", f"{HOST}[suite.s]\n", "'suite'", "did you mean 'suites'"),
        bad("key of a target", f"{GUEST}kernell = 1", "targets.guest", "'kernell'", "did you mean 'kernel'"),
        bad("key of any target", f"{HOST}refrence = 'x'", "targets.host", "did you mean 'reference'"),
        bad("key of a suite", f"{suite('1')}benchmark = 1", "suites.s", "'benchmark'", "did you mean 'benchmarks'"),
        bad("only key of a suite", f"{HOST}[suites.s]\nbenchmark = ['primitive']", "did you mean 'benchmarks'"),
        bad("parameter", suite("{name = 'memory.memcpy', sise = 1}"), "memory.memcpy", "did you mean 'size'"),
        bad("key of run", f"{HOST}[run]\nblock = 3", "run: ", "'block'", "did you mean 'blocks'"),
        bad("key of limits", f"{HOST}[run]\nlimits = {{steel = 1}}", "run.limits", "did you mean 'steal'"),
        bad("key with a line break", f'{HOST}"a\\nb" = 1', "targets.host", "unknown key"),
        # unknown names
        bad("kind", "[targets.x]\nkind = 'qemo'", "targets.x: kind", "'qemo'", "did you mean 'qemu'"),
        bad("kind by the name of a table", "[targets.bwarp]", "targets.bwarp: kind", "did you mean 'bwrap'"),
        bad("kind with a line break", '[targets.x]\nkind = "a\\nb"', "targets.x: kind"),
        bad("benchmark", suite("'syscall.getpdi'"), "suites.s", "did you mean 'syscall.getpid'"),
        bad("reference", f"{HOST}reference = 'hosd'", "targets.host: reference", "did you mean 'host'"),
        bad("facet", f"{HOST}[run]\nvary = 'foo'", "run: vary", "'foo'", "system"),
        bad("facet of a list", f"{HOST}[run]\nvary = ['sistem']", "run: vary", "'sistem'", "system"),
        bad("accelerator", f"{GUEST}accel = 'tgc'", "targets.guest: accel", "did you mean 'tcg'"),
        bad("platform", "[targets.gvisor]\nplatform = 'systrp'", "platform", "did you mean 'systrap'"),
        # values that make no sense
        bad("negative timeout", suite("{name = 'syscall.getpid', timeout = '-1 s'}"), "timeout", "not negative"),
        bad("negative start timeout", f"{GUEST}start_timeout = -1", "start_timeout", "not negative"),
        bad("endless timeout", suite("{name = 'syscall.getpid', timeout = inf}"), "timeout", "expected"),
        bad("unit of the wrong kind", suite("{name = 'memory.memcpy', size = '1 s'}"), "size", "'1 s'", "KiB"),
        bad("size beyond the memory", suite("{name = 'memory.memcpy', size = '1 B'}"), "size", "64 B"),
        bad("no samples", suite("{name = 'syscall.getpid', samples = 0}"), "samples", "0"),
        bad("no blocks", f"{HOST}[run]\nblocks = 0", "blocks", "1 to 100000", "0"),
        bad("huge blocks", f"{HOST}[run]\nblocks = {10**30}", "blocks", "1 to 100000"),
        bad("number too long to read", f"{HOST}[run]\nblocks = {'9' * 5000}", "plan.toml"),
        bad("negative retries", f"{HOST}[run]\nretries = -1", "retries", "0 to 100"),
        bad("no processor", f"{GUEST}vcpus = 0", "vcpus", "1 to 255"),
        bad("missing kernel", f"{GUEST}kernel = '/no/bzImage'", "kernel", "no such file", "/no/bzImage"),
        bad("folder instead of a kernel", f"{GUEST}kernel = '/'", "kernel", "a folder"),
        bad("wrapper without argv", "[targets.command]\ncommand = ['ssh']", "command", "{argv}"),
        bad("no wrapper", "[targets.command]", "targets.command", "`command`"),
        bad("no targets", "[run]\nblocks = 1", "targets", "[targets.host]"),
        bad("empty suite", suite(), "suites.s: benchmarks", "expected a list of benchmarks"),
        # wrong types
        bad("targets as text", "targets = 'host'", "targets", "expected a table"),
        bad("target as number", "targets = {host = 5}", "targets.host", "expected a table"),
        bad("kind as list", "[targets.host]\nkind = ['host']", "targets.host: kind"),
        bad("reference as list", f"{HOST}reference = ['host']", "targets.host: reference"),
        bad("reference as table", f"{HOST}reference = {{name = 'host'}}", "targets.host: reference"),
        bad("suites as text", f"suites = 'primitive'\n{HOST}", "suites", "expected a table"),
        bad(
            "target of a suite",
            f"""{suite("'ipc.pipe'")}targets = ['hsot']""",
            "suites.s: targets",
            "did you mean 'host'",
        ),
        bad(
            "targets of a suite",
            f"""{suite("'ipc.pipe'")}targets = []""",
            "suites.s: targets",
            "expected a list of targets",
        ),
        bad("suite as text", f"{HOST}[suites]\ns = 'primitive'", "suites.s", "expected a list of benchmarks"),
        bad("suite of text", f"{HOST}[suites.s]\nbenchmarks = 'primitive'", "suites.s: benchmarks", "expected a list"),
        bad("benchmark as number", suite("5"), "suites.s: benchmarks", "found 5"),
        bad("benchmark without a name", suite("{size = 5}"), "suites.s: benchmarks", "a table with a name"),
        bad("parameter as date", suite("{name = 'memory.memcpy', size = 1979-05-27}"), "memory.memcpy: size"),
        bad("run as text", f"run = 'x'\n{HOST}", "run", "expected a table"),
        bad("blocks as text", f"{HOST}[run]\nblocks = 'x'", "run: blocks", "`int`", "`str`"),
        bad("seed as fraction", f"{HOST}[run]\nseed = 1.5", "run: seed", "`int", "`float`"),
        bad("vary as number", f"{HOST}[run]\nvary = 3", "run: vary", "`array`"),
        bad("limits as text", f"{HOST}[run]\nlimits = 'any'", "run: limits"),
        bad("limit as list", f"{HOST}[run]\nlimits = {{steal = [1]}}", "run.limits: steal", "'2 %'"),
        bad("wrapper as text", "[targets.command]\ncommand = 'ssh {argv}'", "command", "`array`"),
        # the file itself
        bad("not TOML", "x = = 1", "plan.toml", "not TOML", "line 1"),
        bad("not UTF-8", b"# \xff", "plan.toml", "expected UTF-8", "0xff"),
        bad("nested too deeply", f"{HOST}x = {'[' * 5000}", "plan.toml"),
        bad("cyclic include", "include = ['other.toml']", "include", "plan.toml -> other.toml -> plan.toml"),
        bad("self include", "include = ['plan.toml']", "include", "plan.toml -> plan.toml"),
        bad("include of a missing file", "include = ['no.toml']", "plan.toml", "include", "no.toml", "No such file"),
        bad("include of a folder", "include = ['.']", "plan.toml", "include", "a folder"),
        bad("include of an unthinkable file", 'include = ["a\\u0000b"]', "plan.toml", "include"),
        bad("include as text", f"include = 'other.toml'\n{HOST}", "plan.toml", "include", "expected a list"),
        bad("include of numbers", f"include = [1]\n{HOST}", "plan.toml", "include", "expected a list"),
    ],
)
def test_a_bad_plan_is_refused_in_one_line_and_nothing_is_written(tmp_path, document, words):
    (tmp_path / "plan.toml").write_bytes(document if isinstance(document, bytes) else document.encode())
    (tmp_path / "other.toml").write_text("include = ['plan.toml']")
    refused(tmp_path, "plan.toml", "plan.toml", *words)


def test_a_missing_plan_is_refused_by_name(tmp_path):
    refused(tmp_path, "nowhere.toml", "nowhere.toml", "expected a plan", "No such file")


def test_a_folder_instead_of_a_plan_is_refused(tmp_path):
    (tmp_path / "plans").mkdir()
    refused(tmp_path, "plans", "plans", "expected a plan", "a folder")


def test_a_plan_that_is_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    refused(tmp_path, "loop.toml", "loop.toml")


@pytest.mark.parametrize("limit", ["load = nan", "load = -1", "load = inf"])
def test_a_limit_that_no_invocation_could_meet_or_pass_is_refused(limit):
    with pytest.raises(UsageError, match="load"):
        parsed(f"{HOST}[run]\nlimits = {{{limit}}}")


# ---- good plans ----


def parsed(text, **changes):
    return plan.parse(tomllib.loads(text), where="test", **changes)


def test_includes_are_merged_table_by_table_and_the_including_file_has_the_last_word(tmp_path):
    (tmp_path / "base.toml").write_text(f"{HOST}[run]\nblocks = 3\nretries = 1\n[suites.s]\nbenchmarks = ['ipc.pipe']")
    (tmp_path / "more.toml").write_text("[targets.bwrap]\nsystem = false\n[run]\nblocks = 4")
    (tmp_path / "plan.toml").write_text("include = ['base.toml', 'more.toml']\n[targets.bwrap]\nsystem = true")
    found = plan.load(tmp_path / "plan.toml")
    assert (found.run.blocks, found.run.retries) == (4, 1)
    assert list(found.targets) == ["host", "bwrap"]
    assert found.targets["bwrap"][1].system is True
    assert [case.name for case in found.cases] == ["ipc.pipe"] * 2
    assert "include" not in found.document


def test_two_files_may_include_the_same_third(tmp_path):
    (tmp_path / "base.toml").write_text(HOST)
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text("include = ['base.toml']")
    (tmp_path / "plan.toml").write_text("include = ['a.toml', 'b.toml']")
    assert list(plan.load(tmp_path / "plan.toml").targets) == ["host"]


def test_parameters_are_read_with_their_units_and_are_part_of_the_case():
    found = parsed(suite("'memory.memcpy'", "{name = 'memory.memcpy', size = '64 KiB', timeout = '2 min'}"))
    plain, sized = found.cases
    assert (sized.parameters["size"], sized.parameters["timeout"]) == (65536, 120)
    assert plain.key != sized.key


def test_a_case_that_two_suites_name_is_measured_once():
    keys = [case.key for case in parsed(suite("'primitive'", "'ipc.pipe'", "'ipc.pipe'")).cases]
    assert len(keys) == len(set(keys)) == len(SUITES["primitive"])


def test_quick_asks_the_same_questions_with_fewer_samples():
    full, quick = (parsed(HOST, quick=quick) for quick in (False, True))
    assert [case.name for case in full.cases] == [case.name for case in quick.cases]
    for slow, fast in zip(full.cases, quick.cases, strict=True):
        assert fast.benchmark.samples < slow.benchmark.samples


def test_without_a_seed_one_is_drawn_and_kept_in_the_document():
    first, second = parsed(HOST), parsed(HOST)
    assert first.seed == first.document["run"]["seed"] != second.seed


def test_ratios_are_to_the_first_target_unless_the_plan_names_another():
    found = parsed(f"{HOST}[targets.bwrap]\n[targets.gvisor]\nreference = 'bwrap'")
    assert found.references == {"host": "host", "bwrap": "host", "gvisor": "bwrap"}


PARTED = f"""{HOST}[targets.bwrap]
[suites.all]
benchmarks = ["ipc.pipe"]
[suites.some]
targets = ["bwrap"]
benchmarks = ["syscall.stat", "ipc.pipe"]
"""


def test_a_suite_that_names_targets_is_asked_of_those_alone():
    keys = {case.key[:2] for case in parsed(PARTED).cases}
    assert keys == {("host", "ipc.pipe"), ("bwrap", "ipc.pipe"), ("bwrap", "syscall.stat")}


def test_a_suite_of_targets_that_were_not_chosen_is_left_out():
    document = tomllib.loads(PARTED)
    chosen = plan.parse(plan.only(document, targets=("host",), benchmarks=()), where="test")
    assert [case.key[:2] for case in chosen.cases] == [("host", "ipc.pipe")]


def test_only_some_targets_and_benchmarks_of_a_plan_can_be_chosen():
    document = document_of(DEFAULT)
    chosen = plan.parse(plan.only(document, targets=("bwrap",), benchmarks=("ipc.pipe",)), where="test")
    assert [case.key[:2] for case in chosen.cases] == [("bwrap", "ipc.pipe")]


def test_a_target_whose_reference_was_not_chosen_stands_alone():
    tables = {"a": {"kind": "host"}, "b": {"kind": "host"}, "c": {"kind": "host", "reference": "b"}}
    found = plan.parse(plan.only({"targets": tables}, targets=("a", "c"), benchmarks=()), where="plan")
    assert found.references == {"a": "a", "c": "c"}


@pytest.mark.parametrize("document", [{"targets": 5}, {"targets": "host"}, {}])
def test_choosing_from_a_plan_without_a_table_of_targets_is_refused(document):
    with pytest.raises(UsageError, match="target"):
        plan.only(document, targets=("host",), benchmarks=())


THREE = f"{HOST}[targets.bwrap]\n[targets.gvisor]\n"
SEEDS = st.integers(-(2**63), 2**63)
BLOCKS = st.integers(WARMUP_BLOCK, 10**6)


@patient
@given(seed=SEEDS, block=BLOCKS)
def test_a_block_holds_every_case_once_and_the_targets_of_a_question_side_by_side(seed, block):
    found = parsed(THREE, seed=seed)
    schedule = found.schedule(block)
    assert sorted(case.key for case in schedule) == sorted(case.key for case in found.cases)
    for start in range(0, len(schedule), len(found.targets)):
        assert len({case.key[1:] for case in schedule[start : start + len(found.targets)]}) == 1


@patient
@given(seed=SEEDS, block=BLOCKS)
def test_the_same_seed_gives_the_same_schedule(seed, block):
    assert parsed(THREE, seed=seed).schedule(block) == parsed(THREE, seed=seed).schedule(block)


@patient
@given(SEEDS)
def test_each_block_has_an_order_of_its_own_and_so_has_each_seed(seed):
    found = parsed(THREE, seed=seed)
    orders = [[case.key for case in found.schedule(block)] for block in range(8)]
    orders.append([case.key for case in parsed(THREE, seed=seed + 1).schedule(0)])
    assert len({tuple(order) for order in orders}) == 9


@patient
@given(
    blocks=st.integers(1, 100_000),
    seed=SEEDS,
    steal=st.one_of(st.just("any"), st.decimals(0, 100, places=6).map(lambda share: f"{share} %")),
    clock_step=st.builds("{} {}".format, st.integers(0, 10**6), st.sampled_from(list(Duration.units))),
)
def test_the_document_that_a_run_keeps_reads_back_as_the_same_plan(blocks, seed, steal, clock_step):
    limits = {"steal": steal, "clock_step": clock_step}
    document = {"targets": {"host": {}}, "run": {"blocks": blocks, "seed": seed, "limits": limits}}
    found = plan.parse(document, where="test")
    again = plan.parse(msgspec.json.decode(msgspec.json.encode(found.document)), where="run")
    assert (again.run, again.cases, again.document) == (found.run, found.cases, found.document)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.dates(),
        st.sampled_from(["any", "host", "system", "primitive", "ipc.pipe", "1 s", "tcg", "{argv}"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def tables(*keys):
    return st.one_of(VALUES, st.dictionaries(st.sampled_from(keys), VALUES, max_size=3))


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "targets": st.dictionaries(
            st.sampled_from(["host", "qemu", "gvisor", "command", "x\ny"]),
            tables("kind", "reference", "kernel", "vcpus", "memory", "accel", "start_timeout", "command", "platform"),
            max_size=2,
        ),
        "suites": st.one_of(VALUES, st.dictionaries(st.text(max_size=3), tables("benchmarks"), max_size=2)),
        "run": tables(*Settings.__struct_fields__),
        "gates": st.one_of(
            VALUES,
            st.dictionaries(
                st.sampled_from(["ipc.pipe", "ipc.pipe.throughput", "syscall.getpid", "ipc.pipe.\0"]),
                tables("statistic", "limit", "mode", "target", "must_pass"),
                max_size=2,
            ),
        ),
        "more": VALUES,
    },
)


@patient
@given(DOCUMENTS)
def test_whatever_a_document_holds_it_is_a_plan_or_a_usage_error(document):
    try:
        found = plan.parse(document, where="test")
    except UsageError as error:
        assert str(error).startswith("test: ")
    else:
        assert found.schedule(0)
        assert plan.parse(msgspec.json.decode(msgspec.json.encode(found.document)), where="run").run == found.run


@patient
@given(st.one_of(st.binary(), st.text().map(str.encode), st.text(alphabet='[]{}="\n.a1#\\').map(str.encode)))
def test_whatever_a_file_holds_it_is_a_document_or_a_usage_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / f"{os.getpid()}.toml"
    path.write_bytes(content)
    try:
        document_of(path)
    except UsageError as error:
        assert path.name in str(error)


# ---- quantities ----


@pytest.mark.parametrize("kind", QUANTITIES)
@patient
@given(amount=st.integers(0, 10**9), space=st.sampled_from(["", " "]), data=st.data())
def test_an_amount_is_its_number_times_its_unit(kind, amount, space, data):
    unit = data.draw(st.sampled_from(sorted(kind.units)))
    assert kind.parse(f"{amount}{space}{unit}") == amount * kind.units[unit]


@pytest.mark.parametrize("kind", QUANTITIES)
@patient
@given(amount=st.floats(min_value=0, allow_infinity=False))
def test_an_amount_in_base_units_is_taken_exactly(kind, amount):
    assert kind.parse(amount) == amount


@pytest.mark.parametrize("kind", QUANTITIES)
@patient
@given(
    anything=st.one_of(VALUES, st.text("0123456789.-+eE %smhKMGiB"), st.integers(10**300), st.integers(max_value=-1))
)
def test_an_amount_is_finite_and_not_negative_or_a_value_error_that_shows_an_example(kind, anything):
    try:
        amount = kind.parse(anything)
    except ValueError as error:
        assert "expected an amount" in str(error)
    else:
        assert 0 <= amount < math.inf


@pytest.mark.parametrize(
    "text", ["", "s", "1 2 s", "1,5 s", "1e3 s", "0x10", "nan", "inf", "\u0661 s", "1 S", "9" * 400]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match="expected an amount"):
        Duration.parse(text)


def test_a_plan_that_was_run_is_read_where_its_files_are_not(tmp_path):
    """A bundle is verified by a stranger, on another machine."""
    document = {"targets": {"guest": {"kind": "qemu", "kernel": "/no/bzImage"}}}
    with pytest.raises(UsageError, match="no such file"):
        plan.parse(document, where="here")
    assert plan.parse(document, where="a run", recorded=True).targets["guest"][1].kernel == "/no/bzImage"


OWN_SUITES = {
    "targets": {"host": {}},
    "suites": {
        "own": {"benchmarks": [{"name": "memory.memcpy", "size": "4 MiB"}, "syscall.getpid"]},
        "more": {"benchmarks": [{"name": "kernel.primitive", "what": "page.map", "counts": ["mapped"]}]},
    },
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("own", [("memory.memcpy", 4 << 20), ("syscall.getpid", None)]),
        ("memory.memcpy", [("memory.memcpy", 4 << 20)]),  # as the plan asks it
        ("syscall.getpid", [("syscall.getpid", None)]),
        ("syscall.stat", [("syscall.stat", None)]),  # not in the plan, and a benchmark all the same
        ("page.map", [("kernel.primitive", None)]),
        ("kernel.primitive", [("kernel.primitive", None)]),
    ],
)
def test_what_a_user_chooses_is_asked_as_the_plan_asks_it(asked, expected):
    found = plan.parse(plan.only(OWN_SUITES, targets=(), benchmarks=(asked,)), where="the plan")
    assert [(case.name, case.parameters.get("size")) for case in found.cases] == expected
