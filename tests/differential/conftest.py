"""Both servers side by side: the same app, the same ini, one after the other.

Runs in: the test process.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.differential.claims import Claim, Pair, observe
from tests.harness import Reference, Server


@pytest.fixture
def both(claim: Claim, tmp_path: Path) -> Pair:
    """What the claim observes on ours and on real uWSGI."""
    return Pair(
        ours=observe(claim, Server, tmp_path / "muleteer"),
        theirs=observe(claim, Reference, tmp_path / "uwsgi"),
    )
