"""The README's example is run as it stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server

README = Path(__file__).resolve().parents[2] / "README.md"


def _block(language: str) -> str:
    """The first block of code in that language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"the README has no {language} block"
    return found.group(1)


def test_the_example_does_what_the_readme_prints(start_server: Callable[..., Server]) -> None:
    """App and ini of the README: the answer comes, the task runs, the cron job is on the clock."""
    ini = _block("ini")
    assert "127.0.0.1:8000" in ini
    files = {
        "app.py": _block("python"),
        "app.ini": ini.replace("127.0.0.1:8000", "127.0.0.1:0"),
        "tasks/": "",
    }
    server = start_server(args=["app.ini"], files=files)
    assert server.get("/").text == "it will be encoded\n"
    server.wait_for(r"managing request uwsgi_spoolfile_on_")
    server.wait_for(r"^encoding holiday\.avi$")
    server.wait_for(r"done with task uwsgi_spoolfile_on_")
    assert "the clock has: cron(40 2 -1 -1 -1)" in server.log


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "CONTRIBUTING.md"])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    """Every link to a file of the repository is to one that exists."""
    path = README.parent / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
