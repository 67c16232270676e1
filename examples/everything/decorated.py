"""Every decorator, once. The page shows this code, and beside it where and when it ran.

`uwsgidecorators` and `django_uwsgi.decorators` have the same names.

Runs in: imported once, before the fork; each docstring says where its function runs.
"""

from __future__ import annotations

import asyncio
import os
import time
from math import factorial
from pathlib import Path

import uwsgi
from events import note

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

WATCHED = Path(__file__).with_name("watched.txt")

# -- the clock ------------------------------------------------------------------------------------


@timer(2)
def tick(signum):
    """Every two seconds, in any idle worker."""
    note("timer", "tick")


@mstimer(800, target="mule1")
async def quick_tick(signum):
    """Every 800 milliseconds, in mule 1; a coroutine runs to its end."""
    await asyncio.sleep(0.01)
    note("mstimer", "tick")


@rbtimer(3, iterations=20, target="spooler")
def twenty_ticks(signum):
    """Every three seconds, twenty times and no more, in the spooler."""
    note("rbtimer", "tick")


@cron(-1, -1, -1, -1, -1, target="mule1")
def every_minute(signum):
    """Once in every minute, in mule 1."""
    note("cron", time.strftime("it is %H:%M"))


# -- signals --------------------------------------------------------------------------------------


@signal(1)
@signal(2, target="workers")
@signal(3, target="mule1")
@signal(4, target="farm_herd")
@signal(5, target="spooler")
def hear(signum):
    """Where its target says: one idle worker, all of them, a mule, a farm, the spooler."""
    note("signal", f"signal {signum}")


@signal(6, target="workers")
@lock
def one_at_a_time(signum):
    """In all workers, but never in two of them at once."""
    began = time.time()
    time.sleep(1)
    note("lock", "had the lock", since=began)


@signal(7)
@harakiri(1)
def too_slow(signum):
    """Has a second to live: then its process is killed and replaced."""
    note("harakiri", "this will take a minute …")
    time.sleep(60)


@filemon(str(WATCHED), target="mule1")
def file_changed(signum):
    """When the watched file changes, in mule 1."""
    note("filemon", "watched.txt changed")


# -- work for later -------------------------------------------------------------------------------


@spool
async def greet(arguments):
    """Once, in the spooler; the task is a file until it is done."""
    await asyncio.sleep(0.2)
    note("spool", f"hello, {arguments['name']}")


@spoolraw
def when_it_is_time(arguments):
    """Says itself how it went: the spooler runs it again until it is done."""
    if time.time() < float(arguments["due"]):
        note("spoolraw", "not yet: SPOOL_RETRY")
        return uwsgi.SPOOL_RETRY
    note("spoolraw", "done: SPOOL_OK")
    return uwsgi.SPOOL_OK


@spoolforever
def patrol(arguments):
    """Again and again, in the spooler, after a restart too."""
    note("spoolforever", arguments["what"])


@mulefunc(1)
def count_digits(number):
    """Called in a worker, runs in mule 1."""
    digits = str(factorial(number))
    note("mulefunc", f"{number}! has {len(digits)} digits")


# -- mules ----------------------------------------------------------------------------------------


@mule(2)
def own_program():
    """All that mule 2 does: a program of its own."""
    while True:
        load, *_ = os.getloadavg()
        note("mule", f"load {load:.2f}")
        time.sleep(5)


@muleloop(3)
def again_and_again():
    """Mule 3 calls it again whenever it comes back."""
    note("muleloop", "one more round")
    time.sleep(3)


@mulemsg(4)
def letter(message):
    """Gets what is sent to mule 4."""
    note("mulemsg", message.decode())


@farm("herd")
def letter_to_the_herd(message):
    """Gets what is sent to the farm, in its first idle mule."""
    note("farm", message.decode())
    time.sleep(0.5)


# -- calls ----------------------------------------------------------------------------------------


@rpc("add")
def add(a, b):
    """Called by name: by this process, another one, or another machine."""
    note("rpc", f"{a} + {b} = {a + b}")
    return a + b


@erlang("echo")
def echo(message):
    """Gets what Erlang nodes send to {echo, 'everything@127.0.0.1'}."""
    note("erlang", repr(message))
    return message


# -- from the first moment ------------------------------------------------------------------------


@postfork
def born():
    """In every new process, first thing."""
    note("postfork", "born")


@postfork(1)
@thread
def beside_the_requests():
    """In a thread of its own, beside the requests of worker 1."""
    while True:
        note("thread", "still here")
        time.sleep(4)
