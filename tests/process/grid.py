"""The grid: what a stop and a reload mean to whatever is in flight, and the page that says so.

One table declares it; test_grid.py holds a real server to it, cell by cell, and
docs/reliability.md is written from it: `python -m tests.process.grid`.

Pure, but for the last function.

Runs in: the test process.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the grid: begin -->", "<!-- the grid: end -->"


class Ends(Enum):
    """What becomes of the server."""

    STOP = "stop"
    RELOAD = "reload"


class Client(Enum):
    """What whoever waits for an answer sees."""

    NOBODY = "nobody waits"
    WHOLE = "the whole answer"
    CLOSED = "the connection is closed"
    CUT = "the connection is cut"


class Fate(Enum):
    """What becomes of the work."""

    NONE = "there is none"
    FINISHED = "finished by the old child"
    BY_NEW = "done by a new child"
    AGAIN = "interrupted, and run again by a new child"
    KEPT = "stays a file, and is run at the next start"
    LOST = "lost with its process"
    UNSEEN = "goes with the server, unseen"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One cell."""

    client: Client
    work: Fate

    def __str__(self) -> str:
        if self.client is Client.NOBODY:
            return self.work.value
        if self.work is Fate.NONE:
            return self.client.value
        return f"{self.work.value}; {self.client.value}"


WAYS = {
    "SIGTERM": Ends.STOP,
    "SIGINT": Ends.STOP,
    "SIGQUIT": Ends.STOP,
    "uwsgi.stop()": Ends.STOP,
    "SIGHUP": Ends.RELOAD,
    "uwsgi.reload()": Ends.RELOAD,
    "touch-reload": Ends.RELOAD,
    "chain reload": Ends.RELOAD,
}
"""How it is asked for; the last one is the letter c of the fifo."""

ONE_EACH = ("SIGTERM", "SIGHUP")
"""For the rows below the first ones, which every way has: one way of each kind."""

ANSWERED = Outcome(Client.WHOLE, Fate.FINISHED)
DONE = Outcome(Client.NOBODY, Fate.FINISHED)
HUNG_UP = Outcome(Client.CLOSED, Fate.NONE)

IN_FLIGHT: dict[str, dict[Ends, Outcome]] = {
    "idle": {Ends.STOP: HUNG_UP, Ends.RELOAD: HUNG_UP},
    "request": {Ends.STOP: ANSWERED, Ends.RELOAD: ANSWERED},
    "streaming response": {Ends.STOP: ANSWERED, Ends.RELOAD: ANSWERED},
    "spooled task": {Ends.STOP: DONE, Ends.RELOAD: DONE},
    "mule message": {Ends.STOP: DONE, Ends.RELOAD: DONE},
    "signal handler": {Ends.STOP: DONE, Ends.RELOAD: DONE},
    "timer": {Ends.STOP: DONE, Ends.RELOAD: DONE},
}
"""What runs and ends within its mercy."""

KILLED = Outcome(Client.NOBODY, Fate.LOST)
CUT = Outcome(Client.CUT, Fate.LOST)

OVER_MERCY: dict[str, dict[Ends, Outcome]] = {
    "request": {Ends.STOP: CUT, Ends.RELOAD: CUT},
    "streaming response": {Ends.STOP: CUT, Ends.RELOAD: CUT},
    "spooled task": {
        Ends.STOP: Outcome(Client.NOBODY, Fate.KEPT),
        Ends.RELOAD: Outcome(Client.NOBODY, Fate.AGAIN),
    },
    "mule message": {Ends.STOP: KILLED, Ends.RELOAD: KILLED},
    "signal handler": {Ends.STOP: KILLED, Ends.RELOAD: KILLED},
    "timer": {Ends.STOP: KILLED, Ends.RELOAD: KILLED},
}
"""What runs and does not end."""

SECOND_STOP = {work: cells[Ends.STOP] for work, cells in OVER_MERCY.items()}
"""What runs when a stop is asked for twice: its mercy is over at once."""

BY_SUCCESSOR = Outcome(Client.NOBODY, Fate.BY_NEW)

WAITING: dict[str, dict[Ends, Outcome]] = {
    "spooled task": {Ends.STOP: Outcome(Client.NOBODY, Fate.KEPT), Ends.RELOAD: BY_SUCCESSOR},
    "mule message": {Ends.STOP: Outcome(Client.NOBODY, Fate.UNSEEN), Ends.RELOAD: BY_SUCCESSOR},
}
"""What waits behind work of its own kind."""


# -- the page ----------------------------------------------------------------------------------


def section() -> str:
    """The part of the page that the table is written to."""
    lines = [BEGIN, "", f"Stops: {_ways(Ends.STOP)}.", f"Reloads: {_ways(Ends.RELOAD)}.", ""]
    lines += ["| in flight | a stop | a reload |", "| --- | --- | --- |"]
    for words, rows in (
        ("{}", IN_FLIGHT),
        ("{}, longer than its mercy (or a second stop)", OVER_MERCY),
        ("{} that waits", WAITING),
    ):
        lines += [_row(words.format(work), cells) for work, cells in rows.items()]
    return "\n".join([*lines, "", END])


def _row(work: str, cells: dict[Ends, Outcome]) -> str:
    return f"| {work} | {cells[Ends.STOP]} | {cells[Ends.RELOAD]} |"


def _ways(ends: Ends) -> str:
    return ", ".join(way for way, what in WAYS.items() if what is ends)


def page(before: str) -> str:
    """The page with its section anew."""
    head, _, rest = before.partition(BEGIN)
    return head + section() + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
