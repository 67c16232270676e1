"""Prometheus's format, read by Prometheus's own parser."""

from __future__ import annotations

from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from muleteer.wire.exposition import FAMILIES, PREFIX, expose

CHILD = {
    "id": 1,
    "status": "idle",
    "harakiri_count": 2,
    "signals": 3,
    "failures": 4,
    "rss": 1000,
    "respawn_count": 5,
}
WHO = {"kind": "cron", "handler": "app.f", "signal": "3", "when": "1 2 -1 -1 -1", "target": ""}
SHOT = {**WHO, "next": 9.5, "last": 0.0}


def picture(**changes: Any) -> dict[str, Any]:
    """A server with one of each."""
    ours = {
        "started_on": 100,
        "generation": 3,
        "reloads": {"done": 2, "failed": 1, "last_failure": {"at": 50.0}},
        "requests": {
            "statuses": {"2xx": 7, "5xx": 1},
            "latency": {"0.1": 5, "1": 2, "+Inf": 1},
            "seconds": 3.25,
            "tx": 11,
            "exceptions": 1,
        },
        "queues": {"signals": {"worker": 6}, "messages_bytes": {"mule1": 8}},
        "clock": [SHOT],
        "children": {"watcher 1": CHILD},
    }
    spooler = {**CHILD, "dir": "/s", "tasks": 4, "retries": 2, "buried": 1, "backlog": 9, "dead": 2}
    return {
        "version": "1.2",
        "sockets": [{"name": "127.0.0.1:80", "queue": 2}, {"name": "/a.sock", "queue": 0}],
        "workers": [
            CHILD,
            {**CHILD, "id": 2, "status": "sig7"},
            {**CHILD, "id": 3, "status": "busy"},
        ],
        "mules": [{**CHILD, "messages": 12}],
        "spoolers": [
            {**spooler, "running_time": 1_500_000},
            {**spooler, "id": 2, "running_time": 500_000},
        ],
        "muleteer": ours | changes,
    }


def parsed(page: bytes) -> dict[str, Metric]:
    return {one.name: one for one in text_string_to_metric_families(page.decode())}


def samples(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    found = {}
    for metric in parsed(page).values():
        for sample in metric.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"two samples of {key}"
            found[key] = sample.value
    return found


def value(page: bytes, name: str, **labels: str) -> float:
    return samples(page)[PREFIX + name, tuple(sorted(labels.items()))]


def test_every_family_is_there_with_its_type_and_words() -> None:
    """Type and help are what the table says; nothing is left out and nothing is unknown."""
    found = parsed(expose(picture()))
    assert {PREFIX + family.name.removesuffix("_total") for family in FAMILIES} == found.keys()
    for family in FAMILIES:
        metric = found[PREFIX + family.name.removesuffix("_total")]
        assert (metric.type, metric.documentation) == (family.kind, family.help)


def test_latency_is_a_growing_histogram() -> None:
    """A bucket has all requests up to its bound; the sum and the count are those of all."""
    page = expose(picture())
    buckets = [value(page, "request_duration_seconds_bucket", le=le) for le in ("0.1", "1", "+Inf")]
    assert buckets == [5, 7, 8]
    assert value(page, "request_duration_seconds_count") == 8
    assert value(page, "request_duration_seconds_sum") == 3.25


def test_spoolers_of_one_directory_are_one() -> None:
    """Work is added up; what waits is counted once."""
    page = expose(picture())
    assert value(page, "spooler_tasks_total", dir="/s") == 8
    assert value(page, "spooler_task_seconds_total", dir="/s") == 2.0
    assert value(page, "spooler_backlog", dir="/s") == 9
    assert value(page, "spooler_dead_tasks", dir="/s") == 2


def test_what_nobody_counted_yet_is_no_zero() -> None:
    """A server that has just begun has no backlog to tell."""
    whole = picture()
    whole["spoolers"] = [{**one, "backlog": None, "dead": None} for one in whole["spoolers"]]
    page = expose(whole)
    assert b"spooler_backlog" not in page
    assert value(page, "spooler_tasks_total", dir="/s") == 8


def test_children_are_counted_by_what_they_do() -> None:
    """A worker in a signal handler is busy; the watcher is a kind of its own."""
    page = expose(picture())
    assert value(page, "children", kind="worker", state="busy") == 2
    assert value(page, "children", kind="worker", state="idle") == 1
    assert value(page, "children", kind="watcher", state="idle") == 1
    assert value(page, "restarts_total", kind="mule") == 4
    assert value(page, "spawned_total", kind="mule") == 5


def test_only_sockets_whose_queue_is_known_have_one() -> None:
    """The kernel does not tell the queue of a unix socket; a zero would be a lie."""
    page = expose(picture())
    assert value(page, "listen_queue", socket="127.0.0.1:80") == 2
    assert b"/a.sock" not in page


def test_a_label_may_hold_anything() -> None:
    """Quotes, backslashes, line ends, and bytes of a path that are no text."""
    strange = 'a "b"\\c\n\udcff'
    page = expose(picture(queues={"signals": {strange: 1}, "messages_bytes": {}}))
    assert value(page, "signal_queue", target='a "b"\\c\n\\udcff') == 1


def test_two_equal_entries_of_the_clock_are_one_sample() -> None:
    """Prometheus refuses a page that says one thing twice; the sooner run counts."""
    page = expose(picture(clock=[SHOT, {**SHOT, "next": 99.0}]))
    assert value(page, "clock_next_run_timestamp_seconds", **WHO) == 9.5


def test_a_server_that_never_failed_says_zero() -> None:
    """The time of the last failed reload is 0 when there was none."""
    page = expose(picture(reloads={"done": 0, "failed": 0, "last_failure": None}))
    assert value(page, "last_failed_reload_timestamp_seconds") == 0
    assert value(page, "reloads_total", result="failed") == 0
