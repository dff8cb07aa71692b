"""The plug-in for pytest: a fixture that checks an answer in the session, and has it measured when the tests are done.

A session has two parts. While the tests run, each call is made once and its answer is checked: nothing is timed, so
tests may run in parallel, be traced or be slow. Then what they asked becomes a plan, and the runner asks it as it asks
everything: in turn, in random order, each invocation a fresh process, into a run that can be verified.

Nothing but this module is imported before a test asks for the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchproof.pytest_plugin.asking import Asking
    from benchproof.pytest_plugin.measuring import Measured
    from benchproof.pytest_plugin.room import Room
    from benchproof.store.bundle import Run

PROPERTY = "benchproof"  # of a test's report: what it asked, as JSON
_ORDER = "benchproof_order"  # of the option that only processes of our own are started with
ROOM: pytest.StashKey[Room] = pytest.StashKey()  # there where a test asked for a target


def pytest_addoption(parser: pytest.Parser) -> None:
    """What may be said on the command line, or in `addopts`."""
    group = parser.getgroup("benchproof", "benchproof: figures whose answers were checked")
    add = group.addoption
    add("--benchproof-blocks", type=int, default=1, metavar="N", help="Invocations of each case; an interval needs 6.")
    add("--benchproof-budget", default="", metavar="TIME", help="For the samples of one invocation, such as '0.5 s'.")
    add("--benchproof-compare", default="", metavar="RUN", help="Compare with a run: an id, last, branch:main, tag:v1.")
    add("--benchproof-fail", action="store_true", help="Fail where that finds anything slower or lost, or no answer.")
    add("--benchproof-disable", action="store_true", help="Check the answers and measure nothing.")
    add("--benchproof-home", default="", metavar="DIR", help="Folder of the runs; .benchproof in the root folder.")
    add("--benchproof-index", default=None, metavar="URL", help="Where the index of the runs is, as for benchproof.")
    add("--benchproof-label", action="append", default=[], metavar="NAME=TEXT", help="What is measured (repeatable).")
    add("--benchproof-options", default="", metavar="WORDS", help="For the pytest processes that are measured.")
    add("--benchproof-order", default="", dest=_ORDER, help="Of benchproof to itself.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A process that measures does nothing beside it; one that tests for another only tests."""
    if config.getoption(_ORDER):
        config.option.dist = "no"
    elif not hasattr(config, "workerinput"):
        _refuse_nonsense(config)
        config.pluginmanager.register(_Controller(config), "benchproof-controller")


def _refuse_nonsense(config: pytest.Config) -> None:
    """Before the tests, not after them."""
    if config.getoption("benchproof_fail") and not config.getoption("benchproof_compare"):
        raise pytest.UsageError("--benchproof-fail: expected --benchproof-compare beside it, found none")
    if not 1 <= config.getoption("benchproof_blocks") <= 100_000:
        found = config.getoption("benchproof_blocks")
        raise pytest.UsageError(f"--benchproof-blocks: expected 1 to 100000, found {found}")
    given = [f"benchproof_{name}" for name in ("budget", "options", "label") if config.getoption(f"benchproof_{name}")]
    if given:
        from benchproof.pytest_plugin import options  # noqa: PLC0415

        options.refuse_unreadable(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """What targets keep ends with the session."""
    if room := config.stash.get(ROOM, None):
        room.close()


@pytest.fixture
def benchproof(request: pytest.FixtureRequest) -> Asking:
    """`benchproof(function, *arguments, expect=...)` checks a call and has it measured; see docs/pytest.md."""
    from benchproof.pytest_plugin.asking import Asking  # noqa: PLC0415 - a session that asks nothing pays nothing

    return Asking(request.node, order=request.config.getoption(_ORDER))


class _Controller:
    """Hears what the tests of a session asked, wherever they ran, and has it measured when they are done."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.asked: dict[str, None] = {}
        self.baseline: Run | None = None
        self.measured: Measured | None = None

    def pytest_sessionstart(self) -> None:
        """A baseline that is not there is a wrong question: better before the tests than after them."""
        if self.config.getoption("benchproof_compare") and not self.config.getoption("benchproof_disable"):
            from benchproof.pytest_plugin import measuring  # noqa: PLC0415

            self.baseline = measuring.baseline(self.config)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a test asked comes with its reports."""
        self.asked |= {str(value): None for name, value in report.user_properties if name == PROPERTY}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Measure, unless the session was ended or nobody asked."""
        ended_well = session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}
        if not self.asked or not ended_well or self.config.getoption("benchproof_disable"):
            return
        from benchproof.pytest_plugin import measuring  # noqa: PLC0415

        self.measured = measuring.measure(self.config, tuple(self.asked), self.baseline)
        session.exitstatus = self.measured.exit_status or session.exitstatus

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The figures, below the tests."""
        if not self.asked:
            return
        terminalreporter.section("benchproof")
        if self.measured:
            terminalreporter.write(self.measured.text)
        else:
            terminalreporter.write_line(f"{len(self.asked)} cases were checked, none was measured")
