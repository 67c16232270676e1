"""Promises about decorated functions in real processes: locks that park nobody, and coroutines."""

from __future__ import annotations

import os
import signal as unix_signals

import pytest
from tests.harness import eventually
from tests.harness.clients import Client
from tests.process.playground import Playground, StartServer, play

LOCKS = """
@timer(0.05)
@lock
def slow(signum):
    hold("tick")
    note("tick", uwsgi.worker_id())

@signal(17)
@lock(1)
def one_at_a_time(signum):
    hold("signal")
    note("handled 1")

@signal(18)
@lock(1, blocking=False)
def only_when_free(signum):
    note("handled 18")

@lock(1)
def locked():
    return os.getpid()

@lock(1, timeout=0.05)
def in_time():
    return os.getpid()

@spool
def task(arguments):
    note("task", locked() == os.getpid(), uwsgi.is_locked(1))

@mulefunc
def in_mule():
    note("mule", locked() == os.getpid(), uwsgi.is_locked(1))
"""

INI = "processes = 2\nlocks = 1\nspooler = spool\nspooler-frequency = 1\nmules = 1\n"


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers, a spooler and a mule, and functions that lock."""
    return play(start_server, LOCKS, INI)


def test_a_slow_locked_timer_parks_no_worker(yard: Playground) -> None:
    """While it runs in one of two workers its ticks wait, and the other one serves.

    uWSGI parks a worker with each tick, until nobody is left.
    """
    yard.wait_for("began tick")
    pids = {yard.ask("os.getpid(), time.sleep(0.01)")[0] for _ in range(40)}
    assert len(pids) == 1, "the one that is not in the handler"
    assert yard.notes() == ["began tick"]
    yard.let("tick")
    ticks = lambda: [line for line in yard.notes() if line.startswith("tick")]  # noqa: E731
    eventually(lambda: len(ticks()) > 3, within=10)


def test_a_signal_that_waits_for_its_lock_is_handled(start_server: StartServer) -> None:
    """It waits in the process that took it, once for all that came meanwhile; none is lost."""
    yard = play(start_server, LOCKS.replace("@timer(0.05)\n@lock", "@lock"), INI)
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("began signal")
    for _ in range(5):
        yard.ask("uwsgi.signal(17)")
    assert yard.ask("uwsgi.is_locked(1)") is True
    assert yard.notes() == ["began signal"]
    yard.let("signal")
    eventually(lambda: yard.notes().count("began signal") >= 2, within=10)


def test_a_signal_that_waits_for_its_lock_survives_a_reload(start_server: StartServer) -> None:
    """Its worker puts it back when it leaves, and a new one handles it."""
    yard = play(start_server, LOCKS.replace("@timer(0.05)\n@lock", "@lock"), INI)
    busy = Client(yard.server.http, timeout=20)
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("began signal")
    yard.ask("uwsgi.signal(17)")
    busy.close()
    old = yard.server.pids("worker")
    yard.server.send(unix_signals.SIGHUP)
    eventually(lambda: len(yard.server.pids("worker") - old) == 2, within=15)
    assert [line for line in yard.notes() if line.startswith("handled")] == []
    yard.let("signal")
    handled = lambda: [line for line in yard.notes() if line.startswith("handled")]  # noqa: E731
    eventually(lambda: len(handled()) == 2, within=15, what="both were handled")


def test_a_signal_that_waits_for_its_lock_survives_its_process(start_server: StartServer) -> None:
    """The worker that holds it until the lock is free is killed: another one handles it."""
    yard = play(start_server, LOCKS.replace("@timer(0.05)\n@lock", "@lock"), INI)
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("began signal")
    yard.ask("uwsgi.signal(17)")
    (waiting,) = {yard.ask("os.getpid()") for _ in range(20)}
    os.kill(waiting, unix_signals.SIGKILL)
    yard.server.wait_for("respawned worker")
    assert yard.notes() == ["began signal"]
    yard.let("signal")
    yard.wait_for("handled 1", "handled 1")


def test_a_handler_that_would_not_wait_is_skipped_with_a_line(yard: Playground) -> None:
    """`blocking=False` means what it says; the log names who had the lock."""
    yard.let("tick")
    yard.ask("uwsgi.signal(17)")
    yard.wait_for("began signal")
    yard.ask("uwsgi.signal(18)")
    yard.server.wait_for(r"the handler of signal 18 did not run: .*lock 1 was not free")
    yard.let("signal")
    yard.wait_for("handled 1")
    assert "handled 18" not in yard.notes()


def test_locks_hold_in_spoolers_and_mules(yard: Playground) -> None:
    """uWSGI skips the function in a spooler without a word, and there is_locked lies."""
    yard.let("tick")
    yard.ask("task.spool(a='1') and in_mule()")
    yard.wait_for("task True False", "mule True False")


def test_a_request_that_is_not_served_in_time_gets_the_error(yard: Playground) -> None:
    """TimeoutError, when another process has the lock; its own again is an error at once."""
    yard.let("tick")
    holder = yard.ask("(os.getpid(), uwsgi.lock(1))[0]")
    other = eventually(
        lambda: next((a for a in [yard.ask("os.getpid()")] if a != holder), None), within=10
    )
    answers = {yard.ask("in_time()") for _ in range(20)}
    assert any("TimeoutError" in str(answer) for answer in answers), answers
    assert other not in answers


def test_a_killed_holder_does_not_hold_up_a_locked_timer(yard: Playground) -> None:
    """The lock of a dead worker is free for the tick that waits."""
    yard.wait_for("began tick")
    (holder,) = yard.server.pids("worker") - {yard.ask("os.getpid()")}
    os.kill(holder, unix_signals.SIGKILL)
    yard.wait_for("began tick", "began tick")
    yard.let("tick")
    eventually(lambda: any(line.startswith("tick") for line in yard.notes()), within=10)


COROUTINES = """
import asyncio

async def noted(*words):
    await asyncio.sleep(0)
    await asyncio.to_thread(note, *words)

@spool
async def task(arguments):
    await noted("spool", arguments["a"])

@spool(pass_arguments=True)
async def call(a, b):
    await noted("call", a + b)

@signal(17)
async def seventeen(signum):
    await noted("signal", signum)

@signal(18)
async def raises(signum):
    await asyncio.sleep(0)
    raise RuntimeError("in a coroutine")

@timer(0.1)
async def tick(signum):
    await noted("timer")

@cron(-1, -1, -1, -1, -1)
async def minutely(signum):
    await noted("cron", signum)

@mulefunc(1)
async def in_mule(a):
    await noted("mulefunc", a)

@mulemsg(2)
async def message(data):
    await noted("mulemsg", data.decode())  # of bytes that are no text this raises

@postfork
async def forked():
    await noted("postfork", uwsgi.worker_id())

@rpc("double")
async def double(number):
    await asyncio.sleep(0)
    return 2 * int(number)

@lock
async def locked():
    await asyncio.sleep(0)
    return uwsgi.is_locked()

@harakiri(1)
async def bounded(seconds):
    await asyncio.sleep(seconds)
    return seconds

@thread
async def in_thread(a):
    await noted("thread", a, threading.current_thread() is threading.main_thread())

@lock
async def loop():
    return id(asyncio.get_running_loop())

"""


def test_every_decorator_runs_coroutines(start_server: StartServer) -> None:
    """In the process where a plain function would run, to the end, on the process's own loop."""
    yard = play(start_server, COROUTINES, INI.replace("mules = 1", "mules = 2"))
    yard.wait_for("postfork 1", "postfork 2", "postfork 0", "timer", "timer")
    yard.ask("task.spool(a='1') and call.spool(1, b=2)")
    yard.ask("uwsgi.signal(17) or in_mule(4) or uwsgi.mule_msg(b'\\xff', 2)")
    yard.ask("uwsgi.mule_msg('hello', 2)")
    yard.wait_for("spool 1", "call 3", "signal 17", "mulefunc 4", "mulemsg hello")
    assert yard.ask("int(uwsgi.call('double', b'4'))") == 8
    assert yard.ask("[locked(), uwsgi.is_locked()]") == [True, False]
    assert yard.ask("bounded(0)") == 0
    yard.ask("in_thread(5).join()")
    yard.wait_for("thread 5 False")
    assert len({yard.ask("(os.getpid(), loop())") for _ in range(30)}) <= 2
    yard.ask("uwsgi.signal(18)")
    yard.server.wait_for(r"handler of signal 18 raised")
    yard.server.wait_for(r"RuntimeError: in a coroutine")


REST = """
import asyncio

async def noted(*words):
    await asyncio.sleep(0)
    note(*words)

@spoolraw
async def raw(arguments):
    await noted("spoolraw")
    return uwsgi.SPOOL_OK

@spoolforever
async def again(arguments):
    await noted("spoolforever")

@mstimer(100)
async def milliseconds(signum):
    await noted("mstimer")

@rbtimer(0.1, iterations=2)
async def twice(signum):
    await noted("rbtimer")

@filemon(HERE + "/bell")
async def changed(signum):
    await noted("filemon")

@mule(1)
async def life():
    await noted("mule")
    while True:
        await asyncio.sleep(0.01)

@muleloop(2)
async def rounds():
    await noted("muleloop")
    await asyncio.sleep(0.05)

@farm("barn")
async def for_the_farm(message):
    await noted("farm", message.decode())
"""


def test_the_other_decorators_run_coroutines_too(start_server: StartServer) -> None:
    """Those that take a whole mule among them; all of them leave when they are asked to."""
    ini = "spooler = spool\nspooler-frequency = 1\nmules = 3\nfarm = barn:3\n"
    yard = play(start_server, REST, ini, files={"bell": ""})
    yard.ask("[raw.spool(a='1'), again.spool(a='1'), uwsgi.farm_msg('barn', 'hay')]")
    yard.server.wait_for("watching")
    (yard.folder / "bell").write_text("x")
    yard.wait_for(*["spoolraw", *["spoolforever"] * 2, *["mstimer"] * 2, *["rbtimer"] * 2])
    yard.wait_for("filemon", "mule", *["muleloop"] * 2, "farm hay")
    assert yard.server.stop(within=10) == 0
    assert yard.notes().count("rbtimer") == 2


BLOCKS = """
def in_a_block():
    with lock(1):
        hold("block")
        return uwsgi.is_locked(1)

def in_a_hurry():
    with lock(1, timeout=0.05):
        return "in"
"""


def test_a_lock_holds_for_a_block(start_server: StartServer) -> None:
    """Another process does not come in meanwhile, and is told so in its time."""
    yard = play(start_server, BLOCKS, "processes = 2\nlocks = 1\n")
    with Client(yard.server.http, timeout=20) as busy:
        body = b"in_a_block()"
        busy.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        yard.wait_for("began block")
        assert "TimeoutError" in yard.ask("in_a_hurry()")
        yard.let("block")
        assert busy.read_response().text == "True"
    assert yard.ask("[in_a_hurry(), uwsgi.is_locked(1)]") == ["in", False]


def test_a_coroutine_that_takes_too_long_is_killed(start_server: StartServer) -> None:
    """`@harakiri` on an `async def`: the worker goes, and the next one serves."""
    yard = play(start_server, COROUTINES, INI.replace("mules = 1", "mules = 2"))
    with pytest.raises((OSError, ValueError, AssertionError)):
        yard.ask("bounded(30)")
    yard.server.wait_for(r"harakiri")
    assert yard.ask("bounded(0)") == 0
