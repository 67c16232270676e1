"""Prepares the example (clips, database, an ffmpeg) and becomes the server: `make demo`.

With --prepare it stops before the server.

Runs in: the command; then in its place, the master.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from clips import make_clips

HERE = Path(__file__).resolve().parent
HTTP = "127.0.0.1:8000"


def main(arguments: list[str]) -> None:
    """Get everything ready; then run the documented ini, with HTTP beside it for a browser."""
    make_clips(HERE / "mytasks")
    subprocess.run([sys.executable, HERE / "manage.py", "migrate", "--verbosity", "0"], check=True)
    if arguments == ["--prepare"]:
        return
    os.environ["PATH"] = path_with_ffmpeg(os.environ.get("PATH", os.defpath))
    command = ["muleteer", str(HERE / "videos.ini"), "--http-socket", HTTP, *arguments]
    print(f"the page is at http://{HTTP}/ (Ctrl-C ends it): {' '.join(command)}", flush=True)
    os.execv(Path(sys.executable).parent / "muleteer", command)


def path_with_ffmpeg(path: str) -> str:
    """The search path as it is where there is an ffmpeg, else with the stand-in behind it."""
    if shutil.which("ffmpeg", path=path):
        return path
    print("no ffmpeg on this machine: a small stand-in writes the pictures (see README.md)")
    return os.pathsep.join([path, str(HERE / "standin")])


if __name__ == "__main__":
    main(sys.argv[1:])
