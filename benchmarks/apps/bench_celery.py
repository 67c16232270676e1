"""The other way to have tasks and timers beside a Django site: celery, over redis.

Runs in: celery's worker and beat, started by `benchmarks/life.py`.
"""

from __future__ import annotations

import os

import bench_django
from celery import Celery

site = bench_django.application  # the worker has the site's code loaded, as its tasks need it
app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.beat_schedule = {"tick": {"task": "bench.tick", "schedule": 60.0}}


@app.task(name="bench.tick")
def tick() -> None:
    """Nothing to do."""
