"""`import uwsgi` as an application sees it, in a request, in a spooled task, and outside."""

from __future__ import annotations

import os
import signal as unix_signals
import subprocess
import sys
import time

import pytest
from tests.harness import eventually
from tests.harness.clients import Client, http_request
from tests.process.playground import Playground, StartServer, play

INI = """
processes = 2
spooler = spool
spooler-frequency = 1
locks = 2
my_word = some value
env = A=1
env = B=2
"""

CODE = """
@spool
def tell(task):
    note("told", repr(eval(task["asked"])))

@spool
def count(task):
    while uwsgi.total_requests() < int(task["up_to"]):
        time.sleep(0.005)
    note("counted", uwsgi.total_requests())

@spool
def lock_and_hold(task):
    uwsgi.lock(1)
    hold("locked")
    uwsgi.unlock(1)

def lock_and_hold_here():
    uwsgi.lock(1)
    hold("locked")
    uwsgi.unlock(1)

def wait_for_lock():
    uwsgi.lock(1)
    note("taken")
    uwsgi.unlock(1)

def leaving():
    note("atexit", "spooler" if uwsgi.i_am_the_spooler() else f"worker{uwsgi.worker_id()}")

uwsgi.atexit = leaving
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers and a spooler."""
    return play(start_server, CODE, INI)


def test_options_have_uwsgis_types(yard: Playground) -> None:
    """`uwsgi.opt`: str keys; bytes, True for a bare flag, a list when repeated."""
    assert yard.ask("uwsgi.opt['my_word']") == b"some value"
    assert yard.ask("uwsgi.opt['processes']") == b"2"
    assert yard.ask("uwsgi.opt['env']") == [b"A=1", b"B=2"]
    assert yard.ask("{type(key).__name__ for key in uwsgi.opt} == {'str'}") is True


def test_worker_knows_itself_and_the_server(yard: Playground) -> None:
    """Its id, the master's pid, how many there are, the version, and since when."""
    assert yard.ask("uwsgi.worker_id()") in (1, 2)
    assert yard.ask("uwsgi.masterpid()") == yard.server.pid
    assert yard.ask("uwsgi.numproc") == 2
    assert yard.ask("uwsgi.i_am_the_spooler()") is None
    assert yard.ask("isinstance(uwsgi.version, (bytes, str))") is True
    assert abs(yard.ask("uwsgi.started_on") - time.time()) < 60
    assert yard.ask("uwsgi.SPOOL_OK, uwsgi.SPOOL_RETRY, uwsgi.SPOOL_IGNORE") == (-2, -1, 0)
    workers = yard.ask("uwsgi.workers()")
    assert [worker["id"] for worker in workers] == [1, 2]
    assert {worker["pid"] for worker in workers} == yard.server.pids("worker")
    assert b"busy" in {worker["status"] for worker in workers}


def test_spooler_knows_itself_and_the_server(yard: Playground) -> None:
    """The same names in a task: no worker, the spooler, the same master."""
    asked = "(uwsgi.worker_id(), uwsgi.i_am_the_spooler(), uwsgi.masterpid(), uwsgi.numproc)"
    yard.ask(f"tell.spool(asked={asked!r})")
    yard.wait_for(f"told {(0, True, yard.server.pid, 2)!r}")
    yard.ask("tell.spool(asked='uwsgi.opt[\"my_word\"]')")
    yard.wait_for("told b'some value'")


def test_requests_are_counted_over_a_respawn(yard: Playground) -> None:
    """`total_requests()` goes on where it was when a worker is killed; `request_id()` grows.

    A request is counted just after its client has the answer: the spooler tells when all are.
    """
    for _ in range(10):
        yard.ask("None")
    yard.ask("count.spool(up_to='11')")
    yard.wait_for("counted 11")
    victims = yard.server.pids("worker")
    for pid in victims:
        os.kill(pid, unix_signals.SIGKILL)
    eventually(lambda: len(yard.server.pids("worker") - victims) == 2, within=10)
    yard.ask("count.spool(up_to='12')")
    yard.wait_for("counted 12")
    ids = {yard.ask("(uwsgi.worker_id(), uwsgi.request_id())") for _ in range(5)}
    assert len(ids) == 5


def test_log_is_written(yard: Playground) -> None:
    """`uwsgi.log` takes str and bytes and says who speaks."""
    yard.ask("uwsgi.log('from a request'), uwsgi.log(b'in bytes')")
    yard.server.wait_for(r"worker \d \d+\] from a request")
    yard.server.wait_for("in bytes")


def test_exit_hooks_run_at_reload_and_stop(yard: Playground) -> None:
    """Every worker and spooler that leaves in good order runs `uwsgi.atexit`, once."""
    all_of_them = ["atexit worker1", "atexit worker2", "atexit spooler"]
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("chain reload done")
    assert len(yard.wait_for(*all_of_them)) == 3
    assert yard.server.stop() == 0
    assert len(yard.wait_for(*all_of_them * 2)) == 6


@pytest.mark.parametrize("holder", ["worker", "spooler"])
def test_lock_of_a_killed_holder_is_taken_over(yard: Playground, holder: str) -> None:
    """A process that is SIGKILLed with a lock in hand wedges nobody."""
    if holder == "spooler":
        yard.ask("lock_and_hold.spool()")
        yard.wait_for("began locked")
        (victim,) = yard.server.pids("spooler")
        client = None
    else:
        victim, client = hold_in_worker(yard)
    assert yard.ask("uwsgi.is_locked(1)") is True
    os.kill(victim, unix_signals.SIGKILL)
    yard.let("locked")
    assert yard.ask("wait_for_lock()") is None
    assert "taken" in yard.notes()
    if client is not None:
        client.close()


def hold_in_worker(yard: Playground) -> tuple[int, Client]:
    """A worker that holds lock 1 in a request that never ends by itself."""
    client = Client(yard.server.http)
    client.send(http_request("POST", "/", body=b"lock_and_hold_here()"))
    yard.wait_for("began locked")
    other = yard.ask("os.getpid()")
    (victim,) = yard.server.pids("worker") - {other}
    return victim, client


def test_lock_excludes_others(yard: Playground) -> None:
    """While a task holds lock 1 nobody else gets it, and lock 0 is free."""
    yard.ask("lock_and_hold.spool()")
    yard.wait_for("began locked")
    assert yard.ask("uwsgi.is_locked(1), uwsgi.is_locked(0)") == (True, False)
    assert yard.ask("uwsgi.lock(1, timeout=0.05)") is False
    yard.let("locked")
    assert yard.ask("wait_for_lock()") is None
    assert "ValueError" in yard.ask("uwsgi.lock(9)")


def test_outside_the_server_there_is_no_uwsgi() -> None:
    """`import uwsgi` raises ImportError in a plain Python; the decorators still import."""
    code = "import uwsgidecorators, django_uwsgi.decorators\nimport uwsgi\n"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("ModuleNotFoundError: No module named 'uwsgi'")
