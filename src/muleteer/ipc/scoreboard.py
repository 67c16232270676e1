"""The scoreboard: one shared page with a row per living child, read by everyone.

It holds numbers only: who sits where, what it has done, and until when it may go on.  It decides
nothing.

Rules:
1. A row is handed out by the master, per child, before the fork; an old and a new child of one seat
   never share a row.
2. The *identity* cells of a row are written by the master, all others only by the child that owns
   the row.
3. Cells are eight bytes and aligned, so that a reader never sees half a value.

Runs in: made by the master before the fork; used in every process.
"""

from __future__ import annotations

import mmap
import os
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["KINDS", "LATENCIES", "CoreRow", "Row", "Scoreboard", "Seat", "State"]

KINDS = ("worker", "mule", "spooler", "watcher", "gateway")
"""The kinds of seats, in the order in which their numbers are stored."""

LATENCIES = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds (seconds) of the classes in which requests are counted by their time; one more
class has what took longer."""

_STATUS_CLASSES = 10  # by the first digit of a status; 0 is for no answer


@dataclass(frozen=True, slots=True, order=True)
class Seat:
    """A child's place, kept across respawns: what it is and which one."""

    kind: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class State(IntEnum):
    """What a row's child is doing with its life; `EMPTY` rows belong to nobody."""

    EMPTY = 0
    FORKED = 1
    READY = 2
    RETIRING = 3


class _Head(IntEnum):
    MASTER_PID = 0
    STARTED_ON = 1
    NEXT_CHECK = 2  # float: until then the master sleeps as far as deadlines go
    PAST_REQUESTS = 3
    SPOOLER_FREQUENCY = 4
    LOG_TURNS = 5  # how often the log was opened anew
    SPOOLERS_NEED_BELL = 6
    SIZE = 8


class _Cell(IntEnum):
    # -- identity, written by the master ---------------------------------------
    PID = 0
    KIND = 1
    ID = 2
    GENERATION = 3
    STATE = 4
    LAST_SPAWN = 5
    RESPAWNS = 6
    # -- written by the owner --------------------------------------------------
    SIGNALS = 8
    USER_DEADLINE = 9  # float
    TASKS = 10
    TASK_DEADLINE = 11  # float: signal handlers, spooled tasks
    CURRENT_SIGNAL = 12
    RUNNING = 13
    TASK_SINCE = 14  # float
    TASK_MICROSECONDS = 15
    FAILURES = 16
    RETRIES = 17
    BURIED = 18
    DOING = 24  # text, up to the next cell
    HELD = 40  # signals that wait here for a lock, to the end of the head
    SIZE = 48


class _CoreCell(IntEnum):
    SINCE = 0  # float; 0.0 when idle
    DEADLINE = 1  # float; 0.0 when there is none
    REQUESTS = 2
    TX = 3
    MICROSECONDS = 4
    EXCEPTIONS = 5
    USER_DEADLINE = 6  # float
    USER_SINCE = 7  # float: SINCE of the request that set it
    STATUSES = 8
    TIMES = STATUSES + _STATUS_CLASSES
    SIGNAL = TIMES + len(LATENCIES) + 1  # the one being handled, plus 1; of several threads
    DOING = SIGNAL + 1  # text, to the end
    SIZE = DOING + 16


class CoreRow:
    """One thread's cells in its worker's row; only that thread writes them."""

    __slots__ = ("_doing", "_floats", "_ints")

    def __init__(
        self, ints: memoryview, floats: memoryview[float], text: memoryview, offset: int
    ) -> None:
        self._ints = ints[offset : offset + _CoreCell.SIZE]
        self._floats = floats[offset : offset + _CoreCell.SIZE]
        self._doing = text[(offset + _CoreCell.DOING) * 8 : (offset + _CoreCell.SIZE) * 8]

    def enter(self, deadline: float = 0.0) -> None:
        """Be busy from now on, until `deadline` (monotonic seconds; 0.0 for no deadline)."""
        cells = self._floats
        cells[0] = time.monotonic()
        cells[1] = deadline

    def say(self, doing: str) -> None:
        """Write down which request it is, for whoever asks what takes so long."""
        room = len(self._doing)
        self._doing[:] = doing[:room].encode("latin-1", "replace").ljust(room, b"\0")

    def leave(self) -> None:
        """Be idle again; the deadline is cleared."""
        cells = self._floats
        cells[1] = 0.0
        cells[0] = 0.0

    def count(self, *, tx: int, seconds: float, failed: bool, status: int = 200) -> None:
        """Add one finished request."""
        cells = self._ints  # numbers, not names: an IntEnum costs as much as the cell
        cells[2] += 1
        cells[3] += tx
        cells[4] += int(seconds * 1_000_000)
        cells[8 + status // 100] += 1
        cells[18 + bisect_left(LATENCIES, seconds)] += 1
        if failed:
            cells[5] += 1

    def set_user_deadline(self, deadline: float) -> None:
        """Set (or with 0.0 clear) what `set_user_harakiri` says; it ends with the request."""
        self._floats[_CoreCell.USER_SINCE] = self._floats[_CoreCell.SINCE]
        self._floats[_CoreCell.USER_DEADLINE] = deadline

    @property
    def doing(self) -> str:
        """Which request it is, if it said so: `GET /slow`; '' when it did not."""
        return bytes(self._doing).rstrip(b"\0").decode("latin-1")

    @property
    def user_deadline(self) -> float:
        """The deadline of `set_user_harakiri`, 0.0 for none; another request's is none."""
        cells = self._floats
        is_its_own = cells[_CoreCell.USER_SINCE] == cells[_CoreCell.SINCE]
        return float(cells[_CoreCell.USER_DEADLINE]) if is_its_own else 0.0

    @property
    def busy_since(self) -> float:
        """When the thread became busy (monotonic), 0.0 while it is idle."""
        return float(self._floats[_CoreCell.SINCE])

    @property
    def deadline(self) -> float:
        """When its process is to be killed (monotonic), 0.0 for never."""
        return float(self._floats[_CoreCell.DEADLINE])

    def overdue(self, now: float) -> float:
        """Return the deadline that its request is over, 0.0 when it is over none."""
        late = (when for when in (self.deadline, self.user_deadline) if 0 < when <= now)
        return min(late, default=0.0)

    @property
    def requests(self) -> int:
        """Requests finished by this thread."""
        return int(self._ints[_CoreCell.REQUESTS])

    @property
    def tx(self) -> int:
        """Bytes sent to clients by this thread."""
        return int(self._ints[_CoreCell.TX])

    @property
    def microseconds(self) -> int:
        """Time spent in requests by this thread."""
        return int(self._ints[_CoreCell.MICROSECONDS])

    @property
    def exceptions(self) -> int:
        """Requests whose application raised."""
        return int(self._ints[_CoreCell.EXCEPTIONS])

    @property
    def statuses(self) -> list[int]:
        """Requests by the first digit of their status; at 0 those without an answer."""
        return self._ints[_CoreCell.STATUSES : _CoreCell.TIMES].tolist()

    @property
    def latencies(self) -> list[int]:
        """Requests by their time: one number for each of `LATENCIES`, and one for the slower."""
        return self._ints[_CoreCell.TIMES : _CoreCell.SIGNAL].tolist()

    def note_signal(self, signum: int) -> None:
        """Write down which signal this thread handles, beside other threads; -1 for none."""
        self._ints[_CoreCell.SIGNAL] = signum + 1

    @property
    def signal(self) -> int:
        """What `note_signal` wrote down last."""
        return int(self._ints[_CoreCell.SIGNAL]) - 1


class Row:
    """One child's row."""

    def __init__(self, board: Scoreboard, index: int) -> None:
        self.index = index
        start = _Head.SIZE + index * board.row_size
        self._ints = board.ints[start : start + board.row_size]
        self._floats = board.floats[start : start + board.row_size]
        self._doing = board.bytes[(start + _Cell.DOING) * 8 : (start + _Cell.HELD) * 8]
        text = board.bytes[start * 8 : (start + board.row_size) * 8]
        self.cores = tuple(
            CoreRow(self._ints, self._floats, text, _Cell.SIZE + n * _CoreCell.SIZE)
            for n in range(board.cores)
        )

    # -- in the master -----------------------------------------------------------

    def assign(self, seat: Seat, generation: int, respawns: int) -> None:
        """Hand the row to the child about to be forked for `seat`; every cell starts at zero."""
        self.clear()
        cells = self._ints
        cells[_Cell.KIND] = KINDS.index(seat.kind)
        cells[_Cell.ID] = seat.id
        cells[_Cell.GENERATION] = generation
        cells[_Cell.RESPAWNS] = respawns
        cells[_Cell.LAST_SPAWN] = int(time.time())
        cells[_Cell.STATE] = State.FORKED

    def clear(self) -> None:
        """Give the row back."""
        for n in range(len(self._ints)):
            self._ints[n] = 0

    def set_state(self, state: State, pid: int | None = None) -> None:
        """Write down what the master knows of the child."""
        self._ints[_Cell.STATE] = state
        if pid is not None:
            self._ints[_Cell.PID] = pid

    @property
    def deadlines(self) -> Iterator[tuple[str, float]]:
        """Every deadline that is running in this row, with the option or call that set it."""
        if self._floats[_Cell.USER_DEADLINE]:
            yield "set_user_harakiri", float(self._floats[_Cell.USER_DEADLINE])
        if self._floats[_Cell.TASK_DEADLINE]:
            yield "task", float(self._floats[_Cell.TASK_DEADLINE])
        for core in self.cores:
            if core.deadline:
                yield core.doing or "request", core.deadline
            if core.user_deadline:
                yield "set_user_harakiri", core.user_deadline

    def overdue(self, now: float) -> float:
        """Return the deadline that a task, a message or a signal handler is over, 0.0 for none."""
        cells = (self._floats[_Cell.TASK_DEADLINE], self._floats[_Cell.USER_DEADLINE])
        return min((when for when in cells if 0 < when <= now), default=0.0)

    # -- in the child that owns it -------------------------------------------------

    def note_pid(self, pid: int) -> None:
        """Write our own pid, first thing after the fork.

        The master finds it here if the zygote dies now.
        """
        self._ints[_Cell.PID] = pid

    def set_user_deadline(self, deadline: float) -> None:
        """Set (or with 0.0 clear) the soonest `set_user_harakiri` of threads without a request."""
        self._floats[_Cell.USER_DEADLINE] = deadline

    def start_task(self, deadline: float, signum: int = -1, doing: bytes = b"") -> None:
        """Be busy with a task or a message or, when `signum` is not -1, a signal handler.

        `doing` says in words with what; the journal has it if the process dies of it.
        """
        self._doing[:] = doing[: len(self._doing)].ljust(len(self._doing), b"\0")
        self._floats[_Cell.TASK_DEADLINE] = deadline
        self._floats[_Cell.TASK_SINCE] = time.monotonic()
        self._ints[_Cell.CURRENT_SIGNAL] = signum + 1
        self._ints[_Cell.RUNNING] = 1

    def end_task(self) -> None:
        """Be idle again; counts the task or the signal."""
        ended = _Cell.SIGNALS if self._ints[_Cell.CURRENT_SIGNAL] else _Cell.TASKS
        seconds = time.monotonic() - self._floats[_Cell.TASK_SINCE]
        self._ints[_Cell.TASK_MICROSECONDS] += int(seconds * 1_000_000)
        self._floats[_Cell.TASK_DEADLINE] = 0.0
        self._ints[_Cell.RUNNING] = 0
        self._ints[_Cell.CURRENT_SIGNAL] = 0
        self._ints[ended] += 1

    def note_held(self, signals: Sequence[int]) -> None:
        """Write down the signals this process took and holds; the first eight of them fit."""
        for n, cell in enumerate(range(_Cell.HELD, _Cell.SIZE)):
            self._ints[cell] = signals[n] + 1 if n < len(signals) else 0

    def note_failure(self) -> None:
        """Count a task, a message or a signal handler that raised."""
        self._ints[_Cell.FAILURES] += 1

    def note_retry(self) -> None:
        """Count a spooled task that will run again."""
        self._ints[_Cell.RETRIES] += 1

    def note_burial(self) -> None:
        """Count a spooled task that was laid among the dead."""
        self._ints[_Cell.BURIED] += 1

    # -- anywhere --------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The child's state."""
        return State(self._ints[_Cell.STATE])

    @property
    def pid(self) -> int:
        """The child's pid; 0 until it is known."""
        return int(self._ints[_Cell.PID])

    @property
    def seat(self) -> Seat:
        """Whose row it is."""
        return Seat(KINDS[self._ints[_Cell.KIND]], int(self._ints[_Cell.ID]))

    @property
    def generation(self) -> int:
        """The generation whose zygote forked the child."""
        return int(self._ints[_Cell.GENERATION])

    @property
    def respawns(self) -> int:
        """How many children sat here before this one."""
        return int(self._ints[_Cell.RESPAWNS])

    @property
    def last_spawn(self) -> int:
        """Unix time of the fork."""
        return int(self._ints[_Cell.LAST_SPAWN])

    @property
    def signals(self) -> int:
        """uWSGI signals handled."""
        return int(self._ints[_Cell.SIGNALS])

    @property
    def tasks(self) -> int:
        """Spooled tasks or messages run to their end, whatever the end was."""
        return int(self._ints[_Cell.TASKS])

    @property
    def task_microseconds(self) -> int:
        """Time spent in tasks, messages and signal handlers."""
        return int(self._ints[_Cell.TASK_MICROSECONDS])

    @property
    def failures(self) -> int:
        """Tasks, messages and signal handlers that raised."""
        return int(self._ints[_Cell.FAILURES])

    @property
    def retries(self) -> int:
        """Runs of spooled tasks after which the task runs again."""
        return int(self._ints[_Cell.RETRIES])

    @property
    def buried(self) -> int:
        """Spooled tasks laid among the dead."""
        return int(self._ints[_Cell.BURIED])

    @property
    def running_since(self) -> float:
        """When the running task or handler began (monotonic); 0.0 when none runs."""
        return float(self._floats[_Cell.TASK_SINCE]) if self.running else 0.0

    @property
    def current_signal(self) -> int:
        """The number of the uWSGI signal being handled, -1 when there is none."""
        return int(self._ints[_Cell.CURRENT_SIGNAL]) - 1

    @property
    def running(self) -> bool:
        """Is a task or a signal handler running?"""
        return bool(self._ints[_Cell.RUNNING])

    @property
    def doing(self) -> str:
        """What is running, in words; '' when nothing is."""
        if not self.running:
            return ""
        words = bytes(self._doing).rstrip(b"\0").decode(errors="replace")
        if self.current_signal >= 0:
            return f"signal {self.current_signal}" + (f" ({words})" if words else "")
        return words or "something"

    @property
    def held(self) -> list[int]:
        """The signals that this process took and still holds, as it wrote them down."""
        return [cell - 1 for cell in self._ints[_Cell.HELD : _Cell.SIZE].tolist() if cell]

    @property
    def busy_since(self) -> float:
        """When the oldest of what runs in this child began (monotonic), 0.0 while it is idle."""
        begun = (self.running_since, *(core.busy_since for core in self.cores))
        return min((when for when in begun if when), default=0.0)

    @property
    def busy(self) -> bool:
        """Is anything running in this child: a request, a task, a signal handler?"""
        return self.running or any(core.busy_since for core in self.cores)

    def seconds_at_work(self, now: float) -> float:
        """Return the time its threads spent in requests, with those that run (monotonic `now`)."""
        running = (now - core.busy_since for core in self.cores if core.busy_since)
        return sum(core.microseconds for core in self.cores) / 1e6 + sum(running)

    @property
    def requests(self) -> int:
        """Requests finished by this child."""
        return sum(core.requests for core in self.cores)


class Scoreboard:
    """The page itself; made once by the master, inherited by everyone."""

    def __init__(self, rows: int, cores: int, spools: int = 0) -> None:
        self.cores = cores
        self._spools = memoryview(mmap.mmap(-1, (spools + 1) * 16)).cast("q")
        self.row_size = _Cell.SIZE + cores * _CoreCell.SIZE
        cells = _Head.SIZE + rows * self.row_size
        self._page = mmap.mmap(-1, cells * 8)
        whole = memoryview(self._page)
        self.ints = whole[: cells * 8].cast("q")
        self.floats = whole[: cells * 8].cast("d")
        self.bytes = whole
        self.rows = tuple(Row(self, n) for n in range(rows))
        self._request_counts = [
            self.ints[_Head.SIZE + _Cell.SIZE + n * _CoreCell.SIZE + _CoreCell.REQUESTS :][
                :: self.row_size
            ]
            for n in range(cores)
        ]
        self.ints[_Head.MASTER_PID] = os.getpid()
        self.ints[_Head.STARTED_ON] = int(time.time())

    @property
    def master_pid(self) -> int:
        """The master's pid."""
        return int(self.ints[_Head.MASTER_PID])

    @master_pid.setter
    def master_pid(self, pid: int) -> None:
        self.ints[_Head.MASTER_PID] = pid

    @property
    def started_on(self) -> int:
        """Unix time of the server's start."""
        return int(self.ints[_Head.STARTED_ON])

    @property
    def next_check(self) -> float:
        """When the master looks at the deadlines next (monotonic); sooner ones must ring it."""
        return float(self.floats[_Head.NEXT_CHECK])

    @next_check.setter
    def next_check(self, when: float) -> None:
        self.floats[_Head.NEXT_CHECK] = when

    @property
    def spoolers_need_bell(self) -> bool:
        """Does any spooler not hear of new files by itself?"""
        return bool(self.ints[_Head.SPOOLERS_NEED_BELL])

    @spoolers_need_bell.setter
    def spoolers_need_bell(self, need: bool) -> None:
        self.ints[_Head.SPOOLERS_NEED_BELL] = need

    @property
    def spooler_frequency(self) -> int:
        """What `set_spooler_frequency` asked for; 0 when nobody asked."""
        return int(self.ints[_Head.SPOOLER_FREQUENCY])

    @spooler_frequency.setter
    def spooler_frequency(self, seconds: int) -> None:
        self.ints[_Head.SPOOLER_FREQUENCY] = seconds

    def active_workers(self) -> frozenset[int]:
        """The numbers of the workers that are there."""
        return frozenset(row.seat.id for row in self.taken("worker"))

    @property
    def total_requests(self) -> int:
        """Requests finished since the server's start, by the living and the dead."""
        living = sum(sum(counts.tolist()) for counts in self._request_counts)
        return int(self.ints[_Head.PAST_REQUESTS]) + living

    @property
    def log_turns(self) -> int:
        """How often the log was opened anew since the start; whoever is behind opens it, too."""
        return int(self.ints[_Head.LOG_TURNS])

    def turn_log(self) -> None:
        """Have every process open the log anew; it is heard by those that are told or sit down."""
        self.ints[_Head.LOG_TURNS] += 1

    def note_spool(self, place: int, queued: int, dead: int) -> None:
        """Write down how many tasks lie in a spool directory; the watcher does."""
        self._spools[2 * place + 1] = dead
        self._spools[2 * place] = queued + 1

    def spool(self, place: int) -> tuple[int, int] | None:
        """(tasks that wait or run, dead ones) of a spool directory; None: nobody counted yet."""
        queued = int(self._spools[2 * place])
        return (queued - 1, int(self._spools[2 * place + 1])) if queued else None

    def is_handling(self, signum: int) -> bool:
        """Does a handler of that uWSGI signal run anywhere?"""
        return any(
            row.current_signal == signum or any(core.signal == signum for core in row.cores)
            for row in self.rows
        )

    def free_row(self) -> Row | None:
        """Find a row nobody owns; None when all are taken (children of older reloads linger)."""
        return next((row for row in self.rows if row.state is State.EMPTY), None)

    def retire_row(self, row: Row) -> None:
        """Give a dead child's row back; what it counted stays in the totals."""
        self.ints[_Head.PAST_REQUESTS] += row.requests
        row.clear()

    def taken(self, kind: str | None = None) -> list[Row]:
        """Return the rows that have an owner, of one kind or of all, ordered by seat."""
        rows = [row for row in self.rows if row.state is not State.EMPTY]
        return sorted((r for r in rows if kind in (None, r.seat.kind)), key=lambda r: r.seat)
