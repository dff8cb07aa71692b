"""A call as a test states it, the oracle that judges its answer, and what of it travels to whoever measures."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from benchproof.model import Frozen

MISSING: Any = object()  # no value is expected; None is one
_SHOWN = 200


class Asked(Frozen, frozen=True, forbid_unknown_fields=True):
    """One item of a suite, and the target that it is asked of."""

    target: str
    settings: dict[str, Any]
    item: dict[str, Any]


class Called:
    """The call, as often as it is made."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        setup: Callable[[], Any] | None,
    ) -> None:
        self.setup = setup
        self._plain = not arguments and not keywords
        self.function = function if self._plain else functools.partial(function, *arguments, **keywords)
        self._function, self._arguments, self._keywords = function, arguments, keywords

    def prepared(self) -> Callable[[], Any]:
        """What is to be called now, after its setup."""
        first = self.setup() if self.setup else None
        if first is None:
            return self.function
        return functools.partial(self._function, first, *self._arguments, **self._keywords)

    def once(self) -> Any:
        """The answer of one call."""
        return self.prepared()()


class Oracle:
    """What the test says of a right answer."""

    def __init__(self, *, check: Callable[[Any], object] | None, expect: Any) -> None:
        self._check = check
        self._expect = expect

    @property
    def name(self) -> str:
        """Which of the two it has, as evidence."""
        found = [*(["check"] if self._check else []), *(["expect"] if self._expect is not MISSING else [])]
        return " and ".join(found) or "none"

    def wrong(self, answer: Any) -> str:
        """What is wrong with the answer; empty where it is right, or where nobody said what is."""
        if self._expect is not MISSING and not answer == self._expect:  # noqa: SIM201 - a type may define one of them
            return f"expected {_short(self._expect)}, found {_short(answer)}"
        if self._check is None:
            return ""
        try:
            verdict = self._check(answer)
        except AssertionError as error:
            return f"the check refused {_short(answer)}: {_short(error)}"
        if verdict is None:
            return "the check returned None: expected True or False"
        return "" if verdict else f"the check refused {_short(answer)}"


def unsupported(function: Callable[..., Any]) -> str:
    """Why such a function cannot be timed by calling it; empty where it can."""
    inner = function.func if isinstance(function, functools.partial) else function
    asynchronous = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if any(each(inner) or each(getattr(inner, "__call__", None)) for each in asynchronous):  # noqa: B004 - its kind
        return "a coroutine function does no work when it is called"
    return ""


def _short(value: object) -> str:
    text = " ".join((str(value) if isinstance(value, Exception) else repr(value)).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
