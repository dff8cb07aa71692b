"""Our side of a pair: a probed benchmark on the host, by the library's own seam, its answer checked.

The peer runs in the same started instance, so both have the same supervisor, environment, folder and probe file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from statistics import median

from benchmarks.rows import NoNumber
from benchproof import laboratory, runner
from benchproof.benchmarks.primitive.probed import Probed
from benchproof.model import Passed
from benchproof.targets.host import FolderInstance, Host


@contextlib.contextmanager
def started_host() -> Iterator[FolderInstance]:
    """The host as a run starts it: an empty folder with the probe in it."""
    probe = laboratory.prepare_probe(laboratory.cache_folder())
    with laboratory.opened(probe) as lab, Host(Host.Settings(), lab).start() as instance:
        yield instance


def verified_median(question: Probed, instance: FolderInstance) -> float:
    """The figure that a report would show for this invocation. Raises NoNumber if the oracle objects."""
    done = instance.run([instance.probe, *question.arguments()], timeout_s=float(question.timeout))
    outcome = runner.judge(question, question.observe(done))
    if not isinstance(outcome, Passed):
        raise NoNumber(f"expected a right answer of '{question.definition.name}', found {outcome}")
    return median(outcome.measurements[0].samples)


@contextlib.contextmanager
def on_one_cpu() -> Iterator[None]:
    """All that is started meanwhile, whoever starts it, stays on the last CPU that we may use."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
