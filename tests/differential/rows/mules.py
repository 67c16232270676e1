"""Mules and farms: messages, who gets them, and what becomes of them.

Runs in: the test process.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import signal

from tests.differential.claims import EVERY_SIDE, Observe, Setup, Side, rows_of
from tests.differential.looks import evaluate, value
from tests.differential.probes import DECORATED, PROBE
from tests.harness import Server, eventually

HOOK = r'''

def here():
    """This process, as the module tells it."""
    return "mule{}".format(uwsgi.mule_id()) if uwsgi.mule_id() else "worker"


seen = []


def handle(number):
    seen.append(number)
    say("SIGNAL", number, "on", here())


def hold(name):
    say("HOLDING", name)
    while not os.path.exists(name):
        time.sleep(0.005)


counted = []


def hook(message):
    if message.startswith(b"run "):
        number, _, source = message[4:].partition(b" ")
        say("RAN", number.decode(), here(), repr(run(source.decode(), {})))
    elif message.startswith(b"#"):  # of a row that waits for no word of it
        counted.append(message)
    else:
        say("GOT", len(message), message[:9], here())


uwsgi.mule_msg_hook = hook
for number, target in enumerate(("mule", "mule0", "mule2", "mules", "farm_barn", "farm1"), 30):
    uwsgi.register_signal(number, target, handle)
uwsgi.register_signal(40, "mule1", handle)


def count(number):
    counted.append(number)


uwsgi.register_signal(41, "mule1", count)
uwsgi.register_signal(42, "mule1", lambda number: say("COUNTED", len(counted)))
'''

INI = "mules = 3\nfarm = barn:3\nlocks = 4\n"

SETUP = Setup(name="mules", app=PROBE + HOOK, ini=INI)
TIRED = Setup(name="mule-harakiri", app=PROBE + HOOK, ini=f"{INI}mule-harakiri = 1\n")
NONE = Setup(name="no-mules", app=PROBE)
PROGRAMS = Setup(
    name="mule-programs",
    app=PROBE,
    ini="mule = prog.py\nmule = lib:life\n",
    files={
        "prog.py": "import os, uwsgi\n"
        'os.write(2, f"PROGRAM {__name__} {uwsgi.mule_id()}\\n".encode())\n'
        "while uwsgi.mule_get_msg() != b'end':\n    pass\n",
        "lib.py": "import os, uwsgi\ndef life():\n"
        '    os.write(2, f"LIFE {uwsgi.mule_id()}\\n".encode())\n'
        "    while True:\n        uwsgi.mule_get_msg()\n",
    },
)
TWICE = Setup(
    name="mule-of-wsgi-file",
    app=PROBE
    + '\nsay("IMPORTED by", __name__)\n'
    + "uwsgi.register_signal(7, '', print)  # a second time it raises, there\n"
    + 'def life():\n    say("LIFE", uwsgi.mule_id())\n    while True:\n'
    + "        uwsgi.mule_get_msg()\n",
    ini="module =\nwsgi-file = app.py\nmule = app:life\n",
)
DECORATORS = Setup(
    name="mulefuncs",
    sides=EVERY_SIDE,
    ini=INI,
    app=DECORATED
    + r"""

@d.mulefunc
def big(blob):
    say("BIG", len(blob))


@d.mulefunc("barn")
def in_barn():
    say("IN BARN", uwsgi.mule_id())


@d.mulefunc(1)
def stuck():
    say("STUCK")
    while not os.path.exists("go"):
        time.sleep(0.005)


calls = []


@d.mulefunc(1)
def one():
    calls.append(1)


@d.mulefunc(1)
def tell():
    say("CALLS", len(calls))


def flood():
    "How many of 2000 calls were not refused."
    for number in range(2000):
        try:
            one()
        except Exception:
            return number
    return 2000


def plain(*arguments):
    pass
""",
)

sent = rows_of("Mules: messages", SETUP)
taken = rows_of("Mules: waiting for messages", SETUP)
signals = rows_of("Mules: signals", SETUP)
locks = rows_of("Mules: locks", SETUP)
tired = rows_of("Mules: deadlines", TIRED)
none = rows_of("Mules: messages", NONE)
programs = rows_of("Mules: programs", PROGRAMS)
twice = rows_of("Mules: programs", TWICE)
functions = rows_of("Decorators: mulefunc, mule, muleloop, mulemsg, farm", DECORATORS)

REFUSED = "raises ValueError"
_numbers = itertools.count(1)


def in_mule(source: str, mule: int = 1) -> Observe:
    """The value of statements run in a mule, as its message."""
    code = inspect.cleandoc(source)
    return lambda server: run_in_mule(server, code, mule)


def run_in_mule(server: Server, code: str, mule: int = 1) -> object:
    """What `in_mule` observes, at once."""
    number = next(_numbers)
    send = f"uwsgi.mule_msg({f'run {number} {code}'.encode()!r}, {mule})"
    eventually(lambda: evaluate(server, send))  # there it may be dropped while the queue is full
    return _literal(server.wait_for(rf"RAN {number} mule{mule} (.*)", within=20)[1])


def _literal(words: str) -> object:
    try:
        return ast.literal_eval(words)
    except (ValueError, SyntaxError):
        return words


def _got(call: str) -> Observe:
    """Who got the message of a call, and what of it."""

    def look(server: Server) -> object:
        here = server.log.here()
        answer = evaluate(server, call)
        return answer, server.wait_for(r"GOT (\d+ \S+) (\w+)", after=here).groups()

    return look


def _size(size: int) -> Observe:
    """How much of a message of that size arrives."""

    def look(server: Server) -> object:
        here = server.log.here()
        evaluate(server, f"uwsgi.mule_msg(b'x' * {size}, 2)")
        return int(server.wait_for(r"GOT (\d+) b'xxx", after=here)[1])

    return look


def _by_any(call: str) -> Observe:
    """Was it one of the three?"""

    def look(server: Server) -> object:
        answer, (message, mule) = _got(call)(server)
        return answer, message, mule in ("mule1", "mule2", "mule3")

    return look


def _held(server: Server, mule: int) -> str:
    """Keep a mule busy; the name of the file that lets it go."""
    name = f"hold{next(_numbers)}"
    evaluate(server, f"uwsgi.mule_msg(b\"run 0 hold('{name}')\", {mule})")
    server.wait_for(f"HOLDING {name}")
    return name


FILL = """
def fill(sent=0):
    try:
        while sent < 100000 and uwsgi.mule_msg(b'#', 1):
            sent += 1
    except Exception as error:
        return ['raises ' + type(error).__name__, sent]
    return [False, sent]
fill()
"""


def _full_queue(server: Server) -> object:
    """What the call that finds no room gives, and whether all that were accepted arrive."""
    name = _held(server, 1)
    answer, count = evaluate(server, FILL.strip())
    (server.folder / name).touch()
    return answer, count > 100 and run_in_mule(server, "len(counted)") == count


def _all_signals(server: Server) -> object:
    """Are 1000 signals to a busy mule handled, every one?"""
    run_in_mule(server, "counted.clear()")
    name = _held(server, 1)
    evaluate(server, "[uwsgi.signal(41) for _ in range(1000)] and None")
    (server.folder / name).touch()
    here = server.log.here()

    def told() -> bool:  # it is behind the others, and may be dropped as they are
        evaluate(server, "uwsgi.signal(42)")
        return bool(server.log.find(r"COUNTED \d+", after=here))

    eventually(told, within=20)
    return server.log.find(r"COUNTED (\d+)", after=here)[0][1] == "1000"


def _raised(number: int, *, by: int = 1) -> Observe:
    """Which mules handle a signal."""

    def look(server: Server) -> object:
        here = server.log.here()
        evaluate(server, f"uwsgi.signal({number})")
        pattern = rf"SIGNAL {number} on (\w+)"
        server.wait_for(pattern, after=here, times=by)
        return sorted(found[1] for found in server.log.find(pattern, after=here))

    return look


def _by_one(number: int) -> Observe:
    def look(server: Server) -> object:
        return _raised(number)(server) in (["mule1"], ["mule2"], ["mule3"])

    return look


def _undelivered(server: Server) -> object:
    """A message behind the one whose mule is killed."""
    _held(server, 2)
    evaluate(server, "uwsgi.mule_msg(b'run 0 say(\"NEXT ON\", here())', 2)")
    os.kill(_mule_pid(server, 2), signal.SIGKILL)
    return server.wait_for(r"NEXT ON (\w+)", within=20)[1]


def _mule_pid(server: Server, number: int) -> int:
    pattern = rf"(?:spawned uWSGI mule {number}|spawned mule {number}|respawned mule {number})"
    pattern += r" \((?:new )?pid: (\d+)"
    return int(server.log.find(pattern)[-1][1])


def _endless(server: Server) -> object:
    """A message that takes four seconds under a deadline of one: does it come to its end?"""
    evaluate(server, "uwsgi.mule_msg(b'run 77 time.sleep(4)', 1)")
    found = server.wait_for(r"RAN 77 (\w+)|HARAKIRI", within=20)
    return "ended" if found[1] else "killed"


def _loses(server: Server) -> object:
    """A lock whose owner is killed: is it locked then?"""
    evaluate(server, "uwsgi.mule_msg(b'run 0 uwsgi.lock(2); os.kill(os.getpid(), 9)', 3)")
    server.wait_for("mule 3 .*(died|respawn)|respawn.* mule 3|OOOPS mule 3", within=20)
    return evaluate(server, "uwsgi.is_locked(2)")


def _not_mine(server: Server) -> object:
    """Giving back another process's lock."""
    run_in_mule(server, "uwsgi.lock(1)", 2)
    answer = evaluate(server, "uwsgi.unlock(1)")
    run_in_mule(server, "uwsgi.unlock(1)", 2)
    return answer


def _program_again(server: Server) -> object:
    server.wait_for("PROGRAM __main__ 1")
    here = server.log.here()
    evaluate(server, "uwsgi.mule_msg(b'end', 1)")
    return server.wait_for(r"PROGRAM (\w+) (\d)", after=here, within=20).groups()


def _imports(server: Server) -> object:
    """How often the file was executed until its mule lives, or dies of the second time."""
    server.wait_for(r"LIFE 1|(?:ValueError|unable to register signal)", within=20)
    return len(server.log.find("IMPORTED by"))


def _big(server: Server) -> object:
    here = server.log.here()
    evaluate(server, "big(b'x' * 70000) and None")
    found = server.wait_for(r"BIG (\d+)|(UnpicklingError)", after=here)
    return found[1] or found[2]


def _in_barn(server: Server) -> object:
    here = server.log.here()
    answer = evaluate(server, "in_barn() and None")
    if answer is not None:
        return answer
    return server.wait_for(r"IN BARN (\d)", after=here)[1]


def _flood(server: Server) -> object:
    """Calls to a mule that does not come to them: are all of them made that were not refused?"""
    evaluate(server, "stuck()")
    server.wait_for("STUCK")
    accepted = evaluate(server, "flood()")
    (server.folder / "go").touch()
    told = "run('tell()', {}) and None"  # it may be refused, or lost, while the queue is full
    eventually(lambda: evaluate(server, told) or server.log.find(r"CALLS \d+"), within=20)
    return int(server.log.find(r"CALLS (\d+)")[0][1]) == accepted


CLAIMS = [
    sent("`mule_msg(bytes, number)`", _got("uwsgi.mule_msg(b'hay', 2)")),
    sent("`mule_msg(text, number)`", _got("uwsgi.mule_msg('hay', 2)")),
    sent("`mule_msg(bytes)`: any mule", _by_any("uwsgi.mule_msg(b'hay')")),
    sent("`mule_msg(bytes, 0)`: any mule", _by_any("uwsgi.mule_msg(b'hay', 0)")),
    sent("`mule_msg(bytes, farm)`, the name in bytes", _got("uwsgi.mule_msg(b'hay', b'barn')")),
    sent(
        "`mule_msg(bytes, farm)`, the name in text",
        value("uwsgi.mule_msg(b'# hay', 'barn')"),
        differs="bytes and text name it",
        ours=True,
        theirs=REFUSED,
        defect=9,
    ),
    sent("`farm_msg(text, bytes)`", _got("uwsgi.farm_msg('barn', b'hay')")),
    sent(
        "`farm_msg(bytes, bytes)`",
        value("uwsgi.farm_msg(b'barn', b'# hay')"),
        differs="bytes and text name it",
        ours=None,
        theirs="raises TypeError",
        defect=9,
    ),
    sent("an empty message", _got("uwsgi.mule_msg(b'', 2)")),
    sent("of 60000 bytes", _size(60000)),
    sent(
        "of 70000 bytes",
        _size(70000),
        differs="any size arrives; there it is cut",
        ours=70000,
        theirs=65536,
        defect=13,
    ),
    sent(
        "of a million bytes",
        value("uwsgi.mule_msg(b'y' * 1000000, 2)"),
        differs="any size arrives; there it is not sent",
        ours=True,
        theirs=False,
        defect=13,
    ),
    sent("that is no message", value("uwsgi.mule_msg(5, 1)")),
    sent(
        "to a mule that is not there",
        value("uwsgi.mule_msg(b'hay', 99)"),
        differs="refused; there it reads past the end of its table",
        ours=REFUSED,
        theirs=False,
        defect=15,
    ),
    sent(
        "to a farm that is not there",
        value("uwsgi.farm_msg('stable', b'hay')"),
        differs="refused; there it is dropped without a word",
        ours=REFUSED,
        theirs=None,
        defect=12,
    ),
    sent(
        "to a full queue",
        _full_queue,
        differs="the sender waits, and is told if there is no room; there the message is dropped",
        ours=("raises ChannelFull", True),
        theirs=(False, True),
        defect=12,
    ),
    sent("behind one whose mule is killed", _undelivered),
    none("without mules", value("uwsgi.mule_msg(b'hay')")),
    none("without mules: `in_farm()`", value("uwsgi.in_farm()")),
    taken("`mule_id()` and `worker_id()`", in_mule("[uwsgi.mule_id(), uwsgi.worker_id()]", 2)),
    taken("`in_farm()` in none", in_mule("[uwsgi.in_farm(), uwsgi.in_farm('barn')]")),
    taken("`in_farm()` in one", in_mule("[uwsgi.in_farm(), uwsgi.in_farm('barn')]", 3)),
    taken("`in_farm` of one that is not there", in_mule("uwsgi.in_farm('stable')", 3)),
    taken("`i_am_the_spooler()`", in_mule("uwsgi.i_am_the_spooler()")),
    taken(
        "`mule_get_msg()`",
        in_mule("[uwsgi.mule_msg(b'to me', 1), uwsgi.mule_get_msg()]"),
    ),
    taken(
        "`mule_get_msg(buffer_size=2)`",
        in_mule("[uwsgi.mule_msg(b'to me', 1), uwsgi.mule_get_msg(buffer_size=2)]"),
        differs="a message is never cut",
        ours=[True, b"to me"],
        theirs=[True, b"to"],
        defect=13,
    ),
    taken(
        "`mule_get_msg(timeout=1)` when nothing comes",
        in_mule("uwsgi.mule_get_msg(timeout=1)"),
        differs="None; an empty message is b''",
        ours=None,
        theirs=b"",
        defect=14,
    ),
    taken(
        "a signal that comes meanwhile",
        in_mule("seen.clear(); uwsgi.signal(40); uwsgi.mule_get_msg(timeout=2); seen"),
        differs="its handler runs; there only with `signals=False`",
        ours=[40],
        theirs=[],
        defect=14,
    ),
    taken(
        "`farm_get_msg()`",
        in_mule("[uwsgi.farm_msg('barn', b'hay'), uwsgi.farm_get_msg()]", 3),
    ),
    taken("`mule_get_msg()` in a worker", value("uwsgi.mule_get_msg()")),
    taken("`farm_get_msg()` in a worker", value("uwsgi.farm_get_msg()")),
    signals("target 'mule': one of them", _by_one(30)),
    signals("target 'mule0': one of them", _by_one(31)),
    signals("target 'mule2': that one", _raised(32)),
    signals("target 'mules': each", _raised(33, by=3)),
    signals("target 'farm_NAME': one of the farm", _raised(34)),
    signals("target 'farm1': one of the first farm", _raised(35)),
    signals(
        "1000 of them to a mule that is busy",
        _all_signals,
        differs="all are handled; there those beyond some 278 are dropped",
        ours=True,
        theirs=False,
        defect=16,
    ),
    locks(
        "`unlock` of another process's",
        _not_mine,
        differs="refused: it is the owner's",
        ours=REFUSED,
        theirs=None,
        defect=23,
    ),
    locks(
        "`is_locked` when the owner was killed",
        _loses,
        differs="it is free; there it says yes, and nobody can take it any more",
        ours=False,
        theirs=True,
        defect=23,
    ),
    tired(
        "a message that takes longer than `mule-harakiri`",
        _endless,
        differs="its mule is killed; there only signal handlers are under it",
        ours="killed",
        theirs="ended",
        defect=26,
    ),
    programs("a script is `__main__`, and runs again when it ended", _program_again),
    programs("`module:callable`", lambda server: server.wait_for(r"LIFE (\d)")[1]),
    twice(
        "of the application's own file, loaded by `wsgi-file`",
        _imports,
        differs="the file is executed once; there again, under its other name",
        ours=1,
        theirs=2,
        defect=36,
    ),
    functions(
        "@mulefunc with 70000 bytes",
        _big,
        differs="any size arrives; there the pickle is cut",
        ours="70000",
        theirs="UnpicklingError",
        defect=13,
    ),
    functions(
        "@mulefunc of a farm, its name in text",
        _in_barn,
        differs="bytes and text name it",
        ours="3",
        theirs=REFUSED,
        crossed={Side.OUR_DECORATORS_THERE: "3"},
        defect=9,
    ),
    functions(
        "@mulefunc to a full queue",
        _flood,
        differs="what is not refused is called; there most are lost without a word",
        ours=True,
        theirs=False,
        crossed={Side.OUR_DECORATORS_THERE: True},
        defect=12,
    ),
    functions(
        "what @mule, @muleloop, @mulemsg and @farm leave of the name",
        value("[f(plain) is plain for f in (d.mule(9), d.muleloop(9), d.mulemsg(9), d.farm('x'))]"),
        differs="the function; there None",
        ours=[True] * 4,
        theirs=[False] * 4,
        crossed={
            Side.OUR_DECORATORS_THERE: [True] * 4,
            Side.THEIR_DECORATORS_HERE: [False] * 4,
        },
        defect=25,
    ),
]
