"""Kill whatever there is, at any moment, under load: nothing is lost, and the server still answers.

`MULETEER_CHAOS_SEED` repeats a run's decisions, `MULETEER_CHAOS_SECONDS` makes it longer.

Runs in: the test process.
"""

from __future__ import annotations

import os
import random
import signal as unix_signals
import threading
import time
from collections import Counter
from pathlib import Path

from tests.harness import Server, eventually
from tests.harness.clients import Client
from tests.harness.processes import descriptors
from tests.process.playground import Playground, StartServer, play

SEED = int(os.environ.get("MULETEER_CHAOS_SEED", "0")) or random.randrange(1, 1_000_000)
SECONDS = float(os.environ.get("MULETEER_CHAOS_SECONDS", "10"))

INI = """
processes = 3
spooler = spool
spooler-processes = 2
spooler-frequency = 1
spooler-quiet = true
"""

CODE = """
@spool
def work(task):
    time.sleep(0.002)
    note("ran", task["number"])
"""


class Load:
    """One thread that asks without a pause, counts its failures, and remembers what was kept."""

    def __init__(self, yard: Playground, name: str, *, keep: bool, enqueue: bool) -> None:
        self.yard = yard
        self.name = name
        self.keep = keep
        self.enqueue = enqueue
        self.answered = 0
        self.failed = 0
        self.acknowledged: list[str] = []
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._client: Client | None = None
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def finish(self) -> None:
        """Stop asking; returns when the last answer is in."""
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), f"{self.name} hangs"

    def _run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            try:
                self._ask(f"{self.name}-{number}")
                self.answered += 1
            except (OSError, AssertionError, ValueError):
                self.failed += 1
                self._hang_up()
            if not self.keep:
                self._hang_up()
        self._hang_up()

    def _ask(self, number: str) -> None:
        if self._client is None:
            self._client = Client(self.yard.server.http, timeout=10)
        body = f"work.spool(number={number!r}) and None" if self.enqueue else repr(number)
        response = self._client.request("POST", "/", body=body.encode())
        if (response.header("Connection") or "").lower() == "close":
            self._hang_up()
        if response.text != ("None" if self.enqueue else repr(number)):
            self.wrong.append(f"{number}: {response}")
        elif self.enqueue:
            self.acknowledged.append(number)

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def kill_something(server: Server, dice: random.Random) -> str:
    """One blow: kill -9 of a random child, or a reload; returns what was hit."""
    what = dice.choice(["worker"] * 4 + ["spooler"] * 2 + ["zygote", "reload"])
    if what == "reload":
        server.send(unix_signals.SIGHUP)
        return what
    victims = sorted(server.pids(what))
    if not victims:
        return "nobody"
    try:
        os.kill(dice.choice(victims), unix_signals.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    return what


def answers_at_once(server: Server) -> float:
    """Seconds until the server answered a new connection."""
    began = time.monotonic()
    eventually(lambda: answers(server), within=10, what="the server answers after a kill")
    return time.monotonic() - began


def answers(server: Server) -> bool:
    """Does it answer? A connection that died with its worker is asked again by the caller."""
    try:
        return server.get("/", within=5).status == 200
    except (OSError, AssertionError):
        return False


def is_whole(server: Server) -> bool:
    """Is every seat taken, by one process each?"""
    roles = Counter(one.role for one in server.children())
    return roles == {"worker": 3, "spooler": 2, "zygote": 1}


def test_nothing_is_lost_whoever_is_killed(start_server: StartServer) -> None:
    """Answers are right, acknowledged tasks run, every seat is filled, no descriptor is left."""
    print(f"MULETEER_CHAOS_SEED={SEED} MULETEER_CHAOS_SECONDS={SECONDS:g}")
    dice = random.Random(SEED)
    yard = play(start_server, CODE, INI)
    eventually(lambda: is_whole(yard.server))
    before = descriptors(yard.server.pid)
    loads = [
        Load(yard, "kept", keep=True, enqueue=False),
        Load(yard, "new", keep=False, enqueue=False),
        Load(yard, "tasks", keep=True, enqueue=True),
    ]
    blows: Counter[str] = Counter()
    slowest = 0.0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        blows[kill_something(yard.server, dice)] += 1
        slowest = max(slowest, answers_at_once(yard.server))
        pause = time.monotonic() + dice.uniform(0, 0.4)
        eventually(lambda pause=pause: time.monotonic() > pause)  # type: ignore[misc]
    for load in loads:
        load.finish()
    print(f"blows {dict(blows)}, slowest answer {slowest:.2f} s")
    print({load.name: (load.answered, load.failed) for load in loads})
    check_answers(loads, blows)
    assert slowest < 1.5
    check_tasks(yard, loads[-1].acknowledged)
    eventually(lambda: is_whole(yard.server), within=30, what="every seat is taken")
    eventually(lambda: descriptors(yard.server.pid) <= before, what="no descriptor is left")
    assert yard.server.stop(within=30) == 0


def check_answers(loads: list[Load], blows: Counter[str]) -> None:
    """A kill costs at most the requests its worker had in hand: one of each client here."""
    for load in loads:
        assert load.wrong == []
        assert load.answered > 10 * SECONDS
        assert load.failed <= blows["worker"], load.name


def check_tasks(yard: Playground, acknowledged: list[str]) -> None:
    """Each ran; one whose spooler was killed in the middle may have run twice."""
    wanted = {f"ran {number}" for number in acknowledged}
    eventually(lambda: wanted <= set(yard.notes()), within=60, what="every acknowledged task ran")
    spool = Path(yard.folder / "spool")
    eventually(
        lambda: not list(spool.glob("uwsgi_spoolfile_on_*")), within=60, what="the spool is empty"
    )
    twice = [line for line, times in Counter(yard.notes()).items() if times > 1]
    print(f"{len(wanted)} tasks, {len(twice)} of them more than once")
    assert len(twice) <= len(yard.server.log.find(r"spooler \d+ \(pid: \d+\) died"))
