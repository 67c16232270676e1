"""Signals, timers, cron jobs and hooks: who hears them, and what the module says of them.

Runs in: the test process.
"""

from __future__ import annotations

import ast
import time

from tests.differential.claims import Observe, Setup, rows_of
from tests.differential.looks import evaluate, packet, value
from tests.differential.probes import SIGNALS
from tests.harness import Server


def minute_is_young() -> bool:
    """Is there time left in this minute for a start?"""
    return time.localtime().tm_sec < 50


SETUP = Setup(
    name="signals",
    app=SIGNALS,
    ini="processes = 2\nspooler = tasks",
    files={"tasks/": ""},
    when=minute_is_young,
)

raised = rows_of("Signals: who handles one", SETUP)
called = rows_of("Signals: the functions", SETUP)
clock = rows_of("Signals: timers and cron jobs", SETUP)
hook = rows_of("Hooks", SETUP)
early = rows_of("The module while the application is imported", SETUP)

REFUSED = "raises ValueError"


def _handled(number: int, *, by: int = 1) -> Observe:
    """Who handled the signal; `by`: how many are waited for."""

    def look(server: Server) -> object:
        here = server.log.here()
        evaluate(server, f"uwsgi.signal({number})")
        pattern = rf"SIGNAL {number} on (\w+)"
        server.wait_for(pattern, after=here, times=by)
        return sorted(found[1] for found in server.log.find(pattern, after=here))

    return look


def _any_worker(number: int) -> Observe:
    """Was it one worker, whichever?"""

    def look(server: Server) -> object:
        handlers = _handled(number)(server)
        return handlers in (["worker1"], ["worker2"])

    return look


def _over_the_network(server: Server) -> object:
    """The answer to modifier 110, and who handled the signal."""
    here = server.log.here()
    answer = packet(server, modifier1=110, modifier2=13)
    return answer, server.wait_for(r"SIGNAL 13 on (\w+)", after=here)[1]


def _arguments(server: Server) -> object:
    evaluate(server, "uwsgi.signal(20)")
    return ast.literal_eval(server.wait_for(r"SIGNAL 20 with (.*)")[1])


def _survives(server: Server) -> object:
    """A handler that raises, twice: is it the same worker?"""
    pids = "[worker['pid'] for worker in uwsgi.workers()]"
    before = evaluate(server, pids)
    handlers = [_handled(21)(server), _handled(21)(server)]
    return handlers, evaluate(server, pids) == before


def _ticks(number: int, *, times: int) -> Observe:
    """Who hears a source that fires by itself."""
    return lambda server: server.wait_for(rf"SIGNAL {number} on (\w+)", times=times)[1]


def _rounds(server: Server) -> object:
    """How often a timer of two rounds has fired, two ticks of an endless one after the second."""
    server.wait_for("SIGNAL 31 on", times=2)
    server.wait_for("SIGNAL 30 on", after=server.log.here(), times=2)
    return len(server.log.find("SIGNAL 31 on"))


def _cron_at_start(server: Server) -> object:
    """Has the job of the current minute run when two seconds are over?"""
    server.wait_for("SIGNAL 30 on", times=2)
    return bool(server.log.find("SIGNAL 32 on"))


def _forked(server: Server) -> object:
    server.wait_for("FORKED", times=3)
    return sorted(found[1] for found in server.log.find(r"FORKED (\w+)"))


def _after_request(server: Server) -> object:
    here = server.log.here()
    evaluate(server, "1")
    return server.wait_for("AFTER (.*)", after=here)[1]


def _at_import(source: str) -> Observe:
    return value(f"AT_IMPORT[{source!r}]")


CLAIMS = [
    raised("target '': one worker", _any_worker(10)),
    raised("target 'worker': one worker", _any_worker(11)),
    raised("target 'worker0': one worker", _any_worker(12)),
    raised("target 'worker2': that one", _handled(13)),
    raised("target 'workers': each", _handled(14, by=2)),
    raised("target 'active-workers': each", _handled(15, by=2)),
    raised("target 'spooler': the spooler", _handled(16)),
    raised("one that came over the network, modifier 110", _over_the_network),
    raised("the handler is called with the number", _arguments),
    raised("a handler that raises harms nobody", _survives),
    called("`signal(number)` gives None", value("uwsgi.signal(10)")),
    called("`signal` of one nobody registered", value("uwsgi.signal(200)")),
    called(
        "`signal(-1)`",
        value("uwsgi.signal(-1)"),
        differs="refused; there it is signal 255",
        ours=REFUSED,
        theirs=None,
        defect=18,
    ),
    called(
        "`signal` of a word",
        value("uwsgi.signal('a')"),
        differs="every wrong number is a ValueError",
        ours=REFUSED,
        theirs="raises TypeError",
    ),
    called("`signal_registered` of one that is", value("uwsgi.signal_registered(10)")),
    called("`signal_registered` of one that is not", value("uwsgi.signal_registered(201)")),
    called(
        "`register_signal` in a worker",
        value("[uwsgi.register_signal(202, 'workers', print), uwsgi.signal_registered(202)]"),
    ),
    called(
        "`register_signal` of the same one again, in a worker",
        value("uwsgi.register_signal(10, '', handle)"),
    ),
    called(
        "`register_signal` with a target in bytes",
        value("uwsgi.register_signal(203, b'workers', print)"),
    ),
    called(
        "`register_signal` with a target of 64 letters",
        value("uwsgi.register_signal(203, 'x' * 64, print)"),
    ),
    called(
        "`register_signal` with a target nobody knows",
        value("uwsgi.register_signal(203, 'nowhere', print)"),
        differs="refused; there it is noticed when it is raised, in the log",
        ours=REFUSED,
        theirs=None,
        defect=17,
    ),
    called(
        "`register_signal` with a worker there is not",
        value("uwsgi.register_signal(203, 'worker9', print)"),
        differs="refused; there the signal is written nowhere",
        ours=REFUSED,
        theirs=None,
        defect=17,
    ),
    called(
        "`register_signal` with a mule where there is none",
        value("uwsgi.register_signal(203, 'mule', print)"),
        differs="refused; there the signal is lost",
        ours=REFUSED,
        theirs=None,
        defect=17,
    ),
    called(
        "`register_signal` of what cannot be called",
        value("uwsgi.register_signal(203, '', None)"),
        differs="refused; there it fails when it is raised",
        ours=REFUSED,
        theirs=None,
    ),
    called(
        "`register_signal(256, …)`",
        value("uwsgi.register_signal(256, '', print)"),
        differs="refused; there it is signal 0",
        ours=REFUSED,
        theirs=None,
        defect=18,
    ),
    called(
        "`register_signal(-1, …)`",
        value("uwsgi.register_signal(-1, '', print)"),
        differs="refused; there it is signal 255",
        ours=REFUSED,
        theirs=None,
        defect=18,
    ),
    called("`register_signal` of two arguments", value("uwsgi.register_signal(203, '')")),
    clock("`add_timer(number, seconds)` gives None", value("uwsgi.add_timer(210, 1000)")),
    clock(
        "`add_timer(number, seconds, rounds)`",
        value("uwsgi.add_timer(210, 1000, 1)"),
        differs="so many rounds, as its documentation writes it",
        ours=None,
        theirs="raises TypeError",
    ),
    clock("a timer fires again and again, in its target", _ticks(30, times=2)),
    clock("a timer whose target is the spooler", _ticks(33, times=1)),
    clock(
        "`add_timer` with a fraction",
        value("uwsgi.add_timer(210, 1000.5)"),
        differs="it counts",
        ours=None,
        theirs="raises TypeError",
    ),
    clock(
        "`add_timer` of no seconds",
        value("uwsgi.add_timer(210, 0)"),
        differs="refused; there it never fires",
        ours=REFUSED,
        theirs=None,
    ),
    clock(
        "`add_timer` of a negative time",
        value("uwsgi.add_timer(210, -1)"),
        differs="refused; there it never fires",
        ours=REFUSED,
        theirs=None,
    ),
    clock("`add_timer` of one argument", value("uwsgi.add_timer(210)")),
    clock(
        "`add_rb_timer(number, seconds[, rounds])` gives None",
        value("[uwsgi.add_rb_timer(210, 1000), uwsgi.add_rb_timer(210, 1000, 2)]"),
    ),
    clock("a timer of two rounds fires twice", _rounds),
    clock(
        "`add_cron(number, minute, hour, day, month, weekday)` gives True",
        value("uwsgi.add_cron(210, 0, 0, 1, 1, -1)"),
    ),
    clock(
        "`add_cron` of four fields",
        value("uwsgi.add_cron(210, 0, 0, 1, 1)"),
        differs="every wrong schedule is a ValueError",
        ours=REFUSED,
        theirs="raises TypeError",
    ),
    clock(
        "`add_cron` of what never comes",
        value("uwsgi.add_cron(210, 61, 0, 1, 1, 1)"),
        differs="refused; there it waits for ever",
        ours=REFUSED,
        theirs=True,
    ),
    clock(
        "a cron job in whose minute the server starts",
        _cron_at_start,
        differs="it runs when its minute begins, once; there also at each start and reload",
        ours=False,
        theirs=True,
        defect=20,
    ),
    hook("`post_fork_hook` runs in each worker and spooler, and nowhere else", _forked),
    hook("`after_req_hook` runs after a request, without arguments", _after_request),
    early(
        "`register_signal` of the same number again",
        _at_import("uwsgi.register_signal(10, '', handle)"),
    ),
    early("`signal_registered`", _at_import("uwsgi.signal_registered(10)")),
    early("`worker_id()` and `mule_id()`", _at_import("[uwsgi.worker_id(), uwsgi.mule_id()]")),
    early("`i_am_the_spooler()`", _at_import("uwsgi.i_am_the_spooler()")),
    early("`ready()`", _at_import("uwsgi.ready()")),
    early(
        "`total_requests()` and `request_id()`",
        _at_import("[uwsgi.total_requests(), uwsgi.request_id()]"),
    ),
    early("the locks", _at_import("[uwsgi.lock(), uwsgi.is_locked(), uwsgi.unlock()]")),
    early("`masterpid()` is the master's already", _at_import("uwsgi.masterpid() > 1")),
    early(
        "it happens in the master",
        _at_import("uwsgi.masterpid() == os.getpid()"),
        differs="a zygote imports the application; the master never runs its code",
        ours=False,
        theirs=True,
    ),
    early("`workers()` has one for each to come", _at_import("len(uwsgi.workers())")),
    early("their pids", _at_import("[worker['pid'] for worker in uwsgi.workers()]")),
    early("`spool`", _at_import("type(uwsgi.spool({b'at': b'4000000000'})).__name__")),
    early("`spooler_pids()`", _at_import("uwsgi.spooler_pids()")),
    early("`signal`", _at_import("uwsgi.signal(10)")),
]
