"""Pure: when a verdict is too old to count."""

from __future__ import annotations

SHORTEST_PERIOD = 60  # seconds: nothing audits a topic more often by itself
_SLACK_SECONDS = 900.0  # queue, start of a process, and the second look at a new hole


CLOCK_SKEW = 300.0  # seconds: so far may the clocks of two machines be apart


def counts_no_more(age: float, oldest: float) -> bool:
    """Whether a verdict that is `age` seconds old is too old, or so young that some clock must be wrong."""
    return not -CLOCK_SKEW <= age <= oldest


def overdue_after(every: int, settle: float) -> float:
    """Seconds after which the last verdict counts no more: three audits, `every` seconds apart, were missed."""
    return 3.0 * max(every, SHORTEST_PERIOD) + settle + _SLACK_SECONDS
