"""Promises about uwsgi signals: who handles one, from where it may be raised, and what survives."""

from __future__ import annotations

import os
import signal as unix_signals
import time
from collections import Counter

import pytest
from tests.harness import eventually
from tests.harness.clients import Client, http_request
from tests.process.playground import APP, Playground, StartServer, play

INI = "processes = 3\nspooler = spool\nspooler-frequency = 1\n"

SIGNALS = """
def who():
    role = "spooler" if uwsgi.i_am_the_spooler() else f"worker{uwsgi.worker_id()}"
    return role

def handled(signum):
    note("handled", signum, who())

for number, target in enumerate(["", "worker", "worker2", "workers", "spooler", "active-workers"]):
    uwsgi.register_signal(number, target, handled)
uwsgi.register_signal(6, HERE + "/spool", handled)

@signal(20)
def decorated(signum):
    note("decorated", signum)

@signal(21)
def raises(signum):
    note("raises", signum)
    raise RuntimeError("in the handler")

@spool
def raise_from_task(task):
    uwsgi.signal(int(task["signum"]))

@spool
def held(task):
    hold(task["name"])

def held_request(name):
    hold(name)
    return uwsgi.worker_id()

def in_thread(signum):
    thread = threading.Thread(target=uwsgi.signal, args=(signum,))
    thread.start()
    thread.join()
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Three workers and a spooler with a handler for every kind of target."""
    return play(start_server, SIGNALS, INI)


WORKERS = ["worker1", "worker2", "worker3"]
ALL = [f"handled 3 {worker}" for worker in WORKERS]


@pytest.mark.parametrize("signum", [0, 1])
def test_any_worker_handles_a_signal_once(yard: Playground, signum: int) -> None:
    """Target '' and 'worker': each raise is handled once, by one of the workers."""
    yard.ask(f"[uwsgi.signal({signum}) for _ in range(30)]")
    eventually(lambda: len(yard.notes()) == 30)
    yard.ask("uwsgi.signal(4)")
    yard.wait_for("handled 4 spooler")
    seen = Counter(line for line in yard.notes() if "spooler" not in line)
    assert sum(seen.values()) == 30
    assert set(seen) <= {f"handled {signum} {worker}" for worker in WORKERS}


def test_named_targets_get_their_signals(yard: Playground) -> None:
    """workerN, workers, active-workers, spooler and a spool directory reach whom they name."""
    yard.ask("[uwsgi.signal(number) for number in (2, 3, 4, 5, 6)]")
    notes = yard.wait_for(
        "handled 2 worker2",
        *ALL,
        *(line.replace("3 w", "5 w") for line in ALL),
        "handled 4 spooler",
        "handled 6 spooler",
    )
    assert len(notes) == 9


@pytest.mark.parametrize(
    "expression", ["uwsgi.signal(2)", "raise_from_task.spool(signum=2)", "in_thread(2)"]
)
def test_signal_may_come_from_anywhere(yard: Playground, expression: str) -> None:
    """A request, a spooled task and a thread of the app's own may raise one."""
    yard.ask(expression)
    yard.wait_for("handled 2 worker2")


def test_signal_raised_while_the_code_is_imported_is_handled(start_server: StartServer) -> None:
    """It waits in its pipe for the first process that can take it."""
    yard = play(start_server, SIGNALS + "\nuwsgi.signal(2)\n", INI)
    yard.wait_for("handled 2 worker2")


def test_exception_in_a_handler_hurts_nobody(yard: Playground) -> None:
    """Its traceback is logged, no process dies, and the next signal is handled."""
    before = yard.server.pids("worker")
    yard.ask("uwsgi.signal(21), uwsgi.signal(21), uwsgi.signal(20)")
    yard.wait_for("raises 21", "raises 21", "decorated 20")
    yard.server.wait_for("RuntimeError: in the handler", times=2)
    assert "the handler of signal 21 raised" in yard.server.log
    assert yard.server.pids("worker") == before


def test_unknown_signal_is_named(yard: Playground) -> None:
    """A number nobody registered is refused or logged, never silently gone."""
    said = yard.ask("uwsgi.signal(99)")
    if said is None:
        yard.server.wait_for("signal 99 has no handler")
    else:
        assert "99" in said


def test_wrong_registrations_are_refused(yard: Playground) -> None:
    """A number out of range, a target that reaches nobody and a non-callable are ValueErrors."""
    for expression in (
        "uwsgi.signal(100000)",
        "uwsgi.register_signal(-1, '', print)",
        "uwsgi.register_signal(30, 'worker9', print)",
        "uwsgi.register_signal(30, 'nobody', print)",
        "uwsgi.register_signal(30, '', 5)",
    ):
        assert "ValueError" in yard.ask(expression), expression


def test_busy_worker_is_passed_over(yard: Playground) -> None:
    """While two workers are busy the third handles what is for any worker, at once."""
    clients = [Client(yard.server.http) for _ in range(2)]
    for number, client in enumerate(clients):
        body = f"held_request('r{number}')".encode()
        client.send(http_request("POST", "/", body=body))
        yard.wait_for(f"began r{number}")
    yard.ask("[uwsgi.signal(1) for _ in range(20)]")
    eventually(lambda: len(yard.notes()) == 22)
    yard.let("r0")
    yard.let("r1")
    busy = {f"worker{client.read_response().text}" for client in clients}
    (free,) = set(WORKERS) - busy
    assert Counter(yard.notes())[f"handled 1 {free}"] == 20
    for client in clients:
        client.close()


def test_signal_for_a_dead_worker_waits_for_the_next(yard: Playground) -> None:
    """What was raised while worker 2 is down is handled by its successor."""
    (victim,) = [one.pid for one in yard.server.children("worker") if one.id == 2]
    raised = f"uwsgi.worker_id() == 2 or (os.kill({victim}, 9), uwsgi.signal(2))"
    eventually(lambda: yard.ask(raised) is not True, what="another worker is asked")
    yard.wait_for("handled 2 worker2")
    assert victim not in yard.server.pids("worker")


# -- timers and crons -----------------------------------------------------------------------

CLOCK = (
    SIGNALS
    + """
@timer(1)
def every_second(signum):
    note("second", signum)

@timer(0.1, target="spooler")
def ten_a_second(signum):
    note("tenth", who())

@rbtimer(1, iterations=2)
def twice(signum):
    note("twice", signum)

@cron(40, 2, -1, -1, -1)
def at_night(signum):
    note("night")
"""
)


def test_timers_fire_on_time_and_without_drift(start_server: StartServer) -> None:
    """Thirty ticks of a tenth of a second take three seconds."""
    yard = play(start_server, CLOCK, INI)
    eventually(lambda: yard.notes().count("tenth spooler") >= 1)
    first, began = yard.notes().count("tenth spooler"), time.monotonic()
    eventually(lambda: yard.notes().count("tenth spooler") >= first + 30)
    assert 2.5 < time.monotonic() - began < 4.5
    notes = yard.notes()
    assert 2 <= sum(line.startswith("second") for line in notes) <= 5
    assert sum(line.startswith("twice") for line in notes) == 2
    assert "night" not in notes


def test_decorators_numbers_lie_apart_and_survive_a_reload(start_server: StartServer) -> None:
    """Above the app's 0 to 255, told at the start, and the same when the code grew another."""
    yard = play(start_server, CLOCK, INI)
    said = yard.server.wait_for(r"the clock has: (.*)")[1]
    assert "cron" in said
    assert "timer" in said
    eventually(lambda: ticks(yard, 0))
    (number,) = ticks(yard, 0)
    assert number >= 256
    grown = CLOCK.replace("@timer(1)", "@timer(60)\ndef earlier(signum):\n    pass\n\n@timer(1)")
    yard.server.write({"app.py": APP.format(code=grown)})
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("chain reload done")
    here = len(yard.notes())
    eventually(lambda: ticks(yard, here))
    assert ticks(yard, here) == {number}


def ticks(yard: Playground, after: int) -> set[int]:
    """The numbers that `every_second` was called with."""
    return {int(line.split()[1]) for line in yard.notes()[after:] if line.startswith("second ")}


def test_signal_raised_before_a_reload_is_handled_after_it(start_server: StartServer) -> None:
    """It waits in its pipe while its only taker is busy, and the successor's code may take it."""
    code = '\n@signal(40, target="spooler")\ndef job(signum):\n    note("job")\n'
    yard = play(start_server, SIGNALS + code, INI)
    yard.ask("held.spool(name='t')")
    yard.wait_for("began t")
    yard.ask("uwsgi.signal(40)")
    (busy,) = yard.server.pids("spooler")
    os.kill(busy, unix_signals.SIGKILL)
    yard.let("t")
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("chain reload done")
    yard.wait_for("job")
    assert yard.notes().count("job") == 1


# -- hooks after the fork -------------------------------------------------------------------

FORKS = """
@postfork
def forked():
    note("forked", "spooler" if uwsgi.i_am_the_spooler() else uwsgi.worker_id())

@postfork(2)
def only_in_the_second():
    note("second", uwsgi.worker_id())

@postfork
def breaks():
    raise RuntimeError("in the hook")

@postfork
def after():
    note("after")
"""


def test_post_fork_hooks_run_in_workers_and_spoolers(start_server: StartServer) -> None:
    """Each child runs them all, in order; one that raises is logged and stops no other."""
    yard = play(start_server, FORKS, INI)
    yard.wait_for("forked 1", "forked 2", "forked 3", "forked spooler", "second 2", *["after"] * 4)
    assert len(yard.notes()) == 9
    yard.server.wait_for("RuntimeError: in the hook")
    os.kill(min(yard.server.pids("spooler")), unix_signals.SIGKILL)
    yard.wait_for("forked spooler", "forked spooler")
