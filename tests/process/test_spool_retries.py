"""Promises about tasks that fail, kept by the real server: tries are counted, and they end."""

from __future__ import annotations

import os
import re
import signal as unix_signals
from pathlib import Path

import pytest
from tests.harness import eventually
from tests.process.playground import Playground, StartServer, play

INI = """
processes = 1
spooler = spool
spooler-frequency = 1
"""

TASKS = """
import signal
from math import inf
from muleteer import Drop, Retry

def died(task, reason):
    note("on_dead", task.get("name"), task.get("args"), reason)

@spool(retries=2, delay=0.05)
def fails(task):
    note("try", task["name"])
    raise ValueError("no " + task["name"])

@spool(retries=2, delay=0.05, on_dead=died)
def told(task):
    raise ValueError("no")

@spool(pass_arguments=True, retries=0, on_dead=died)
def told_call(*args, **kwargs):
    raise ValueError("no")

@spool(retries=0, on_dead=lambda task, reason: 1 / 0)
def told_badly(task):
    raise ValueError("no")

@spool(retries=2, delay=0.05)
def kills(task):
    note("try", task["name"])
    os.kill(os.getpid(), signal.SIGKILL)

@spool(retries=1, delay=0.05)
def leaves(task):
    note("try", task["name"])
    sys.exit(3)

@spool(retries=1, delay=0.05)
async def cancelled(task):
    import asyncio
    note("try", task["name"])
    raise asyncio.CancelledError

@spool(retries=1, delay=0.05, timeout=0.3)
def hangs(task):
    note("try", task["name"])
    while True:
        time.sleep(0.01)

@spoolraw(retries=2, delay=0.05)
def judged(task):
    note("try", task["name"])
    return uwsgi.SPOOL_RETRY

@spoolraw
def own_word(task):
    note("try", task["name"])
    return uwsgi.SPOOL_RETRY

@spoolforever(retries=1, delay=0.05)
def every_second_round(task):
    note("round", task["name"])
    if open(HERE + "/notes").read().count("round") % 2:
        raise ValueError("an odd round")

@spool(retries=2)
def asked(task):
    note("try", task["name"])
    raise Retry("the mail server is away", after=0.05)

@spool(retries=inf)
def dropped(task):
    note("try", task["name"])
    raise Drop("nobody wants it any more")

@spool(give_up_after=0.3, delay=0.2, backoff="fixed")
def in_time(task):
    note("try", task["name"])
    raise ValueError("no")

@spool(pass_arguments=True)
def call(*args):
    note("call", *args)

@spool
def fine(task):
    note("fine", task["name"])

@spool(retries=5, delay=1000)
def waits(task):
    raise ValueError("not today")
"""


@pytest.fixture
def yard(start_server: StartServer) -> Playground:
    """One worker and one spooler."""
    return play(start_server, TASKS, INI)


def buried(yard: Playground, path: bytes) -> str:
    """The reason beside a task in dead/, once both are there."""
    name = os.path.basename(os.fsdecode(path))
    dead = yard.folder / "spool" / "dead"
    reason = dead / f"{name}.reason"
    eventually(lambda: (dead / name).exists() and not Path(os.fsdecode(path)).exists(), within=15)
    return reason.read_text()


def tries(yard: Playground, name: str) -> int:
    """How often a task ran."""
    return yard.notes().count(f"try {name}")


def test_an_exception_is_tried_again_and_ends(yard: Playground) -> None:
    """Two retries are three runs; then the task lies in dead/ with the reason, and others run."""
    path = yard.ask("fails.spool(name='f')")
    reason = buried(yard, path).splitlines()
    assert reason[0] == "it failed 3 times, at last: ValueError: no f"
    assert (reason[2], reason[-1]) == ("Traceback (most recent call last):", "ValueError: no f")
    assert tries(yard, "f") == 3
    yard.server.wait_for("^ValueError: no f$", times=3)
    assert len(yard.server.log.find("^ValueError: no f$")) == 3, "each with its traceback"
    yard.server.wait_for(r"failed \(1 of 3\): ValueError: no f; it will run again in 0\.0[45] s")
    yard.ask("fine.spool(name='x')")
    yard.wait_for("fine x")
    assert uwsgi_jobs(yard) == []


def uwsgi_jobs(yard: Playground) -> list[bytes]:
    """What still waits."""
    jobs: list[bytes] = yard.ask("uwsgi.spooler_jobs()")
    return jobs


def test_on_dead_is_told_the_task_and_the_reason(yard: Playground) -> None:
    """With the dict of a plain task, with the real arguments of a call; once."""
    yard.ask("told.spool(name='t')")
    yard.wait_for("on_dead t None it failed 3 times, at last: ValueError: no")
    yard.ask("told_call.spool(1, ['two'])")
    yard.wait_for("on_dead None (1, ['two']) it failed: ValueError: no")
    assert sum(line.startswith("on_dead") for line in yard.notes()) == 2


def test_on_dead_that_raises_costs_nothing(yard: Playground) -> None:
    """Its traceback is logged, the task is dead all the same, the spooler goes on."""
    (pid,) = yard.server.pids("spooler")
    buried(yard, yard.ask("told_badly.spool()"))
    yard.server.wait_for("ZeroDivisionError")
    yard.ask("fine.spool(name='x')")
    yard.wait_for("fine x")
    assert yard.server.pids("spooler") == {pid}


@pytest.mark.parametrize(
    ("name", "runs", "why"),
    [
        ("cancelled", 2, "CancelledError"),
        ("kills", 3, "the process that ran the task died"),
        ("leaves", 2, "SystemExit: 3"),
        ("hangs", 2, "the process that ran the task died, or was killed at its limit of 0.3 s"),
    ],
)
def test_a_poison_task_does_not_kill_spoolers_for_ever(
    yard: Playground, name: str, runs: int, why: str
) -> None:
    """SIGKILL, sys.exit(), harakiri, a BaseException: each counts a try; after the last it ends."""
    path = yard.ask(f"{name}.spool(name='p')")
    assert why in buried(yard, path)
    assert tries(yard, "p") == runs
    yard.ask("fine.spool(name='x')")
    yard.wait_for("fine x")
    if name == "hangs":
        yard.server.wait_for("HARAKIRI ON SPOOLER")
    assert ("HARAKIRI ON SPOOLER" in yard.server.log) == (name == "hangs")


def test_its_own_word_is_for_ever_unless_a_number_was_given(yard: Playground) -> None:
    """SPOOL_RETRY of @spoolraw(retries=2) counts; that of a bare @spoolraw does not."""
    path = yard.ask("judged.spool(name='j')")
    yard.ask("own_word.spool(name='w')")
    buried(yard, path)
    assert tries(yard, "j") == 3
    yard.wait_for(*["try w"] * 3)
    (task,) = uwsgi_jobs(yard)
    assert b"muleteer_" not in Path(os.fsdecode(task)).read_bytes(), "a word counts nothing"


def test_a_good_round_forgets_the_failed_ones(yard: Playground) -> None:
    """A @spoolforever with one retry that fails in every second round goes on."""
    yard.ask("every_second_round.spool(name='r')")
    yard.wait_for(*["round r"] * 6, within=20)
    assert len(uwsgi_jobs(yard)) == 1


def test_retry_names_its_wait_and_counts(yard: Playground) -> None:
    """muleteer.Retry(after=…) is tried again after that time, without a traceback, and ends."""
    assert "Retry: the mail server is away" in buried(yard, yard.ask("asked.spool(name='a')"))
    assert tries(yard, "a") == 3
    yard.server.wait_for(r"it will run again in 0\.05 s")
    assert "Traceback" not in yard.server.log


def test_drop_ends_a_task_without_a_trace(yard: Playground) -> None:
    """muleteer.Drop: one run, one line in the log, no file anywhere."""
    yard.ask("dropped.spool(name='d')")
    yard.server.wait_for("was dropped by its own word: Drop: nobody wants it any more")
    assert (tries(yard, "d"), uwsgi_jobs(yard)) == (1, [])
    assert not (yard.folder / "spool" / "dead").exists()


def test_give_up_after_ends_by_the_clock(yard: Playground) -> None:
    """No new run begins later than that after the first could."""
    assert "within 0.3 s" in buried(yard, yard.ask("in_time.spool(name='t')"))
    assert 1 <= tries(yard, "t") <= 3


def test_an_unknown_function_is_dead_after_a_few_tries(yard: Playground) -> None:
    """It may only just be deployed; then the reason names it, and what there is."""
    yard.ask("uwsgi.set_spooler_frequency(1)")
    path = yard.ask("uwsgi.spool({'ud_spool_func': 'renamed', 'ud_spool_name': 'app.renamed'})")
    reason = buried(yard, path)
    assert "it failed 4 times" in reason
    assert "no spooled function of that name" in reason
    yard.ask("fine.spool(name='x')")
    yard.wait_for("fine x")


@pytest.mark.parametrize(
    ("pickled", "why"),
    [
        ("b'no pickle'", "the arguments cannot be read"),
        ("b''", "the arguments cannot be read"),
        ("__import__('pickle').dumps((1,))[:-1]", "the arguments cannot be read"),
    ],
)
def test_an_unreadable_pickle_is_dead_at_once(yard: Playground, pickled: str, why: str) -> None:
    """No waiting makes it readable; it costs no other task."""
    path = yard.ask(
        f"uwsgi.spool({{'ud_spool_func': 'call', 'args': {pickled}, 'kwargs': {pickled}}})"
    )
    yard.ask("call.spool('next')")
    assert why in buried(yard, path)
    yard.wait_for("call next")


def test_a_pickle_of_a_class_that_is_not_here_waits_for_it_a_little(yard: Playground) -> None:
    """As an unknown function: its code may be on its way."""
    gone = b"cnowhere\\nNothing\\n."
    path = yard.ask(
        f"uwsgi.spool({{'ud_spool_func': 'call', 'args': b'{gone.decode()}', 'kwargs': b'}}.'}})"
    )
    assert "an argument's class is not here" in buried(yard, path)


def test_attempts_survive_a_restart(start_server: StartServer) -> None:
    """Tries, first enqueue and last error travel in the file, in the same place."""
    first = play(start_server, TASKS, INI)
    path = first.ask("waits.spool(name='w')")
    first.server.wait_for(r"failed \(1 of 6\)")
    first.server.send(unix_signals.SIGTERM)
    assert first.server.wait() == 0
    seen = Path(os.fsdecode(path)).read_bytes()
    assert b"muleteer_attempts" in seen
    assert b"ValueError: not today" in seen
    queued = re.search(rb"_(\d+)_\d+$", path)
    assert queued is not None
    assert b"muleteer_queued_at\x11\x00" + queued[1] in seen
    os.utime(path, (1, 1))  # due again
    second = play(start_server, TASKS, f"processes = 1\nspooler = {first.folder / 'spool'}\n")
    second.server.wait_for(r"failed \(2 of 6\)")


def test_the_defaults_are_the_options(start_server: StartServer) -> None:
    """`spooler-retries`, `-backoff` and `-max-delay` hold for what has no policy of its own."""
    code = """
def broken(task):
    note("try", task[b"name"])
    raise ValueError("no")

uwsgi.spooler = broken
"""
    ini = INI + "spooler-retries = 3\nspooler-max-delay = 0.05\n"
    yard = play(start_server, code, ini)
    path = yard.ask("uwsgi.spool({b'name': b'x'})")
    assert "it failed 4 times, at last: ValueError: no" in buried(yard, path)


def test_retries_forever_is_uwsgis_way(start_server: StartServer) -> None:
    """`spooler-retries = forever`: a task that fails is tried as long as it exists."""
    code = TASKS + "\n@spool\ndef plain(task):\n    note('try', 'p')\n    raise ValueError('no')\n"
    ini = INI + "spooler-retries = forever\nspooler-max-delay = 0.01\n"
    yard = play(start_server, code, ini)
    yard.ask("plain.spool()")
    yard.wait_for(*["try p"] * 40)
    yard.server.wait_for("tried for ever")
