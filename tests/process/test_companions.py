"""Promises of the programs beside the server: supervised, on time, and none left behind."""

from __future__ import annotations

import os
import signal as unix_signals
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Server, apps, eventually
from tests.harness.clients import read_stats
from tests.harness.processes import is_there

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
stats = 127.0.0.1:0
"""
FILES = {"app.py": apps.HELLO}
LASTING = "echo $$ >> lives; exec sleep 1000"
HEARING = "trap 'echo heard' HUP; echo $$ >> other; while :; do sleep 0.1; done"


def pids(server: Server, name: str) -> list[int]:
    """The pids that a daemon wrote into a file, one for each of its lives."""
    path = server.folder / name
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def stats(server: Server) -> dict[str, Any]:
    return read_stats(server.addresses("stats")[0])


# -- daemons ------------------------------------------------------------------------------


def test_a_daemon_runs_beside_the_server_and_ends_with_it(start_server: StartServer) -> None:
    """Started at once, in a session of its own, and gone when the server is."""
    server = start_server(ini=INI + "attach-daemon = echo $$ >> lives; sleep 1000\n", files=FILES)
    (pid,) = eventually(lambda: pids(server, "lives"))
    assert os.getsid(pid) == pid
    assert stats(server)["daemons"] == [
        {"cmd": "echo $$ >> lives; sleep 1000", "pid": pid, "respawns": 0}
    ]
    assert server.stop() == 0
    assert not is_there(pid)


def test_a_daemon_that_dies_is_started_again_and_counted(start_server: StartServer) -> None:
    """uWSGI's stats say 0 respawns for ever."""
    server = start_server(ini=INI + "attach-daemon = echo $$ >> lives; sleep 1000\n", files=FILES)
    (first,) = eventually(lambda: pids(server, "lives"))
    os.killpg(first, unix_signals.SIGKILL)
    eventually(lambda: len(pids(server, "lives")) == 2)
    (shown,) = stats(server)["daemons"]
    assert (shown["pid"], shown["respawns"]) == (pids(server, "lives")[1], 1)


def test_a_daemon_that_cannot_live_is_not_started_in_a_hot_loop(start_server: StartServer) -> None:
    """Its pauses grow, and the server serves meanwhile."""
    server = start_server(ini=INI + "attach-daemon = echo $$ >> lives; exit 3\n", files=FILES)
    server.wait_for(r"daemon died .* respawning in 0\.8 s")
    assert len(pids(server, "lives")) <= 8
    assert server.get("/").text == "hello"


def test_a_daemon_that_ignores_the_request_to_end_is_killed(start_server: StartServer) -> None:
    """With all that it started, after `reload-mercy`."""
    ini = (
        INI
        + "reload-mercy = 1\nattach-daemon = trap '' TERM; echo $$ >> lives; sleep 1000 & wait\n"
    )
    server = start_server(ini=ini, files=FILES)
    (pid,) = eventually(lambda: pids(server, "lives"))
    assert server.stop() == 0
    assert f"(pid: {pid}) with all it started" in server.log
    assert not is_there(pid)


def test_daemons_leave_when_the_master_is_killed(start_server: StartServer) -> None:
    """The kernel tells them."""
    server = start_server(
        ini=INI + "attach-daemon = echo $$ >> lives; exec sleep 1000\n", files=FILES
    )
    (pid,) = eventually(lambda: pids(server, "lives"))
    server.kill()
    eventually(lambda: not is_there(pid))
    server.wait_until_empty()


def test_a_reload_starts_daemons_anew(start_server: StartServer) -> None:
    """A good one; a broken one leaves them alone; one that asked for a signal gets it instead."""
    ini = INI + f"attach-daemon = {LASTING}\nattach-daemon2 = cmd={HEARING},reloadsignal=1\n"
    server = start_server(ini=ini, files=FILES)
    eventually(lambda: pids(server, "lives") and pids(server, "other"))
    server.write({"app.py": "1 / 0\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("reload failed")
    assert len(pids(server, "lives")) == 1
    server.write({"app.py": apps.HELLO + "\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done")
    server.wait_for("^heard")
    eventually(lambda: len(pids(server, "lives")) == 2)
    assert not is_there(pids(server, "lives")[0])
    assert len(pids(server, "other")) == 1


def test_a_reload_may_take_a_daemon_away(start_server: StartServer) -> None:
    """What the new configuration does not name is ended; what it names is started."""
    server = start_server(
        ini=INI + "attach-daemon = echo $$ >> one; exec sleep 1000\n", files=FILES
    )
    (one,) = eventually(lambda: pids(server, "one"))
    ini = INI + "attach-daemon = echo $$ >> two; exec sleep 1000\n"
    server.write({"server.ini": "[uwsgi]\n" + ini})
    server.send(unix_signals.SIGHUP)
    eventually(lambda: pids(server, "two"))
    eventually(lambda: not is_there(one))


def test_the_server_ends_with_a_control_daemon(start_server: StartServer) -> None:
    """`attach-control-daemon`: it is what the server is there for."""
    ini = INI + "attach-control-daemon = while [ ! -e go ]; do sleep 0.05; done\n"
    server = start_server(ini=ini, files=FILES)
    (server.folder / "go").touch()
    assert server.wait() == 0


@pytest.fixture
def stray(tmp_path: Path) -> Iterator[Path]:
    """A pidfile whose process is ended at last: a smart daemon outlives its server."""
    path = tmp_path / "smart.pid"
    yield path
    if path.exists() and is_there(int(path.read_text())):
        os.kill(int(path.read_text()), unix_signals.SIGKILL)


FOREGROUND = "exec sh -c 'echo $$ > {0}; exec sleep 1000'"
BACKGROUND = "sleep 1000 & echo $! > {0}"


@pytest.mark.parametrize(
    ("option", "command"),
    [("smart-attach-daemon", BACKGROUND), ("smart-attach-daemon2", FOREGROUND)],
)
def test_a_smart_daemon_outlives_reload_and_server(
    start_server: StartServer, stray: Path, option: str, command: str
) -> None:
    """The next server finds it by its pidfile and leaves it alone."""
    server = start_server(ini=INI + f"{option} = {stray} {command.format(stray)}\n", files=FILES)
    pid = int(eventually(lambda: stray.exists() and stray.read_text()))
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done")
    assert is_there(pid)
    server.send(unix_signals.SIGTERM)
    assert server.wait() == 0
    assert is_there(pid)


def test_a_smart_daemon_that_died_is_started_again(start_server: StartServer, stray: Path) -> None:
    """Noticed at once while it is ours, within `freq` seconds when it went to the background."""
    ini = (
        INI
        + f"attach-daemon2 = cmd={BACKGROUND.format(stray)},pidfile={stray},daemonize=1,freq=1\n"
    )
    server = start_server(ini=ini, files=FILES)
    pid = int(eventually(lambda: stray.exists() and stray.read_text()))
    os.kill(pid, unix_signals.SIGKILL)
    eventually(lambda: int(stray.read_text() or 0) not in (0, pid), within=15)
    os.kill(int(stray.read_text()), unix_signals.SIGKILL)
    server.send(unix_signals.SIGTERM)
    server.wait()


# -- cron commands ------------------------------------------------------------------------


def next_minute(*, at_least_s: float) -> tuple[int, int]:
    """Hour and minute of a minute that begins in at least so many seconds."""
    then = datetime.fromtimestamp((time.time() + at_least_s) // 60 * 60 + 60)
    return then.hour, then.minute


def test_cron_commands_run_on_the_minute(start_server: StartServer) -> None:
    """uWSGI's numbers, a crontab's fields and keys; a deadline kills the whole group.

    One wait for a minute's begin serves them all.
    """
    hour, minute = next_minute(at_least_s=3)
    ini = (
        INI
        + "cron-harakiri = 1\n"
        + f"cron = {minute} {hour} -1 -1 -1 echo plain $$\n"
        + f"cron = {minute} {hour} * * * echo fields\n"
        + f"cron2 = minute={minute},hour={hour},harakiri=0 sleep 2; echo long\n"
        + "unique-cron = -1 -1 -1 -1 -1 echo $$ >> killed; sleep 1000 & sleep 1000\n"
    )
    server = start_server(ini=ini, files=FILES)
    assert {cron["command"]: cron["pid"] for cron in stats(server)["crons"]} == {
        "echo plain $$": -1,
        "echo fields": -1,
        "sleep 2; echo long": -1,
        "echo $$ >> killed; sleep 1000 & sleep 1000": -1,
    }
    assert pids(server, "killed") == [], "nothing runs because of the start"
    server.wait_for(r"^plain \d+", within=70)
    server.wait_for("^fields")
    (pid,) = eventually(lambda: pids(server, "killed"))
    server.wait_for(rf"killed after 1\.\d s \(pid: {pid}\)")
    server.wait_for("^long")
    assert server.stop() == 0
