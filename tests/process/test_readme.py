"""The README's example is run as it stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server
from tests.process.playground import StartServer, play

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


DECORATORS = README.parent / "docs" / "decorators.md"


def test_the_page_of_the_decorators_runs(start_server: StartServer) -> None:
    """All of its code at once: each function is where the page says, and the server serves."""
    blocks = re.findall(r"^```python\n(.*?)^```$", DECORATORS.read_text(), re.DOTALL | re.MULTILINE)
    ini = "processes = 2\nmules = 5\nfarm = barn:5\nspooler = spool\n"
    yard = play(start_server, "\n".join(blocks), ini)
    clock = yard.server.wait_for("the application registered 7 signals; the clock has: (.*)")[1]
    for entry in ("timer", "rbtimer", "cron(40 2 -1 -1 -1)", "*/5 9-17 * * mon-fri"):
        assert entry in clock
    yard.server.wait_for("watching 1 path: /etc/hostname")
    assert yard.ask("[uwsgi.call('double', 'ab'), one_at_a_time(), or_not_at_all(), a_part()]") == [
        b"abab",
        *[None] * 3,
    ]
    assert yard.ask("[bounded(), beside(1).join(), somewhere(1), in_the_farm(b'x')]") == [None] * 4


@pytest.mark.parametrize(
    "page", ["README.md", "docs/architecture.md", "docs/decorators.md", "CONTRIBUTING.md"]
)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    """Every link to a file of the repository is to one that exists."""
    path = README.parent / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []
