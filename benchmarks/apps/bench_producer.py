"""Enqueue tasks of bench_queues.py: COUNT, GAP; prints the seconds spent in the queue's call.

Runs in: a process of its own, once for every round.
"""

from __future__ import annotations

import sys

import bench_queues
from bench_record import enqueue_all

if __name__ == "__main__":
    count, gap_s = int(sys.argv[1]), float(sys.argv[2])
    print(repr(enqueue_all(bench_queues.enqueue, count, gap_s)))
