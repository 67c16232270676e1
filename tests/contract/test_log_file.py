"""A log file between processes: who opens it anew, when, and what becomes of a line.

Each case runs in an interpreter of its own, for its stdout and stderr become the file.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAD = """
import os
from muleteer.ipc.logfile import LogFile
from muleteer.ipc.scoreboard import Scoreboard

board, log = Scoreboard(1, 1), LogFile("app.log")
log.open()

def say(words):
    os.write(2, (words + "\\n").encode())
    os.write(1, (words + " too\\n").encode())

def in_child(what):
    pid = os.fork()
    if not pid:
        what()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""


def run(folder: Path, script: str) -> dict[str, list[str]]:
    """The lines of each file afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script], cwd=folder, timeout=30, check=False
    )
    assert done.returncode == 0
    return {path.name: path.read_text().splitlines() for path in folder.iterdir() if path.is_file()}


def test_stdout_and_stderr_are_the_file(tmp_path: Path) -> None:
    """It is made when it is not there, and appended to when it is."""
    (tmp_path / "app.log").write_text("before\n")
    assert run(tmp_path, "say('now')") == {"app.log": ["before", "now", "now too"]}


def test_who_was_forked_before_the_turn_finds_out(tmp_path: Path) -> None:
    """The count of openings is shared; a process that is behind opens the file itself, once."""
    files = run(
        tmp_path,
        """
told, tell = os.pipe()
pid = os.fork()
if not pid:
    os.read(told, 1)
    say("old")
    log.follow(board)
    say("new")
    os.rename("app.log", "app.log.2")
    log.follow(board)
    say("still")
    os._exit(0)
os.rename("app.log", "app.log.1")
log.turn(board)
os.write(tell, b"!")
assert os.waitpid(pid, 0)[1] == 0
""",
    )
    assert files == {
        "app.log.1": ["old", "old too"],
        "app.log.2": ["new", "new too", "still", "still too"],
    }


def test_who_is_forked_after_the_turn_has_nothing_to_do(tmp_path: Path) -> None:
    """What it inherits is the new file."""
    files = run(
        tmp_path,
        """
os.rename("app.log", "app.log.1")
log.turn(board)
in_child(lambda: (log.follow(board), say("child")))
""",
    )
    assert files == {"app.log.1": [], "app.log": ["child", "child too"]}


def test_a_master_that_cannot_open_it_tells_nobody(tmp_path: Path) -> None:
    """It raises, all goes on in the old file, and the count says so."""
    files = run(
        tmp_path,
        """
os.rename("app.log", "app.log.1")
os.mkdir("app.log")
try:
    log.turn(board)
except IsADirectoryError:
    say(f"turns: {board.log_turns}")
""",
    )
    assert files == {"app.log.1": ["turns: 0", "turns: 0 too"]}


def test_a_child_that_cannot_open_it_goes_on_in_the_old_file(tmp_path: Path) -> None:
    """And says so there: it may be another user's process."""
    files = run(
        tmp_path,
        """
def child():
    os.rename("app.log", "app.log.1")
    os.mkdir("app.log")
    board.turn_log()
    log.follow(board)
    say("on")

in_child(child)
""",
    )
    complaint, *lines = files["app.log.1"]
    assert complaint.startswith("muleteer: app.log: Is a directory; process ")
    assert complaint.endswith(" goes on in the old file")
    assert lines == ["on", "on too"]
