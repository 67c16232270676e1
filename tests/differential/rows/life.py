"""How a server starts, heals and ends: Unix signals, exit codes, what is left behind.

Each row has servers of its own, for it ends or breaks them.

Runs in: the test process.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.differential.claims import Claim, Observe, Setup, rows_of
from tests.differential.looks import answer, evaluate, status_of
from tests.differential.probes import LIFE
from tests.harness import Server, eventually
from tests.harness.processes import is_there

PATIENCE_S = 15.0


def _row(
    area: str,
    says: str,
    observe: Observe,
    *,
    ini: str = "",
    starts: bool = True,
    files: Mapping[str, str | bytes] | None = None,
    app: str = LIFE,
    args: tuple[str, ...] = (),
    **verdict: object,
) -> Claim:
    """A row with a setup of its own."""
    name = "".join(letter if letter.isalnum() else "-" for letter in says)[:60]
    setup = Setup(name=name, app=app, ini=ini, starts=starts, files=files or {}, args=args)
    return rows_of(area, setup)(says, observe, **verdict)  # type: ignore[arg-type]


def _imports(server: Server) -> int:
    """How often the application was loaded."""
    path = server.folder / "imports"
    return path.stat().st_size if path.exists() else 0


def _has_ended(server: Server) -> bool:
    assert server._process is not None
    return server._process.poll() is not None


def _outcome(server: Server) -> object:
    """('ended', code), or 'reloaded' under the same pid, and it answers."""
    eventually(lambda: _has_ended(server) or _imports(server) > 1, within=PATIENCE_S)
    if _imports(server) == 1:
        code = server.wait()
        server.wait_until_empty(within=PATIENCE_S)
        return "ended", code
    return "reloaded", eventually(lambda: _answers(server), within=PATIENCE_S)


def _answers(server: Server) -> bool:
    try:
        return evaluate(server, "uwsgi.is_a_reload") is True
    except (AssertionError, OSError):
        return False  # it is between two generations


def on_signal(number: signal.Signals) -> Observe:
    """What a Unix signal to the master does."""

    def look(server: Server) -> object:
        evaluate(server, "1")
        server.send(number)
        return _outcome(server)

    return look


def on_stop(server: Server) -> object:
    """What `uwsgi.stop()` does; uWSGI kills the worker that calls it, often before it answers."""
    with contextlib.suppress(AssertionError, OSError):
        evaluate(server, "uwsgi.stop()")
    return _outcome(server)


def _on_reload(server: Server) -> object:
    """What `uwsgi.reload()` returns, and does."""
    return evaluate(server, "uwsgi.reload()"), _outcome(server)


def left(name: str) -> Observe:
    """Is there a file after SIGINT? A worker of uWSGI's that has just begun would miss that."""

    def look(server: Server) -> object:
        evaluate(server, "1")
        was_there = (server.folder / name).exists()
        server.send(signal.SIGINT)
        server.wait(within=PATIENCE_S)
        server.wait_until_empty(within=PATIENCE_S)
        return was_there, (server.folder / name).exists()

    return look


def _pids(server: Server) -> list[int]:
    pids = evaluate(server, "[worker['pid'] for worker in uwsgi.workers()]")
    assert isinstance(pids, list)
    return pids


def _after(break_one: Callable[[Server], None]) -> Observe:
    """Worker 1 is replaced, worker 2 is not, and the master is the same."""

    def look(server: Server) -> object:
        before = _pids(server)
        break_one(server)
        now = eventually(lambda: _other(server, before), within=PATIENCE_S)
        return [new == old for new, old in zip(now, before, strict=True)], _has_ended(server)

    return look


def _other(server: Server, before: list[int]) -> list[int] | None:
    now = _pids(server)
    return now if now != before and 0 not in now else None


def _kill_first(server: Server) -> None:
    os.kill(_pids(server)[0], signal.SIGKILL)


def _spooler_is_replaced(server: Server) -> object:
    old = evaluate(server, "uwsgi.spooler_pid()")
    assert isinstance(old, int)
    workers = _pids(server)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: evaluate(server, "uwsgi.spooler_pid()") not in (0, old), within=PATIENCE_S)
    return _pids(server) == workers


def _all_leave(server: Server) -> object:
    evaluate(server, "1")
    server.kill()
    server.wait_until_empty(within=PATIENCE_S)
    return "all are gone"


def _dies(path: str) -> Observe:
    """A request that ends its worker: what the client gets, and whether the next is answered."""

    def look(server: Server) -> object:
        first = _pids(server)
        cut = status_of(answer(path))(server)
        eventually(lambda: _other(server, first), within=PATIENCE_S)
        return cut

    return look


def _recycled(server: Server) -> object:
    """Did each worker process answer as many as `max-requests` says before the next came?

    Ours answers a few more, until the next one is there.
    """
    pids = []
    while len(set(pids)) < 3:
        pids.append(evaluate(server, "os.getpid()"))
    return [pids.count(pid) >= 3 for pid in dict.fromkeys(pids)][:2]


def _replaced_after(*expressions: str) -> Observe:
    """Is the worker that evaluated these replaced by another one, and the next request answered?"""

    def look(server: Server) -> object:
        first = evaluate(server, "os.getpid()")
        values = [evaluate(server, expression) for expression in expressions]
        eventually(lambda: evaluate(server, "os.getpid()") != first, within=PATIENCE_S)
        return values

    return look


def _serves_all(server: Server) -> object:
    """How many processes answer ten requests."""
    return len({evaluate(server, "os.getpid()") for _ in range(10)})


def _grows_and_shrinks(server: Server) -> object:
    """How many workers there are: at the start, while more requests run than that, and later."""

    def there() -> int:
        return sum(pid > 0 for pid in _pids(server))

    first = there()
    with ThreadPoolExecutor() as pool:
        found = [pool.submit(status_of(answer("/wait")), server) for _ in range(2)]
        server.wait_for("WAITING", times=2, within=30)
        (server.folder / "go").touch()
        statuses = {one.result() for one in found}
    return first, statuses, eventually(lambda: there() == first and there(), within=60)


def _idle(server: Server) -> object:
    """All workers leave; the next request is answered by another one."""
    first = evaluate(server, "os.getpid()")
    assert isinstance(first, int)
    eventually(lambda: not is_there(first), within=PATIENCE_S)
    return evaluate(server, "os.getpid()") != first


def _dies_idle(server: Server) -> object:
    evaluate(server, "1")
    return server.wait(within=PATIENCE_S)


GROW = "setattr(sys, 'kept', bytearray(b'x' * (1 << 20)) * 200) or len(sys.kept)"


def _in_flight(number: signal.Signals) -> Observe:
    """A request that is being answered when the signal comes."""

    def look(server: Server) -> object:
        with ThreadPoolExecutor() as pool:
            found = pool.submit(status_of(answer("/wait")), server)
            server.wait_for("WAITING")
            server.send(number)
            server.wait_for("(?i)grace|reload", within=PATIENCE_S)
            (server.folder / "go").touch()
            return found.result()

    return look


def _start_of_a_broken_one(server: Server) -> object:
    """('ended', code), or what a client of the started server gets."""
    ready = server.ready_pattern
    eventually(lambda: _has_ended(server) or server.log.find(ready), within=PATIENCE_S)
    if _has_ended(server):
        return "ended", server.wait()
    return "serves", status_of(answer("/hello"))(server)


def _reload_of_a_broken_one(server: Server) -> object:
    """What a client gets when the new code cannot be imported."""
    server.write({"app.py": BROKEN})
    server.send(signal.SIGHUP)
    eventually(lambda: _imports(server) == 2, within=PATIENCE_S)
    return eventually(lambda: status_of(answer("/hello"))(server), within=PATIENCE_S)


BROKEN = "open('imports', 'a').write('x')\n1 / 0\n"


def _exit_code(server: Server) -> object:
    return server.wait(within=PATIENCE_S)


def _mode(server: Server) -> object:
    return oct((server.folder / "app.sock").stat().st_mode & 0o777)


def _pidfile(server: Server) -> object:
    return (server.folder / "server.pid").read_text() == f"{server.pid}\n"


UNIX = "Unix signals to the master"
START = "Starting"
END = "Ending"
HEAL = "Healing"
CREW = "As many workers as needed"
SPOOLER = {"tasks/": ""}

CLAIMS = [
    _row(UNIX, "SIGINT", on_signal(signal.SIGINT)),
    _row(UNIX, "SIGQUIT", on_signal(signal.SIGQUIT)),
    _row(UNIX, "SIGHUP", on_signal(signal.SIGHUP)),
    _row(
        UNIX,
        "SIGTERM",
        on_signal(signal.SIGTERM),
        differs="it stops gracefully, as every supervisor expects; there it reloads",
        ours=("ended", 0),
        theirs=("reloaded", True),
    ),
    _row(UNIX, "SIGTERM with die-on-term", on_signal(signal.SIGTERM), ini="die-on-term = true"),
    _row(UNIX, "SIGHUP: the request in flight", _in_flight(signal.SIGHUP)),
    _row(
        UNIX,
        "SIGKILL: the children leave",
        _all_leave,
        ini="processes = 2\nspooler = tasks",
        files=SPOOLER,
    ),
    _row(UNIX, "`uwsgi.stop()`", on_stop),
    _row(UNIX, "`uwsgi.reload()`", _on_reload),
    _row(
        HEAL,
        "a worker that is killed is replaced, the others are not",
        _after(_kill_first),
        ini="processes = 2",
    ),
    _row(
        HEAL,
        "a spooler that is killed is replaced",
        _spooler_is_replaced,
        ini="spooler = tasks",
        files=SPOOLER,
    ),
    _row(HEAL, "the client of a request whose worker ends", _dies("/die")),
    _row(
        HEAL,
        "the client of a request that takes longer than `harakiri`",
        _dies("/forever"),
        ini="harakiri = 1",
    ),
    _row(
        HEAL,
        "a worker is replaced after `max-requests`",
        _recycled,
        ini="max-requests = 3\nmin-worker-lifetime = 0",
    ),
    _row(HEAL, "a worker is young: `min-worker-lifetime`", _serves_all, ini="max-requests = 1"),
    _row(
        HEAL,
        "a worker is replaced after `max-worker-lifetime`",
        _replaced_after(),
        ini="max-worker-lifetime = 1\nmin-worker-lifetime = 0",
    ),
    _row(
        HEAL,
        "a worker is replaced after a request with which it passed `reload-on-rss`",
        _replaced_after(GROW),
        ini="reload-on-rss = 150\nmin-worker-lifetime = 0",
    ),
    _row(
        HEAL,
        "a worker is replaced that passed `evil-reload-on-rss`",
        _replaced_after("__import__('threading').Timer(0.1, lambda: " + GROW + ").start()"),
        ini="evil-reload-on-rss = 150\nmem-collector-freq = 1",
    ),
    _row(
        CREW,
        "`cheaper`: workers come while all are busy, and go again",
        _grows_and_shrinks,
        ini="processes = 3\ncheaper = 1\ncheaper-initial = 1",
    ),
    _row(
        CREW,
        "`cheaper-initial`",
        lambda server: sum(pid > 0 for pid in _pids(server)),
        ini="processes = 4\ncheaper = 1\ncheaper-initial = 3",
    ),
    _row(
        CREW,
        "`cheaper` that leaves no room",
        _exit_code,
        starts=False,
        ini="processes = 2\ncheaper = 2",
    ),
    _row(CREW, "`idle`: all leave until somebody comes", _idle, ini="idle = 1"),
    _row(CREW, "`die-on-idle`", _dies_idle, ini="idle = 1\ndie-on-idle = true"),
    _row(START, "`pidfile` holds the master's pid", _pidfile, ini="pidfile = server.pid"),
    _row(START, "the mode of a unix socket", _mode, ini="socket = app.sock\nhttp-socket ="),
    _row(
        START,
        "`chmod-socket = 660`",
        _mode,
        ini="socket = app.sock\nhttp-socket =\nchmod-socket = 660",
    ),
    _row(
        START,
        "`max-fd`, `limit-as` and `umask`",
        lambda server: evaluate(
            server,
            "import resource\nm = os.umask(0)\nos.umask(m)\n"
            "m, resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_AS)",
        ),
        ini="max-fd = 333\nlimit-as = 4096\numask = 027",
    ),
    _row(
        START,
        "an application that cannot be imported",
        _start_of_a_broken_one,
        app=BROKEN,
        starts=False,
        differs="the start fails; there the server starts without it, and answers 500",
        ours=("ended", 22),
        theirs=("serves", "HTTP/1.1 500 Internal Server Error"),
    ),
    _row(
        UNIX,
        "SIGHUP with new code that cannot be imported",
        _reload_of_a_broken_one,
        differs="the old code goes on serving, and the log says why; there all is 500",
        ours="HTTP/1.1 200 OK",
        theirs="HTTP/1.1 500 Internal Server Error",
    ),
    _row(
        START,
        "an application that cannot be imported, with need-app",
        _exit_code,
        app="1 / 0",
        starts=False,
        ini="need-app = true",
    ),
    _row(
        START,
        "an address that is not this machine's",
        _exit_code,
        starts=False,
        ini="socket = 192.0.2.1:0",
    ),
    _row(
        START,
        "an unknown option on the command line",
        _exit_code,
        starts=False,
        args=("--no-such-option",),
    ),
    _row(
        START,
        "an unknown option with `strict`",
        _exit_code,
        starts=False,
        ini="strict = true\nno-such-option = 1",
    ),
    _row(
        START,
        "a spooler whose parent directory is not there",
        _exit_code,
        starts=False,
        ini="spooler = no/where",
    ),
    _row(
        END,
        "a unix socket is removed",
        left("app.sock"),
        ini="socket = app.sock\nhttp-socket =",
        differs="`vacuum` is on unless set",
        ours=(True, False),
        theirs=(True, True),
    ),
    _row(
        END,
        "a unix socket with `vacuum`",
        left("app.sock"),
        ini="socket = app.sock\nhttp-socket =\nvacuum = true",
    ),
    _row(
        END,
        "the pidfile is removed",
        left("server.pid"),
        ini="pidfile = server.pid",
        differs="`vacuum` is on unless set",
        ours=(True, False),
        theirs=(True, True),
    ),
    _row(
        END,
        "the pidfile with `vacuum`",
        left("server.pid"),
        ini="pidfile = server.pid\nvacuum = true",
    ),
]
