"""Prometheus's text format: the picture of a server as samples.

Written here and not by `prometheus_client`: the master must not import it, for it decides at its
import, from the environment, whether an application's own metrics are shared between processes,
and what the master imports every application inherits.  Its parser reads ours in the tests.

Runs in: the master.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FAMILIES", "MEDIA_TYPE", "Family", "expose"]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Picture = Mapping[str, Any]
Labels = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name without the prefix, its type and its help text."""

    name: str
    kind: str
    help: str


def _counter(name: str, words: str) -> Family:
    return Family(f"{name}_total", "counter", words)


def _gauge(name: str, words: str) -> Family:
    return Family(name, "gauge", words)


INFO = _gauge("info", "Always 1; the label says which muleteer runs.")
STARTED = _gauge("start_time_seconds", "Unix time of the server's start.")
GENERATION = _gauge("generation", "The generation that serves.")
RELOADS = _counter("reloads", "Reloads by their result.")
FAILED_AT = _gauge("last_failed_reload_timestamp_seconds", "Unix time of the last failed reload.")
REQUESTS = _counter("requests", "Requests by the class of their status.")
DURATION = Family("request_duration_seconds", "histogram", "Time from request to answer.")
BYTES = _counter("response_bytes", "Bytes sent to clients.")
EXCEPTIONS = _counter("request_exceptions", "Requests whose application raised.")
LISTEN_QUEUE = _gauge("listen_queue", "Clients that wait to be accepted, by TCP socket.")
CHILDREN = _gauge("children", "Processes by kind and by what they do.")
SPAWNED = _counter("spawned", "Processes forked, by kind; the first ones are no restarts.")
RESTARTS = _counter("restarts", "Processes forked in place of others, by kind.")
HARAKIRI = _counter("harakiri", "Processes killed at their deadline, by kind.")
RESIDENT = _gauge("resident_bytes", "Memory of a process, by kind and number.")
SIGNALS = _counter("signals", "uWSGI signals handled, by kind of process.")
FAILURES = _counter("failures", "Tasks, messages and signal handlers that raised, by kind.")
SIGNAL_QUEUE = _gauge("signal_queue", "uWSGI signals that wait, by target.")
MESSAGES = _counter("mule_messages", "Messages taken by a mule.")
MAIL = _gauge("mule_queue_bytes", "Bytes of messages that wait, by queue.")
TASKS = _counter("spooler_tasks", "Runs of spooled tasks, by directory.")
TASK_SECONDS = _counter("spooler_task_seconds", "Time spent in spooled tasks, by directory.")
RETRIES = _counter("spooler_retries", "Runs after which a task runs again, by directory.")
DEAD = _counter("spooler_dead", "Tasks laid among the dead, by directory.")
BACKLOG = _gauge("spooler_backlog", "Tasks that lie in a directory and wait or run.")
GRAVES = _gauge("spooler_dead_tasks", "Dead tasks that lie in a directory.")
NEXT_RUN = _gauge("clock_next_run_timestamp_seconds", "When a timer or cron job fires next.")
LAST_RUN = _gauge("clock_last_run_timestamp_seconds", "When it fired last; 0 for never.")

FAMILIES = tuple(one for one in list(globals().values()) if isinstance(one, Family))
"""All of them, as docs/watching.md lists them."""

PREFIX = "muleteer_"

_CLOCK_LABELS = ("kind", "handler", "when", "signal", "target")


def expose(picture: Picture) -> bytes:
    """The picture as one page of samples."""
    return "".join(
        (
            *_server(picture),
            *_requests(picture["muleteer"]["requests"]),
            *_sockets(picture),
            *_processes(picture),
            *_queues(picture["muleteer"]["queues"]),
            *_mules(picture["mules"]),
            *_spoolers(picture.get("spoolers", ())),
            *_clock(picture["muleteer"]["clock"]),
        )
    ).encode()


# -- the parts -------------------------------------------------------------------------------


def _server(picture: Picture) -> Iterator[str]:
    ours = picture["muleteer"]
    reloads = ours["reloads"]
    last = reloads["last_failure"]
    yield _family(INFO, [({"version": picture["version"]}, 1)])
    yield _family(STARTED, [({}, ours["started_on"])])
    yield _family(GENERATION, [({}, ours["generation"])])
    yield _family(
        RELOADS, [({"result": "done"}, reloads["done"]), ({"result": "failed"}, reloads["failed"])]
    )
    yield _family(FAILED_AT, [({}, last["at"] if last else 0)])


def _requests(requests: Picture) -> Iterator[str]:
    statuses = requests["statuses"].items()
    yield _family(REQUESTS, [({"status": name}, count) for name, count in statuses])
    yield _histogram(DURATION, requests["latency"], requests["seconds"])
    yield _family(BYTES, [({}, requests["tx"])])
    yield _family(EXCEPTIONS, [({}, requests["exceptions"])])


def _sockets(picture: Picture) -> Iterator[str]:
    sockets = [s for s in picture["sockets"] if ":" in s["name"]]
    yield _family(LISTEN_QUEUE, [({"socket": s["name"]}, s["queue"]) for s in sockets])


def _processes(picture: Picture) -> Iterator[str]:
    by_kind = {
        "worker": picture["workers"],
        "mule": picture["mules"],
        "spooler": picture.get("spoolers", []),
    }
    for name, child in picture["muleteer"]["children"].items():
        by_kind.setdefault(name.partition(" ")[0], []).append(child)
    by_kind = {kind: children for kind, children in by_kind.items() if children}
    yield _family(CHILDREN, _by_state(by_kind))
    yield _sums(SPAWNED, by_kind, "respawn_count")
    yield _family(
        RESTARTS,
        [
            ({"kind": kind}, sum(max(0, child["respawn_count"] - 1) for child in children))
            for kind, children in by_kind.items()
        ],
    )
    yield _sums(HARAKIRI, by_kind, "harakiri_count")
    yield _sums(SIGNALS, by_kind, "signals")
    yield _sums(FAILURES, by_kind, "failures")
    yield _family(
        RESIDENT,
        [
            ({"kind": kind, "id": child["id"]}, child["rss"])
            for kind, children in by_kind.items()
            for child in children
        ],
    )


def _by_state(by_kind: Mapping[str, list[Picture]]) -> Iterator[tuple[Labels, float]]:
    """How many of each kind are idle, busy (a signal handler counts) or not there."""
    for kind, children in by_kind.items():
        states = ["busy" if c["status"].startswith("sig") else c["status"] for c in children]
        for state in ("idle", "busy", "cheap"):
            yield {"kind": kind, "state": state}, states.count(state)


def _queues(queues: Picture) -> Iterator[str]:
    signals, mail = queues["signals"].items(), queues["messages_bytes"].items()
    yield _family(SIGNAL_QUEUE, [({"target": name}, count) for name, count in signals])
    yield _family(MAIL, [({"queue": name}, count) for name, count in mail])


def _mules(mules: Iterable[Picture]) -> Iterator[str]:
    yield _family(MESSAGES, [({"mule": mule["id"]}, mule["messages"]) for mule in mules])


def _spoolers(spoolers: Iterable[Picture]) -> Iterator[str]:
    """By directory: several processes may share one."""
    by_dir: dict[str, list[Picture]] = {}
    for spooler in spoolers:
        by_dir.setdefault(spooler["dir"], []).append(spooler)
    for family, key in ((TASKS, "tasks"), (RETRIES, "retries"), (DEAD, "buried")):
        yield _sums(family, by_dir, key, label="dir")
    yield _family(
        TASK_SECONDS,
        [({"dir": d}, sum(s["running_time"] for s in some) / 1e6) for d, some in by_dir.items()],
    )
    counted = {d: some[0] for d, some in by_dir.items() if some[0]["backlog"] is not None}
    yield _family(BACKLOG, [({"dir": d}, one["backlog"]) for d, one in counted.items()])
    yield _family(GRAVES, [({"dir": d}, one["dead"]) for d, one in counted.items()])


def _clock(shots: Iterable[Picture]) -> Iterator[str]:
    """One sample an entry; of two that are told apart by nothing, the sooner."""
    merged: dict[tuple[object, ...], Picture] = {}
    for shot in shots:
        merged.setdefault(tuple(shot[name] for name in _CLOCK_LABELS), shot)
    labelled = [({name: s[name] for name in _CLOCK_LABELS}, s) for s in merged.values()]
    yield _family(NEXT_RUN, [(labels, shot["next"]) for labels, shot in labelled])
    yield _family(LAST_RUN, [(labels, shot["last"]) for labels, shot in labelled])


# -- the format ------------------------------------------------------------------------------


def _family(family: Family, samples: Iterable[tuple[Labels, float]]) -> str:
    name = PREFIX + family.name
    lines = [f"{name}{_labels(labels)} {_number(value)}\n" for labels, value in samples]
    return _heading(family) + "".join(lines) if lines else ""


def _sums(
    family: Family, groups: Mapping[str, Iterable[Picture]], key: str, *, label: str = "kind"
) -> str:
    samples = [({label: name}, sum(one[key] for one in some)) for name, some in groups.items()]
    return _family(family, samples)


def _histogram(family: Family, classes: Mapping[str, int], total_s: float) -> str:
    """Buckets that grow: each has all that took as long or less."""
    name, so_far, lines = PREFIX + family.name, 0, []
    for bound, count in classes.items():
        so_far += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {so_far}\n')
    lines += [f"{name}_sum {_number(total_s)}\n", f"{name}_count {so_far}\n"]
    return _heading(family) + "".join(lines)


def _heading(family: Family) -> str:
    name = PREFIX + family.name
    return f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(str(v))}"' for name, v in labels.items()) + "}"


def _escaped(text: str) -> str:
    text = text.encode(errors="backslashreplace").decode()  # a path may be no text
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
