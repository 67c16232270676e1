"""What `mypy --strict` must refuse; each wrong line says so, and no other is wrong.

Runs in: the type checker, never in Python.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from muleteer import Retry
from muleteer.decorators import cron, harakiri, lock, spool, spoolraw, thread, timer


@spool
def encode_video(arguments: dict[str, Any]) -> None: ...


encode_video.spool("clip.mp4")  # wrong: a plain task is a dict
encode_video.spool(tags=["a", "b"])  # wrong: a list cannot be stored
encode_video.spool(filename=None)  # wrong: nor can None
encode_video.f(1)  # wrong: the function takes a dict
encode_video.spol(filename="clip.mp4")  # wrong: a typo


@spool(pass_arguments=True)
def resize(path: str, width: int) -> None: ...


resize.spool("/a.png")  # wrong: width is missing
resize.spool("/a.png", "300")  # wrong: width is an int
resize("/a.png", heigth=1)  # wrong: no such argument


spool(retries="5")  # wrong: a number of runs
spool(retry=5)  # wrong: a typo
spool(backoff="quick")  # wrong: no such way to grow
spool(timeout=date(2030, 1, 1))  # wrong: a length of time, not a date
spool(on_dead=len)  # wrong: it gets the task and the reason
Retry(after="5")  # wrong: seconds


@spoolraw  # wrong: a raw function says how its run ended
def judged(arguments: dict[str, Any]) -> str:
    return "done"


@lock
def locked(a: int) -> None: ...


@harakiri(3)
def bounded(a: int) -> int:
    return a


@thread
def background(a: int) -> None: ...


locked("1")  # wrong: the signature is kept
bounded()  # wrong: the signature is kept
background(b=1)  # wrong: the signature is kept
bounded(1).upper()  # wrong: the result is kept

cron(40, 2, -1, -1)  # wrong: five numbers
timer(3, "spooler")  # wrong: target is a keyword, as in uWSGI

lock("name")  # wrong: a lock has a number
lock(1, 2.0)  # wrong: the timeout is a keyword
harakiri(bounded)  # wrong: it takes the seconds first


@lock(1, timeout=1)
def locked_one(a: int) -> int:
    return a


@lock
async def locked_coroutine(a: int) -> str:
    return ""


locked_one("1")  # wrong: the signature is kept
locked_one(1).upper()  # wrong: the result is kept
locked_coroutine("1")  # wrong: the signature is kept
locked_coroutine(1).send(None)  # wrong: it was run to its end


@spoolraw  # wrong: a raw coroutine says how its run ended, too
async def judged_coroutine(arguments: dict[str, Any]) -> str:
    return "done"


class Account:
    @lock
    def pay(self, amount: int) -> float:
        return 1.0


Account().pay("1")  # wrong: the signature is kept
