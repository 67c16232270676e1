"""The picture of a server in a few lines, for the log and for people.

Runs in: the master; the shell's process.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["summary"]

Picture = Mapping[str, Any]


def summary(picture: Picture) -> list[str]:
    """What it is about, who does what, what was done, what waits and what fires next."""
    ours = picture["muleteer"]
    return [
        f"pid {picture['pid']}, {ours['mode']}, generation {ours['generation']},"
        f" since {_moment(ours['started_on'])}{_reloads(ours['reloads'])}",
        *_children("worker", picture["workers"]),
        *_children("mule", picture["mules"]),
        *_children("spooler", picture.get("spoolers", [])),
        _requests(ours["requests"]),
        *(_spooled(picture["spoolers"]) if picture.get("spoolers") else []),
        *_waiting(picture),
    ]


def _reloads(reloads: Picture) -> str:
    last = reloads["last_failure"]
    done = _counted(reloads["done"], "reload")
    if not last:
        return f", {done}" if reloads["done"] else ""
    when = _moment(last["at"])
    return f", {done} and {reloads['failed']} failed, the last at {when}: {last['why']}"


def _children(kind: str, children: Iterable[Picture]) -> list[str]:
    children = list(children)
    if not children:
        return []
    busy = sum(child["status"] not in ("idle", "cheap") for child in children)
    there = sum(child["pid"] > 0 for child in children)
    killed = sum(child["harakiri_count"] for child in children)
    respawned = sum(max(0, child["respawn_count"] - 1) for child in children)
    return [
        f"{_counted(there, kind)}, {busy} busy;"
        f" {respawned} respawned, {killed} killed at a deadline"
    ]


def _requests(requests: Picture) -> str:
    classes = (f"{n} with {name}" for name, n in requests["statuses"].items() if n)
    told = ", ".join(classes)
    return f"{_counted(requests['total'], 'request')}{f': {told}' if told else ''}"


def _spooled(spoolers: Iterable[Picture]) -> list[str]:
    by_dir: dict[str, list[Picture]] = {}
    for spooler in spoolers:
        by_dir.setdefault(spooler["dir"], []).append(spooler)
    return [
        f"{directory}: {sum(s['tasks'] for s in some)} tasks run,"
        f" {sum(s['retries'] for s in some)} to run again, {sum(s['buried'] for s in some)} died"
        + _there(some[0])
        for directory, some in by_dir.items()
    ]


def _there(spooler: Picture) -> str:
    if spooler["backlog"] is None:
        return ""
    return f"; {spooler['backlog']} are there, and {spooler['dead']} dead ones"


def _waiting(picture: Picture) -> list[str]:
    queues = picture["muleteer"]["queues"]
    signals = {name: n for name, n in queues["signals"].items() if n}
    mail = {name: n for name, n in queues["messages_bytes"].items() if n}
    lines = [f"{n} signals wait for {name}" for name, n in signals.items()]
    lines += [f"{n} bytes of messages wait for {name}" for name, n in mail.items()]
    if picture["listen_queue"]:
        lines.append(f"{picture['listen_queue']} clients wait to be accepted")
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _moment(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))
