"""What a user under `mypy --strict` may write; every line here is right.

Runs in: the type checker, never in Python.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from django_uwsgi.decorators import spool as django_spool
from muleteer.decorators import (
    cron,
    filemon,
    harakiri,
    lock,
    mulefunc,
    postfork,
    rpc,
    signal,
    spool,
    spoolforever,
    spoolraw,
    thread,
    timer,
)
from uwsgidecorators import spool as uwsgi_spool

# -- tasks


@spool
def encode_video(arguments: dict[str, Any]) -> None:
    print(arguments["filename"])


@spool()
def with_parentheses(arguments: dict[str, Any]) -> None: ...


@spoolforever
def poll(arguments: dict[str, Any]) -> None: ...


@spoolraw
def judged(arguments: dict[str, Any]) -> int:
    return -2


@django_spool
def in_django(arguments: dict[str, Any]) -> None: ...


@uwsgi_spool
def in_uwsgi(arguments: dict[str, Any]) -> None: ...


assert_type(encode_video.spool(filename="clip.mp4", size=3, ratio=1.5), bytes)
assert_type(encode_video.spool({"filename": b"clip.mp4"}, at=timedelta(hours=1)), bytes)
assert_type(encode_video.spool({"a": Path("/a")}, at=datetime.now(), priority=1), bytes)
assert_type(judged.f({"a": "1"}), int)
encode_video({"filename": "clip.mp4"})
with_parentheses.spool(a="1")
poll.spool(a="1")
in_django.spool(a="1")
in_uwsgi.spool(a="1")


@spool(pass_arguments=True)
def resize(path: str, width: int, *, keep: bool = True) -> str:
    return path


assert_type(resize.spool("/a.png", 300, keep=False), bytes)
assert_type(resize.spool("/a.png", 300, at=timedelta(minutes=5)), bytes)
assert_type(resize.spool("/a.png", width=300, priority=2), bytes)
assert_type(resize.f("/a.png", 300), str)
resize("/a.png", 300)


# -- signals: the function stays what it is


@cron(40, 2, -1, -1, -1)
def nightly(num: int) -> None: ...


@timer(3, target="spooler")
def tick(num: int) -> str:
    return "tick"


@signal(17)
def seventeen(num: int) -> None: ...


@filemon("/tmp/x")
def changed(num: int) -> None: ...


@rpc("add")
def add(a: bytes, b: bytes) -> bytes:
    return a + b


nightly(1)
assert_type(tick(1), str)
assert_type(add(b"1", b"2"), bytes)


# -- around a call


@lock
def locked(a: int, *, b: str = "") -> float:
    return 1.0


@harakiri(30)
def bounded(a: int) -> float:
    return 1.0


@thread
def background(a: int) -> None: ...


@postfork
def everywhere() -> str:
    return "started"


@postfork(2)
def in_worker_two() -> None: ...


@postfork
@thread
def forever() -> None: ...


@mulefunc
def in_a_mule(a: int) -> int:
    return a


assert_type(locked(1, b="x"), float)
assert_type(bounded(1), float)
assert_type(background(1), threading.Thread)
assert_type(everywhere(), str)
in_worker_two()
in_a_mule(1)
