"""What an application sees of the decorators, whoever wrote them and whatever server runs them.

One app, one table: each behaviour is looked at through uWSGI's own decorators, those of PyPI and
django-uwsgi-ng's on muleteer, through ours on real uWSGI, and through each house's own at home.

Runs in: the test process; `APP` and `BRAINS` in the started server.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass
from typing import Protocol

from tests.differential.claims import Observe
from tests.differential.looks import evaluate, value
from tests.differential.probes import DECORATED
from tests.harness import Server, eventually
from tests.harness.clients import Client

__all__ = ["APP", "BEHAVIOURS", "BRAINS", "INI", "Behaviour"]

INI = {
    "calls": """
processes = 2
mules = 3
farm = barn:3
spooler = tasks
spooler-frequency = 1
spooler-ordered = true
locks = 1
""",
    "brains": "processes = 1\nmules = 5\nfarm = barn:4\n",
    "erlang": "processes = 1\nerlang = both@127.0.0.1\nerlang-cookie = a-cookie\n",
}
"""The servers that the behaviours are seen on."""

NAMED = (
    DECORATED
    + r"""

def here():
    "This process, as the module tells it."
    if uwsgi.mule_id():
        return "mule{}".format(uwsgi.mule_id())
    return who()
"""
)

APP = (
    NAMED
    + r'''

HERE = os.getcwd()


def first_time(name):
    """Files remember what a killed process could not."""
    path = os.path.join(HERE, "seen", name)
    is_first = not os.path.exists(path)
    open(path, "a").close()
    return is_first


def got(arguments):
    """What a task was enqueued with, less what the server and the decorators add."""
    added = ("id", "spooler_task_name", "ud_spool_func", "ud_spool_ret")
    added += ("at", "priority", "spooler")
    return sorted((k, v) for k, v in arguments.items() if k not in added)


@d.spool
def task(arguments):
    say("TASK", arguments["id"], here(), repr(got(arguments)))


@d.spool(pass_arguments=True)
def call(id, *args, **kwargs):
    say("TASK", id, here(), repr([args, sorted(kwargs.items())]))


@d.spool
def fails_once(arguments):
    if first_time("fails"):
        raise ValueError("on purpose")
    say("TASK", arguments["id"], here(), "again")


@d.spoolraw
def retried(arguments):
    if first_time("retried"):
        return uwsgi.SPOOL_RETRY
    say("TASK", arguments["id"], here(), "again")
    return uwsgi.SPOOL_OK


@d.spoolraw(pass_arguments=True)
def raw_call(id, value):
    say("TASK", id, here(), repr(value))
    return uwsgi.SPOOL_OK


@d.spoolforever
def forever(arguments):
    say("TASK", arguments["id"], here(), "round")


@d.spoolforever(pass_arguments=True)
def forever_call(id):
    say("TASK", id, here(), "round")


def noted(word):
    """A handler that tells where it ran and what it was called with."""
    def handler(number):
        say("SIGNAL", word, type(number).__name__, "on", here())
    handler.__name__ = handler.__qualname__ = word
    return handler


TARGETS = {70: "", 71: "worker2", 72: "workers", 73: "spooler", 74: "mule", 75: "mule2",
           76: "mules", 77: "farm_barn"}
for number, target in TARGETS.items():
    assert d.signal(number, target=target)(noted("s{}".format(number))).__name__
d.signal(78)(noted("s78"))

d.timer(1)(noted("timer"))
d.timer(1, target="spooler")(noted("timer-spooler"))
d.timer(1, target="mule1", signum=80)(noted("timer-80"))
d.rbtimer(1, target="worker1")(noted("rbtimer"))
d.cron(-1, -1, -1, -1, -1, target="worker1")(noted("cron"))
d.filemon(os.path.join(HERE, "bell"), target="worker1")(noted("filemon"))
d.filemon(os.path.join(HERE, "box"), target="mule1")(noted("filemon-box"))


@d.mulefunc
def in_any(*args, **kwargs):
    say("MULE", here()[:4], repr([args, kwargs]))


@d.mulefunc(2)
def in_two(*args, **kwargs):
    say("MULE", here(), repr([args, kwargs]))


@d.mulefunc(b"barn")
def in_barn(*args, **kwargs):
    say("MULE", here(), repr([args, kwargs]))


@d.rpc("double")
def double(word):
    return word + word


@d.rpc("fails")
def fails():
    raise ValueError("on purpose")


@d.lock
def locked(value):
    return [value, uwsgi.is_locked()]


@d.lock
def locked_crash():
    raise ValueError("on purpose")


@d.thread
def threaded(word):
    thread = threading.current_thread()
    say("THREAD", word, thread.daemon, thread is threading.main_thread())


@d.postfork
def forked():
    say("FORKED bare on", here())


@d.postfork(2)
def forked_in_two():
    say("FORKED two on", here())


@d.postfork
@d.thread
def forked_thread():
    say("FORKED thread on", here(), threading.current_thread() is threading.main_thread())


@d.harakiri(1)
def bounded(seconds):
    time.sleep(seconds)
    return "in time"


@d.harakiri(2)
def forever_busy():
    while True:
        pass
'''
)
"""Every decorator but those that take a whole mule, used."""

BRAINS = (
    NAMED
    + r"""

import pickle


@d.mule(1)
def whole_life():
    say("BRAIN whole", here())
    while True:
        say("BRAIN whole got", repr(uwsgi.mule_get_msg()))


rounds = []


@d.muleloop(2)
def again():
    rounds.append(1)
    time.sleep(0.05)
    if len(rounds) in (3, 4):
        say("BRAIN round", len(rounds), here())


@d.mulemsg(3)
def each(message):
    say("BRAIN each", repr(message), here())


@d.farm("barn")
def for_barn(message):
    say("BRAIN barn", repr(message), here())


@d.muleloop(5)
def breaks():
    say("BRAIN breaks", os.getpid())
    raise ValueError("on purpose")
"""
)
"""The decorators that take a whole mule."""

ERLANG = (
    NAMED
    + r"""

@d.erlang("echo")
def echo(message):
    say("ERLANG", repr(message))
"""
)
"""A process of Erlang's."""

APPS = {"calls": APP, "brains": BRAINS, "erlang": ERLANG}

FILES: dict[str, str] = {"tasks/": "", "seen/": "", "box/": "", "bell": ""}


class NewRow(Protocol):
    """Adds a behaviour to the table."""

    def __call__(self, says: str, observe: Observe, expected: object) -> None: ...


@dataclass(frozen=True, eq=False)
class Behaviour:
    """One thing that is to be seen, on whichever server."""

    setup: str
    says: str
    observe: Observe
    expected: object

    def __str__(self) -> str:
        return self.says


BEHAVIOURS: list[Behaviour] = []


def _rows(setup: str) -> NewRow:
    def add(says: str, observe: Observe, expected: object) -> None:
        BEHAVIOURS.append(Behaviour(setup, says, observe, expected))

    return add


calls, brains, erlang = _rows("calls"), _rows("brains"), _rows("erlang")


# -- the ways to look ------------------------------------------------------------------------

_ids = itertools.count(1)


def _task(source: str, *, times: int = 1) -> Observe:
    """Where a task ran, and with what; ID in the call stands for a number of its own."""

    def look(server: Server) -> object:
        number = str(next(_ids))
        path = evaluate(server, source.replace("ID", f"'{number}'"))
        assert isinstance(path, bytes), f"{source} gave {path!r}, not a path"
        found = server.wait_for(rf"TASK {number} (\w+) (.*)", times=times, within=20)
        return found[1], _literal(found[2])

    return look


def _literal(words: str) -> object:
    try:
        return ast.literal_eval(words)
    except (ValueError, SyntaxError):
        return words


def _raised(number: int, *, by: int = 1) -> Observe:
    """Who ran the handler of a signal that a worker raised."""
    return _after(f"uwsgi.signal({number})", rf"SIGNAL s{number} int on (\w+)", times=by)


def _after(source: str, pattern: str, *, times: int = 1) -> Observe:
    """What the log says, in groups and sorted, once a worker ran some statements."""

    def look(server: Server) -> object:
        here = server.log.here()
        evaluate(server, f"{source} and None")
        server.wait_for(pattern, after=here, times=times)
        return sorted(_short(match.groups()) for match in server.log.find(pattern, after=here))

    return look


def _short(groups: tuple[str, ...]) -> object:
    return groups[0] if len(groups) == 1 else groups


def _said(pattern: str, *, times: int = 1, within: float = 20) -> Observe:
    """What the log says by itself, each different line once."""

    def look(server: Server) -> object:
        server.wait_for(pattern, times=times, within=within)
        return sorted({_short(match.groups()) for match in server.log.find(pattern)})

    return look


def _one_of(observe: Observe, *names: str) -> Observe:
    """Was it one of these, once?"""

    def look(server: Server) -> object:
        seen = observe(server)
        return len(seen) == 1 and seen[0] in names

    return look


def _fires(path: str, word: str) -> Observe:
    """A change of a file runs the handler, where?"""

    def look(server: Server) -> object:
        here = server.log.here()
        (server.folder / path).write_text("changed")
        return server.wait_for(rf"SIGNAL {word} int on (\w+)", after=here, within=20)[1]

    return look


def _killed(server: Server) -> object:
    """A call over its deadline: the client gets nothing, and another worker serves."""
    pids = "sorted(worker['pid'] for worker in uwsgi.workers())"
    before = evaluate(server, pids)
    with Client(server.http, timeout=20) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\nforever_busy()")
        cut_off = client.at_end()
    eventually(lambda: evaluate(server, pids) != before, within=20)
    return cut_off, evaluate(server, "bounded(0)")


def _node(server: Server) -> str:
    """The address of its uwsgi socket, as nodes are called."""
    host, port = server.uwsgi
    return f"{host}:{port}"


def _to_farm(server: Server) -> object:
    here = server.log.here()
    evaluate(server, "uwsgi.farm_msg('barn', b'hay')")
    return server.wait_for(r"BRAIN barn (\S+) (\w+)", after=here).groups()


def _hay_as_mule_msg(server: Server) -> object:
    here = server.log.here()
    evaluate(server, "uwsgi.mule_msg(b'hay', b'barn')")
    return server.wait_for(r"BRAIN barn (\S+) (\w+)", after=here).groups()


# -- the table -------------------------------------------------------------------------------

NAMES = (
    *("spool", "spoolraw", "spoolforever", "timer", "rbtimer", "cron", "signal", "filemon"),
    *("postfork", "lock", "thread", "harakiri", "mule", "mulefunc", "muleloop", "mulemsg"),
    *("farm", "rpc", "erlang", "get_free_signal", "spooler_functions", "mule_functions"),
    *("postfork_chain", "manage_spool_request"),
)

calls("every name is there", value(f"[n for n in {NAMES!r} if not hasattr(d, n)]"), [])

for form, source in {
    "keywords": "task.spool(id=ID, a='1')",
    "a dict": "task.spool({'id': ID, 'a': '1'})",
    "a dict of bytes": "task.spool({b'id': ID.encode(), b'a': b'1'})",
    "a dict and keywords": "task.spool({'id': ID}, a='1')",
    "the call itself": "task(id=ID, a='1')",
    "what is due since long": "task.spool(id=ID, a='1', at='1000000000')",
    "a priority": "task.spool(id=ID, a='1', priority='4')",
}.items():
    calls(f"@spool: {form}", _task(source), ("spooler", [("a", "1")]))
calls(
    "@spool: a body",
    _task("task.spool(id=ID, body='text')"),
    ("spooler", [("body", "text")]),
)
calls(
    "@spool: a spooler",
    _task("task.spool(id=ID, spooler=uwsgi.spoolers[0])"),
    ("spooler", []),
)
calls(
    "@spool(pass_arguments=True)",
    _task("call.spool(ID, 2.5, [None], x={'y': b'z'})"),
    ("spooler", [(2.5, [None]), [("x", {"y": b"z"})]]),
)
calls(
    "@spool(pass_arguments=True): `at` is not the function's",
    _task("call(ID, at='1000000000')"),
    ("spooler", [(), []]),
)
calls(
    "@spool: one that raises is run again", _task("fails_once.spool(id=ID)"), ("spooler", "again")
)
calls("@spoolraw: SPOOL_RETRY, SPOOL_OK", _task("retried.spool(id=ID)"), ("spooler", "again"))
calls("@spoolraw(pass_arguments=True)", _task("raw_call.spool(ID, {1})"), ("spooler", {1}))
calls("@spoolforever", _task("forever.spool(id=ID)", times=3), ("spooler", "round"))
calls(
    "@spoolforever(pass_arguments=True)",
    _task("forever_call.spool(ID)", times=2),
    ("spooler", "round"),
)
calls("`.f` is the function", value("[task.f.__name__, callable(task.f.spool)]"), ["task", True])

calls("@signal: any worker", _one_of(_raised(70), "worker1", "worker2"), True)
calls("@signal: without a target", _one_of(_raised(78), "worker1", "worker2"), True)
calls("@signal: worker2", _raised(71), ["worker2"])
calls("@signal: workers", _raised(72, by=2), ["worker1", "worker2"])
calls("@signal: spooler", _raised(73), ["spooler"])
calls("@signal: mule", _one_of(_raised(74), "mule1", "mule2", "mule3"), True)
calls("@signal: mule2", _raised(75), ["mule2"])
calls("@signal: mules", _raised(76, by=3), ["mule1", "mule2", "mule3"])
calls("@signal: a farm", _raised(77), ["mule3"])
calls("get_free_signal()", value("uwsgi.signal_registered(d.get_free_signal()) is None"), True)
calls("@timer", _said(r"SIGNAL timer (\w+) on worker\d", times=2), ["int"])
calls("@timer, target=spooler", _said(r"SIGNAL timer-spooler int on (\w+)", times=2), ["spooler"])
calls("@timer, target and signum", _said(r"SIGNAL timer-80 int on (\w+)", times=2), ["mule1"])
calls("@rbtimer", _said(r"SIGNAL rbtimer int on (\w+)", times=3), ["worker1"])
calls("@filemon: a file", _fires("bell", "filemon"), "worker1")
calls("@filemon: a directory", _fires("box/new", "filemon-box"), "mule1")

IN_ALL = ["mule1", "mule2", "mule3", "spooler", "worker1", "worker2"]
calls("@postfork: every process", _said(r"FORKED bare on (\w+)", times=6), IN_ALL)
calls("@postfork(2): worker 2", _said(r"FORKED two on (\w+)"), ["worker2"])
calls(
    "@postfork over @thread",
    _said(r"FORKED thread on (\w+) (\w+)", times=6),
    [(name, "False") for name in IN_ALL],
)

CALLED = "[(1, 'b'), {'c': [None]}]"
for name, where in {"in_any": "mule", "in_two": "mule2", "in_barn": "mule3"}.items():
    calls(
        f"@mulefunc: {name}",
        _after(f"{name}(1, 'b', c=[None])", r"MULE (\w+) (.*)"),
        [(where, CALLED)],
    )

calls(
    "@rpc: a call here",
    value("[uwsgi.call(b'double', b'ab'), uwsgi.rpc(None, b'double', b'c')]"),
    [b"abab", b"cc"],
)
calls(
    "@rpc: a call over the network",
    lambda server: evaluate(server, f"uwsgi.rpc('{_node(server)}', b'double', b'ab')"),
    b"abab",
)
calls(
    "@rpc: it is in the list",
    value("sorted(n for n in uwsgi.rpc_list() if n)"),
    [b"double", b"fails"],
)
calls("@lock: held, and given back", value("[locked(1), uwsgi.is_locked()]"), [[1, True], False])
calls(
    "@lock: given back by an exception, too",
    value("""try:
                 locked_crash()
             except ValueError:
                 answer = uwsgi.is_locked()
             answer"""),
    False,
)
calls("@thread", _after("threaded('a')", r"THREAD (\w) (\w+) (\w+)"), [("a", "True", "False")])
calls("@harakiri: in time", value("bounded(0)"), "in time")
calls("@harakiri: too late", _killed, (True, "in time"))
calls("@cron", _said(r"SIGNAL cron int on (\w+)", within=90), ["worker1"])

brains("@mule is that mule's life", _said(r"BRAIN whole (mule\d)"), ["mule1"])
brains(
    "@mule: it gets messages",
    _after("uwsgi.mule_msg(b'one', 1)", "BRAIN whole got (.*)"),
    ["b'one'"],
)
brains(
    "@muleloop goes round",
    _said(r"BRAIN round (\d) (\w+)", times=2),
    [("3", "mule2"), ("4", "mule2")],
)
brains(
    "@muleloop that raises: the mule is forked anew",
    lambda server: bool(server.wait_for(r"BRAIN breaks (\d+)", times=2, within=20)),
    True,
)
brains(
    "@mulemsg",
    _after("uwsgi.mule_msg(b'two', 3)", r"BRAIN each (\S+) (\w+)"),
    [("b'two'", "mule3")],
)
brains("@farm, by farm_msg", _to_farm, ("b'hay'", "mule4"))
brains("@farm, by mule_msg", _hay_as_mule_msg, ("b'hay'", "mule4"))

erlang(
    "@erlang: what is sent to the name",
    _after(
        "uwsgi.erlang_send_message(uwsgi.erlang_node.decode(), 'echo', b'hello')", "ERLANG (.*)"
    ),
    ["b'hello'"],
)
