"""What a user under `mypy --strict` may write; every line here is right.

Runs in: the type checker, never in Python.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from django_uwsgi.decorators import spool as django_spool
from muleteer import Drop, Retry
from muleteer.decorators import (
    cron,
    erlang,
    farm,
    filemon,
    harakiri,
    lock,
    mstimer,
    mule,
    mulefunc,
    muleloop,
    mulemsg,
    postfork,
    rbtimer,
    rpc,
    signal,
    spool,
    spoolforever,
    spoolraw,
    thread,
    timer,
)
from muleteer.spool import State, Status, cancel, status
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


def tell(task: dict[str, Any], reason: str) -> None: ...


@spool(retries=5, backoff="exponential", max_delay=timedelta(hours=1), timeout=60, on_dead=tell)
def tried(arguments: dict[str, Any]) -> None:
    if not arguments:
        raise Drop("nothing to do")
    raise Retry("later", after=timedelta(seconds=5))


@spool(pass_arguments=True, retries=math.inf, delay=0.5, give_up_after=3600)
def tried_call(a: int) -> None: ...


@spoolraw(retries=3)
def judged_three_times(arguments: dict[str, Any]) -> int:
    return -1


@spoolforever(pass_arguments=True, backoff="fixed")
def for_ever(a: int) -> None: ...


assert_type(tried.spool(a="1"), bytes)
assert_type(tried_call.spool(1), bytes)
assert_type(tried_call.f(1), None)
assert_type(judged_three_times.spool(a="1"), bytes)
assert_type(for_ever.spool(1), bytes)


@spool(unique=True, concurrency=2, keep_result=timedelta(hours=1))
def once_only(task: dict[str, str]) -> int:
    return len(task)


@spool(pass_arguments=True, unique="{user}", keep_result=True)
def once_for_a_user(user: int, urgent: bool = False) -> None: ...


@spoolraw(unique=lambda task: task["user"], concurrency=1)
def judged_once(task: dict[str, str]) -> int:
    return -2


assert_type(once_only.spool(a="1"), bytes)
assert_type(once_only.f({}), int)
assert_type(once_for_a_user.spool(1, urgent=True), bytes)
assert_type(judged_once.spool(user="1"), bytes)
assert_type(status(once_only.spool(a="1")), Status)
assert_type(status("/spool/x").state, State)
assert_type(cancel(b"/spool/x"), bool)


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


# -- every decorator, with and without parentheses


@lock(3)
def lock_three(a: int) -> float:
    return 1.0


@lock(num=3, timeout=1.5)
def lock_in_time(a: int) -> float:
    return 1.0


@lock(blocking=False)
def lock_or_leave(a: int) -> float:
    return 1.0


with lock():
    pass
with lock(3, timeout=1):
    pass

assert_type(lock_three(1), float)
assert_type(lock_in_time(a=1), float)
assert_type(lock_or_leave(1), float)


@mulefunc(2)
def in_mule_two(a: int) -> int:
    return a


@mulefunc("crew")
def in_the_farm(a: int) -> int:
    return a


@spoolforever(pass_arguments=True)
def poll_with(a: int) -> None: ...


@spoolraw(pass_arguments=True)
def judged_with(a: int) -> int:
    return -2


@mstimer(200, target="mule")
def often(num: int) -> str:
    return "often"


@rbtimer(3, iterations=2)
def twice(num: int) -> str:
    return "twice"


@cron("*/5 * * * *", tz="Europe/Rome", overlap="skip")
def in_rome(num: int) -> str:
    return "roma"


@erlang("pinger")
def pinger(term: Any) -> Any:
    return term


@mule(1)
def program() -> str:
    return "done"


@muleloop(1)
def looping() -> str:
    return "again"


@mulemsg(1)
def message(data: bytes) -> int:
    return len(data)


@farm("crew")
def crew_message(data: bytes) -> int:
    return len(data)


in_mule_two(a=1)
in_the_farm(1)
assert_type(poll_with.spool(1), bytes)
assert_type(judged_with.f(1), int)
assert_type(often(1), str)
assert_type(twice(1), str)
assert_type(in_rome(1), str)
assert_type(program(), str)
assert_type(looping(), str)
assert_type(message(b""), int)
assert_type(crew_message(b""), int)


# -- coroutine functions: what wraps a call runs it; what registers a function leaves it


@lock
async def locked_coroutine(a: int) -> str:
    return ""


@lock(2, timeout=3)
async def locked_two(a: int) -> str:
    return ""


@harakiri(5)
async def bounded_coroutine(a: int) -> str:
    return ""


@thread
async def in_background(a: int) -> None: ...


@timer(3)
async def tick_coroutine(num: int) -> str:
    return ""


@spool
async def task_coroutine(arguments: dict[str, Any]) -> None: ...


@spool(pass_arguments=True)
async def task_with(a: int) -> None: ...


@spoolraw
async def judged_coroutine(arguments: dict[str, Any]) -> int:
    return -2


@mulefunc
async def mule_coroutine(a: int) -> None: ...


@postfork
async def connect() -> None: ...


assert_type(locked_coroutine(1), str)
assert_type(locked_two(a=1), str)
assert_type(bounded_coroutine(1), str)
assert_type(in_background(1), threading.Thread)
still_one: Callable[[int], Coroutine[Any, Any, str]] = tick_coroutine
assert_type(task_coroutine.spool(a="1"), bytes)
assert_type(task_with.spool(1), bytes)
assert_type(judged_coroutine.spool(a="1"), bytes)
mule_coroutine(1)


# -- methods


class Account:
    @lock
    def pay(self, amount: int) -> float:
        return 1.0

    @lock(1)
    async def settle(self, amount: int) -> float:
        return 1.0

    @staticmethod
    @harakiri(3)
    def check(amount: int) -> bool:
        return True

    @staticmethod
    @spool(pass_arguments=True)
    def report(number: int) -> None: ...

    @mulefunc
    def notify(self, text: str) -> None: ...


assert_type(Account().pay(1), float)
assert_type(Account().settle(amount=1), float)
assert_type(Account.check(1), bool)
assert_type(Account.report.spool(1), bytes)
Account().notify("hello")
