"""What every task of the spool benchmark does: note when it was sent and when it started.

Runs in: the consumers of a benchmark, whatever system they belong to, and its producers.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable

RECORD = struct.Struct("ddd")
"""Wall time sent, wall time started, processor time of the consumer's process so far."""

_fds: dict[int, int] = {}


def record(sent: float) -> None:
    """Append one record to the file that BENCH_RECORDS names."""
    data = RECORD.pack(sent, time.time(), time.process_time())
    fd = _fds.get(os.getpid())
    if fd is None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        fd = _fds[os.getpid()] = os.open(os.environ["BENCH_RECORDS"], flags)
    os.write(fd, data)


def enqueue_all(enqueue: Callable[[float], object], count: int, gap_s: float) -> float:
    """Enqueue so many tasks, `gap_s` apart; returns the seconds spent in `enqueue` alone."""
    spent = 0.0
    for _ in range(count):
        begun = time.perf_counter()
        enqueue(time.time())
        spent += time.perf_counter() - begun
        if gap_s:
            time.sleep(gap_s)
    return spent
