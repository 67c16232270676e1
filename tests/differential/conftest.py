"""The servers side by side: the same app, the same ini.

Runs in: the test process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.differential.claims import Claim, Setup, Side, make_server
from tests.harness import Died, Server, TimedOut, eventually


class Street:
    """The servers of one setup at a time: rows that come in the setups' order share them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._setup: Setup | None = None
        self._servers: dict[Side, Server] = {}
        self._failure = ""  # why the current setup did not start: once is enough to see it
        self._open = ExitStack()

    def servers(self, setup: Setup) -> Mapping[Side, Server]:
        """The setup's servers, started if they are not; the ones before them are stopped."""
        if setup is not self._setup:
            self.close()
            self._start(setup)
        assert not self._failure, self._failure
        return self._servers

    def close(self) -> None:
        """Stop all; raises LeftBehind when muleteer left anything."""
        self._setup, self._servers, self._failure = None, {}, ""
        self._open.close()

    def _start(self, setup: Setup) -> None:
        eventually(setup.when, within=60)
        for side in setup.sides:
            folder = self._folder / f"{setup.name}-{side.name.lower()}"
            self._servers[side] = server = make_server(setup, side, folder)
            self._open.callback(server.close)
            server.launch()
        self._setup = setup
        if setup.starts:
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        try:
            for server in self._servers.values():
                server.wait_until_ready()
        except (Died, TimedOut) as error:
            self._failure = f"{type(error).__name__}: {error}"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """Where the servers of the current setup stand."""
    street = Street(tmp_path_factory.mktemp("street", numbered=True))
    yield street
    street.close()


@pytest.fixture
def observed(claim: Claim, street: Street) -> Mapping[Side, object]:
    """What the claim observes on each side; all look at once."""
    servers = street.servers(claim.setup)
    with ThreadPoolExecutor() as pool:
        return dict(zip(servers, pool.map(claim.observe, servers.values()), strict=True))
