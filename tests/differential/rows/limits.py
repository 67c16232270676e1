"""How many of a thing there may be, and decorators where each worker loads the application.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import EVERY_SIDE, Observe, Setup, Side, rows_of
from tests.differential.looks import evaluate, value
from tests.differential.probes import DECORATED
from tests.harness import Server

MANY = Setup(
    name="many",
    sides=EVERY_SIDE,
    app=DECORATED + "\n\ndef plain(number):\n    pass\n",
)
LAZY = Setup(
    name="lazy-apps",
    ini="lazy-apps = true\nprocesses = 2\nmules = 1\nspooler = tasks\nspooler-frequency = 1"
    "\nsignal-timer = 60 1",
    files={"tasks/": ""},
    app=DECORATED
    + r"""

@d.postfork
def forked():
    say("FORKED", os.getpid())


@d.spool
def task(arguments):
    say("TASK")


@d.mulefunc
def in_mule():
    say("IN MULE")


@d.signal(50, target="worker2")
def in_two(number):
    say("SIGNAL on", uwsgi.worker_id())


@d.signal(51, target="workers")
def in_all(number):
    say("SIGNAL", number, "on", uwsgi.worker_id())


@d.timer(1)
def tick(number):
    say("TICK")


uwsgi.register_signal(60, "", lambda number: say("BEAT"))  # the option's, so there is one
""",
)

many = rows_of("How many there may be", MANY)
lazy = rows_of("Decorators under `lazy-apps`", LAZY)

FULL = "raises ValueError"


def by_server(ours: object, theirs: object) -> dict[str, object]:
    """What differs by the server, whosever decorators run there."""
    return {"ours": ours, "theirs": theirs}


def _seventy(call: str) -> Observe:
    """Seventy times; what the last gives."""
    return value(f"[{call} for number in range(70)][-1]")


def _forked(server: Server) -> object:
    """Did the post-fork function run in the worker that answers?"""
    pid = evaluate(server, "os.getpid()")
    server.wait_for("BEAT", times=2)
    return bool(server.log.find(f"FORKED {pid}"))


def _task(server: Server) -> object:
    evaluate(server, "task.spool(a='1') and None")
    found = server.wait_for(r"(TASK)$|unable to find the spooler function|done with task")
    return bool(found[1])


def _in_mule(server: Server) -> object:
    evaluate(server, "in_mule() and None")
    found = server.wait_for(r"(IN MULE)$|mule \d.*message|\*\*\* mule 1 received")
    return bool(found[1])


def _targets(server: Server) -> object:
    """Is a signal for worker 2 always worker 2's?"""
    server.wait_for("BEAT", times=2)
    here = server.log.here()
    for count in range(1, 21):
        evaluate(server, "uwsgi.signal(50)")
        server.wait_for(r"SIGNAL on \d|error managing signal 50", after=here, times=count)
    heard = {found[1] for found in server.log.find(r"SIGNAL on (\d)", after=here)}
    return heard == {"2"}


def _ticks(server: Server) -> object:
    """Is a timer of one second one timer, or one for each worker?"""
    server.wait_for("BEAT", times=2)
    here = server.log.here()
    server.wait_for("BEAT", after=here, times=5)
    ticks, beats = (len(server.log.find(f"{word}$", after=here)) for word in ("TICK", "BEAT"))
    return ticks <= beats + 1


CLAIMS = [
    many(
        "a decorator with a `signum` when all 256 are registered",
        value("""for number in range(256):
                     uwsgi.signal_registered(number) or uwsgi.register_signal(number, '', plain)
                 d.timer(1000, signum=60)(plain) is plain"""),
        differs="the given number is taken; there a free one is looked for all the same",
        ours=True,
        theirs="raises Exception",
        crossed={
            Side.OUR_DECORATORS_THERE: True,
            Side.THEIR_DECORATORS_HERE: "raises Exception",
        },
        defect=21,
    ),
    many(
        "a decorator without one then",
        value("d.timer(1000)(plain) is plain"),
        differs="decorators have numbers of their own, from 256 up",
        ours=True,
        theirs="raises Exception",
        crossed={
            Side.OUR_DECORATORS_THERE: "raises RuntimeError",
            Side.THEIR_DECORATORS_HERE: "raises Exception",
        },
        defect=21,
    ),
    many(
        "70 timers",
        _seventy("uwsgi.add_timer(10, 1000)"),
        differs="as many as you like; there 64",
        **by_server(None, FULL),
        defect=21,
    ),
    many(
        "70 rb-timers",
        _seventy("uwsgi.add_rb_timer(10, 1000)"),
        differs="as many as you like; there 64",
        **by_server(None, FULL),
        defect=21,
    ),
    many(
        "70 cron jobs",
        _seventy("uwsgi.add_cron(10, number % 60, 3, 1, 1, -1)"),
        differs="as many as you like; there 64",
        **by_server(True, FULL),
        defect=21,
    ),
    many(
        "70 file monitors",
        _seventy("uwsgi.add_file_monitor(10, '/nowhere%d' % number)"),
        differs="as many as you like; there 64",
        **by_server(None, FULL),
        defect=21,
    ),
    many(
        "70 RPC functions",
        _seventy("uwsgi.register_rpc('f%d' % number, print)"),
        differs="as many as you like; there 64",
        **by_server(True, FULL),
        defect=21,
    ),
    lazy(
        "@postfork",
        _forked,
        differs="it runs in each; there it comes too late",
        ours=True,
        theirs=False,
        defect=19,
    ),
    lazy(
        "@spool: its task",
        _task,
        differs="it is run; there the spooler knows no function",
        ours=True,
        theirs=False,
        defect=19,
    ),
    lazy(
        "@mulefunc: its call",
        _in_mule,
        differs="it is run; there the mule knows no function",
        ours=True,
        theirs=False,
        defect=19,
    ),
    lazy(
        "@signal: its target",
        _targets,
        differs="it counts; there any worker gets the signal",
        ours=True,
        theirs=False,
        defect=19,
    ),
    lazy(
        "@timer",
        _ticks,
        differs="it is one; there one for each worker",
        ours=True,
        theirs=False,
        defect=19,
    ),
]
