"""Programs beside the server: daemons and cron commands.

Each row has servers of its own, for it ends or breaks what runs there.

Runs in: the test process.
"""

from __future__ import annotations

import os
import signal

from tests.differential.claims import Claim, Observe, Setup, rows_of
from tests.differential.looks import evaluate
from tests.harness import Server, eventually
from tests.harness.clients import read_stats
from tests.harness.processes import is_there

PATIENCE_S = 15.0
LASTING = "echo $$ >> lives; exec sleep 1000"


def _row(says: str, observe: Observe, ini: str, **verdict: object) -> Claim:
    name = "".join(letter if letter.isalnum() else "-" for letter in says)[:60]
    new_row = rows_of("Programs beside the server", Setup(name=name, ini=ini))
    return new_row(says, observe, **verdict)  # type: ignore[arg-type]


def _lives(server: Server) -> list[int]:
    """The pids of all that the daemon has been so far."""
    path = server.folder / "lives"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def _begins_again(server: Server) -> object:
    """Kill it once it has lived a while; how many lives it has then."""
    (first,) = eventually(lambda: _lives(server), within=PATIENCE_S)
    evaluate(server, "time.sleep(1)")
    os.killpg(first, signal.SIGKILL)
    return len(eventually(lambda: len(_lives(server)) > 1 and _lives(server), within=PATIENCE_S))


def _counted(server: Server) -> object:
    _begins_again(server)
    return eventually(lambda: _shown(server), within=PATIENCE_S)


def _shown(server: Server) -> object:
    """What the stats say of the daemon once they know of its second life."""
    (daemon,) = read_stats(str(server.folder / "stats.sock"))["daemons"]
    return daemon["pid"] == _lives(server)[-1] and (daemon["cmd"], daemon["respawns"])


def _ends(server: Server) -> object:
    (pid,) = eventually(lambda: _lives(server), within=PATIENCE_S)
    server.send(signal.SIGINT)
    server.wait(within=PATIENCE_S)
    return eventually(lambda: not is_there(pid), within=PATIENCE_S)


def _session(server: Server) -> object:
    (pid,) = eventually(lambda: _lives(server), within=PATIENCE_S)
    return os.getsid(pid) == pid, os.getpgid(pid) == pid


def _reloaded(server: Server) -> object:
    """After a reload: how many lives, and how many of them are there."""
    eventually(lambda: _lives(server), within=PATIENCE_S)
    server.send(signal.SIGHUP)
    lives = eventually(lambda: len(_lives(server)) == 2 and _lives(server), within=PATIENCE_S)
    return eventually(lambda: not is_there(lives[0]), within=PATIENCE_S), is_there(lives[1])


def _runs_at_once(server: Server) -> object:
    """Did the command run in the minute of the start?"""
    evaluate(server, "time.sleep(2.5)")
    return (server.folder / "lives").exists()


CLAIMS = [
    _row(
        "`attach-daemon`: it is started again when it dies",
        _begins_again,
        f"attach-daemon = {LASTING}",
    ),
    _row("`attach-daemon`: it ends with the server", _ends, f"attach-daemon = {LASTING}"),
    _row("`attach-daemon`: its session and group", _session, f"attach-daemon = {LASTING}"),
    _row("`attach-daemon`: a reload starts it anew", _reloaded, f"attach-daemon = {LASTING}"),
    _row(
        "`attach-daemon2`: its keys",
        _begins_again,
        f"attach-daemon2 = cmd={LASTING},stopsignal=15",
    ),
    _row(
        "the stats count a daemon's respawns",
        _counted,
        f"attach-daemon = {LASTING}\nstats = stats.sock",
        differs="they are counted; there the count is 0 for ever",
        ours=(LASTING, 1),
        theirs=(LASTING, 0),
        defect=31,
    ),
    _row(
        "`cron`: a command whose minute it is at the start",
        _runs_at_once,
        "cron = -1 -1 -1 -1 -1 echo 1 >> lives",
        differs="it waits for the next minute; there it runs at once, and again after each reload",
        ours=False,
        theirs=True,
    ),
]
