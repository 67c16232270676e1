"""Measures from inside a worker what an application can call: locks, RPC, mules, signals, timers.

A request's path names a probe, its query has the probe's arguments, and the answer is JSON: seconds
for one operation. It uses only what real uWSGI has too, so that both servers run the same code.

Runs in: every server of `benchmarks/primitives.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import uwsgi

Figures = dict[str, float]

LOCK = 1
TO_MULE, TO_WORKER = 17, 18
STAMP = struct.Struct("d")
TICK = struct.Struct("Id")
REPLY = b"r"
"""How a message begins whose arrival is to be told."""
answers_fd, answer_fd = os.pipe()
"""Made before the fork, so that every process of the server has it."""


def summary(seconds: Sequence[float]) -> Figures:
    """What one operation takes: in the middle, and at worst but for one in a hundred."""
    ordered = sorted(seconds)
    return {
        "median": statistics.median(ordered),
        "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
    }


def stamp(*_: object) -> None:
    """Tell who waits for it when this was called."""
    os.write(answer_fd, STAMP.pack(time.monotonic()))


def stamped() -> float:
    """When the next `stamp` was."""
    return float(STAMP.unpack(os.read(answers_fd, STAMP.size))[0])


# -- what is asked for -----------------------------------------------------------------------------


def lock(n: str) -> Figures:
    """One lock and unlock that nobody else wants; by the hundred, for looking at a clock costs."""
    taken = []
    for _ in range(int(n) // 100):
        started = time.perf_counter()
        for _ in range(100):
            uwsgi.lock(LOCK)
            uwsgi.unlock(LOCK)
        taken.append((time.perf_counter() - started) / 100)
    return summary(taken)


def contend(start: str, seconds: str) -> Figures:
    """How many times this worker had the lock that others want at the same time."""
    begin = float(start)
    end = begin + float(seconds)
    time.sleep(max(0.0, begin - time.monotonic()))
    count = 0
    while time.monotonic() < end:
        uwsgi.lock(LOCK)
        uwsgi.unlock(LOCK)
        count += 1
    return {"pid": os.getpid(), "count": count}


def rpc(node: str, n: str) -> Figures:
    """A call of a function that returns its argument; without a node in this very process."""
    taken = []
    word = b"x" * 16
    for _ in range(int(n)):
        started = time.perf_counter()
        answer = uwsgi.rpc(node, b"echo", word) if node else uwsgi.call(b"echo", word)
        taken.append(time.perf_counter() - started)
        if answer != word:
            raise RuntimeError(f"rpc to {node!r} answered {answer!r}")
    return summary(taken)


def mule_send(n: str) -> Figures:
    """What sending costs the sender, as long as the queue has room."""
    taken = []
    for _ in range(int(n)):
        started = time.perf_counter()
        uwsgi.mule_msg(b"hello", 1)
        taken.append(time.perf_counter() - started)
    uwsgi.mule_msg(REPLY, 1)
    stamped()  # the mule has had them all
    return summary(taken)


def mule_trip(n: str, size: str) -> Figures:
    """From a message's sending to its handler; nothing where the server refuses one so large."""
    taken = []
    message = REPLY.ljust(int(size), b"x")
    for _ in range(int(n)):
        started = time.monotonic()
        if uwsgi.mule_msg(message, 1) is False:
            return {}
        taken.append(stamped() - started)
    return summary(taken)


def signal(number: str, n: str) -> Figures:
    """From a signal's raising to its handler."""
    taken = []
    for _ in range(int(n)):
        started = time.monotonic()
        uwsgi.signal(int(number))
        taken.append(stamped() - started)
    return summary(taken)


PROBES: dict[str, Callable[..., Figures]] = {
    probe.__name__: probe for probe in (lock, contend, rpc, mule_send, mule_trip, signal)
}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A probe's figures; a plain answer for who only wants to be served."""
    name = environ["PATH_INFO"].strip("/")
    figures = {}
    if name:
        arguments = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        figures = PROBES[name](**arguments)
    answer = json.dumps(figures).encode()
    start_response("200 OK", [("Content-Type", "text/json"), ("Content-Length", str(len(answer)))])
    return [answer]


# -- what is registered before the fork ------------------------------------------------------------


def received(message: bytes) -> None:
    """In a mule."""
    if message.startswith(REPLY):
        stamp()


def ticked(number: int) -> None:
    """In a mule: note which timer, and when."""
    os.write(ticks_fd, TICK.pack(number, time.monotonic()))


uwsgi.mule_msg_hook = received
uwsgi.register_rpc("echo", lambda word: word)
uwsgi.register_signal(TO_MULE, "mule1", stamp)
uwsgi.register_signal(TO_WORKER, "worker", stamp)

if timers := int(os.environ.get("BENCH_TIMERS", "0")):
    ticks_fd = os.open(os.environ["BENCH_TICKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for place in range(timers):
        # uWSGI's numbers end at 255, and its timers at 64
        number = 100 + place if place < 64 else uwsgi.free_signal(f"timer {place}")
        uwsgi.register_signal(number, "mule2", ticked)
        uwsgi.add_timer(number, 1)
