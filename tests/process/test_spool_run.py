"""`muleteer spool run`: tasks in the foreground, with the application, with or without a server."""

from __future__ import annotations

import json
import os
import signal as unix_signals
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

from muleteer.spool import State, status
from muleteer.spool.directory import DirectoryStore

APP = """
import os, sys, time, uwsgi, muleteer
from uwsgidecorators import *

@spool
def good(task):
    print("good", task["n"], uwsgi.i_am_the_spooler(), uwsgi.worker_id(), os.getcwd())

@spool(retries=1)
def bad(task):
    raise ValueError("no " + task["n"])

@spoolforever
def again(task):
    print("again")

@spoolraw
def not_mine(task):
    return uwsgi.SPOOL_IGNORE

@spool(keep_result=60)
def kept(task):
    return 7

@spool
def leaves(task):
    sys.exit(3)

@spool
def slow(task):
    print("slow begins", flush=True)
    time.sleep(60)

@spool
def asks(task):
    uwsgi.signal(3)
    uwsgi.reload()
    uwsgi.add_timer(3, 1)
    print("asked", uwsgi.spool({"ud_spool_func": "good", "n": "2"}))

@timer(1)
def tick(number):
    print("tick")

def application(environ, start_response):
    raise AssertionError("nobody asks")
"""

INI = "[uwsgi]\nmodule = app\nhttp-socket = 127.0.0.1:1\nspooler = spool\nmules = 1\n"

Put = Callable[..., bytes]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an application, its ini file and its spool directory; no server runs."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "app.ini").write_text(INI)
    (tmp_path / "spool").mkdir()
    return tmp_path


@pytest.fixture
def put(site: Path) -> Iterator[Put]:
    """Enqueue a task of a function, due in the far future."""
    store = DirectoryStore(bytes(site / "spool"))

    def enqueue(function: str, ret: bytes | None = b"-2", **more: Any) -> bytes:
        task = {b"ud_spool_func": function.encode(), b"ud_spool_name": b"app." + function.encode()}
        task |= {} if ret is None else {b"ud_spool_ret": ret}
        return store.put(task | {b"n": b"1"}, at=4e9, **more)

    yield enqueue
    store.close()


@contextmanager
def started(site: Path, *words: str | bytes) -> Iterator[subprocess.Popen[str]]:
    """Start `muleteer spool run spool` with these words; ended at the end."""
    command = [sys.executable, "-m", "muleteer", "spool", "run", "spool", *map(os.fsdecode, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=site, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(site: Path, *words: str | bytes) -> tuple[int, str, str]:
    """Exit code, output and log of it."""
    with started(site, *words) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_task_runs_in_the_foreground(site: Path, put: Put) -> None:
    """Due or not, as in a spooler: what it is, where it works; what it prints is seen."""
    path = put("good")
    code, out, err = run(site, path, "--ini", "app.ini")
    assert (code, out.splitlines()) == (
        0, [f"good 1 True 0 {site / 'spool'}", f"{os.path.basename(path).decode()} is done"],
    )  # fmt: skip
    assert "managing request" in err
    assert status(path).state is State.GONE


@pytest.mark.parametrize("words", [("--module", "app"), ("--import", "app")])
def test_application_may_be_named_without_an_ini_file(
    site: Path, put: Put, words: tuple[str, str]
) -> None:
    """A module is enough."""
    assert run(site, put("good"), *words)[0] == 0


def test_failure_counts_and_is_told(site: Path, put: Put) -> None:
    """Traceback in the log, exit code 4, the task waits with its error; then it is dead."""
    path = put("bad")
    code, out, err = run(site, path, "--ini", "app.ini")
    assert code == 4
    assert "failed: ValueError: no 1; it runs again in " in out
    assert "Traceback" in err
    seen = status(path)
    assert (seen.state, seen.attempts, seen.last_error) == (State.DELAYED, 1, "ValueError: no 1")
    code, out, _ = run(site, path, "--ini", "app.ini")
    assert code == 4
    assert "is dead: it failed 2 times" in out
    assert status(path).state is State.DEAD


def test_dead_task_is_run_anew(site: Path, put: Put) -> None:
    """With a clean slate, and in its priority's folder."""
    path = put("bad", priority=b"3")
    for _ in range(2):
        run(site, path, "--ini", "app.ini")
    assert status(path).state is State.DEAD
    code, _, _ = run(site, os.path.basename(path), "--ini", "app.ini")
    assert code == 4
    seen = status(path)
    assert (seen.state, seen.attempts, seen.path) == (State.DELAYED, 1, path)


def test_every_end_has_its_word(site: Path, put: Put) -> None:
    """As JSON, in the order of their enqueue."""
    for function, ret in (
        ("good", b"-2"), ("again", b"-1"), ("not_mine", None), ("kept", b"-2"), ("leaves", b"-2"),
        ("nobody", b"-2"),
    ):  # fmt: skip
        put(function, ret)
    code, out, _ = run(site, "*", "--ini", "app.ini", "--json")
    told = [json.loads(line)["outcome"] for line in out.splitlines() if line.startswith("{")]
    assert told == ["done", "again", "left alone", "done", "failed", "failed"]
    assert code == 4


def test_result_is_kept(site: Path, put: Put) -> None:
    """As a spooler keeps it."""
    path = put("kept")
    assert run(site, path, "--ini", "app.ini")[0] == 0
    assert (status(path).state, status(path).result) == (State.DONE, 7)
    assert run(site, path, "--ini", "app.ini")[0] == 2


def test_what_is_the_servers_is_told_and_harms_nobody(site: Path, put: Put) -> None:
    """Signals, reloads and timers reach nobody; a task that is spooled waits for a server."""
    code, out, err = run(site, put("asks"), "--ini", "app.ini")
    assert code == 0
    assert "signal 3 reaches nobody" in err
    assert "SIGHUP for the master" in err
    assert "asked" in out
    assert "tick" not in out
    assert len(list((site / "spool").glob("uwsgi_spoolfile_on_*"))) == 1


def test_interrupt_leaves_the_task_as_it_was(site: Path, put: Put) -> None:
    """Ctrl-C: nothing is counted."""
    path = put("slow")
    with started(site, path, "--ini", "app.ini") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow begins\n"
        process.send_signal(unix_signals.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "did not run to its end, and waits as before" in err
    assert (status(path).attempts, status(path).state) == (0, State.WAITING)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("*",), 3, "run needs the application"),
        (("*", "--ini", "nowhere.ini"), 1, "nowhere.ini"),
        (("*", "--import", "nowhere"), 1, "nowhere"),
        (("nobody", "--ini", "app.ini"), 1, "no task nobody in spool"),
        (("--ini", "app.ini"), 3, "TASK"),
    ],
)
def test_errors_say_what_is_missing(
    site: Path, put: Put, words: tuple[str, ...], code: int, said: str
) -> None:
    """And no task is touched."""
    path = put("good")
    answer = run(site, *words)
    assert answer[0] == code
    assert said in answer[2]
    assert status(path).state is State.DELAYED


def test_task_of_a_running_server_is_left_alone_or_taken(start_server: StartServer) -> None:
    """One that runs there is left alone; one that waits there runs here, once."""
    app = (
        "@spool\ndef held(task):\n    hold(task['n'])\n    note('ended', task['n'], os.getpid())\n"
    )
    yard: Playground = play(start_server, app, "processes = 1\nspooler = spool\n")
    running = yard.ask("held.spool(n='a')")
    yard.wait_for("began a")
    waiting = yard.ask("held.spool(n='b')")
    yard.let("b")
    code, _, err = run(yard.folder, running, "--ini", "server.ini")
    assert code == 2
    assert "runs elsewhere" in err
    assert run(yard.folder, waiting, "--ini", "server.ini")[0] == 0
    yard.let("a")
    eventually(lambda: len([n for n in yard.notes() if n.startswith("ended")]) == 2)
    pids = {n.split()[1]: int(n.split()[2]) for n in yard.notes() if n.startswith("ended")}
    assert {pids["a"]} == set(yard.server.pids("spooler"))
    assert pids["b"] != pids["a"]
