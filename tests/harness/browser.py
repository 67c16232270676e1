"""A real headless Chromium, with a profile of its own, that notes what its console says.

Debian's chromium and chromium-driver; selenium is told where both are, so it fetches nothing.

Runs in: the test process.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from tests.harness.tools import tool

PACKAGES = "chromium chromium-driver"

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


class Browser:
    """One window: opens pages, looks at them as a person with this screen and taste would."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Load a page, whole."""
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a JavaScript function's body."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What a person reads in the first element of that selector; '' where there is none."""
        return str(
            self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        )

    def texts(self, selector: str) -> list[str]:
        """The same, of all elements."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
        return [str(text) for text in self.run(script, selector)]

    def click(self, selector: str) -> None:
        """Scroll there and click it, as a person would: it must be seen and not be covered."""
        (element,) = self.driver.find_elements("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def resize(self, width: int, height: int) -> None:
        """A screen of that many CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """A person who prefers 'light' or 'dark'."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def forget_cookies(self) -> None:
        """Be somebody whom no site has seen yet."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def is_dark(self) -> bool:
        """Is the page's ground dark?"""
        ground = self.run("return getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in ground[4:-1].split(",")) < 3 * 128

    def complaints(self) -> list[str]:
        """What the console got since the last look: errors, failed loads, warnings."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requested_elsewhere(self) -> list[str]:
        """What the page loaded from any other origin than its own."""
        script = """return performance.getEntriesByType("resource").map(entry => entry.name)
            .filter(name => !name.startsWith(location.origin) && !name.startsWith("data:"))"""
        return [str(name) for name in self.run(script)]

    def overflow(self) -> int:
        """How many pixels the page is wider than the screen: 0, or it scrolls sideways."""
        return int(self.run("return document.documentElement.scrollWidth - window.innerWidth"))

    def contrast(self, selector: str) -> float:
        """The contrast of an element's text against what is behind it, as WCAG reckons it."""
        return float(self.run(CONTRAST, selector))

    def screenshot(self, path: Path) -> None:
        """Write what the window shows, as PNG."""
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))


CONTRAST = """
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (colour) => colour.slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const element = document.querySelector(arguments[0]);
    let behind = element;
    const ground = () => parse(getComputedStyle(behind).backgroundColor);
    while (behind.parentElement && ground()[3] === 0) behind = behind.parentElement;
    const both = [light(parse(getComputedStyle(element).color)), light(ground())];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
"""


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser with a new profile in that folder; ended at the end."""
    options = ChromeOptions()
    options.binary_location = tool("chromium", PACKAGES)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(tool("chromedriver", PACKAGES)))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
