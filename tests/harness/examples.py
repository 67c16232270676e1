"""The example sites, each copied into the test's folder and started as its README says.

Only the ports are others: 0 instead of the documented ones.

Runs in: the test process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.harness.server import Server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

NOT_SOURCE = ("*.avi", "*.sqlite3*", "*.jpg", "*.sock", "watched.txt", "__pycache__")


def videos(folder: Path) -> Server:
    """The Django site, prepared as `make demo` does; not yet started."""
    site = _copy("videos", folder)
    subprocess.run([sys.executable, site / "demo.py", "--prepare"], check=True, timeout=60)
    ini = (site / "videos.ini").read_text().replace("127.0.0.1:3031", "127.0.0.1:0")
    arguments = ["videos.ini", "--http-socket", "127.0.0.1:0"]
    path = f"{os.environ['PATH']}:{site / 'standin'}"
    return Server(site, args=arguments, files={"videos.ini": ini}, env={"PATH": path})


def everything(folder: Path, *, env: Mapping[str, str], has_epmd: bool = True) -> Server:
    """The app with every decorator, its spooler more eager than documented; not yet started."""
    site = _copy("everything", folder)
    ini = (site / "everything.ini").read_text()
    changes = {
        "http-socket = 127.0.0.1:8000": "http-socket = 127.0.0.1:0",
        "spooler-frequency = 5": "spooler-frequency = 1",
        "if-exists = /usr/bin/epmd": f"if-exists = /usr/bin/{'env' if has_epmd else 'no-epmd'}",
    }
    for documented, here in changes.items():
        assert documented in ini, f"everything.ini has no line {documented!r}"
        ini = ini.replace(documented, here)
    files = {"everything.ini": ini}
    return Server(site, args=["everything.ini"], files=files, env=env)


def _copy(name: str, folder: Path) -> Path:
    shutil.copytree(EXAMPLES / name, folder / name, ignore=_not_source)
    return folder / name


def _not_source(directory: str, names: list[str]) -> set[str]:
    """What a demo has left in the folder: tasks, pictures, a database."""
    spooled = {name for name in names if name.startswith("uwsgi_spoolfile_on_")}
    return spooled | shutil.ignore_patterns(*NOT_SOURCE)(directory, names)
