"""One run at a time, one task of a kind, and its result: unique, concurrency, keep_result."""

from __future__ import annotations

import os
import signal as unix_signals
from typing import Any

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

APP = """
import muleteer, muleteer.spool
from datetime import timedelta

@spool(unique=True)
def sync(task):
    note("sync", task["user"])

@spool(pass_arguments=True, unique="{user}")
def mail(user, text=""):
    hold(text)
    note("mail", user, text)

@spool(pass_arguments=True, unique=lambda user, urgent=False: None if urgent else user)
def call(user, urgent=False):
    note("call", user)

@spool(concurrency=2)
def two(task):
    note("in", task["n"])
    hold(task["n"])
    note("out", task["n"])

@spool(pass_arguments=True, concurrency=1)
def one(n):
    note("in", n)
    time.sleep(0.01)
    note("out", n)

@spool
def free(task):
    note("free", task["n"])

@spool
def who(task):
    note("who", os.getpid())

@spool(pass_arguments=True, keep_result=timedelta(hours=1))
def add(a, b):
    return {"sum": a + b}

@spool(keep_result=True)
def fails_once(task):
    if not os.path.exists(HERE + "/failed"):
        open(HERE + "/failed", "w").close()
        raise muleteer.Retry("not yet", after=0)

@spool(keep_result=0.05)
def briefly(task):
    return 1

@spool(keep_result=60)
def dropped(task):
    raise muleteer.Drop("nobody needs it")

@spool(keep_result=60)
def odd(task):
    return object()

@spool
def forgets(task):
    return 1
"""

SPOOLERS = "processes = 2\nspooler = spool\nspooler-processes = 3\nspooler-quiet = true\n"


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers, three spoolers on one directory."""
    return play(start_server, APP, SPOOLERS)


def when_done(yard: Playground, path: bytes, *fields: str) -> Any:
    """What is kept of a task once it is done."""
    eventually(lambda: yard.state_of(path) == "done", what=f"{path!r} is done")
    wanted = ", ".join(f"s.{field}" for field in fields)
    return yard.ask(f"(lambda s: ({wanted},))(muleteer.spool.status({path!r}))")


# -- unique -----------------------------------------------------------------------------------


def test_call_that_waits_is_not_enqueued_twice(yard: Playground) -> None:
    """Delayed, so that it waits: the same arguments are the same task, others are not."""
    later = "at=4_000_000_000"
    path = yard.ask(f"sync.spool(user=1, {later})")
    assert yard.ask(f"sync.spool({{'user': '1'}}, {later})") == path
    assert yard.ask("sync.spool(user=1)") == path
    assert yard.ask(f"sync.spool(user=2, {later})") != path
    assert len(yard.ask("uwsgi.spooler_jobs()")) == 2


def test_key_of_the_named_argument(yard: Playground) -> None:
    """While one of a user waits, no other of that user is enqueued, whatever the rest says."""
    first = yard.ask("mail.spool(1, 'a', at=4_000_000_000)")
    assert yard.ask("mail.spool(user=1, text='b')") == first
    assert yard.ask("mail.spool(2, 'b', at=4_000_000_000)") != first


def test_call_while_the_task_runs_is_a_new_task(yard: Playground) -> None:
    """And that one waits, or runs, once."""
    first = yard.ask("mail.spool(1, 'a')")
    yard.wait_for("began a")
    second = yard.ask("mail.spool(1, 'b', at=4_000_000_000)")
    assert second != first
    assert yard.ask("mail.spool(1, 'c')") == second
    yard.let("a")
    yard.wait_for("mail 1 a")
    assert yard.ask("mail.spool(1, 'd')") == second


def test_function_says_what_is_unique(yard: Playground) -> None:
    """None: this call has no key."""
    first = yard.ask("call.spool(1, at=4_000_000_000)")
    assert yard.ask("call.spool(1)") == first
    yard.ask("call.spool(1, urgent=True)")
    yard.wait_for("call 1")
    assert yard.state_of(first) == "delayed"


def test_burst_of_equal_calls_from_all_workers_is_few_tasks(yard: Playground) -> None:
    """Each call is either the task that waits or a new one: none is lost or run for nothing."""
    paths = yard.ask("[sync.spool(user=7) for _ in range(500)]")
    eventually(lambda: all(yard.state_of(p) == "gone" for p in {*paths}), within=10)
    assert len(yard.notes()) == len({*paths}) < 500
    assert os.listdir(yard.folder / "spool" / "unique") == []


# -- concurrency --------------------------------------------------------------------------------


def test_no_more_than_so_many_run_at_once(yard: Playground) -> None:
    """Of six, two; the third spooler goes on with other tasks; as one ends the next begins."""
    yard.ask("[two.spool(n=n) for n in 'abcdef'] and None")
    yard.ask("free.spool(n=1), free.spool(n=2)")
    notes = yard.wait_for("free 1", "free 2")
    running = [note.split()[1] for note in notes if note.startswith("in ")]
    assert len(running) == 2
    for turn in range(4):
        yard.let(running[turn])
        yard.wait_for(f"out {running[turn]}")
        eventually(lambda: sum(n.startswith("in ") for n in yard.notes()) == 3 + turn)  # noqa: B023
        running = [note.split()[1] for note in yard.notes() if note.startswith("in ")]
    for name in running:
        yard.let(name)
    yard.wait_for(*(f"out {n}" for n in "abcdef"))


def test_one_at_a_time_under_load(start_server: StartServer) -> None:
    """Six spoolers on two directories, forty tasks: never two of them at once, all of them once."""
    ini = SPOOLERS + "spooler = other\n"
    yard = play(start_server, APP, ini, files={"other/": ""})
    for directory in (0, 1):
        yard.ask(f"[one.spool(n, spooler=uwsgi.spoolers[{directory}]) for n in range(20)] and None")
    eventually(lambda: len(yard.notes()) == 80, within=20)
    notes = yard.notes()
    assert all(note.startswith("in ") for note in notes[::2])
    assert [note.replace("in", "out") for note in notes[::2]] == notes[1::2]


def test_task_without_a_slot_is_put_back_as_it_was(yard: Playground) -> None:
    """It waits, has failed at nothing, and can be cancelled."""
    yard.ask("two.spool(n='a'), two.spool(n='b')")
    yard.wait_for("in a", "in b")
    path = yard.ask("two.spool(n='c')")
    yard.ask("free.spool(n=1)")
    yard.wait_for("free 1")
    assert yard.state_of(path) == "waiting"
    assert yard.ask(f"muleteer.spool.status({path!r}).attempts") == 0
    assert yard.ask(f"muleteer.spool.cancel({path!r})") is True
    last = yard.ask("two.spool(n='d')")
    yard.let("a")
    yard.wait_for("in d")
    for name in "bd":
        yard.let(name)
    eventually(lambda: yard.state_of(last) == "gone")
    assert "in c" not in yard.notes()


def test_killed_spooler_frees_its_slot(start_server: StartServer) -> None:
    """The next task starts at once, and the one that was killed comes again."""
    yard = play(start_server, APP, SPOOLERS + "spooler-frequency = 1\n")
    yard.ask("two.spool(n='a'), two.spool(n='b')")
    yard.wait_for("in a", "in b")
    yard.ask("two.spool(n='c')")
    path = yard.ask("[p for p in uwsgi.spooler_jobs()][0]")
    pids = yard.server.pids("spooler")
    for pid in pids:  # whichever it is: two of the three run a task
        os.kill(pid, unix_signals.SIGKILL)
    yard.wait_for("in c", within=15)
    for name in "abc":
        yard.let(name)
    yard.wait_for("out a", "out b", "out c", within=20)
    eventually(lambda: yard.state_of(path) == "gone")


def test_waiting_for_a_slot_burns_no_time(yard: Playground) -> None:
    """A spooler with two hundred parked tasks sleeps."""
    yard.ask("two.spool(n='a'), two.spool(n='b')")
    yard.wait_for("in a", "in b")
    yard.ask("[two.spool(n=f'x{n}') for n in range(200)] and None")
    yard.ask("who.spool()")
    eventually(lambda: any(note.startswith("who ") for note in yard.notes()))
    (pid,) = [int(note.split()[1]) for note in yard.notes() if note.startswith("who ")]
    spent = -1

    def sleeps() -> bool:
        nonlocal spent
        before, spent = spent, ticks(pid)
        yard.ask("sum(range(3_000_000)) and None")  # some time passes in a worker
        return spent == before == ticks(pid)

    eventually(sleeps, within=20, what="the third spooler uses no processor time")
    for name in ("a", "b", *(f"x{n}" for n in range(200))):
        yard.let(name)


def ticks(pid: int) -> int:
    """The processor time that a process has used, in hundredths of a second."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# -- keep_result ----------------------------------------------------------------------------------


def test_result_is_kept_and_read_from_anywhere(yard: Playground) -> None:
    """What it returned, how long it took; the file goes with its time."""
    path = yard.ask("add.spool(2, 3)")
    told = when_done(yard, path, "result", "function", "attempts", "last_error", "name")
    assert told == ({"sum": 5}, "app.add", 0, "", os.path.basename(path))
    queued, started, ended, seconds = when_done(
        yard, path, "queued_at", "started_at", "ended_at", "seconds"
    )
    assert queued - 1 <= started <= ended
    assert 0 <= seconds < 60
    assert os.listdir(yard.folder / "spool" / "done") == [os.path.basename(path).decode()]


def test_good_end_is_logged_as_of_any_task(start_server: StartServer) -> None:
    """Whether its result is kept or not: a line at the beginning, a line at the end."""
    yard = play(start_server, APP, SPOOLERS.replace("spooler-quiet = true\n", ""))
    path = yard.ask("add.spool(2, 3)")
    yard.server.wait_for(f"done with task {os.path.basename(path).decode()}")


def test_result_tells_of_the_failures_before(yard: Playground) -> None:
    """Two runs, one attempt that failed."""
    path = yard.ask("fails_once.spool()")
    assert when_done(yard, path, "result", "attempts") == (None, 1)


def test_result_is_gone_after_its_time(yard: Playground) -> None:
    """And one that nobody asked for was never there."""
    paths = yard.ask("[briefly.spool(), forgets.spool()]")
    for path in paths:
        eventually(lambda: yard.state_of(path) == "gone")  # noqa: B023


def test_dropped_task_and_odd_value_say_so(yard: Playground) -> None:
    """The outcome is kept, with the reason."""
    path = yard.ask("dropped.spool()")
    assert when_done(yard, path, "result", "last_error") == (None, "Drop: nobody needs it")
    path = yard.ask("odd.spool()")
    (error,) = when_done(yard, path, "last_error")
    assert error == "the result is not kept: the object cannot be written as JSON"
