"""What the tests of pages may ask for: a real Chromium, and a place for its pictures.

Runs in: the test process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.browser import Browser, open_browser

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium for the tests of one file, with a new profile."""
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of the docs' images with `--screenshots`, else one that nobody keeps."""
    return IMAGES if request.config.getoption("--screenshots") else tmp_path
