"""The same task for the Python queues: BENCH_QUEUE says for which, BENCH_REDIS where Redis is.

Runs in: their consumers, and bench_producer.py.
"""

from __future__ import annotations

import os
from typing import Any

from bench_record import record

PORT = int(os.environ["BENCH_REDIS"])
URL = f"redis://127.0.0.1:{PORT}/0"


def _celery() -> None:
    from celery import Celery

    app = Celery("bench", broker=URL)
    app.conf.broker_connection_retry_on_startup = True
    task = app.task(name="note", ignore_result=True)(record)
    globals().update(app=app, enqueue=task.delay)


def note(sent: float) -> None:
    """The task, by a name that rq can import."""
    record(sent)


def _rq() -> None:
    from redis import Redis
    from rq import Queue

    queue = Queue(connection=Redis(port=PORT))
    globals().update(enqueue=lambda sent: queue.enqueue(note, sent, result_ttl=0))


def _huey() -> None:
    from huey import RedisHuey

    huey = RedisHuey("bench", host="127.0.0.1", port=PORT, results=False)
    globals().update(huey=huey, enqueue=huey.task(name="note")(record))


def _dramatiq() -> None:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=URL)
    dramatiq.set_broker(broker)
    actor = dramatiq.actor(record, actor_name="note")
    globals().update(broker=broker, enqueue=actor.send)


enqueue: Any = None
{"celery": _celery, "rq": _rq, "huey": _huey, "dramatiq": _dramatiq}[os.environ["BENCH_QUEUE"]]()
