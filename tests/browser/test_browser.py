"""The browser of the harness can fail: what it is to notice on a page it notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import eventually
from tests.harness.browser import PACKAGES, Browser
from tests.harness.tools import tool

Show = Callable[[str], Browser]


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Show:
    """Open a page of that HTML on a narrow, light screen."""

    def open_page(html: str) -> Browser:
        page = tmp_path / "page.html"
        page.write_text(f"<!doctype html><link rel=icon href=data:,>{html}")
        browser.complaints()
        browser.resize(400, 400)
        browser.prefer("light")
        browser.open(page.as_uri())
        return browser

    return open_page


def test_a_silent_page_has_no_complaints(show: Show) -> None:
    """Nothing said, nothing loaded from elsewhere, nothing cut off."""
    page = show("<p>hello</p>")
    assert (page.text("p"), page.texts("p"), page.text("b")) == ("hello", ["hello"], "")
    assert page.complaints() == []
    assert page.requested_elsewhere() == []
    assert page.overflow() == 0


@pytest.mark.parametrize(
    "html",
    [
        "<script>console.error('oh')</script>",
        "<script>nobody()</script>",
        "<script>Promise.reject(new Error('oh'))</script>",
        "<img src=gone.png>",
    ],
)
def test_complaints_of_the_console_are_seen(show: Show, html: str) -> None:
    """What a script says, what it raises, and what cannot be loaded."""
    page = show(html)
    eventually(page.complaints)


def test_what_comes_from_elsewhere_is_seen(show: Show) -> None:
    """Whatever became of the request."""
    page = show("<img src=http://127.0.0.1:1/picture.png>")
    eventually(lambda: page.requested_elsewhere() == ["http://127.0.0.1:1/picture.png"])


def test_a_page_that_is_too_wide_is_seen(show: Show) -> None:
    """How many pixels one would have to scroll."""
    assert show("<div style='width: 500px; margin: 0 -8px'>x</div>").overflow() == 100


def test_text_that_does_not_stand_out_is_seen(show: Show) -> None:
    """Black on white has a contrast of 21; the ground may be that of an element around."""
    page = show(
        "<body style='background: #fff'><p style='color: #000'>a</p>"
        "<div style='background: #888'><b style='color: #999'>b</b></div>"
    )
    assert page.contrast("p") == pytest.approx(21)
    assert page.contrast("b") < 1.3


def test_the_scheme_and_the_screen_are_a_person_s_own(show: Show) -> None:
    """A page sees whether dark is preferred, and how wide it may be."""
    page = show(
        "<style>body { background: #eee } @media (prefers-color-scheme: dark)"
        " { body { background: #111 } }</style>"
    )
    assert not page.is_dark()
    page.prefer("dark")
    assert page.is_dark()
    page.resize(700, 300)
    assert page.run("return [innerWidth, innerHeight]") == [700, 300]


def test_what_is_covered_cannot_be_clicked(show: Show) -> None:
    """A person could not press such a button either."""
    page = show(
        "<button>press</button><div style='position: fixed; inset: 0; background: #fff'></div>"
    )
    with pytest.raises(Exception, match="click intercepted"):
        page.click("button")


def test_a_missing_browser_is_named_with_the_line_that_installs_it() -> None:
    """So that nobody has to look for the package's name."""
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium chromium-driver"):
        tool("chromium-that-is-not-there", PACKAGES)
