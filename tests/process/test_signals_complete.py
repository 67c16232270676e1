"""Promises about signals beyond the first: waited for, registered late, raised by the clock.

Every server here is the real command, proven clean by its fixture at the end.
"""

from __future__ import annotations

import signal as unix_signals
import threading
import time
from collections.abc import Callable

import pytest
from tests.harness import Server, eventually

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
"""

HEAD = """
import os, time, threading
import uwsgi
from muleteer.decorators import mstimer, rbtimer, signal, timer

def here():
    kinds = ((uwsgi.worker_id(), "worker"), (uwsgi.mule_id(), "mule"))
    return next((f"{kind}{number}" for number, kind in kinds if number), "spooler")

def say(*words):
    print(f"<{' '.join(map(str, words))}>", flush=True)

def note(signum):
    say("signal", signum, "in", here())

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)

def application(environ, start_response):
    answer = repr(eval(environ["QUERY_STRING"].replace("%20", " "), globals())).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""


def start(start_server: StartServer, code: str = "", ini: str = "", **files: str) -> Server:
    return start_server(ini=INI + ini, files={"app.py": HEAD + code, **files})


def told(server: Server, words: str, **how: int) -> None:
    server.wait_for(f"<{words}>", **how)


# -- waiting ------------------------------------------------------------------------------


def test_signal_wait_runs_handlers_until_the_one_that_is_meant(start_server: StartServer) -> None:
    """It returns b'' and signal_received the number; what came before it was handled."""
    server = start(start_server, 'for n in (7, 8): uwsgi.register_signal(n, "worker1", note)')
    answer = server.get("/?(uwsgi.signal(8),uwsgi.signal(7),uwsgi.signal_wait(7))")
    assert answer.text == "(None, None, b'')"
    assert server.get("/?uwsgi.signal_received()").text == "7"
    told(server, r"signal \d in worker1", times=2)
    assert [m[1] for m in server.log.find(r"<signal (\d) in worker1>")] == ["8", "7"]


def test_signal_wait_takes_any_signal_even_without_a_handler(start_server: StartServer) -> None:
    """A number that nobody registered comes to whoever waits; nothing is complained about."""
    server = start(start_server)
    answer = server.get("/?(uwsgi.signal(99),uwsgi.signal_wait(),uwsgi.signal_received())")
    assert answer.text == "(None, b'', 99)"
    assert "has no handler" not in server.log


PROGRAM = """
import uwsgi
print("<mule waits>", flush=True)
while True:
    uwsgi.signal_wait()
    print(f"<mule was sent {uwsgi.signal_received()}>", flush=True)
"""


def test_a_mule_may_live_on_signals(start_server: StartServer) -> None:
    """A program waits for signals in a loop; it runs handlers, and leaves when it is asked to."""
    code = 'uwsgi.register_signal(5, "mule1", note)'
    server = start(start_server, code, "mule = waits.py\n", **{"waits.py": PROGRAM})
    told(server, "mule waits")
    server.get("/?uwsgi.signal(5)")
    told(server, "signal 5 in mule1")
    told(server, "mule was sent 5")
    assert server.stop(within=5) == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_a_worker_that_waits_for_signals_can_be_stopped(
    start_server: StartServer, threads: int
) -> None:
    """What may never come does not hold the server up."""
    server = start(start_server, ini=f"threads = {threads}\n")
    asking = threading.Thread(target=lambda: _ask(server, "/?(say('waiting'),uwsgi.signal_wait())"))
    asking.start()
    told(server, "waiting")
    assert server.stop(within=5) == 0
    asking.join()


def _ask(server: Server, path: str) -> None:
    try:
        server.get(path)
    except (ConnectionError, EOFError, AssertionError):
        pass  # a request that waits for ever gets no answer


# -- registering late -------------------------------------------------------------------------


def test_a_child_may_register_for_itself_and_everybody_knows(start_server: StartServer) -> None:
    """After the fork '' is the child that registers; a worker and the clock reach it there."""
    code = """
def late():
    if uwsgi.mule_id() == 2:
        uwsgi.register_signal(20, "", note)
        uwsgi.add_ms_timer(20, 50)
        say("registered")
uwsgi.post_fork_hook = late
"""
    server = start(start_server, code, "mules = 2\n")
    told(server, "registered")
    server.get("/?uwsgi.signal(20)")
    told(server, "signal 20 in mule2", times=3)
    assert "has no handler" not in server.log


def test_a_respawned_child_does_not_double_its_timers(start_server: StartServer) -> None:
    """What a successor registers anew is the same timer."""
    code = """
def late():
    uwsgi.register_signal(20, "worker1", note)
    uwsgi.register_signal(21, "mule1", note)
    uwsgi.add_ms_timer(20, 300)
    uwsgi.add_ms_timer(21, 300)
uwsgi.post_fork_hook = late
"""
    server = start(start_server, code, "mules = 1\n")
    for _ in range(3):
        mark = server.log.here()
        _ask(server, "/?os._exit(1)")
        told(server, "signal 20 in worker1", after=mark)
    mark = server.log.here()
    told(server, "signal 21 in mule1", after=mark, times=4)
    count = len(server.log.find("<signal 20 in worker1>", after=mark))
    assert 2 <= count <= 5


def test_a_timer_may_come_before_its_signal(start_server: StartServer) -> None:
    """Real code adds the timer first."""
    code = 'uwsgi.add_timer(30, 0.05); uwsgi.register_signal(30, "mule", note)'
    server = start(start_server, code, "mules = 1\n")
    told(server, "signal 30 in mule1", times=2)


# -- who is idle ------------------------------------------------------------------------------


def test_a_busy_worker_is_passed_over(start_server: StartServer) -> None:
    """A signal for any worker is handled by the one that is idle."""
    server = start(start_server, 'uwsgi.register_signal(9, "", note)', "processes = 2\nmules = 1\n")
    busy = threading.Thread(
        target=lambda: server.get("/?(say(here(),'is%20busy'),wait_for('go'))", within=20)
    )
    busy.start()
    name = server.wait_for(r"<(worker\d) is busy>")[1]
    for count in range(1, 6):
        server.get("/?uwsgi.signal(9)")
        server.wait_for("<signal 9 in worker", times=count)
    (server.folder / "go").touch()
    busy.join()
    assert not server.log.find(f"<signal 9 in {name}>")


def test_a_full_queue_holds_the_sender_and_then_it_is_told(start_server: StartServer) -> None:
    """Nothing is dropped: what was sent arrives, and what was not raised ChannelFull."""
    code = """
handled = 0
def count(signum):
    global handled
    if not handled:
        wait_for("go")
    handled += 1
    if signum == 11:
        say("handled", handled)
uwsgi.register_signal(10, "mule1", count)
uwsgi.register_signal(11, "mule1", count)

def flood():
    sent = 0
    started = time.monotonic()
    try:
        while True:
            uwsgi.signal(10)
            sent += 1
    except Exception as error:
        return sent, type(error).__name__, time.monotonic() - started > 4
"""
    server = start(start_server, code, "mules = 1\n")
    sent, error, was_held = eval(server.get("/?flood()", within=20).text)
    assert (error, was_held) == ("ChannelFull", True)
    (server.folder / "go").touch()
    server.get("/?uwsgi.signal(11)", within=20)
    told(server, f"handled {sent + 1}")


# -- timers -----------------------------------------------------------------------------------

CONTROL = """
@mstimer(100, target="mule2")
def control(signum):
    say("tick")
"""


def test_a_slow_handler_is_not_followed_by_a_burst(start_server: StartServer) -> None:
    """Ticks that pass while it runs are one."""
    code = (
        CONTROL
        + """
calls = 0
@mstimer(100, target="mule1")
def slow(signum):
    global calls
    calls += 1
    if calls == 1:
        say("slow")
        wait_for("go")
        say("released")
    say("call", calls)
"""
    )
    server = start(start_server, code, "mules = 2\n")
    told(server, "slow")
    told(server, "tick", after=server.log.here(), times=10)
    (server.folder / "go").touch()
    told(server, "released")
    told(server, "call 6")
    lines = server.log.lines()
    meanwhile = lines[lines.index("<released>") : lines.index("<call 6>")]
    assert meanwhile.count("<tick>") >= 2  # a burst of ten would leave no time for one


@pytest.mark.parametrize(("overlap", "runs"), [("skip", 1), ("allow", 2)])
def test_a_handler_that_runs_is_skipped_or_joined(
    start_server: StartServer, overlap: str, runs: int
) -> None:
    """With overlap="skip" no other worker begins it meanwhile; by default another one may."""
    code = (
        CONTROL
        + f"""
@mstimer(50, overlap="{overlap}")
def slow(signum):
    say("begun")
    wait_for("go")
"""
    )
    server = start(start_server, code, "processes = 2\nmules = 2\n")
    told(server, "begun", times=runs)
    told(server, "tick", after=server.log.here(), times=5)
    assert len(server.log.find("<begun>")) == runs
    mark = server.log.here()
    (server.folder / "go").touch()
    told(server, "begun", after=mark, times=2)


def test_a_handler_is_skipped_beside_others_in_one_process(start_server: StartServer) -> None:
    """With threads, too: what another thread begins and ends meanwhile hides nothing."""
    code = (
        CONTROL
        + """
@mstimer(50, overlap="skip")
def slow(signum):
    say("begun")
    wait_for("go")

@mstimer(50)
def quick(signum):
    say("quick")
"""
    )
    server = start(start_server, code, "threads = 3\nmules = 2\n")
    told(server, "begun")
    told(server, "quick", after=server.log.here(), times=10)
    assert len(server.log.find("<begun>")) == 1
    (server.folder / "go").touch()
    told(server, "begun", times=3)


def test_an_rb_timer_ends_after_its_iterations(start_server: StartServer) -> None:
    """Three shots are three, however long one waits."""
    code = (
        CONTROL
        + """
@rbtimer(0.05, iterations=3, target="mule1")
def few(signum):
    say("shot")
"""
    )
    server = start(start_server, code, "mules = 2\n")
    told(server, "shot", times=3)
    told(server, "tick", after=server.log.here(), times=4)
    assert len(server.log.find("<shot>")) == 3


def test_the_options_raise_signals(start_server: StartServer) -> None:
    """`signal-timer` and `signal-rbtimer` name a number of the application's and seconds."""
    code = "for n in (17, 18): uwsgi.register_signal(n, '', note)"
    server = start(start_server, code, "signal-timer = 17 1\nrbtimer = 18 1\n")
    told(server, "signal 17 in worker1")
    told(server, "signal 18 in worker1")


# -- cron jobs ----------------------------------------------------------------------------------

YEARLY = """
from muleteer.decorators import cron
@cron("@yearly", catch_up="{catch_up}", tz="Europe/Rome", signum=40)
def yearly(signum):
    say("yearly")
"""


def _make_it_long_ago(server: Server) -> None:
    """Move the last run, as the server wrote it down, two years back."""
    state = server.folder / "spool" / ".muleteer-cron-state"
    when, job = state.read_text().split(" ", 1)
    state.write_text(f"{float(when) - 2 * 366 * 86400} {job}")


def test_a_missed_run_is_caught_up_once(start_server: StartServer) -> None:
    """After a down-time over two runs there is one, at once, and none after the next restart."""
    options = {"code": CONTROL + YEARLY.format(catch_up="one"), "ini": "spooler = spool\nmules=2\n"}
    server = start(start_server, **options, **{"spool/": ""})
    told(server, "tick", times=2)
    assert "<yearly>" not in server.log
    server.stop()
    _make_it_long_ago(server)
    state = (server.folder / "spool" / ".muleteer-cron-state").read_text()
    again = start(start_server, **options, **{"spool/.muleteer-cron-state": state})
    told(again, "yearly")
    again.stop()
    state = (again.folder / "spool" / ".muleteer-cron-state").read_text()
    third = start(start_server, **options, **{"spool/.muleteer-cron-state": state})
    told(third, "tick", times=3)
    assert len(again.log.find("<yearly>")) == 1
    assert "<yearly>" not in third.log


def test_by_default_what_was_missed_is_missed(start_server: StartServer) -> None:
    """`catch_up="none"`: after the same down-time nothing runs."""
    state = f"{1_600_000_000.0} yearly-of-another-time\n"
    code = CONTROL + YEARLY.format(catch_up="none")
    files = {"spool/.muleteer-cron-state": state}
    server = start(start_server, code, "spooler = spool\nmules=2\n", **files)
    told(server, "tick", times=3)
    assert "<yearly>" not in server.log


def test_what_runs_still_is_skipped_after_a_reload_too(start_server: StartServer) -> None:
    """With overlap="skip" the new generation waits for the handler of the old one."""
    code = (
        CONTROL
        + """
@mstimer(50, overlap="skip")
def slow(signum):
    say("begun by", os.getpid())
    wait_for("go")
"""
    )
    server = start(start_server, code, "mules = 2\n")
    server.wait_for("<begun by")
    server.send(unix_signals.SIGHUP)
    server.wait_for("generation 2: loaded")
    eventually(lambda: len(server.pids("worker")) == 2)
    told(server, "tick", after=server.log.here(), times=5)
    assert len(server.log.find("<begun by")) == 1
    (server.folder / "go").touch()
    server.wait_for("<begun by", times=3)
    assert len({found[0] for found in server.log.find(r"<begun by \d+>")}) == 2


LINES = """
from muleteer.decorators import cron
@cron("4,5 16 * * *")
def by_line(signum):
    say("by line")

@cron("*/5 16 * * sun,mon-sat", target="mule1", overlap="skip")
def by_star(signum):
    say("by star", here())

@cron(5, 16, -1, -1, -1, target="mule2")
def by_numbers(signum):
    say("by numbers", here())
"""


def test_crontab_lines_run_on_the_server_s_wall(start_server: StartServer) -> None:
    """Lines and numbers alike, when their minute begins."""
    west = (int(time.time()) - (16 * 3600 + 4 * 60 + 56)) % 86400  # there it is 16:04:56
    zone = f"XXX{west // 3600}:{west // 60 % 60:02}:{west % 60:02}"
    files = {"app.py": HEAD + LINES}
    server = start_server(ini=INI + "mules = 2\n", files=files, env={"TZ": zone})
    told(server, "by line", within=20)
    told(server, "by star mule1")
    told(server, "by numbers mule2")
    assert len(server.log.find("<by ")) == 3


def test_hundreds_of_timers_all_tick(start_server: StartServer) -> None:
    """More than the 256 numbers and 64 timers of uWSGI, beside an application's own 17."""
    code = """
def make(number):
    def tick(signum):
        ticked.add(number)
        if len(ticked) == 300:
            say("all ticked", min(numbers) > 255, 17 not in numbers)
        numbers.add(signum)
    tick.__qualname__ = f"tick{number}"
    return tick

ticked, numbers = set(), set()
for number in range(300):
    timer(0.5)(make(number))
signal(17)(note)
"""
    server = start(start_server, code)
    told(server, "all ticked True True")
    server.get("/?uwsgi.signal(17)")
    told(server, "signal 17 in worker1")


def test_a_state_that_cannot_be_written_is_said_and_the_job_runs(start_server: StartServer) -> None:
    """A full disk or a wrong path costs the memory, not the run."""
    code = CONTROL + YEARLY.format(catch_up="one")
    server = start(start_server, code, "cron-state = nowhere/state\nmules = 2\n")
    server.wait_for("cron-state .*nowhere/state cannot be written")
    told(server, "tick", times=2)
