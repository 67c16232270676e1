"""Where strace is: the order of system calls is a promise, and the kernel is its witness.

Runs in: the test process.
"""

from __future__ import annotations

import shutil

import pytest

__all__ = ["strace"]


def strace() -> str:
    """Return its path; the test fails with the line that installs it."""
    found = shutil.which("strace")
    if found is None:
        pytest.fail("no strace: apt-get install strace", pytrace=False)
    return found
