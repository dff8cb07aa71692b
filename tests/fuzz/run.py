"""`make fuzz`: atheris on every reader of foreign bytes, from recordings and the corpus, for a stated time.

What crashes or takes longer than ten seconds ends it; the input is left in the folder that is named, and its path can
be given to look at it again: `python tests/fuzz/run.py PATH`. Keep it in `tests/fuzz/corpus/` when it is mended: the
test suite feeds all of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent.parent))

_LONGEST_BYTES = 32 << 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", type=Path, help="feed these and nothing else")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="where inputs that crash are left")
    given = parser.parse_args()
    if given.inputs:
        look_at(given.inputs)
    else:
        given.keep.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            fuzz(Path(folder), given)


def look_at(inputs: list[Path]) -> None:
    from fuzz import harness  # noqa: PLC0415 - the fuzzer instruments what it imports

    for path in inputs:
        sys.stderr.write(f"{path}: {path.stat().st_size} bytes\n")
        harness.feed(path.read_bytes())


def fuzz(folder: Path, given: argparse.Namespace) -> None:
    import atheris  # noqa: PLC0415 - not there for every Python

    with atheris.instrument_imports(include=["benchproof"]):
        from fuzz import harness, mutations  # noqa: PLC0415

        for form in harness.FORMATS.own:
            harness.FORMATS.load(form)  # now, as what is imported later is not instrumented

    def mutator(content: bytes, longest: int, seed: int) -> bytes:
        """Half of the changes are the library's, half know what the content is made of; the target mostly stays."""
        random = Random(seed)
        if random.random() < 0.02:
            return bytes(atheris.Mutate(content, longest))
        target, _, body = content.partition(b"\n")
        changed = mutations.mutated(body, random) if random.random() < 0.5 else bytes(atheris.Mutate(body, longest))
        return (target + b"\n" + changed)[:longest]

    seeds = [*harness.recordings().values(), *(path.read_bytes() for path in harness.CORPUS.iterdir())]
    for number, content in enumerate(seeds):
        if len(content) <= _LONGEST_BYTES:
            (folder / f"{number:04d}").write_bytes(content)
    options = [
        f"-max_total_time={given.seconds}",
        f"-seed={given.seed}",
        f"-max_len={_LONGEST_BYTES}",
        f"-artifact_prefix={given.keep}/",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], harness.feed, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
