"""The page of examples/everything in a real Chromium, as a person would use it.

What fired where is test_everything.py's; here it is what one sees of it.
`--screenshots` also writes docs/images/everything.png.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import eventually
from tests.harness.browser import Browser
from tests.harness.examples import everything
from tests.harness.otp import Epmd

IMAGE = "everything.png"
WIDE, NARROW = (1360, 1000), (390, 844)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the example serves, with a node in an epmd of its own."""
    folder = tmp_path_factory.mktemp("examples")
    epmd = Epmd().start()
    try:
        env = {"ERL_EPMD_PORT": str(epmd.port), "HOME": str(folder)}
        with everything(folder, env=env) as server:
            host, port = server.http
            yield f"http://{host}:{port}/"
    finally:
        epmd.stop()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Browser]:
    """The page on a wide, light screen; at the end the console must have stayed silent."""
    browser.complaints()
    browser.resize(*WIDE)
    browser.prefer("light")
    browser.open(url)
    eventually(lambda: count(browser, "timer"), within=15, what="the first tick is on the page")
    yield browser
    assert browser.complaints() == []
    assert browser.requested_elsewhere() == []


def count(page: Browser, decorator: str) -> int:
    """How often a card says that its function ran."""
    return int(re.sub(r"\D", "", page.text(f"#{decorator} .count")) or 0)


def test_ticks_arrive(page: Browser) -> None:
    """A timer's card counts on, gets its marks, and says where it ran last."""
    before = count(page, "mstimer")
    marks = "return document.querySelectorAll('#mstimer .strip i').length"
    seen = page.run(marks)
    eventually(lambda: count(page, "mstimer") >= before + 2, within=15)
    eventually(lambda: page.run(marks) > seen, within=15)
    assert page.text("#mstimer .last").startswith("mule 1")
    assert page.text("#timer .last").startswith("worker ")


def test_every_process_has_its_chip(page: Browser) -> None:
    """Name and pid of each worker, mule, spooler and gateway, in this order."""
    eventually(lambda: len(page.texts("#processes .chip")) == 12, within=15)
    names = page.texts("#processes .name")
    workers = [f"worker {number}" for number in (1, 2, 3, 4)]
    mules = [f"mule {number}" for number in (1, 2, 3, 4, 5, 6)]
    assert names == [*workers, *mules, "spooler 1", "gateway 1"]
    assert all(pid.isdigit() for pid in page.texts("#processes .pid"))


BUTTONS = [
    ("signal", "A worker", "signal 1"),
    ("signal", "All workers", "signal 2"),
    ("signal", "Mule 1", "signal 3"),
    ("signal", "The farm", "signal 4"),
    ("signal", "The spooler", "signal 5"),
    ("filemon", "Touch the file", "watched.txt changed"),
    ("spool", "Enqueue", "hello, you"),
    ("spoolraw", "Enqueue", "not yet: SPOOL_RETRY"),
    ("spoolforever", "Enqueue", "all is well"),
    ("spoolforever", "Remove", "all is well"),
    ("mulefunc", "Call", "1000! has 2568 digits"),
    ("mulemsg", "Send", "hello, mule 4"),
    ("farm", "Send", "hello, whoever is idle"),
    ("rpc", "Call over the socket", "2 + 40 = 42"),
    ("erlang", "Send a message", "good morning"),
    ("lock", "All workers at once", "had the lock"),
    ("harakiri", "Run into it", "this will take a minute"),
]


@pytest.mark.parametrize(("decorator", "label", "words"), BUTTONS)
def test_a_click_shows_its_event(page: Browser, decorator: str, label: str, words: str) -> None:
    """A click brings the event onto its card and into the list of the latest."""
    before = count(page, decorator)
    page.click(button(page, decorator, label))
    if label == "Remove":
        eventually(lambda: "file is gone" in page.text(f"#{decorator} .answer"), within=15)
        return
    said = f"#{decorator} .last"
    eventually(lambda: count(page, decorator) > before and words in page.text(said), within=15)
    if decorator != "spoolforever":  # what repeats is hidden
        entries = page.texts("#feed li:not(.repeating)")
        assert any(f"@{decorator}" in entry and words in entry for entry in entries)


def test_there_is_no_other_button(page: Browser) -> None:
    """Every button of the page is in the list above."""
    script = """return [...document.querySelectorAll(".buttons button")]
        .map(button => [button.closest(".card").id, button.innerText])"""
    assert sorted(map(tuple, page.run(script))) == sorted(button[:2] for button in BUTTONS)


def test_a_killed_worker_shows_its_new_pid(page: Browser) -> None:
    """After a harakiri the worker's chip is marked, and its pid is another."""
    pids = dict(zip(page.texts(".chip .name"), page.texts(".chip .pid"), strict=True))
    before = count(page, "harakiri")
    page.click(button(page, "harakiri", "Run into it"))
    eventually(lambda: count(page, "harakiri") > before, within=15)
    name = page.text("#harakiri .last .who")
    chip = f"#{name.replace(' ', '-')}"
    eventually(lambda: page.text(f"{chip} .pid") != pids[name], within=15)
    assert name in page.texts(".chip.replaced .name")


def test_what_repeats_is_shown_when_asked_for(page: Browser) -> None:
    """The list of the latest leaves ticks out until the box is checked."""
    shown = """return [...document.querySelectorAll("#feed li")]
        .filter(entry => entry.offsetHeight && entry.innerText.includes("@timer")).length"""
    assert page.run(shown) == 0
    page.click("#repeating")
    assert page.run(shown) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_it_is_readable(page: Browser, scheme: str, size: tuple[int, int]) -> None:
    """On any screen and in both schemes nothing is cut off, and text stands out (WCAG AA)."""
    page.prefer(scheme)
    page.resize(*size)
    assert page.overflow() == 0
    assert page.is_dark() == (scheme == "dark")
    for selector in (".top p", ".words", ".decorator", "pre", "button", ".who", ".count", ".pid"):
        assert page.contrast(selector) >= 4.5, selector


PRESSED = [
    ("signal", "All workers", 4),
    ("lock", "All workers at once", 4),
    ("filemon", "Touch the file", 1),
    ("signal", "The farm", 1),
    ("mulefunc", "Call", 1),
    ("lock", "All workers at once", 4),
    ("signal", "All workers", 4),
    ("spool", "Enqueue", 1),
    ("signal", "A worker", 1),
    ("erlang", "Send a message", 1),
]


def test_screenshot(page: Browser, screenshots: Path) -> None:
    """The picture in the README: a minute after the start, a few buttons pressed."""
    page.resize(1360, 1340)
    eventually(lambda: count(page, "cron") > 0, within=75)
    for decorator, label, calls in PRESSED:
        ticks, before = count(page, "timer"), count(page, decorator)
        page.click(button(page, decorator, label))
        eventually(lambda: count(page, decorator) >= before + calls, within=15)  # noqa: B023
        eventually(lambda: count(page, "timer") > ticks, within=15)  # noqa: B023
    page.run("scrollTo(0, 0)")
    path = screenshots / IMAGE
    page.screenshot(path)
    assert 20_000 < path.stat().st_size < 300_000


def button(page: Browser, decorator: str, label: str) -> str:
    """The selector of a button."""
    labels = page.texts(f"#{decorator} button")
    return f"#{decorator} button:nth-child({labels.index(label) + 1})"
