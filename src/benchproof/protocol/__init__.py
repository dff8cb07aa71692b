"""What a system says of itself on its console: reading it, doubting it, deciding what it is worth.

A console carries log lines, faults and results at once. Nothing here starts anything: text, and the times at which it
arrived, become a `Reported` or the error that says which line decided against it. `docs/protocol.md` is the norm.
"""
