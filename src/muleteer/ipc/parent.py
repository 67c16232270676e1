"""Ending when the parent does: the kernel tells a child of its parent's death (Linux).

Runs in: the second half of a fork.
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def end_with_parent(parent: int, number: int) -> None:
    """Get this Unix signal when the parent dies; end at once if it died before this call."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before it could be heard of
            os._exit(0)
