"""Where the programs are that a test needs beside Python's; none of them is left out silently.

Runs in: the test process.
"""

from __future__ import annotations

import shutil

import pytest

__all__ = ["tool"]


def tool(name: str, packages: str) -> str:
    """Where a program is; the test fails with the line that installs it."""
    found = shutil.which(name)
    if found is None:
        words = f"no `{name}` here. Install with: sudo apt-get install {packages}"
        pytest.fail(words, pytrace=False)
    return found
