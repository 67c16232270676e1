"""File monitors, what the options raise, and waiting for signals.

Runs in: the test process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.differential.claims import Observe, Setup, rows_of
from tests.differential.looks import evaluate, value
from tests.differential.probes import PROBE
from tests.harness import Server

FILES = ("written", "touched", "modes", "gone", "moved", "replaced", "later", "once", "twice")
NAMES = {name: number for number, name in enumerate((*FILES, "box", "missing"), start=1)}
TWICE_TOO, BELL, HORN, TIMER, LATE = 40, 41, 42, 43, 44

APP = PROBE + (
    f"""
def handle(number):
    say("SIGNAL", number)


for name, number in {NAMES!r}.items():
    uwsgi.register_signal(number, "worker1", handle)
    uwsgi.add_file_monitor(number, os.path.abspath(name))
for number in range({TWICE_TOO}, {LATE}):
    uwsgi.register_signal(number, "worker1", handle)
uwsgi.add_file_monitor({TWICE_TOO}, os.path.abspath("twice"))
"""
)

SETUP = Setup(
    name="file monitors",
    app=APP,
    ini=f"touch-signal = bell {BELL}\nfs-signal = horn {HORN}\nsignal-timer = {TIMER} 1",
    files={
        **dict.fromkeys((*FILES, "bell", "horn", "new", "newer"), ""),
        "box/in": "",
        "box/leaves": "",
        "box/sub/": "",
    },
)

monitor = rows_of("Signals: file monitors", SETUP)
option = rows_of("Signals: raised by options", SETUP)
wait = rows_of("Signals: waiting for one", SETUP)

Change = Callable[[Path], object]


def _write(path: Path) -> None:
    path.write_text("changed")


def _fires(*numbers: int, change: Change, path: str) -> Observe:
    """Which of the signals a change raises, before three ticks of the timer are over.

    No other file changes meanwhile: real uWSGI hears the last one only of what it reads at once.
    """

    def look(server: Server) -> object:
        server.wait_for(rf"SIGNAL {TIMER}$")  # the monitors are set
        here = server.log.here()
        change(server.folder / path)
        for count in range(1, 4 + len(numbers)):
            server.wait_for(r"SIGNAL \d+$", after=here, times=count)
            heard = {int(found[1]) for found in server.log.find(r"SIGNAL (\d+)$", after=here)}
            if heard.issuperset(numbers):
                break
        return [number in heard for number in numbers]

    return look


def _one(path: str, change: Change, *, inside: str = "") -> Observe:
    return _fires(NAMES[path], change=change, path=inside or path)


def _after_replacement(server: Server) -> object:
    """Does a file that was replaced still raise its signal?"""
    (server.folder / "newer").replace(server.folder / "later")
    server.wait_for(rf"SIGNAL {NAMES['later']}$")
    return _one("later", _write)(server)


def _late(server: Server) -> object:
    evaluate(server, f"uwsgi.register_signal({LATE}, 'worker1', handle)")
    evaluate(server, f"uwsgi.add_file_monitor({LATE}, os.path.abspath('once'))")
    server.wait_for(rf"SIGNAL {TIMER}$", after=server.log.here(), times=2)
    here = server.log.here()
    _write(server.folder / "once")
    return bool(server.wait_for(rf"SIGNAL {LATE}$", after=here))


def _raised(number: int, path: str) -> Observe:
    def look(server: Server) -> object:
        server.wait_for(rf"SIGNAL {TIMER}$", times=2)
        here = server.log.here()
        _write(server.folder / path)
        return bool(server.wait_for(rf"SIGNAL {number}$", after=here))

    return look


def _received_later(server: Server) -> object:
    evaluate(server, f"uwsgi.signal_wait({TIMER})")
    return evaluate(server, "uwsgi.signal_received()")


CLAIMS = [
    monitor("`add_file_monitor` gives None", value("uwsgi.add_file_monitor(99, '/nowhere')")),
    monitor("a file that is written to", _one("written", _write)),
    monitor("a file that is touched", _one("touched", os.utime)),
    monitor("a file whose mode changes", _one("modes", lambda path: path.chmod(0o600))),
    monitor("a file that is deleted", _one("gone", Path.unlink)),
    monitor("a file that is renamed", _one("moved", lambda path: path.rename(f"{path}.old"))),
    monitor(
        "a file that another one replaces",
        _one("replaced", lambda path: path.with_name("new").replace(path)),
    ),
    monitor(
        "a file after that",
        _after_replacement,
        differs="it is watched by its name, not by what it was; editors save by replacing",
        ours=[True],
        theirs=[False],
        defect=22,
    ),
    monitor(
        "a path that is not there yet",
        _one("missing", _write),
        differs="it raises the signal when it comes",
        ours=[True],
        theirs=[False],
        defect=22,
    ),
    monitor(
        "two signals on one path",
        _fires(NAMES["twice"], TWICE_TOO, change=_write, path="twice"),
        differs="both are raised",
        ours=[True, True],
        theirs=[False, True],
        defect=22,
    ),
    monitor("a directory: a file comes", _one("box", _write, inside="box/comes")),
    monitor("a directory: a file in it changes", _one("box", _write, inside="box/in")),
    monitor("a directory: a file goes", _one("box", Path.unlink, inside="box/leaves")),
    monitor("a directory: further down", _one("box", _write, inside="box/sub/deep")),
    monitor("one that a worker adds", _late),
    option("`signal-timer`", lambda server: bool(server.wait_for(rf"SIGNAL {TIMER}$"))),
    option("`touch-signal`", _raised(BELL, "bell")),
    option("`fs-signal`", _raised(HORN, "horn")),
    wait("`signal_received()` when nobody waited", value("uwsgi.signal_received()")),
    wait("`signal_wait()` gives b''", value("uwsgi.signal_wait()")),
    wait(
        "`signal_wait(number)`, and then `signal_received()`",
        value(f"[uwsgi.signal_wait({TIMER}), uwsgi.signal_received()]"),
    ),
    wait(
        "`signal_received()` in the next request",
        _received_later,
        differs="it is kept until the next wait",
        ours=TIMER,
        theirs=0,
    ),
]
