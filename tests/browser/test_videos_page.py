"""The page of examples/videos in a real Chromium: post a clip, see the task done and its pictures.

What the site does beneath is tests/process/test_example.py's.
`--screenshots` also writes docs/images/videos.png.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import eventually
from tests.harness.browser import Browser
from tests.harness.examples import videos

IMAGE = "videos.png"
WIDE, NARROW = (1200, 900), (390, 844)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site serves."""
    with videos(tmp_path_factory.mktemp("projects")) as server:
        host, port = server.http
        yield f"http://{host}:{port}/"


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Browser]:
    """The page for a new visitor; at the end the console must have stayed silent."""
    browser.complaints()
    browser.forget_cookies()
    browser.resize(*WIDE)
    browser.prefer("light")
    browser.open(url)
    yield browser
    assert browser.complaints() == []
    assert browser.requested_elsewhere() == []


SHOWN = """return [...document.querySelectorAll(".pictures img")]
    .filter(picture => picture.complete && picture.naturalWidth === 320).length"""


def encode(page: Browser, clip: str) -> None:
    """Choose a clip, press the button, wait for its task to be done and its pictures to be seen."""
    page.click(f"input[value='{clip}']")
    page.click("form button")
    eventually(lambda: page.texts(".line strong")[:1] == [clip], within=15)
    eventually(lambda: page.texts(".state")[:1] == ["done"], within=20)
    eventually(lambda: page.run(SHOWN) == 4, within=15)


def test_a_posted_clip_becomes_pictures(page: Browser) -> None:
    """The answer comes at once, and without another click the page has the task's pictures."""
    assert page.texts(".task") == []
    encode(page, "sunrise.avi")
    assert len(page.texts(".task")) == 1


def test_only_the_last_task_has_pictures(page: Browser) -> None:
    """Both tasks are listed, the newest first; every task writes the same names."""
    encode(page, "tides.avi")
    encode(page, "comet.avi")
    assert page.texts(".line strong") == ["comet.avi", "tides.avi"]
    assert page.texts(".state") == ["done", "done"]
    assert page.run(SHOWN) == len(page.texts(".pictures img")) == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_is_readable(page: Browser, scheme: str, size: tuple[int, int]) -> None:
    """On any screen and in both schemes nothing is cut off, and text stands out (WCAG AA)."""
    encode(page, "comet.avi")
    page.prefer(scheme)
    page.resize(*size)
    assert page.overflow() == 0
    assert page.is_dark() == (scheme == "dark")
    for selector in ("p", "code", "label", "button", ".state", "time", "footer"):
        assert page.contrast(selector) >= 4.5, selector


def test_screenshot(page: Browser, screenshots: Path) -> None:
    """The picture in the README: two tasks done."""
    page.resize(1200, 790)
    encode(page, "comet.avi")
    encode(page, "sunrise.avi")
    page.run("document.activeElement.blur(); scrollTo(0, 0)")
    path = screenshots / IMAGE
    page.screenshot(path)
    assert 20_000 < path.stat().st_size < 300_000
