"""The decorators: ours and uWSGI's own, each of them on both servers.

Runs in: the test process.
"""

from __future__ import annotations

import ast
import itertools
import os
from pathlib import Path

from tests.differential.claims import EVERY_SIDE, Observe, Setup, Side, rows_of
from tests.differential.looks import Endings, answer, evaluate, status_of, value
from tests.differential.probes import DEADLINES, DECORATED, DECORATORS, LISTENING
from tests.differential.rows.signals import minute_is_young
from tests.harness import Server, eventually

SETUP = Setup(
    name="decorators",
    app=DECORATORS,
    ini="processes = 2\nspooler = tasks\nspooler-frequency = 1",
    files={"tasks/": "", "seen/": ""},
    sides=EVERY_SIDE,
    when=minute_is_young,
)
DEADLINE = Setup(name="harakiri", app=DEADLINES, ini="processes = 2", sides=EVERY_SIDE)
MULE = Setup(name="listening", app=LISTENING, ini="mules = 1", sides=EVERY_SIDE)
BARE = Setup(name="no-spooler", app=DECORATED, sides=EVERY_SIDE)

names = rows_of("Decorators: names", SETUP)
tasks = rows_of("Decorators: spool, spoolraw, spoolforever", SETUP)
bare = rows_of("Decorators: spool, spoolraw, spoolforever", BARE)
clock = rows_of("Decorators: signal, timer, rbtimer, cron", SETUP)
forks = rows_of("Decorators: postfork", SETUP)
calls = rows_of("Decorators: lock, thread", SETUP)
mules = rows_of("Decorators: mulefunc, mulemsg", MULE)
deadlines = rows_of("Decorators: harakiri", DEADLINE)

EVERY_NAME = (
    *("spool", "spoolraw", "spoolforever", "timer", "rbtimer", "cron", "signal", "filemon"),
    *("postfork", "lock", "thread", "harakiri", "mule", "mulefunc", "muleloop", "mulemsg"),
    *("farm", "rpc", "erlang", "get_free_signal"),
)

_ids = itertools.count(1)


def by_decorators(ours: object, theirs: object) -> dict[str, object]:
    """What differs by whose decorators they are, whatever server runs them."""
    crossed = {Side.OUR_DECORATORS_THERE: ours, Side.THEIR_DECORATORS_HERE: theirs}
    return {"ours": ours, "theirs": theirs, "crossed": crossed}


def only_theirs(ours: object, theirs: object) -> dict[str, object]:
    """What fails only with their decorators on their server."""
    crossed = {Side.OUR_DECORATORS_THERE: ours, Side.THEIR_DECORATORS_HERE: ours}
    return {"ours": ours, "theirs": theirs, "crossed": crossed}


def _task(call: str) -> Observe:
    """What the function was called with; ID in the call stands for a number of its own."""

    def look(server: Server) -> object:
        number = str(next(_ids))
        path = evaluate(server, call.replace("ID", f"'{number}'"))
        if not isinstance(path, bytes):
            return path
        return ast.literal_eval(server.wait_for(rf"GOT {number} (.*)")[1])

    return look


def _called(server: Server) -> object:
    """What becomes of the call of a `@mulefunc`."""
    evaluate(server, "called('one')")
    return server.wait_for("CALLED (.*)")[1]


def _undecodable(server: Server) -> object:
    """What a function gets of bytes that are no text, or what the decorators say of them."""
    number = str(next(_ids))
    path = evaluate(server, f"note.spool(id='{number}', body=b'\\xff')")
    assert isinstance(path, bytes)
    found = server.wait_for(rf"GOT {number} (.*)|(UnicodeDecodeError)")
    file = Path(os.fsdecode(path))
    if found[1]:  # its spooler removes it; uWSGI's exits when somebody else was faster
        eventually(lambda: not file.exists(), within=10)
        return ast.literal_eval(found[1])
    file.unlink()
    return found[2]


def _enqueue(server: Server, name: str) -> Path:
    path = evaluate(server, f"{name}.spool(a='1')")
    assert isinstance(path, bytes)
    return Path(os.fsdecode(path))


ENDINGS = {
    "returns": "@spool: the function returns",
    "answer_retry": "@spool: it returns SPOOL_RETRY",
    "fail_once": "@spool: it raises",
    "done": "@spoolraw: it returns SPOOL_OK",
    "retry_once": "@spoolraw: it returns SPOOL_RETRY",
    "says_nothing": "@spoolraw: it returns None",
}
"""Function -> what it does; observed of each: its task is gone, or was run again."""

_endings = Endings(ENDINGS, _enqueue)


def _forever(server: Server) -> object:
    """Is it run again, and again?"""
    number = str(next(_ids))
    evaluate(server, f"forever.spool(id='{number}')")
    return bool(server.wait_for(rf"FOREVER {number}\b", times=3, within=20))


def _handled(number: int, *, by: int = 1) -> Observe:
    """Who handled a signal, and what it was called with."""

    def look(server: Server) -> object:
        here = server.log.here()
        evaluate(server, f"uwsgi.signal({number})")
        pattern = rf"HANDLED {number} (\w+) on (\w+)"
        server.wait_for(pattern, after=here, times=by)
        return sorted(found.groups() for found in server.log.find(pattern, after=here))

    return look


def _any_worker(server: Server) -> object:
    return _handled(50)(server) in ([("int", "worker1")], [("int", "worker2")])


def _line(pattern: str, *, times: int = 1) -> Observe:
    return lambda server: server.wait_for(pattern, times=times).groups()


def _job_at_start(server: Server) -> object:
    server.wait_for("TICK on", times=2)
    return bool(server.log.find("JOB on"))


def _forked(which: str) -> Observe:
    """In which processes it ran, once all are past the hook: they handle signals."""

    def look(server: Server) -> object:
        _handled(52, by=2)(server)
        _handled(53)(server)
        found = server.log.find(rf"FORKED {which} on (\w+)")
        return sorted(match[1] for match in found)

    return look


def _thread(server: Server) -> object:
    here = server.log.here()
    evaluate(server, "threaded(1, 'two') and None")
    return server.wait_for("THREAD (.*)", after=here)[1]


def _left_armed(server: Server) -> object:
    """Do the workers that a request left a second live on for longer than that?"""
    code = "uwsgi.set_user_harakiri(1), os.getpid()"
    pids = {evaluate(server, f"[{code}][1]") for _ in range(20)}
    evaluate(server, "time.sleep(3.5)")
    return pids <= {evaluate(server, "os.getpid()") for _ in range(50)}


def _after_harakiri(server: Server) -> object:
    """A call that is too long: what the client gets, and whether others are answered then."""
    cut = status_of(answer("/longest"))(server)
    return cut, evaluate(server, "long(0)")


EVERYWHERE = ["spooler", "worker1", "worker2"]

CLAIMS = [
    names("they are all there", value(f"[callable(getattr(d, n, None)) for n in {EVERY_NAME!r}]")),
    names(
        "`spooler_functions`, `mule_functions`, `postfork_chain`",
        value("""[type(d.spooler_functions).__name__, type(d.mule_functions).__name__,
                  type(d.postfork_chain).__name__, 'note' in d.spooler_functions]"""),
    ),
    names(
        "`get_free_signal()`",
        value("n = d.get_free_signal(); [type(n).__name__, uwsgi.signal_registered(n)]"),
    ),
    names(
        "`from uwsgidecorators import *` brings `uwsgi` along",
        value("""space = {}
                 exec('from uwsgidecorators import *', space)
                 [space['uwsgi'] is uwsgi, 'spool' in space, 'cron' in space]"""),
    ),
    names(
        "`@erlang(name)` at import",
        value("ERLANG"),
        differs="it registers; there is no Erlang any more there",
        ours=True,
        theirs="AttributeError",
        defect=34,
    ),
    names(
        "they set `uwsgi.spooler` and `uwsgi.post_fork_hook`",
        value("[callable(uwsgi.spooler), callable(uwsgi.post_fork_hook)]"),
    ),
    tasks("`f.spool(dict)` of str", _task("note.spool({'id': ID, 'a': 'é'})")),
    tasks("`f.spool(dict)` of bytes", _task("note.spool({b'id': ID.encode(), b'a': b'1'})")),
    tasks("`f.spool(key=value)`", _task("note.spool(id=ID, a='1')")),
    tasks("dict and keywords", _task("note.spool({'id': ID, 'a': '1'}, b='2')")),
    tasks("what else is in the dict", _task("note_keys.spool(id=ID)")),
    tasks("calling the function enqueues, too", _task("note(id=ID, a='1')")),
    tasks("the path comes back, as bytes", value("type(note.spool(id='0')).__name__")),
    tasks("`at`, as str", _task("note.spool(id=ID, at='1700000000')")),
    tasks("`body`, as text", _task("note.spool(id=ID, body='text')")),
    tasks(
        "`spooler`",
        _task("note_keys.spool({'id': ID, 'spooler': uwsgi.spoolers[0]})"),
    ),
    tasks(
        "a number as value",
        _task("note.spool(id=ID, a=1)"),
        differs="numbers and dates become text",
        **only_theirs({"a": "1"}, "raises ValueError"),
    ),
    tasks("None as value", value("note.spool(a=None)")),
    tasks(
        "bytes that are no text",
        _undecodable,
        differs="they stay bytes; there the task fails, again and again",
        **by_decorators({"body": b"\xff"}, "UnicodeDecodeError"),
    ),
    tasks(
        "with pass_arguments=True: `f.spool(…)`",
        _task("call.spool(1, [2.5, None], id=ID, x={'y': b'z'})"),
    ),
    tasks("with pass_arguments=True: calling it", _task("call(1, id=ID)")),
    tasks(
        "with pass_arguments=True: `at` and `spooler` do not reach it",
        _task("call.spool(1, id=ID, at='1700000000', spooler=uwsgi.spoolers[0])"),
    ),
    tasks(
        "with pass_arguments=True: `at` as a number",
        _task("call.spool(1, id=ID, at=1700000000)"),
        differs="a number or a date is a time",
        **only_theirs([(1,), {}], "raises ValueError"),
    ),
    *[tasks(says, _endings.end_of(name)) for name, says in ENDINGS.items()],
    tasks("@spoolforever", _forever),
    tasks("the function itself is `.f`", value("[note.f.__name__, callable(note.f.spool)]")),
    tasks(
        "name and docstring of the function",
        value("getattr(note, '__name__', None)"),
        differs="a decorated function keeps them",
        **by_decorators("note", None),
        defect=25,
    ),
    bare(
        "without a spooler, decorating",
        value("d.spool(lambda arguments: None) and 'decorated'"),
        differs="the error comes with the call, so that the module can be imported anywhere",
        **by_decorators("decorated", "raises Exception"),
    ),
    clock("@signal without a target", _any_worker),
    clock("@signal with a worker as target", _handled(51)),
    clock("@signal with all workers as target", _handled(52, by=2)),
    clock("@signal with the spooler as target", _handled(53)),
    clock("@signal gives the function back", value("signal_50 is plain")),
    clock("@timer", _line(r"TICK on (\w+) (\w+)", times=2)),
    clock("@timer with signum and target", _line(r"TOCK on (\w+) (\d+)")),
    clock("@rbtimer", _line(r"RED on (\w+)", times=2)),
    clock("@timer gives the function back", value("type(tick).__name__")),
    clock(
        "@cron, in whose minute the server starts",
        _job_at_start,
        differs="it runs when its minute begins, once; there also at each start and reload",
        ours=False,
        theirs=True,
        defect=20,
    ),
    forks("bare: it runs in every worker and spooler", _forked("bare")),
    forks("@postfork(0), too", _forked("all")),
    forks("@postfork(1): in worker 1 only", _forked("one")),
    forks(
        "behind one that raises",
        _forked("last"),
        differs="the next one runs all the same",
        **by_decorators(EVERYWHERE, []),
        defect=25,
    ),
    forks(
        "the name it decorates",
        value("[callable(forked), callable(forked_in_one)]"),
        differs="@postfork(N) gives the function back; there the name is None",
        **by_decorators([True, True], [True, False]),
        defect=25,
    ),
    calls(
        "@lock: lock 0 is held while it runs, and free then",
        value("[locked(1), uwsgi.is_locked()]"),
    ),
    calls(
        "@lock: free also when the function raises",
        value("""try:
                     locked_crash()
                 except ValueError:
                     answer = uwsgi.is_locked()
                 answer"""),
    ),
    calls(
        "@lock in a spooler",
        _task("lock_in_spooler.spool(id=ID)"),
        differs="it runs; there it is silently skipped",
        ours=[1, True],
        theirs=None,
        crossed={Side.OUR_DECORATORS_THERE: "ValueError", Side.THEIR_DECORATORS_HERE: None},
        defect=23,
    ),
    calls(
        "@lock: name and docstring",
        value("[getattr(locked, '__name__', 0), locked.__doc__]"),
        differs="a decorated function keeps them",
        **by_decorators(["locked", "Held while it runs."], [0, None]),
        defect=25,
    ),
    calls("@thread runs it in a daemon thread", _thread),
    calls(
        "@thread: what the call gives",
        value("type(threaded()).__name__"),
        differs="the thread, to join it",
        **by_decorators("Thread", "function"),
    ),
    calls(
        "@thread with keywords",
        value("threaded(a=1) and 'started'"),
        differs="they are passed on",
        **by_decorators("started", "raises TypeError"),
    ),
    mules(
        "a call to any mule, where `@mulemsg` listens",
        _called,
        differs="it is made; there its pickle is handed to the listening function",
        **by_decorators("with one", "as a message"),
    ),
    deadlines("a call in time", value("long(0)")),
    deadlines("a call that is too long: its worker is killed, and replaced", _after_harakiri),
    deadlines(
        "a call within one: the outer one is too long",
        status_of(answer("/nested")),
        differs="its worker is killed; there the inner one's end called both off",
        **by_decorators("", "HTTP/1.1 200 OK"),
        defect=24,
    ),
    deadlines(
        "`set_user_harakiri` that a request does not call off",
        _left_armed,
    ),
    deadlines(
        "a call that raises",
        status_of(answer("/crash_and_stay")),
        differs="the deadline ends with the call; there the worker is killed later",
        **by_decorators("HTTP/1.1 200 OK", ""),
        defect=24,
    ),
]
