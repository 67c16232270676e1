"""What every test may ask for; each started thing is ended and proven clean by its fixture.

Runs in: the test process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from tests.harness import Nginx, Reference, Server
from tests.harness.clients import Address

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots`: the tests that look at a page also write its picture for the docs."""
    parser.addoption(
        "--screenshots", action="store_true", help="write the screenshots to docs/images"
    )


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a muleteer server: `start_server(ini=…, files=…)`; proven clean at the end."""
    yield from _starter(Server, tmp_path, "server")


@pytest.fixture
def start_reference(tmp_path: Path) -> Iterator[Callable[..., Reference]]:
    """Start a real uWSGI, in the same words."""
    yield from _starter(Reference, tmp_path, "reference")


@pytest.fixture
def start_nginx(tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Start a private nginx: `start_nginx(server.uwsgi)`."""
    with ExitStack() as stack:

        def start(upstream: Address, **options: Any) -> Nginx:
            return stack.enter_context(Nginx(_folder(tmp_path, "nginx"), upstream, **options))

        yield start


def _starter(kind: type[Any], tmp_path: Path, name: str) -> Iterator[Callable[..., Any]]:
    with ExitStack() as stack:

        def start(**options: Any) -> Any:
            started = kind(_folder(tmp_path, name), **options)
            stack.callback(started.close)
            return started.start()

        yield start


def _folder(tmp_path: Path, name: str) -> Path:
    """A folder of its own for each started thing of one test."""
    for number in itertools.count(1):
        folder = tmp_path / f"{name}{number}"
        if not folder.exists():
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")
