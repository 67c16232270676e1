"""A server in a few lines."""

from __future__ import annotations

import re
from typing import Any

from muleteer.master.summary import summary

CHILD = {"pid": 9, "status": "idle", "harakiri_count": 0, "respawn_count": 1}

SPOOLED = {"dir": "/s", "tasks": 5, "retries": 2, "buried": 1, "backlog": 9, "dead": 4}


def picture(**changes: Any) -> dict[str, Any]:
    ours = {
        "mode": "running",
        "generation": 2,
        "started_on": 0,
        "reloads": {"done": 0, "failed": 0, "last_failure": None},
        "requests": {"total": 8, "statuses": {"2xx": 7, "4xx": 0, "5xx": 1}},
        "queues": {"signals": {"worker": 0}, "messages_bytes": {}},
    }
    whole = {"pid": 1, "workers": [CHILD], "mules": [], "listen_queue": 0, "muleteer": ours}
    return whole | changes


def test_a_plain_server_has_three_lines() -> None:
    """What it is about, who is there, what was done; nothing of what is not there."""
    first, workers, requests = summary(picture())
    assert re.fullmatch(r"pid 1, running, generation 2, since [\d-]{10} [\d:]{8}", first)
    assert workers == "1 worker, 0 busy; 0 respawned, 0 killed at a deadline"
    assert requests == "8 requests: 7 with 2xx, 1 with 5xx"


def test_troubles_are_told() -> None:
    """Failed reloads, deaths, queues that fill, tasks that died."""
    whole = picture(
        workers=[{**CHILD, "status": "busy", "respawn_count": 4, "harakiri_count": 2}, CHILD],
        spoolers=[{**CHILD, **SPOOLED}],
        listen_queue=3,
    )
    whole["muleteer"]["reloads"] = {
        "done": 1,
        "failed": 1,
        "last_failure": {"at": 0, "why": "no module"},
    }
    whole["muleteer"]["queues"] = {"signals": {"worker": 4}, "messages_bytes": {"mule1": 70}}
    text = "\n".join(summary(whole))
    for words in (
        "1 reload and 1 failed, the last at ",
        ": no module",
        "2 workers, 1 busy; 3 respawned, 2 killed at a deadline",
        "/s: 5 tasks run, 2 to run again, 1 died; 9 are there, and 4 dead ones",
        "4 signals wait for worker",
        "70 bytes of messages wait for mule1",
        "3 clients wait to be accepted",
    ):
        assert words in text
