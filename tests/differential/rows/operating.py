"""What those who operate a server meet: words that win, counts that are right, nothing left.

Each row has servers of its own, for it ends or breaks them.

Runs in: the test process.
"""

from __future__ import annotations

import itertools
import signal

from tests.differential.claims import Claim, Observe, Setup, rows_of
from tests.differential.looks import evaluate
from tests.differential.probes import LIFE, PROBE
from tests.differential.rows.life import on_stop
from tests.harness import Server, TimedOut, eventually

PATIENCE_S = 15.0
REGULAR_S = 2.0
"""A timer of a second that is nowhere late by a second ticks regularly."""

CRASHING = (
    PROBE
    + r"""

def die_if_worker():
    if uwsgi.worker_id():
        os._exit(1)

uwsgi.post_fork_hook = die_if_worker


def tick(number):
    open("ticks", "a").write("{}\n".format(time.time()))

uwsgi.register_signal(7, "mule", tick)
uwsgi.add_timer(7, 1)
"""
)
"""Its workers cannot live; its mule hears a timer every second."""


def _row(
    says: str,
    observe: Observe,
    ini: str = "",
    *,
    app: str = PROBE,
    starts: bool = True,
    args: tuple[str, ...] = (),
    **verdict: object,
) -> Claim:
    name = "".join(letter if letter.isalnum() else "-" for letter in says)[:60]
    setup = Setup(name=name, app=app, ini=ini, starts=starts, args=args)
    return rows_of("Operating", setup)(says, observe, **verdict)  # type: ignore[arg-type]


def _left_after_a_reload(server: Server) -> object:
    """Is the socket's file there after a reload, and after the stop that follows?"""
    path = server.folder / "app.sock"
    first = evaluate(server, "uwsgi.is_a_reload")
    server.send(signal.SIGHUP)
    eventually(lambda: _is_reloaded(server), within=PATIENCE_S)
    was_there = path.exists()
    server.send(signal.SIGINT)
    server.wait(within=PATIENCE_S)
    server.wait_until_empty(within=PATIENCE_S)
    return first, was_there, path.exists()


def _is_reloaded(server: Server) -> bool:
    try:
        return evaluate(server, "uwsgi.is_a_reload") is True
    except (AssertionError, OSError):
        return False  # it is between two generations


def _ticks_regularly(server: Server) -> object:
    """Do five ticks in a row come in time, soon?"""
    try:
        return eventually(lambda: _has_regular_ticks(server), within=PATIENCE_S)
    except TimedOut:
        return False


def _has_regular_ticks(server: Server) -> bool:
    path = server.folder / "ticks"
    times = [float(line) for line in path.read_text().split()] if path.exists() else []
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    return any(max(gaps[at : at + 5]) < REGULAR_S for at in range(len(gaps) - 4))


def _names_it(server: Server) -> object:
    evaluate(server, "1")
    return "procesess" in server.log


CLAIMS = [
    _row(
        "`uwsgi.stop()` with `die-on-term`",
        on_stop,
        ini="die-on-term = true",
        app=LIFE,
        differs="it stops; there it reloads",
        ours=("ended", 0),
        theirs=("reloaded", True),
        defect=28,
    ),
    _row(
        "workers that cannot live: the others' timers go on",
        _ticks_regularly,
        ini="mules = 1\nprocesses = 1\nforkbomb-delay = 4",
        app=CRASHING,
        starts=False,
        differs="the master goes on; there it sleeps for `forkbomb-delay` seconds, again and again",
        ours=True,
        theirs=False,
        defect=29,
    ),
    _row(
        "`vacuum` after a reload",
        _left_after_a_reload,
        ini="socket = app.sock\nhttp-socket =\nvacuum = true",
        differs="the socket is removed; there it stays behind",
        ours=(False, True, False),
        theirs=(False, True, True),
        defect=30,
    ),
    _row(
        "an option that does not exist is named in the log",
        _names_it,
        ini="procesess = 4",
        differs="with the one that was meant; there it is taken without a word",
        ours=True,
        theirs=False,
        defect=35,
    ),
]
