"""Writers and spoolers of one directory are killed again and again: every task has one fate.

`MULETEER_CHAOS_SEED` repeats a run's decisions, `MULETEER_CHAOS_KILLS` makes it longer
(`make chaos`: thousands).

Every process tells what it does in one common file, a line before or after each step:

    try, acked      a writer, around its `put`
    start, stop     a spooler, when it has claimed a task and when it has run it
    ended           after it has settled it as done; `again`, `buried` likewise
    died, counted   it claimed a task whose last run died, and has settled that

Runs in: the test process, and children forked from it that know nothing of pytest.
"""

from __future__ import annotations

import ctypes
import os
import random
import select
import signal as unix_signals
import time
import traceback
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import eventually

from muleteer.spool.directory import DirectoryStore
from muleteer.spool.store import Outcome, Task

SEED = int(os.environ.get("MULETEER_CHAOS_SEED", "0")) or random.randrange(1, 1_000_000)
KILLS = int(os.environ.get("MULETEER_CHAOS_KILLS", "300"))
WRITERS, SPOOLERS = 2, 3
LONGEST_LIFE_S = 0.02


# -- the children ----------------------------------------------------------------------------------


class Teller:
    """The common file: lines of all processes, in the order in which they were written."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, what: str, name: str, more: object = "") -> None:
        """One line; whole, since one `write` appends it."""
        os.write(self._fd, f"{what} {name} {os.getpid()} {more}\n".encode())


def write_tasks(store: DirectoryStore, teller: Teller, dice: random.Random) -> None:
    """Enqueue for ever: with and without a priority, now and a little later, small and large."""
    number = 0
    while True:
        number += 1
        name = f"{os.getpid()}-{number}"
        body = name.encode() * dice.choice((0, 1, 1000))
        teller.tell("try", name)
        store.put(
            {b"name": name.encode(), b"sum": b"%d" % zlib.crc32(body)},
            body,
            at=dice.choice((None, None, time.time() + 0.02)),
            priority=dice.choice((None, None, b"1", b"2")),
        )
        teller.tell("acked", name)
        time.sleep(0.002)  # else the directory only grows


def run_tasks(store: DirectoryStore, teller: Teller, dice: random.Random) -> None:
    """Run for ever what is due, in the way of the spooler's role."""
    while True:
        task = store.claim(time.time())
        if task is None:
            _wait(store)
        elif task.died:
            teller.tell("died", _name(task), task.attempts)
            store.settle(task, Outcome.RETRY, error="its process died")
            teller.tell("counted", _name(task))
        else:
            _run(store, task, teller, dice)


def _wait(store: DirectoryStore) -> None:
    due, arrivals = store.next_due(), store.fileno()
    wait_s = 0.05 if due is None else min(max(due - time.time(), 0.0), 0.05)
    select.select([] if arrivals is None else [arrivals], [], [], wait_s)
    store.rescan()


def _run(store: DirectoryStore, task: Task, teller: Teller, dice: random.Random) -> None:
    name = _name(task)
    teller.tell("start", name, task.attempts)
    if task.vars[b"sum"] != b"%d" % zlib.crc32(task.body):
        teller.tell("broken", name)
    time.sleep(dice.choice((0.0, 0.0, 0.002)))
    teller.tell("stop", name)
    match destiny(name):
        case "fails" if task.attempts == 0:
            store.settle(task, Outcome.RETRY, error="as it was told to")
            teller.tell("again", name)
        case "dies":
            store.bury(task, "as it was told to")
            teller.tell("buried", name)
        case _:
            store.settle(task, Outcome.OK)
            teller.tell("ended", name)


def _name(task: Task) -> str:
    return task.vars[b"name"].decode()


def destiny(name: str) -> str:
    """What is to become of a task, by its name, so that every process knows it."""
    return {0: "fails", 1: "dies"}.get(zlib.crc32(name.encode()) % 8, "ends")


# -- the herd --------------------------------------------------------------------------------------

Work = Callable[[DirectoryStore, Teller, random.Random], None]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass
class Herd:
    """The living children; whoever is killed has a successor at once."""

    folder: bytes
    told: Path
    dice: random.Random
    living: dict[int, Work] = field(default_factory=dict)

    def add(self, work: Work) -> None:
        """Fork one that does this until it is killed."""
        seed = self.dice.random()
        pid = os.fork()
        if pid:
            self.living[pid] = work
            return
        _libc.prctl(_PR_SET_PDEATHSIG, unix_signals.SIGKILL)  # a test that is killed leaves none
        teller = Teller(self.told)
        try:
            work(DirectoryStore(self.folder), teller, random.Random(seed))
        except BaseException:
            teller.tell("error", "-", repr(traceback.format_exc()))
        finally:
            os._exit(1)

    def kill(self, pid: int) -> Work:
        """SIGKILL it, wherever it is."""
        os.kill(pid, unix_signals.SIGKILL)
        os.waitpid(pid, 0)
        return self.living.pop(pid)

    def kill_all(self, work: Work | None = None) -> None:
        """Kill all that do this, or all."""
        for pid in [pid for pid, does in self.living.items() if work in (None, does)]:
            self.kill(pid)


@contextmanager
def herd(folder: bytes, told: Path) -> Iterator[Herd]:
    """Writers and spoolers at work; all dead at the end."""
    dice = random.Random(SEED)
    animals = Herd(folder, told, dice)
    try:
        for work in [write_tasks] * WRITERS + [run_tasks] * SPOOLERS:
            animals.add(work)
        yield animals
    finally:
        animals.kill_all()


# -- the fates -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One line of the common file."""

    what: str
    pid: int
    more: str


def fates(told: Path) -> dict[str, list[Event]]:
    """What was told of each task, in order."""
    of: dict[str, list[Event]] = defaultdict(list)
    for line in told.read_text().splitlines():
        what, name, pid, *more = line.split(" ", 3)
        assert what != "error", line
        of[name].append(Event(what, int(pid), more[0] if more else ""))
    return of


def wrongs(events: list[Event], is_dead: bool) -> Iterator[str]:
    """Everything that is wrong in the life of one task that has left the directory."""
    done = [event.what for event in events]
    if "acked" in done and "start" not in done:
        yield "it was acknowledged and never ran"
    if "broken" in done:
        yield "it was not whole"
    yield from _wrong_ends(done, is_dead)
    yield from _wrong_holders(events)
    yield from _wrong_counts(events)


def _wrong_ends(done: list[str], is_dead: bool) -> Iterator[str]:
    for last in ("ended", "buried"):
        if last in done and {"start", "died"} & set(done[done.index(last) :]):
            yield f"it ran again after it was {last}"
    if is_dead and "ended" in done:
        yield "it ended well and lies among the dead"
    if "buried" in done and not is_dead:
        yield "it was buried, and there is no grave"


def _wrong_holders(events: list[Event]) -> Iterator[str]:
    """One process at a time; and after a run that died comes the word that it did."""
    holder = None
    for event in events:
        if event.what in ("start", "died") and holder is not None and event.what != "died":
            yield f"its run by {holder} died and was not counted"
        if event.what == "stop" and event.pid != holder:
            yield f"{event.pid} ran it while {holder} had it"
        if event.what == "start":
            holder = event.pid
        elif event.what in ("stop", "died"):
            holder = None


def _wrong_counts(events: list[Event]) -> Iterator[str]:
    """The attempts in the file: all that were settled, and no more than were begun."""
    settled = begun = 0
    for event in events:
        if event.what in ("start", "died") and not settled <= int(event.more) <= begun:
            yield f"its file counts {event.more} attempts, not {settled} to {begun}"
        begun += event.what in ("died", "stop")
        settled += event.what in ("counted", "again")


def buried(folder: Path) -> set[str]:
    """The names of the tasks among the dead; each has its reason beside it."""
    dead = DirectoryStore(bytes(folder / "dead"))
    names = set()
    for path in map(os.fsdecode, dead.jobs()):
        if not path.endswith(".reason"):
            assert Path(path + ".reason").read_text() == "as it was told to\n"
            task = dead.get_task(os.fsencode(path))
            assert task is not None, path
            names.add(_name(task))
    return names


def test_every_task_has_one_fate_however_many_are_killed(tmp_path: Path) -> None:
    """Acknowledged tasks run whole, in one process at a time, to one end; each death is counted."""
    print(f"MULETEER_CHAOS_SEED={SEED} MULETEER_CHAOS_KILLS={KILLS}")
    folder, told = tmp_path / "spool", tmp_path / "told"
    folder.mkdir()
    killed: Counter[str] = Counter()
    with herd(bytes(folder), told) as animals:
        for _ in range(KILLS):
            time.sleep(animals.dice.random() * LONGEST_LIFE_S)
            work = animals.kill(animals.dice.choice(sorted(animals.living)))
            killed[work.__name__] += 1
            animals.add(work)
        animals.kill_all(write_tasks)
        left = DirectoryStore(bytes(folder))
        eventually(lambda: not left.jobs(), within=60, what="the directory is empty")
    dead = buried(folder)
    of = fates(told)
    found = [
        f"{name}: {wrong}" for name, events in of.items() for wrong in wrongs(events, name in dead)
    ]
    assert not found, found[:10]
    assert sum(killed.values()) == KILLS
    counts = Counter(event.what for events in of.values() for event in events)
    print(f"killed {dict(killed)}; told {dict(counts)}; dead {len(dead)}")
    assert counts["died"], "no spooler was killed in a task: nothing was shown"
    assert counts["acked"] < counts["try"], "no writer was killed in a put: nothing was shown"
