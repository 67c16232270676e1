"""The fixtures of the contract tests.

Runs in: the test process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.serving import Site


@pytest.fixture
def path(tmp_path: Path) -> bytes:
    """An empty spool directory."""
    folder = tmp_path / "spool"
    folder.mkdir()
    return bytes(folder)


@pytest.fixture
def new_site() -> Iterator[Callable[..., Site]]:
    """Make an engine: `new_site(app, limit_post=10)`; closed at the end, with nothing left."""
    sites: list[Site] = []

    def make(app: Any, **options: Any) -> Site:
        sites.append(Site(app, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.close()
        assert site.engine.open_connections == 0
        assert site.core.depth == 0
