"""The fixture: a call of the test's own, or a benchmark on a target. Asked once in the session, and judged.

An oracle that says no fails the test, a system that cannot skips it with the way out, and a laboratory that could not
look fails it as "no answer". What was asked goes with the test's report to whoever measures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from benchproof.benchmarks.python.reading import Order
from benchproof.errors import UsageError
from benchproof.pytest_plugin import PROPERTY, timing
from benchproof.pytest_plugin.calls import MISSING, Asked, Called, Oracle, unsupported

OWN_TARGET = "python"


class Asking:
    """What a test sees. `benchproof(function, *arguments, check=, expect=, setup=, label=)` returns the answer."""

    def __init__(self, item: pytest.Item, *, order: str) -> None:
        self._item = item
        self._order = msgspec.json.decode(order, type=Order) if order else None
        self._labels: set[str] = set()

    def __call__(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        check: Callable[[Any], object] | None = None,
        expect: Any = MISSING,
        setup: Callable[[], Any] | None = None,
        label: str = "",
        **keywords: Any,
    ) -> Any:
        """Make the call, judge its answer and return it; it is timed later, in processes of its own.

        `check(answer)` has to be True, `expect` has to equal the answer; without either the figure is unverified.
        `setup()` comes before each call and is not timed; what it returns, unless None, is the call's first argument.
        """
        __tracebackhide__ = True  # what is wrong is the test's, and is said in a line
        if label in self._labels:
            pytest.fail(f"benchproof: this test asks for '{label or 'a call'}' twice: give each call a label=")
        self._labels.add(label)
        called = Called(function, arguments, keywords, setup)
        oracle = Oracle(check=check, expect=expect)
        if self._order is None:
            self._record(OWN_TARGET, {}, self._named() | {"label": label})
        if reason := unsupported(function):
            self._report_unsupported(label, reason)
        if self._order is not None and self._order.label == label:
            return timing.measured(called, oracle, self._order, self._item)
        answer = called.once()
        if wrong := oracle.wrong(answer):
            pytest.fail(f"benchproof: {wrong}; a wrong answer has no figure")
        return answer

    def target(self, name: str, **settings: Any) -> Driven:
        """A target by its kind, or by a name of yours with `kind=`; settings as in a plan's table."""
        return Driven(self, name, settings)

    def benchmark(self, question: str, *, target: str = "host", **parameters: Any) -> dict[str, str]:
        """A benchmark on a target, as a plan asks it; returns the evidence."""
        __tracebackhide__ = True
        return self.target(target).benchmark(question, **parameters)

    def _drive(self, target: str, settings: dict[str, Any], item: dict[str, Any]) -> dict[str, str]:
        """Once and judged now; measured later, unless this process exists to measure something else."""
        __tracebackhide__ = True
        from benchproof.pytest_plugin import room  # noqa: PLC0415 - it is much, and no call needs it

        try:
            read = room.plan_of(target, settings, item, where=self._item.nodeid)
        except UsageError as error:  # names the test, and what it should have asked
            raise pytest.fail.Exception(f"benchproof: {error}", pytrace=False) from None
        if self._order is None:
            self._record(target, settings, item)
        return room.asked_once(self._item.config, read)

    def _named(self) -> dict[str, str]:
        """Of the test, without the place of its folder."""
        case = str(callspec.id) if (callspec := getattr(self._item, "callspec", None)) else ""
        return {"name": "python.call", "test": self._item.nodeid.removesuffix(f"[{case}]"), "case": case}

    def _record(self, target: str, settings: dict[str, Any], item: dict[str, Any]) -> None:
        asked = Asked(target=target, settings=settings, item=item)
        self._item.user_properties.append((PROPERTY, msgspec.json.encode(asked).decode()))

    def _report_unsupported(self, label: str, reason: str) -> None:
        way = "give it a function that runs it to its end, such as lambda: asyncio.run(it())"
        if self._order is not None and self._order.label == label:
            timing.tell_unsupported(self._order, reason, way)
        pytest.skip(f"benchproof: {reason}; {way}")


class Driven:
    """A target that benchmarks can be asked of."""

    def __init__(self, asking: Asking, name: str, settings: dict[str, Any]) -> None:
        self._asking = asking
        self._name = name
        self._settings = settings

    def benchmark(self, question: str, **parameters: Any) -> dict[str, str]:
        """As a plan asks it; returns the evidence. Fails, skips or gives no answer by the outcome."""
        __tracebackhide__ = True
        return self._asking._drive(self._name, self._settings, {"name": question} | parameters)  # noqa: SLF001 - one file
