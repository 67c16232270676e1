"""`spooler-cheap`: a spooler with nothing to do leaves, and nothing is missed meanwhile."""

from __future__ import annotations

import os
import signal as unix_signals
import time

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

APP = """
@spool
def once(task):
    note("once", task["n"], os.getpid())

@spool
def held(task):
    hold(task["n"])
    note("ended", task["n"])

@signal(17, target="spooler")
def heard(number):
    note("heard", number)
"""

CHEAP = "processes = 1\nspooler = spool\nspooler-cheap = true\nspooler-idle = 0.2\n"


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """A server whose spooler has gone to rest."""
    made = play(start_server, APP, CHEAP)
    at_rest(made)
    return made


def at_rest(yard: Playground) -> None:
    """Wait until no spooler is there."""
    eventually(lambda: not yard.server.pids("spooler"), within=10, what="the spoolers rest")


def ran(yard: Playground, n: int) -> None:
    """Wait until a task ran, sooner than at the next frequency (30 s)."""
    eventually(lambda: any(line.startswith(f"once {n} ") for line in yard.notes()), within=10)


def test_idle_spooler_leaves_and_is_back_for_a_task(yard: Playground) -> None:
    """Again and again; `spooler_pids()` says 0 meanwhile."""
    for n in range(3):
        eventually(lambda: yard.ask("uwsgi.spooler_pids()") == [0])
        yard.ask(f"once.spool(n={n})")
        ran(yard, n)
        at_rest(yard)
    assert len({line.split()[2] for line in yard.notes()}) == 3
    yard.server.wait_for("spooler 1 of .*/spool has nothing to do and rests", times=4)
    yard.server.wait_for("spooler 1 of .*/spool is called back", times=3)


def test_file_of_another_program_calls_it_back(yard: Playground) -> None:
    """In the directory, in a new priority's folder, in one that was there."""
    late = yard.ask("once.spool(n=7, at=4_000_000_000)")
    at_rest(yard)
    spool, task = yard.folder / "spool", yard.folder / "task"
    os.rename(late, task)
    data = task.read_bytes()
    for n, folder in enumerate((".", "5", "5")):
        (spool / folder).mkdir(exist_ok=True)
        copy = yard.folder / f"copy{n}"
        copy.write_bytes(data.replace(b"\x01\x007", b"\x01\x00%d" % n))
        os.rename(copy, spool / folder / f"uwsgi_spoolfile_on_x_1_{n}_1_1_1")
        ran(yard, n)
        at_rest(yard)


def test_delayed_task_calls_it_back_in_time(yard: Playground) -> None:
    """The one it knew of when it left, and one that came while it was away."""
    at = time.time() + 3
    yard.ask(f"once.spool(n=1, at={at})")
    at_rest(yard)
    assert time.time() < at
    ran(yard, 1)
    assert at - 0.01 <= time.time() < at + 3
    at_rest(yard)


def test_task_that_is_due_in_decades_is_no_trouble(yard: Playground) -> None:
    """A selector cannot wait for so long; the master does not have to."""
    yard.ask("once.spool(n=1, at=9_999_999_999)")
    yard.server.wait_for("is called back")
    at_rest(yard)
    yard.ask("once.spool(n=2)")
    ran(yard, 2)


def test_signal_calls_it_back(yard: Playground) -> None:
    """For any spooler, and for those of its directory."""
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("heard 17")
    at_rest(yard)
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("heard 17", "heard 17")


def test_busy_spooler_does_not_hold_up_what_others_could_do(start_server: StartServer) -> None:
    """Three processes rest; as those who came back are busy, the next one comes."""
    yard = play(start_server, APP, CHEAP + "spooler-processes = 3\n")
    at_rest(yard)
    for n in range(3):
        yard.ask(f"held.spool(n='t{n}')")
        yard.wait_for(f"began t{n}")
    assert len(yard.server.pids("spooler")) == 3
    for n in range(3):
        yard.let(f"t{n}")
    yard.wait_for("ended t0", "ended t1", "ended t2")
    at_rest(yard)


def test_one_comes_back_for_one_task(start_server: StartServer) -> None:
    """Not all three of them."""
    yard = play(start_server, APP, CHEAP + "spooler-processes = 3\n")
    at_rest(yard)
    yard.ask("once.spool(n=1)")
    ran(yard, 1)
    at_rest(yard)
    assert len(yard.server.log.find("is called back")) == 1


def test_burst_is_worked_off(start_server: StartServer) -> None:
    """Two hundred tasks at once while all rest: each runs, once."""
    yard = play(start_server, APP, CHEAP + "spooler-processes = 3\nspooler-quiet = true\n")
    at_rest(yard)
    yard.ask("[once.spool(n=n) for n in range(200)] and None")
    eventually(lambda: len(yard.notes()) == 200, within=20)
    assert len({line.split()[1] for line in yard.notes()}) == 200


def test_reload_and_stop_while_they_rest(yard: Playground) -> None:
    """A new generation is complete without them; its spooler comes for a task; a stop is clean."""
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("chain reload done")
    assert yard.server.pids("spooler") == set() or not yard.server.pids("spooler")
    yard.ask("once.spool(n=1)")
    ran(yard, 1)
    at_rest(yard)
    yard.server.send(unix_signals.SIGTERM)
    assert yard.server.wait() == 0


def test_task_that_runs_is_not_hurried(yard: Playground) -> None:
    """However long it takes: resting is for who has nothing to do."""
    yard.ask("held.spool(n='t')")
    yard.wait_for("began t")
    before = len(yard.server.log.find("rests"))
    yard.ask("sum(range(20_000_000)) and None")
    assert len(yard.server.log.find("rests")) == before
    yard.let("t")
    yard.wait_for("ended t")
    at_rest(yard)


def test_killed_while_others_rest_is_replaced(yard: Playground) -> None:
    """A death is a death, not a rest."""
    yard.ask("held.spool(n='t')")
    yard.wait_for("began t")
    (pid,) = yard.server.pids("spooler")
    os.kill(pid, unix_signals.SIGKILL)
    eventually(lambda: yard.server.pids("spooler") not in ({pid}, set()), within=10)
    yard.let("t")
