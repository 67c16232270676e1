"""When to wake up: the soonest of some moments that may not be set. Pure: no process, no clock.

Runs in: the master.
"""

from __future__ import annotations

__all__ = ["soonest"]


def soonest(*times: float | None) -> float | None:
    """Return the first of some moments; None stands for never."""
    return min((when for when in times if when is not None), default=None)
