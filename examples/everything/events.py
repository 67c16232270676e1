"""What fired, where and when: one SQLite table that every process writes to and the page reads.

A connection lives for one call, so none is ever carried through a fork.

Runs in: every process.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import uwsgi

PATH = Path(__file__).with_name("events.sqlite3")

SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS events (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, decorator TEXT, nth INTEGER,
        kind TEXT, number INTEGER, pid INTEGER, what TEXT, seconds REAL
    );
    CREATE INDEX IF NOT EXISTS latest ON events (decorator, nth);
    DELETE FROM events;
"""
NEXT = "SELECT coalesce(max(nth), 0) + 1 FROM events WHERE decorator = :decorator"
INSERT = f"""
    INSERT INTO events (at, decorator, nth, kind, number, pid, what, seconds)
    VALUES (:at, :decorator, ({NEXT}), :kind, :number, :pid, :what, :seconds)
"""
FORGET = f"DELETE FROM events WHERE decorator = :decorator AND nth < ({NEXT}) - 100"


def begin() -> None:
    """Start with an empty table: called once, by the import, before anything forks."""
    with _database() as database:
        database.executescript(SCHEMA)


def note(decorator: str, what: str, *, since: float | None = None) -> None:
    """Write down that a decorated function ran here; `since` is when it began, if that matters.

    Each decorator keeps its last hundred events, so the file stays small for ever.
    """
    now = time.time()
    kind, number = who_am_i()
    event = {"at": now, "decorator": decorator, "what": what, "seconds": now - (since or now)}
    event |= {"kind": kind, "number": number, "pid": os.getpid()}
    with _database() as database:
        database.execute(INSERT, event)
        database.execute(FORGET, event)


def after(last: int) -> list[dict[str, Any]]:
    """The events that came after event `last`, the oldest first."""
    with _database() as database:
        rows = database.execute("SELECT * FROM events WHERE id > ? ORDER BY id", [last])
        return [dict(row) for row in rows]


def who_am_i() -> tuple[str, int]:
    """The kind of this process and its number."""
    if number := uwsgi.worker_id():
        return "worker", number
    if number := uwsgi.mule_id():
        return "mule", number
    return ("spooler" if uwsgi.i_am_the_spooler() else "gateway"), 1


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(PATH, timeout=10)) as database, database:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA synchronous = OFF")  # a power cut may take a page's events
        yield database
