"""The tables that `status` and `top` show, and how a line is cut to a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from muleteer.cli.top import cropped
from muleteer.cli.views import clock_table, tables

NOW = 1_000_000.0
CHILD = {
    "id": 1, "pid": 77, "status": "idle", "generation": 2, "respawn_count": 3, "harakiri_count": 1,
    "rss": 2 << 20, "last_spawn": NOW - 90, "doing": "", "busy_for": 0.0, "signals": 4,
    "failures": 5,
}  # fmt: skip
WORKER = {**CHILD, "requests": 10, "avg_rt": 1500, "exceptions": 6, "tx": 2048}
MULE = {**CHILD, "messages": 8, "queue_bytes": 70, "signal_queue": 2}
SPOOLER = {**CHILD, "tasks": 9, "retries": 2, "buried": 1, "backlog": 7, "dir": "/srv/spool"}
SHOT = {
    "kind": "cron", "when": "40 2 -1 -1 -1", "signal": 3, "target": "", "next": NOW + 60, "last": 0,
    "handler": "",
}  # fmt: skip
COMMAND = {
    "minute": 5, "hour": -1, "day": -1, "month": -1, "week": -1, "command": "clean up", "pid": 9,
    "next": NOW + 30, "last": NOW - 30,
}  # fmt: skip


def picture(**changes: Any) -> dict[str, Any]:
    whole = {
        "workers": [WORKER],
        "mules": [MULE],
        "spoolers": [SPOOLER],
        "daemons": [{"pid": 5, "respawns": 1, "cmd": "redis"}],
        "crons": [COMMAND],
        "muleteer": {"clock": [SHOT]},
    }
    return whole | changes


def rows_of(place: int, **changes: Any) -> list[dict[str, str]]:
    heads, rows = list(tables(picture(**changes), NOW))[place]
    return [dict(zip(heads, cells, strict=True)) for cells, _ in rows]


def test_every_child_says_who_it_is() -> None:
    """Pid, status, generation, how often it was forked and killed, its memory and its age."""
    for place, name in enumerate(("WORKER", "MULE", "SPOOLER")):
        (row,) = rows_of(place)
        assert row[name] == "1"
        assert (row["PID"], row["STATUS"], row["GEN"]) == ("77", "idle", "2")
        assert (row["SPAWNS"], row["KILLED"], row["RSS"]) == ("3", "1", "2.0 MB")
        assert row["SINCE"] == "1m 30s"


def test_each_kind_says_what_it_did() -> None:
    """Requests, messages, tasks; what waits; what raised."""
    (worker,), (mule,), (spooler,) = rows_of(0), rows_of(1), rows_of(2)
    assert (worker["REQUESTS"], worker["AVERAGE"], worker["RAISED"]) == ("10", "1.5 ms", "6")
    assert (mule["MESSAGES"], mule["RAISED"], mule["WAITING"]) == ("8", "5", "70 B, 2 signals")
    assert (spooler["TASKS"], spooler["AGAIN"], spooler["DIED"]) == ("9", "2", "1")
    assert (spooler["THERE"], spooler["DIRECTORY"]) == ("7", "spool")


def test_a_rate_has_a_column_only_when_it_is_known() -> None:
    """`status` looks once and cannot know it."""
    assert "REQ/S" not in rows_of(0)[0]
    heads, rows = next(iter(tables(picture(), NOW, {1: 12.4})))
    assert dict(zip(heads, rows[0][0], strict=True))["REQ/S"] == "12"


@pytest.mark.parametrize(
    ("changes", "doing", "colour"),
    [
        ({"status": "busy", "busy_for": 3.21}, "a request for 3.2 s", "green"),
        ({"status": "sig7", "busy_for": 1, "doing": "signal 7"}, "signal 7 for 1.0 s", "yellow"),
        ({"status": "cheap", "pid": 0}, "", "dim"),
        ({}, "", ""),
    ],
)
def test_what_a_worker_does(changes: dict[str, Any], doing: str, colour: str) -> None:
    """In words with the time, and as a colour."""
    heads, rows = next(iter(tables(picture(workers=[{**WORKER, **changes}]), NOW)))
    cells, painted = rows[0]
    assert dict(zip(heads, cells, strict=True))["DOING"] == doing
    assert painted == colour


def test_the_clock_is_sorted_by_the_next_run() -> None:
    """Signals and commands in one table; a command that runs says its pid."""
    heads, rows = clock_table(picture(), NOW)
    first, second = (dict(zip(heads, cells, strict=True)) for cells, _ in rows)
    assert (first["CLOCK"], first["WHEN"]) == ("command", "5 -1 -1 -1 -1")
    assert first["WHAT"] == "(running, pid 9) clean up"
    assert "(in 30s)" in first["NEXT RUN"]
    assert "(30s ago)" in first["LAST RUN"]
    assert (second["CLOCK"], second["WHAT"]) == ("cron", "signal 3 to any worker")
    assert second["LAST RUN"] == "-"


def test_a_handler_is_named() -> None:
    """The function first; the number and whom it reaches behind it."""
    clock = {"clock": [{**SHOT, "handler": "app.nightly", "target": "mule1"}]}
    _, rows = clock_table(picture(muleteer=clock, crons=[]), NOW)
    assert rows[0][0][-1] == "app.nightly (signal 3 to mule1)"


def test_timers_may_be_left_out() -> None:
    """`cron ls` is about cron jobs."""
    clock = {"clock": [{**SHOT, "kind": "timer"}, SHOT]}
    shown = clock_table(picture(muleteer=clock), NOW, is_timer_shown=False)[1]
    assert [cells[0] for cells, _ in shown] == ["command", "cron"]
    assert len(clock_table(picture(muleteer=clock), NOW)[1]) == 3


@pytest.mark.parametrize(
    ("line", "width", "shown"),
    [
        ("abcdef", 4, "abcd"),
        ("abc", 4, "abc"),
        ("\033[32mabcdef\033[0m", 4, "\033[32mabcd\033[0m"),
        ("ab\033[32mcd\033[0mef", 3, "ab\033[32mc\033[0m"),
        ("", 4, ""),
    ],
)
def test_a_line_is_cut_to_the_terminal(line: str, width: int, shown: str) -> None:
    """Colours take no room, and always end."""
    assert cropped(line, width) == shown
