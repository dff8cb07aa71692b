"""An explanation as a table, as one JSON document, or as folded stacks. Nothing is measured or decided here."""

from __future__ import annotations

import msgspec

from benchproof.analysis.profile import Change, Explanation, Profile, Row

FOLDED_OPERATIONS = 1000  # folded stacks have whole numbers: instructions in so many operations


def render(explanation: Explanation, form: str, *, top: int) -> str:
    """The text in the format `form`: table (at most `top` functions), json or folded."""
    if form == "json":
        return as_json(explanation)
    return folded(explanation) if form == "folded" else table(explanation, top=top)


def as_json(explanation: Explanation) -> str:
    """All functions; what the profiles compute of themselves is there too."""
    document = msgspec.to_builtins(explanation)
    for profile, found in zip(document["profiles"], explanation.profiles, strict=True):
        profile["deviation"] = found.deviation
    document["agrees"] = explanation.agrees
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def folded(explanation: Explanation) -> str:
    """`side;function COUNT` a line, for flame graph tools; of two targets `side;function BASE NEW`.

    There are no callers in it: nothing was unwound, each function counts for itself.
    """
    if explanation.changes:
        lines = [_frame(each) + f" {_whole(each.base)} {_whole(each.new)}" for each in explanation.changes]
    else:
        lines = [_frame(row) + f" {_whole(row.instructions)}" for found in explanation.profiles for row in found.rows]
    return "".join(f"{line}\n" for line in lines)


def _frame(row: Row | Change) -> str:
    """No blank and no semicolon in a name: they are the format's own."""
    return f"{row.side};{row.symbol.replace(';', ':').replace(' ', '_')}"


def _whole(instructions: float | None) -> int:
    return round((instructions or 0) * FOLDED_OPERATIONS)


def table(explanation: Explanation, *, top: int) -> str:
    """One profile with shares, or two side by side with their difference; sums, and what exact mode says of them."""
    lines = [f"{explanation.benchmark}: {explanation.unit}", ""]
    if explanation.changes:
        base, new = explanation.profiles
        lines += [f"base  {_name(base)}", f"new   {_name(new)}", "", *_changes(explanation, top)]
    else:
        (found,) = explanation.profiles
        lines += [_name(found), "", *_rows(found, top)]
    lines += ["", *(_agreement(each) for each in explanation.profiles)]
    return "\n".join([*lines, *(f"note: {note}" for note in explanation.notes)]) + "\n"


def _name(found: Profile) -> str:
    return found.target if found.target == found.system else f"{found.target}: {found.system}"


def _rows(found: Profile, top: int) -> list[str]:
    shown, rest = found.rows[:top], found.rows[top:]
    lines = [f"{'instructions':>14}  {'share':>6}  side    function"]
    lines += [
        f"{row.instructions:>14,.2f}  {row.instructions / found.total:>6.1%}  {row.side:6}  {row.symbol}"
        for row in shown
    ]
    if rest:
        left = sum(row.instructions for row in rest)
        lines.append(f"{left:>14,.2f}  {left / found.total:>6.1%}          {len(rest)} more (--top)")
    return [*lines, f"{found.total:>14,.2f}  {1:>6.1%}          all"]


def _changes(explanation: Explanation, top: int) -> list[str]:
    changed = [each for each in explanation.changes if each.difference]
    same = len(explanation.changes) - len(changed)
    base, new = explanation.profiles
    lines = [f"{'base':>12}  {'new':>12}  {'difference':>12}  side    function"]
    lines += [_change(each) for each in changed[:top]]
    if rest := changed[top:]:
        left = sum(each.difference for each in rest)
        lines.append(f"{'':12}  {'':12}  {left:>+12,.2f}          {len(rest)} more (--top)")
    if same:
        lines.append(f"{'':12}  {'':12}  {0:>12.2f}          {same} that do not differ")
    return [*lines, f"{base.total:>12,.2f}  {new.total:>12,.2f}  {new.total - base.total:>+12,.2f}          all"]


def _change(each: Change) -> str:
    base, new = (f"{side:,.2f}" if side is not None else "-" for side in (each.base, each.new))
    return f"{base:>12}  {new:>12}  {each.difference:>+12,.2f}  {each.side:6}  {each.symbol}"


def _agreement(found: Profile) -> str:
    return (
        f"{found.target}: the sum is {found.total:,.2f}, exact mode says {found.figure:,.2f} "
        f"({found.statistic} of its batches): {found.deviation:+.2%}; traced: batch {found.batch}, "
        f"operations in it: {found.operations}, and one reading of the clock"
    )
