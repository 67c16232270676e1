"""Promises about spooled tasks, kept by the real server: each runs, once, and none is lost."""

from __future__ import annotations

import os
import signal as unix_signals
import time
from collections import Counter

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

SPOOLER = "processes = 2\nspooler = spool\nspooler-frequency = 1\n"

TASKS = """
@spool
def once(task):
    note("once", task["name"])

@spoolforever
def for_ever(task):
    note("for_ever", task["name"])

@spoolraw
def raw(task):
    note("raw", task["name"])
    return int(task["code"])

@spool
def fails_twice(task):
    note("try", task["name"])
    if open(HERE + "/notes").read().count("try") < 3:
        raise RuntimeError("not yet")

@spool
def held(task):
    hold(task["name"])
    note("ended", task["name"])

@spool
def measured(task):
    note(*(f"{key}:{type(task[key]).__name__}:{len(task[key])}:{sum(map(ord, str(task[key])))}"
           for key in ("body", "value") if key in task))

@spool
def again(task):
    left = int(task["left"])
    note("left", left)
    if left:
        again.spool(left=left - 1)

@spool(pass_arguments=True)
def call(a, b=None, *more, key=None):
    note("call", a, b, more, key)

@spoolraw(pass_arguments=True)
def raw_call(a, code=-2):
    note("raw_call", a)
    return code

@spoolforever(pass_arguments=True)
def call_for_ever(a):
    note("call_for_ever", a)

@spool
def here(task):
    note(os.getcwd(), uwsgi.i_am_the_spooler(), uwsgi.worker_id(), os.getpid())
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """Two workers and a spooler that looks every second."""
    return play(start_server, TASKS, SPOOLER)


def waiting(yard: Playground) -> list[str]:
    """The files in the spool directory."""
    return sorted(p.name for p in (yard.folder / "spool").glob("uwsgi_spoolfile_on_*"))


def until_empty(yard: Playground) -> None:
    eventually(lambda: not waiting(yard), within=10, what="the spool directory is empty")


# -- the ways to enqueue --------------------------------------------------------------------


def test_every_form_of_spool_runs_the_function(yard: Playground) -> None:
    """A dict of str or bytes, keywords, both, the call itself, and real arguments all arrive."""
    path = yard.ask("once.spool({'name': 'dict'})")
    assert os.path.dirname(path.decode()) == str(yard.folder / "spool")
    yard.ask("once.spool({b'name': b'bytes'})")
    yard.ask("once.spool(name='keyword')")
    yard.ask("once.spool({'name': 'x'}, name='both')")
    yard.ask("once(name='called')")
    yard.ask("call.spool(1, {'two': 2}, 3, 4, key='k')")
    yard.ask("raw_call.spool('r')")
    yard.wait_for("once dict", "once bytes", "once keyword", "once both", "once called")
    yard.wait_for("call 1 {'two': 2} (3, 4) k", "raw_call r")
    until_empty(yard)


def test_spoolforever_runs_again_and_again(yard: Playground) -> None:
    """Its tasks come back at each frequency, with and without pass_arguments."""
    yard.ask("for_ever.spool(name='f'), call_for_ever.spool('c')")
    yard.wait_for(*["for_ever f"] * 2, *["call_for_ever c"] * 2)
    assert len(waiting(yard)) == 2


def test_return_codes_end_each_run(yard: Playground) -> None:
    """OK removes the task; RETRY, IGNORE and any other word keep it for the next frequency."""
    yard.ask("[raw.spool(name=f'n{code}', code=code) for code in (-2, -1, 0, 7)]")
    yard.wait_for("raw n-2", *["raw n-1", "raw n0", "raw n7"] * 2)
    assert yard.notes().count("raw n-2") == 1
    assert len(waiting(yard)) == 3


def test_exception_keeps_the_task_until_it_works(yard: Playground) -> None:
    """A task that raises is logged with its traceback, kept, and run again until it returns."""
    yard.ask("fails_twice.spool(name='f')")
    yard.wait_for(*["try f"] * 3)
    until_empty(yard)
    yard.server.wait_for("RuntimeError: not yet")
    assert yard.notes() == ["try f"] * 3


def test_task_with_a_time_waits_for_it_and_others_pass_it(yard: Playground) -> None:
    """`at` is the earliest moment; what was enqueued later runs meanwhile."""
    at = time.time() + 1.5
    yard.ask(f"once.spool(name='later', at={at})")
    yard.ask("once.spool(name='now')")
    yard.wait_for("once later")
    assert time.time() >= at - 0.01
    assert yard.notes() == ["once now", "once later"]


def test_lower_priority_number_runs_first(yard: Playground) -> None:
    """While the spooler is busy a task with priority 1 overtakes priority 5 and those without."""
    yard.ask("held.spool(name='gate')")
    yard.wait_for("began gate")
    yard.ask("once.spool(name='none')")
    yard.ask("once.spool(name='five', priority=5), once.spool(name='one', priority='1')")
    yard.let("gate")
    notes = yard.wait_for("once none", "once five", "once one")
    assert notes == ["began gate", "ended gate", "once one", "once five", "once none"]


def test_binary_and_large_values_arrive_whole(yard: Playground) -> None:
    """Bytes that are no UTF-8, a body, and a megabyte in a single value."""
    yard.ask(r"measured.spool(value=b'\xff\x00' * 500_000, body=b'\xfe' * 2_000_000)")
    yard.ask("measured.spool(value='x' * 1_000_000)")
    value, body = str(b"\xff\x00" * 500_000), str(b"\xfe" * 2_000_000)
    yard.wait_for(
        f"body:bytes:2000000:{sum(map(ord, body))} value:bytes:1000000:{sum(map(ord, value))}",
        f"value:str:1000000:{ord('x') * 1_000_000}",
    )


@pytest.mark.parametrize(
    "expression",
    [
        "once.spool(name=object())",
        "once.spool({'name': ['list']})",
        "once.spool(name='x', at='tomorrow')",
        "once.spool(name='x', priority='high')",
        "once.spool(name='x', spooler='/nowhere')",
        "call.spool(lambda: 1)",
    ],
)
def test_what_cannot_be_stored_is_refused_at_the_call(yard: Playground, expression: str) -> None:
    """The caller gets a ValueError that names the key, and nothing is enqueued."""
    said = yard.ask(expression)
    assert isinstance(said, str), said
    assert "ValueError" in said.partition(":")[0]
    key = next((k for k in ("at", "priority", "spooler") if f"{k}='" in expression), "name")
    assert key in said or "lambda" in said
    assert waiting(yard) == []


# -- many ---------------------------------------------------------------------------------


def test_burst_while_the_spooler_is_busy_runs_promptly(start_server: StartServer) -> None:
    """300 tasks enqueued during a long one all run right after it, none waits for a look.

    uWSGI's spooler hears one wake-up for all of them and leaves most to the next frequency.
    """
    yard = play(start_server, TASKS, "processes = 2\nspooler = spool\nspooler-quiet = true\n")
    yard.ask("held.spool(name='gate')")
    yard.wait_for("began gate")
    yard.ask("[once.spool(name=n) for n in range(300)] and None")
    yard.let("gate")
    yard.wait_for(*(f"once {n}" for n in range(300)), within=10)
    until_empty(yard)


def test_task_may_enqueue_tasks(yard: Playground) -> None:
    """A chain of tasks, each spooled inside the one before, runs to its end at once."""
    began = time.monotonic()
    yard.ask("again.spool(left=20)")
    yard.wait_for(*(f"left {n}" for n in range(21)))
    assert time.monotonic() - began < 5


def test_several_spoolers_and_directories_run_each_task_once(start_server: StartServer) -> None:
    """Three processes on each of two directories: 200 tasks, each run exactly once."""
    ini = "processes = 2\nspooler = spool\nspooler = other\nspooler-processes = 3\n"
    yard = play(start_server, TASKS, ini, files={"other/": ""})
    assert len(yard.server.pids("spooler")) == 6
    yard.ask("[once.spool(name=n) for n in range(100)] and None")
    yard.ask("[once.spool(name=n, spooler=uwsgi.spoolers[1]) for n in range(100, 200)] and None")
    yard.wait_for(*(f"once {n}" for n in range(200)))
    until_empty(yard)
    assert set(Counter(yard.notes()).values()) == {1}


def test_spooler_works_in_its_directory(yard: Playground) -> None:
    """The working directory is the spool directory, and the process knows what it is."""
    yard.ask("here.spool()")
    (pid,) = yard.server.pids("spooler")
    yard.wait_for(f"{yard.folder / 'spool'} True 0 {pid}")


def test_spooler_chdir_is_obeyed(start_server: StartServer) -> None:
    """`spooler-chdir` says where tasks run instead."""
    yard = play(start_server, TASKS, SPOOLER + "spooler-chdir = /usr\n")
    yard.ask("here.spool()")
    (pid,) = yard.server.pids("spooler")
    yard.wait_for(f"/usr True 0 {pid}")


def test_request_sees_the_spoolers(yard: Playground) -> None:
    """Jobs, a job's content, pids and frequency are there in a worker."""
    (pid,) = yard.server.pids("spooler")
    assert yard.ask("uwsgi.spooler_pids(), uwsgi.spooler_pid()") == ([pid], pid)
    path = yard.ask(f"once.spool(name='late', at={time.time() + 3600})")
    assert yard.ask("uwsgi.spooler_jobs()") == [path]
    # None for the moment in which the spooler has the file locked to see when it is due
    task = eventually(lambda: yard.ask(f"uwsgi.spooler_get_task({path!r})"))
    assert (task["spooler_task_name"], task[b"name"]) == (path, b"late")
    assert yard.ask("uwsgi.set_spooler_frequency(2)") is True
    yard.ask("raw.spool(name='again', code=-1)")
    yard.server.wait_for("will run again in 2 s")


# -- deaths -------------------------------------------------------------------------------


def test_task_of_a_killed_spooler_runs_again(yard: Playground) -> None:
    """kill -9 in the middle of a task: another process runs it again, from the start."""
    yard.ask("held.spool(name='t')")
    yard.wait_for("began t")
    (pid,) = yard.server.pids("spooler")
    os.kill(pid, unix_signals.SIGKILL)
    yard.wait_for("began t", "began t")
    yard.let("t")
    yard.wait_for("ended t")
    until_empty(yard)
    assert yard.notes() == ["began t", "began t", "ended t"]


def test_stop_finishes_the_task_and_starts_no_other(yard: Playground) -> None:
    """After SIGTERM the running task ends well; the next one stays for the next start."""
    yard.ask("held.spool(name='t')")
    yard.wait_for("began t")
    yard.ask("once.spool(name='next')")
    yard.server.send(unix_signals.SIGTERM)
    yard.server.wait_for("stopping")
    yard.let("t")
    assert yard.server.wait() == 0
    assert yard.notes() == ["began t", "ended t"]
    assert len(waiting(yard)) == 1


def test_reload_finishes_the_task_and_what_waits_runs_once(yard: Playground) -> None:
    """A reload waits for the running task; what waited behind it runs afterwards, once."""
    yard.ask("held.spool(name='t')")
    yard.wait_for("began t")
    yard.ask("here.spool()")
    yard.server.send(unix_signals.SIGHUP)
    yard.server.wait_for("generation 2: loaded")
    yard.let("t")
    yard.server.wait_for("chain reload done")
    eventually(lambda: len(yard.notes()) == 3, within=10)
    until_empty(yard)
    assert yard.notes()[:2] == ["began t", "ended t"]
    assert len(yard.notes()) == 3


def test_tasks_waiting_at_the_start_are_run(start_server: StartServer) -> None:
    """What an earlier server left is the next one's work."""
    first = play(start_server, TASKS, SPOOLER)
    first.ask("held.spool(name='t')")
    first.wait_for("began t")
    first.ask("once.spool(name='left')")
    first.server.kill()
    first.let("t")
    first.server.wait_until_empty()
    ini = f"processes = 1\nspooler = {first.folder / 'spool'}\n"
    second = play(start_server, TASKS, ini)
    second.wait_for("once left")


def test_spooler_max_tasks_replaces_the_spooler(start_server: StartServer) -> None:
    """After so many tasks another process takes over, and none of them is lost or run twice."""
    yard = play(start_server, TASKS, SPOOLER + "spooler-max-tasks = 3\n")
    yard.ask("[here.spool() for n in range(10)] and None")
    eventually(lambda: len(yard.notes()) == 10, within=15)
    pids = Counter(line.split()[-1] for line in yard.notes())
    assert set(pids.values()) <= {1, 3}
    until_empty(yard)


def test_spooler_harakiri_ends_a_task_that_is_too_long(start_server: StartServer) -> None:
    """The spooler is killed, is back, and goes on with other tasks."""
    yard = play(start_server, TASKS, SPOOLER + "spooler-harakiri = 1\n")
    yard.ask("held.spool(name='t')")
    yard.server.wait_for("HARAKIRI ON SPOOLER")
    yard.let("t")
    yard.ask("once.spool(name='next')")
    yard.wait_for("ended t", "once next")


# -- trouble in the directory ---------------------------------------------------------------


def test_garbage_in_the_directory_costs_nothing(yard: Playground) -> None:
    """Files that are no tasks, folders, links and sockets' names are left alone."""
    spool = yard.folder / "spool"
    (spool / "README").write_text("not a task")
    (spool / "folder").mkdir()
    (spool / "uwsgi_spoolfile_on_a_link").symlink_to("/etc/passwd")
    (spool / "uwsgi_spoolfile_on_a_folder").mkdir()
    yard.ask("once.spool(name='x')")
    yard.wait_for("once x")
    assert (spool / "README").exists()
    assert "Traceback" not in yard.server.log


def test_truncated_task_is_buried_with_a_reason(yard: Playground) -> None:
    """A file that can never be a task goes to dead/, and the reason lies beside it."""
    spool = yard.folder / "spool"
    name = "uwsgi_spoolfile_on_host_1_1_1_1"
    path = spool / ".half"
    path.write_bytes(b"\x11\xff\x00\x00abc")
    os.utime(path, (1, 1))
    path.rename(spool / name)
    reason = spool / "dead" / f"{name}.reason"
    eventually(lambda: reason.exists() and (spool / "dead" / name).exists(), within=10)
    assert reason.read_text().strip()
    yard.server.wait_for(f"{name}.*moved to the dead")
    yard.ask("once.spool(name='x')")
    yard.wait_for("once x")


def test_deleted_directory_is_told_and_healed(yard: Playground) -> None:
    """The spool directory gone: the caller and the log hear of it; back again: tasks run."""
    spool, away = yard.folder / "spool", yard.folder / "away"
    spool.rename(away)
    said = yard.ask("once.spool(name='x')")
    assert f"spool directory {spool}" in said
    yard.server.wait_for(f"the spool cannot be used: spool directory {spool}")
    spool.mkdir()
    yard.ask("once.spool(name='back')")
    yard.wait_for("once back")
