"""The picture: the whole server as plain values, in the words of uWSGI's stats and our own.

uWSGI's keys come first and mean what they mean there; what uWSGI does not tell (mules, queues, the
clock, generations, latency) stands in keys it does not have.  Everything people and monitors see
(stats, metrics, `muleteer top`) is read from this one value.

Rules:
1. It is taken in the master's loop: nothing in it waits, and no directory is listed.
2. Every value is a number, a text, a list or a dict: it is JSON as it is.

Runs in: the master.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from muleteer import __version__
from muleteer.config.options import Settings
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.locks import LockTable
from muleteer.ipc.memory import memory_of
from muleteer.ipc.scoreboard import LATENCIES, CoreRow, Row, Scoreboard, Seat, State
from muleteer.ipc.sockets import Listener, waiting
from muleteer.ipc.targets import ANY_WORKER, WATCHER
from muleteer.master.companions import Companions
from muleteer.master.ledger import Account, Ledger, total
from muleteer.master.roster import Roster
from muleteer.master.router import Router

__all__ = ["Sights", "take"]

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sights:
    """What a picture is taken of."""

    listeners: Sequence[Listener]
    switchboard: Switchboard
    scoreboard: Scoreboard
    locks: LockTable
    seats: tuple[Seat, ...]
    """All that may ever be filled; the roster's plan may have fewer."""
    roster: Roster
    ledger: Ledger
    router: Router
    companions: Companions
    cwd: str


def take(sights: Sights, settings: Settings) -> Values:
    """Take the picture; about 0.1 ms a process."""
    return _Exposure(sights, settings).picture()


class _Exposure:
    """One picture while it is taken: everything is read once."""

    def __init__(self, sights: Sights, settings: Settings) -> None:
        self.sights = sights
        self.settings = settings
        self.now, self.wall = time.monotonic(), time.time()
        self.living: dict[Seat, list[Row]] = {}
        for row in sights.scoreboard.taken():
            self.living.setdefault(row.seat, []).append(row)
        self.accounts = {seat: self._account(seat) for seat in (*sights.seats, *self.living)}

    def _account(self, seat: Seat) -> Account:
        return self.sights.ledger.account(seat, self.living.get(seat, ()))

    def picture(self) -> Values:
        """All of it, in uWSGI's order and then in ours."""
        waiting_clients = [_queue(listener) for listener in self.sights.listeners]
        programs = self.sights.companions.picture()
        return {
            "version": __version__,
            "listen_queue": sum(waiting_clients),
            "listen_queue_errors": 0,
            "signal_queue": self.sights.switchboard.signals[ANY_WORKER].waiting(),
            "load": sum(waiting_clients),
            "pid": os.getpid(),
            "uid": os.getuid(),
            "gid": os.getgid(),
            "cwd": self.sights.cwd,
            **{name: found for name, found in programs.items() if found},
            "locks": [{f"user {n}": self.sights.locks.owner(n)} for n in self._lock_numbers()],
            "sockets": list(map(self._socket, self.sights.listeners, waiting_clients)),
            "workers": [self._worker(seat) for seat in self._seats("worker")],
            **({"spoolers": spoolers} if (spoolers := self._spoolers()) else {}),
            "mules": [self._mule(seat) for seat in self._seats("mule")],
            "muleteer": self._ours(),
        }

    def _lock_numbers(self) -> range:
        return range(self.settings.locks + 1)

    def _seats(self, kind: str) -> Iterator[Seat]:
        return (seat for seat in self.sights.seats if seat.kind == kind)

    def _socket(self, listener: Listener, queue: int) -> Values:
        return {
            "name": listener.name,
            "proto": listener.protocol,
            "queue": queue,
            "max_queue": self.settings.listen,
            "shared": 0,
            "can_offload": 0,
        }

    # -- children ------------------------------------------------------------------------

    def _row(self, seat: Seat) -> Row | None:
        """The row of the child at a seat; of an old and a new one the one to keep."""
        rows = self.living.get(seat, [])
        return max(rows, key=lambda row: (row.state is State.READY, row.generation), default=None)

    def _child(self, seat: Seat, row: Row | None) -> Values:
        """What is the same for children of all kinds."""
        account, history = self.accounts[seat], self.sights.roster.history.get(seat)
        rss, vsz = memory_of(row.pid) if row and row.pid else (0, 0)
        return {
            "id": seat.id,
            "pid": row.pid if row else 0,
            "status": _status(row),
            "generation": row.generation if row else 0,
            "harakiri_count": account.harakiris,
            "signals": account.signals,
            "failures": account.failures,
            "rss": rss,
            "vsz": vsz,
            "last_spawn": row.last_spawn if row else 0,
            "respawn_count": history.spawned if history else 0,
            "doing": row.doing if row else "",
            "busy_for": self._busy_for(row),
        }

    def _busy_for(self, row: Row | None) -> float:
        """Seconds for which the child has been at what it does longest."""
        since = row.busy_since if row else 0.0
        return round(max(0.0, self.now - since), 3) if since else 0.0

    def _worker(self, seat: Seat) -> Values:
        row, account = self._row(seat), self.accounts[seat]
        pipe = self.sights.switchboard.signals[f"worker{seat.id}"]
        return {
            **self._child(seat, row),
            "accepting": int(row is not None and row.state is State.READY),
            "requests": account.requests,
            "delta_requests": row.requests if row else 0,
            "exceptions": account.exceptions,
            "signal_queue": pipe.waiting(),
            "running_time": account.microseconds,
            "tx": account.tx,
            "avg_rt": account.microseconds // account.requests if account.requests else 0,
            "apps": [self._app(account)] if row else [],
            **({} if self.settings.stats_no_cores else {"cores": _cores(row)}),
        }

    def _app(self, account: Account) -> Values:
        return {
            "id": 0,
            "modifier1": 0,
            "mountpoint": "",
            "startup_time": 0,
            "requests": account.requests,
            "exceptions": account.exceptions,
            "chdir": self.settings.chdir or "",
        }

    def _spoolers(self) -> list[Values]:
        directories = self.settings.spooler_seats
        return [self._spooler(seat, directories[seat.id - 1]) for seat in self._seats("spooler")]

    def _spooler(self, seat: Seat, directory: str) -> Values:
        row, account = self._row(seat), self.accounts[seat]
        child = self._child(seat, row)
        counted = self.sights.scoreboard.spool(self.settings.spooler.index(directory))
        return {
            "dir": directory,
            **child,
            "tasks": account.tasks,
            "respawns": max(0, child["respawn_count"] - 1),
            "running": int(row is not None and row.running),
            "running_time": account.task_microseconds,
            "retries": account.retries,
            "buried": account.buried,
            "backlog": counted[0] if counted else None,
            "dead": counted[1] if counted else None,
        }

    def _mule(self, seat: Seat) -> Values:
        row, account = self._row(seat), self.accounts[seat]
        name = f"mule{seat.id}"
        return {
            **self._child(seat, row),
            "messages": account.tasks,
            "running_time": account.task_microseconds,
            "signal_queue": self.sights.switchboard.signals[name].waiting(),
            "queue_bytes": self.sights.switchboard.mail[name].waiting_bytes(),
        }

    # -- what uWSGI does not tell ----------------------------------------------------------

    def _ours(self) -> Values:
        roster, board = self.sights.roster, self.sights.scoreboard
        zygote = roster.current_zygote()
        return {
            "started_on": board.started_on,
            "mode": roster.mode.value,
            "generation": roster.generation,
            "zygote": zygote.pid if zygote else 0,
            "reloads": asdict(roster.reloads),
            "requests": _requests(total(self.accounts.values())),
            "queues": self._queues(),
            "clock": self._clock(),
            "children": {
                f"{seat.kind} {seat.id}": self._child(seat, self._row(seat))
                for seat in self.accounts
                if seat.kind not in ("worker", "spooler", "mule")
            },
        }

    def _queues(self) -> Values:
        switchboard = self.sights.switchboard
        mail = {name: box for name, box in switchboard.mail.items() if name != WATCHER}
        return {
            "signals": {name: pipe.waiting() for name, pipe in switchboard.signals.items()},
            "messages_bytes": {name: box.waiting_bytes() for name, box in mail.items()},
        }

    def _clock(self) -> list[Values]:
        """Timers and cron jobs, the next first; what the watcher raises has no time to show."""
        router = self.sights.router
        shots = router.clock.schedule(self.now, self.wall)
        timed = [
            {
                "kind": entry.kind,
                "when": entry.words,
                "signal": entry.signum,
                "handler": router.handlers.get(entry.signum, ""),
                "target": entry.target or "",
                "next": round(when, 3),
                "last": round(router.last_runs.get(entry, 0.0), 3),
            }
            for entry, when in shots
        ]
        return sorted(timed, key=lambda shot: shot["next"])


def _queue(listener: Listener) -> int:
    """Clients that wait; none in a server that stops, whose sockets are closed."""
    return waiting(listener.sock) if listener.sock.fileno() >= 0 else 0


def _status(row: Row | None) -> str:
    """uWSGI's word: cheap, idle, busy, or sigN in a signal handler."""
    if row is None:
        return "cheap"
    if row.current_signal >= 0:
        return f"sig{row.current_signal}"
    return "busy" if row.busy else "idle"


def _cores(row: Row | None) -> list[Values]:
    return [_core(n, core) for n, core in enumerate(row.cores)] if row else []


def _core(number: int, core: CoreRow) -> Values:
    return {
        "id": number,
        "requests": core.requests,
        "static_requests": 0,
        "routed_requests": 0,
        "offloaded_requests": 0,
        "write_errors": 0,
        "read_errors": 0,
        "in_request": int(core.busy_since > 0),
        "vars": [],
        "req_info": {},
    }


def _requests(account: Account) -> Values:
    """What all workers answered: by the first digit of the status, and by time."""
    return {
        "total": account.requests,
        "exceptions": account.exceptions,
        "tx": account.tx,
        "seconds": account.microseconds / 1e6,
        "statuses": {_class_name(n): count for n, count in enumerate(account.statuses) if n < 6},
        "latency": _latency(account),
    }


def _class_name(digit: int) -> str:
    return f"{digit}xx" if digit else "none"


def _latency(account: Account) -> Mapping[str, int]:
    """How many requests took up to so many seconds; each class has its own only."""
    bounds = [*(f"{bound:g}" for bound in LATENCIES), "+Inf"]
    return dict(zip(bounds, account.latencies, strict=True))
