"""A server's picture for people: who is there, what they do, what they did, what fires next.

Runs in: the shell's process.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from muleteer.cli.screen import Screen, age, moment, size
from muleteer.master.summary import summary

__all__ = ["Table", "clock_table", "show", "tables"]

Values = Mapping[str, Any]
Rows = list[tuple[Sequence[str], str]]
Table = tuple[Sequence[str], Rows]

_CHILD = ("PID", "STATUS", "GEN", "SPAWNS", "KILLED", "RSS", "SINCE")


def show(
    screen: Screen, picture: Values, now: float, rates: Mapping[int, float] | None = None
) -> None:
    """The whole picture: what it is about in a few lines, then the tables that have a row."""
    for line in summary(picture):
        screen.say(line)
    for heads, rows in tables(picture, now, rates):
        if rows:
            screen.say()
            screen.table(heads, rows)


def tables(
    picture: Values, now: float, rates: Mapping[int, float] | None = None
) -> Iterator[Table]:
    """Workers, mules, spoolers, programs and the clock, as far as there are any.

    `rates` are requests a second, by worker; without them there is no such column.
    """
    yield _workers(picture["workers"], now, rates)
    yield _mules(picture["mules"], now)
    yield _spoolers(picture.get("spoolers", []), now)
    yield _daemons(picture.get("daemons", []))
    yield clock_table(picture, now)


def _workers(workers: Sequence[Values], now: float, rates: Mapping[int, float] | None) -> Table:
    heads = ["WORKER", *_CHILD, "REQUESTS", *(["REQ/S"] if rates is not None else [])]
    rows: Rows = []
    for one in workers:
        rate = [f"{rates.get(one['id'], 0.0):.0f}"] if rates is not None else []
        average = f"{one['avg_rt'] / 1000:.1f} ms"
        cells = [
            *(str(one["id"]), *_child(one, now), str(one["requests"]), *rate, average),
            *(str(one["exceptions"]), str(one["signals"]), size(one["tx"]), _doing(one)),
        ]
        rows.append((cells, _colour(one)))
    return [*heads, "AVERAGE", "RAISED", "SIGNALS", "SENT", "DOING"], rows


def _mules(mules: Sequence[Values], now: float) -> Table:
    heads = ["MULE", *_CHILD, "MESSAGES", "SIGNALS", "RAISED", "WAITING", "DOING"]
    rows: Rows = [
        (
            [
                *(str(one["id"]), *_child(one, now), str(one["messages"]), str(one["signals"])),
                *(str(one["failures"]), _waiting(one), _doing(one)),
            ],
            _colour(one),
        )
        for one in mules
    ]
    return heads, rows


def _waiting(mule: Values) -> str:
    parts = [size(mule["queue_bytes"])] if mule["queue_bytes"] else []
    parts += [f"{mule['signal_queue']} signals"] if mule["signal_queue"] else []
    return ", ".join(parts) or "-"


def _spoolers(spoolers: Sequence[Values], now: float) -> Table:
    heads = ["SPOOLER", *_CHILD, "TASKS", "AGAIN", "DIED", "THERE", "DIRECTORY", "DOING"]
    rows: Rows = [
        (
            [
                *(str(one["id"]), *_child(one, now), str(one["tasks"]), str(one["retries"])),
                *(str(one["buried"]), _known(one["backlog"]), os.path.basename(one["dir"])),
                _doing(one),
            ],
            _colour(one),
        )
        for one in spoolers
    ]
    return heads, rows


def _known(number: int | None) -> str:
    return "-" if number is None else str(number)


def _daemons(daemons: Sequence[Values]) -> Table:
    rows: Rows = [
        ([str(one["pid"] or "-"), str(one["respawns"]), one["cmd"]], "" if one["pid"] else "red")
        for one in daemons
    ]
    return ["PID", "RESPAWNS", "PROGRAM"], rows


def clock_table(picture: Values, now: float, *, is_timer_shown: bool = True) -> Table:
    """Timers, cron jobs and cron commands, the next first."""
    shots = [
        (shot["next"], shot["last"], shot["kind"], shot["when"], _reached(shot))
        for shot in picture["muleteer"]["clock"]
        if is_timer_shown or shot["kind"] != "timer"
    ]
    shots += [
        (one["next"], one["last"], "command", _numbers(one), f"{_state(one)}{one['command']}")
        for one in picture.get("crons", ())
    ]
    rows: Rows = [
        ([kind, when, _moment(following, now), _moment(last, now), what], "")
        for following, last, kind, when, what in sorted(shots)
    ]
    return ["CLOCK", "WHEN", "NEXT RUN", "LAST RUN", "WHAT"], rows


def _reached(shot: Values) -> str:
    signal = f"signal {shot['signal']} to {shot['target'] or 'any worker'}"
    return f"{shot['handler']} ({signal})" if shot["handler"] else signal


def _numbers(command: Values) -> str:
    names = ("minute", "hour", "day", "month", "week")
    return " ".join(str(command[name]) for name in names)


def _state(command: Values) -> str:
    return f"(running, pid {command['pid']}) " if command["pid"] > 0 else ""


def _moment(unix_s: float, now: float) -> str:
    return moment(unix_s, now) if unix_s else "-"


# -- what children have in common -----------------------------------------------------------


def _child(one: Values, now: float) -> list[str]:
    return [
        str(one["pid"] or "-"),
        one["status"],
        str(one["generation"] or "-"),
        str(one["respawn_count"]),
        str(one["harakiri_count"]),
        size(one["rss"]) if one["rss"] else "-",
        age(now - one["last_spawn"]) if one["last_spawn"] else "-",
    ]


def _doing(one: Values) -> str:
    if one["status"] == "idle" or not one["busy_for"]:
        return ""
    return f"{one['doing'] or 'a request'} for {one['busy_for']:.1f} s"


def _colour(one: Values) -> str:
    """Busy is green, a signal handler yellow; who is not there is dim."""
    return {"idle": "", "busy": "green", "cheap": "dim"}.get(one["status"], "yellow")
