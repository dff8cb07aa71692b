"""Every expected error. Each is one line for its reader: what was expected, what was found, what to do.

BenchproofError                 exit status 1: a bad answer
├── UsageError                  2: a wrong question (arguments, a plan)
├── StoreError                  1: a run that cannot be written or read
├── NotDelivered                3: the answer is there, and whom it is for did not get it
├── Interrupted                 128 + signal: the user stopped us; the run can be resumed
└── InvocationError             ends one invocation without a number; the runner makes it an outcome
    ├── TargetFailed            -> Failed: wrong answer, crash, time-out; the target's fault
    │   ├── StartFailed         -> Failed: it did not even start
    │   ├── TimedOut            -> Failed: no end in time
    │   └── Flooded             -> Failed: more output than is taken
    ├── NotSupported            -> Unsupported: the operation or the means to measure it is missing
    └── LabInvalid              -> Invalid: our own conditions were not good enough to believe the number

Anything else that is raised is a bug of ours and keeps its traceback.
"""


class BenchproofError(Exception):
    """A trouble that is expected: `str(error)` is the one line to show, `exit_status` the status to exit with."""

    exit_status = 1

    def __str__(self) -> str:
        """One line, whatever a plan or a foreign program put into it."""
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """Line breaks become blanks, control characters question marks."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))


class UsageError(BenchproofError):
    """The question was wrong; nothing was written."""

    exit_status = 2


class StoreError(BenchproofError):
    """A run cannot be written, read or trusted."""


class NotDelivered(BenchproofError):  # noqa: N818 - a state, as those below
    """Whom an answer is for did not take it."""

    exit_status = 3


class Interrupted(BenchproofError):  # noqa: N818 - the standard word for it
    """The user (Ctrl-C) or the system (SIGTERM) asked us to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted by signal {signal_number}")
        self.exit_status = 128 + signal_number


class InvocationError(BenchproofError):
    """An invocation ended without a number; where it ends a whole run, there is no answer."""

    exit_status = 3


class TargetFailed(InvocationError):  # noqa: N818 - named as the outcome that it becomes
    """The system under test gave a wrong answer, crashed or ran out of time."""


class StartFailed(TargetFailed):
    """The system under test did not start."""


class TimedOut(TargetFailed):
    """A command, or an answer, did not come to its end in time."""


class Flooded(TargetFailed):
    """A command printed more than is taken; it was ended."""


class NotSupported(InvocationError):  # noqa: N818 - named as the outcome that it becomes
    """Nobody's fault: `reason` says what is not possible, `missing` how to get it (empty: it cannot be got)."""

    def __init__(self, reason: str, *, missing: str = "") -> None:
        super().__init__(f"{reason}; {missing}" if missing else reason)
        self.reason = reason
        self.missing = missing


class LabInvalid(InvocationError):  # noqa: N818 - named as the outcome that it becomes
    """The laboratory's fault: noise over a limit, truncated output, authority wider than declared."""
