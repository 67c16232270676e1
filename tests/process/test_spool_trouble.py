"""Promises about spool directories in trouble, kept by the real server: told, and survived."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

INI = "processes = 1\nspooler = spool\nspooler-frequency = 1\n"

TASKS = """
@spool
def once(task):
    note("once", task["name"])

@spool(delay=0.05, max_delay=0.05)
def fails_until_told(task):
    note("try", task["name"])
    if not os.path.exists(HERE + "/let_" + task["name"]):
        raise RuntimeError("not yet")

@spool
def here(task):
    note("in", os.getcwd())

@spool
def held(task):
    hold(task["name"])
    note("ended", task["name"])
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """One worker, one spooler."""
    return play(start_server, TASKS, INI)


# -- a full disk ---------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount; tests/contract/test_store_trouble.py does without")
    yield folder  # asked for before the server, it goes after it
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(b"x" * 512)
    return ballast


def files(folder: Path) -> list[str]:
    """The names of all files there, drafts too."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_full_disk_refuses_new_tasks_and_runs_the_old(
    small_disk: Path, start_server: StartServer
) -> None:
    """The caller hears of it, nothing half is left, what waits runs; with room all is as before."""
    yard = play(start_server, TASKS, INI.replace("= spool\n", f"= {small_disk}\n"))
    yard.ask("held.spool(name='gate'), once.spool(name='old')")
    yard.wait_for("began gate")
    ballast = fill(small_disk)
    for name in ("'x'", "'x' * 100_000"):
        said = yard.ask(f"once.spool(name={name})")
        assert "ValueError" in said
        assert f"{small_disk}: cannot write a task: No space left on device" in said
    yard.let("gate")
    yard.wait_for("ended gate", "once old")
    eventually(lambda: files(small_disk) == ["ballast"], within=10)
    ballast.unlink()
    yard.ask("once.spool(name='new')")
    yard.wait_for("once new")


def test_failures_on_a_full_disk_are_tried_on(small_disk: Path, start_server: StartServer) -> None:
    """A task whose count cannot be written is neither lost nor spun on, and ends when it can."""
    ini = INI.replace("= spool\n", f"= {small_disk}\n") + "spooler-retries = forever\n"
    yard = play(start_server, TASKS, ini)
    yard.ask("fails_until_told.spool(name='t')")

    def told_twice() -> bool:
        fill(small_disk)  # a rewrite that was under way gives the old file's room back
        return len(yard.server.log.find("the spool cannot be used.*No space left")) >= 2

    eventually(told_twice, within=10)
    yard.let("t")
    eventually(lambda: files(small_disk) == ["ballast"], within=10)


def test_read_only_disk_starts_nothing_and_says_so(
    small_disk: Path, start_server: StartServer
) -> None:
    """What comes due waits for the disk to be writable; then it runs, and once."""
    yard = play(start_server, TASKS, INI.replace("= spool\n", f"= {small_disk}\n"))
    yard.ask(f"once.spool(name='due', at={time.time() + 1})")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = yard.ask("once.spool(name='x')")
    assert f"{small_disk}: cannot write a task: Read-only file system" in said
    yard.server.wait_for(f"the spool cannot be used: .*{small_disk}: cannot claim .*Read-only")
    assert yard.notes() == []
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    yard.wait_for("once due")
    eventually(lambda: not list(small_disk.glob("uwsgi_*")), within=10)
    assert yard.notes() == ["once due"]


# -- a directory that goes away -------------------------------------------------------------------


def test_deleted_directory_heals_when_it_is_made_again(start_server: StartServer) -> None:
    """rm -rf, mkdir: the next task runs at once, in the new directory; the spooler is the same.

    Not at the next look, which is ten minutes away.
    """
    yard = play(start_server, TASKS, INI.replace("frequency = 1", "frequency = 600"))
    spool = yard.folder / "spool"
    (pid,) = yard.server.pids("spooler")
    shutil.rmtree(spool)
    assert f"spool directory {spool}" in yard.ask("once.spool(name='x')")
    yard.server.wait_for(f"the spool cannot be used: spool directory {spool}")
    spool.mkdir()
    yard.ask("here.spool()")
    yard.wait_for(f"in {spool}")
    assert yard.server.pids("spooler") == {pid}


def test_task_whose_directory_is_deleted_under_it_ends(yard: Playground) -> None:
    """The running task ends as if nothing were; its spooler waits for the directory."""
    spool = yard.folder / "spool"
    (pid,) = yard.server.pids("spooler")
    yard.ask("held.spool(name='t')")
    yard.wait_for("began t")
    shutil.rmtree(spool)
    yard.let("t")
    yard.wait_for("ended t")
    spool.mkdir()
    yard.ask("once.spool(name='next')")
    yard.wait_for("once next")
    assert yard.server.pids("spooler") == {pid}


def test_spooler_is_born_where_its_directory_is_not(yard: Playground) -> None:
    """One that is replaced while the directory is away starts, says so, and works later."""
    spool, away = yard.folder / "spool", yard.folder / "away"
    spool.rename(away)
    (pid,) = yard.server.pids("spooler")
    os.kill(pid, 9)
    yard.server.wait_for("respawned spooler 1")
    yard.server.wait_for(f"the spool cannot be used: {spool}: No such file or directory")
    away.rename(spool)
    yard.ask("here.spool()")
    yard.wait_for(f"in {spool}")


# -- strangers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_directory_that_everybody_may_write_to_is_told(
    start_server: StartServer, tmp_path: Path, mode: int
) -> None:
    """Whoever can write there can run code as the server: the log says so, and what to do."""
    spool = tmp_path / "open"
    spool.mkdir()
    spool.chmod(mode)
    yard = play(start_server, TASKS, INI.replace("= spool\n", f"= {spool}\n"))
    yard.server.wait_for(
        f"WARNING: every user of this machine may write to the spool directory {spool}.*chmod o-w"
    )


def test_directory_that_is_ours_is_not_told(yard: Playground) -> None:
    """No warning where there is nothing to warn of; one we make is closed to others."""
    assert "may write to the spool directory" not in yard.server.log


def test_directory_that_we_make_is_closed_to_others(
    start_server: StartServer, tmp_path: Path
) -> None:
    """Mode 0750, as under uWSGI; its tasks 0600."""
    spool = tmp_path / "new"
    yard = play(start_server, TASKS, INI.replace("= spool\n", f"= {spool}\n"))
    assert stat.S_IMODE(spool.stat().st_mode) == 0o750
    path = yard.ask("once.spool(name='x', at=4_000_000_000)")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


# -- sync -----------------------------------------------------------------------------------------


TOLD = """
really_sync = os.fsync

def told(fd):
    note("sync", "of a folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "of a file")
    really_sync(fd)

os.fsync = told
"""


@pytest.mark.parametrize(
    ("ini", "synced"),
    [("spooler-sync = data\n", ["sync of a file", "sync of a folder"]), ("", [])],
)
def test_spooler_sync_reaches_the_disk_before_the_caller(
    start_server: StartServer, ini: str, synced: list[str]
) -> None:
    """With `data` the worker that enqueues syncs file and folder before it says so, else neither.

    What the kernel sees of it is in tests/contract/test_store_trouble.py.
    """
    yard = play(start_server, TASKS + TOLD, INI + ini)
    yard.ask("once.spool(name='x', at=4_000_000_000)")
    assert yard.notes() == synced
