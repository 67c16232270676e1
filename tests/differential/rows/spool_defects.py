"""Tasks: what goes wrong with them under uWSGI, and does not here (defects.py).

Runs in: the test process.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.differential.claims import EVERY_SIDE, Observe, Setup, Side, rows_of
from tests.differential.looks import evaluate, http, packet, spool, value
from tests.differential.probes import DECORATED, PROBE
from tests.harness import Server, eventually
from tests.harness.waiting import TimedOut

SOON_S = 6.0
"""Long for a task that runs, short for one that waits for a frequency of ten minutes."""

NOTES = r"""

HERE = os.getcwd()


def note(*words):
    fd = os.open(HERE + "/notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (" ".join(map(str, words)) + "\n").encode())
    os.close(fd)


def hold(name):
    while not os.path.exists(HERE + "/let_" + name):
        time.sleep(0.005)
"""

HOOK = (
    PROBE
    + NOTES
    + r"""

def spooler(task):
    name = task[b"name"].decode()
    note("began", name)
    exec(task.get(b"do", b"").decode())
    note("ended", name)
    return uwsgi.SPOOL_OK


uwsgi.spooler = spooler
"""
)

FILES: dict[str, str | bytes] = {"tasks/": ""}

SELDOM = Setup(
    name="spooler-seldom", app=HOOK, ini="spooler = tasks\nspooler-frequency = 600", files=FILES
)
OFTEN = Setup(
    name="spooler-often",
    app=HOOK,
    ini="spooler = tasks\nspooler-frequency = 1\nspooler-retries = 2\nspooler-max-delay = 0.1",
    files=FILES,
)
DECORATED_TASKS = Setup(
    name="spooled",
    app=DECORATED
    + NOTES
    + r"""

class Loud:
    def __reduce__(self):
        return (note, ("OPENED",))


@d.spool
def plain(task):
    note("plain", sorted(set(task) & {"args", "kwargs"}))


@d.spool(pass_arguments=True)
def call(*args):
    note("call", *map(len, args))


@d.spool
def mail(task):
    note("mail", type(task["body"]).__name__, len(task["body"]))
""",
    ini="spooler = tasks\nspooler-frequency = 1\nspooler-retries = 2\nspooler-max-delay = 0.1",
    files=FILES,
    sides=EVERY_SIDE,
)
DROPPED = Setup(
    name="dropped",
    app=DECORATED
    + NOTES
    + r"""

import muleteer


@d.spool
def dropped(task):
    note("dropped", task["id"])
    raise muleteer.Drop("nobody wants it any more")
""",
    ini="spooler = tasks\nspooler-frequency = 1",
    files=FILES,
    sides=(Side.OURS, Side.OUR_DECORATORS_THERE, Side.THEIR_DECORATORS_HERE),
)

AREA = "Tasks: what uWSGI loses, repeats or holds up"
seldom = rows_of(AREA, SELDOM)
often = rows_of(AREA, OFTEN)
decorated = rows_of(AREA, DECORATED_TASKS)

_ids = itertools.count(1)


def _row_of_its_own(name: str, ini: str = "") -> Setup:
    """A server that is stopped, killed or reloaded."""
    return Setup(
        name=name, app=HOOK, ini=f"spooler = tasks\nspooler-frequency = 1\n{ini}", files=FILES
    )


def _new(prefix: str) -> str:
    return f"{prefix}{next(_ids)}"


def _notes(server: Server) -> list[str]:
    path = server.folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def _within(server: Server, done: Callable[[], object], *, soon: float = SOON_S) -> bool:
    try:
        return bool(eventually(done, within=soon))
    except TimedOut:
        return False


def _ran(server: Server, name: str) -> bool:
    """Does the task end soon?"""
    return _within(server, lambda: f"ended {name}" in _notes(server))


def _put(server: Server, name: str, **task: bytes) -> Path:
    return spool(server, name=name.encode(), **task)


def _busy(server: Server) -> str:
    """Have the spooler in a task; its name, to let it go."""
    name = _new("gate")
    _put(server, name, do=f"hold({name!r})".encode())
    eventually(lambda: f"began {name}" in _notes(server), within=15)
    return name


def _let(server: Server, name: str) -> None:
    (server.folder / f"let_{name}").touch()


# -- when they run -----------------------------------------------------------------------------


def _enqueued_while_busy(server: Server) -> object:
    gate = _busy(server)
    names = [_new("burst") for _ in range(30)]
    for name in names:
        _put(server, name)
    _let(server, gate)
    return all(_ran(server, name) for name in names)


def _enqueued_by_a_task(server: Server) -> object:
    inner = _new("inner")
    _put(server, _new("outer"), do=f"uwsgi.spool({{b'name': b'{inner}'}})".encode())
    return _ran(server, inner)


def _at_its_time(server: Server) -> object:
    name = _new("later")
    _put(server, name, at=b"%d" % (time.time() + 2))
    return _ran(server, name)


def _with_priority(server: Server) -> object:
    name = _new("urgent")
    _put(server, name, priority=b"1")
    return _ran(server, name)


def _in_order(server: Server) -> object:
    gate = _busy(server)
    names = [_new("queued") for _ in range(20)]
    for name in names:
        _put(server, name)
    _let(server, gate)
    eventually(lambda: all(f"ended {name}" in _notes(server) for name in names), within=30)
    ran = [line.partition(" ")[2] for line in _notes(server) if line.startswith("ended queued")]
    return [name for name in ran if name in names] == names


# -- how they end ------------------------------------------------------------------------------


def _ends(**task: bytes) -> Observe:
    """Is the task given up, rather than run a fifth time?"""

    def look(server: Server) -> object:
        name = _new("poison")
        path = _put(server, name, **task)
        eventually(
            lambda: not path.exists() or _notes(server).count(f"began {name}") > 4, within=30
        )
        gone = not path.exists()
        path.unlink(missing_ok=True)  # else it goes on for ever
        return gone

    return look


def _garbage(content: bytes) -> Observe:
    """Where a file is that is no task: (in the queue, kept elsewhere with the reason)."""

    def look(server: Server) -> object:
        path = server.folder / "tasks" / f"uwsgi_spoolfile_on_h_1_{next(_ids)}_1_1_1"
        draft = server.folder / path.name
        draft.write_bytes(content)
        os.utime(draft, (1, 1))
        draft.rename(path)
        spool(server, name=_new("wake").encode())
        eventually(lambda: not path.exists(), within=15)
        grave = path.parent / "dead" / path.name
        kept = grave.exists() and grave.read_bytes() == content
        return kept and Path(f"{grave}.reason").exists()

    return look


def _killed_while_writing(server: Server) -> object:
    """How many tasks lie there when their writer was killed in the middle of one.

    The kernel kills a process that writes more into a file than it may.
    """
    gate = _busy(server)  # nobody shall tidy up meanwhile
    folder = server.folder / "tasks"
    before = set(folder.glob("uwsgi_spoolfile_on_*"))
    code = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (17, resource.RLIM_INFINITY))  # head and vars
uwsgi.spool({b'name': b'large', b'body': b'x' * 100000})""".strip()
    head = f"POST / HTTP/1.1\nHost: h\nContent-Length: {len(code)}\nConnection: close"
    assert http(server, head, code.encode()) == b"", "the writer lives"
    left = set(folder.glob("uwsgi_spoolfile_on_*")) - before
    for path in left:
        path.unlink()
    _let(server, gate)
    return len(left)


def _reloaded(server: Server) -> object:
    """How often a task begins in which a reload falls."""
    gate = _busy(server)
    server.send(signal.SIGHUP)
    server.wait_for("generation 2: loaded|gracefully killing|binary reloading|chain reload")
    eventually(lambda: _notes(server).count(f"began {gate}") > 1 or _is_ours(server), within=20)
    _let(server, gate)
    eventually(lambda: f"ended {gate}" in _notes(server), within=20)
    return _notes(server).count(f"began {gate}")


def _stopped(server: Server) -> object:
    """Does a task end in which a stop falls?"""
    gate = _busy(server)
    server.send(signal.SIGINT)
    with suppress(TimedOut):
        server.wait(within=SOON_S)  # so long it is waited for a task that does not end
    _let(server, gate)
    server.wait(within=20)
    return f"ended {gate}" in _notes(server)


def _is_ours(server: Server) -> bool:
    return "muleteer" in server.log


# -- what they hold ------------------------------------------------------------------------------


def _over_the_network(*, extra: int = 0, body: bytes = b"") -> Observe:
    """What a task sent as a packet of modifier 17 holds: bytes of its var, its body."""

    def look(server: Server) -> object:
        gate = _busy(server)
        name = _new("network")
        pairs = [("name", name), ("value", "x" * extra)]
        if body:
            pairs.append(("CONTENT_LENGTH", str(len(body))))
        answer = packet(server, pairs, body=body, modifier1=17)
        found = evaluate(
            server,
            f"""
tasks = [uwsgi.spooler_get_task(j.decode()) for j in uwsgi.spooler_jobs()]
[[len(t[b"value"]), t.get("body")] for t in tasks if t and t[b"name"] == b"{name}"]""".strip(),
        )
        _let(server, gate)
        return bool(answer), found

    return look


def _noted(call: str, what: str) -> Observe:
    """What the function notes of a task, or that it does not within the time."""

    def look(server: Server) -> object:
        before = _notes(server)
        path = evaluate(server, call)
        if not isinstance(path, bytes):
            return path

        def new() -> list[str]:
            return [line for line in _notes(server)[len(before) :] if line.startswith(what)]

        seen = _within(server, new)
        Path(os.fsdecode(path)).unlink(missing_ok=True)
        return new()[0] if seen else "nothing"

    return look


def _dropped(server: Server) -> object:
    """Is a task that is dropped gone after its first run?"""
    name = _new("dropped")
    path = evaluate(server, f"dropped.spool(id='{name}')")
    assert isinstance(path, bytes)
    file = Path(os.fsdecode(path))
    runs = f"dropped {name}"
    eventually(lambda: not file.exists() or _notes(server).count(runs) > 1, within=15)
    file.unlink(missing_ok=True)
    return _notes(server).count(runs) == 1


def _pickle_for_plain(server: Server) -> object:
    """Is a pickle opened that lies in the task of a function that takes none?"""
    before = len(_notes(server))
    path = evaluate(
        server,
        """
import pickle
loud = pickle.dumps(Loud())
uwsgi.spool({b'ud_spool_func': b'plain', b'ud_spool_ret': b'-2', b'args': loud, b'kwargs': loud})
""".strip(),
    )
    assert isinstance(path, bytes)
    eventually(lambda: len(_notes(server)) > before, within=15)
    Path(os.fsdecode(path)).unlink(missing_ok=True)
    return "OPENED" in _notes(server)[before:]


def by_decorators(ours: object, theirs: object) -> dict[str, object]:
    """What differs by whose decorators they are, whatever server runs them."""
    crossed = {Side.OUR_DECORATORS_THERE: ours, Side.THEIR_DECORATORS_HERE: theirs}
    return {"ours": ours, "theirs": theirs, "crossed": crossed}


EMPTY_KEY = b"\x11\x05\x00\x00\x00\x00\x01\x00x"
TRUNCATED = b"\x11\xff\x00\x00\x01\x00a"
BROKEN_PICKLE = pickle.dumps(("x",))[:-1]

CLAIMS = [
    seldom(
        "tasks enqueued while the spooler is busy run when it is free",
        _enqueued_while_busy,
        differs="there is no lost wake-up; there most wait for the next `spooler-frequency`",
        ours=True,
        theirs=False,
        defect=1,
    ),
    seldom(
        "a task enqueued by a task runs after it",
        _enqueued_by_a_task,
        differs="the same",
        ours=True,
        theirs=False,
        defect=1,
    ),
    seldom(
        "a task with `at` runs at its time",
        _at_its_time,
        differs="it is waited for; there it runs at the next `spooler-frequency` after it",
        ours=True,
        theirs=False,
        defect=2,
    ),
    seldom(
        "a task with a `priority` runs without `spooler-ordered`",
        _with_priority,
        differs="it runs; there it lies where nobody looks, without a word",
        ours=True,
        theirs=False,
        defect=6,
    ),
    seldom(
        "a `priority` that is no number",
        value("uwsgi.spool({b'name': b'x', b'priority': b'high'}) and 'a path'"),
        differs="refused where it is given; there no spooler ever looks at it",
        ours="raises ValueError",
        theirs="a path",
        defect=6,
    ),
    often(
        "tasks run in the order of their enqueue",
        _in_order,
        differs="first in, first out; there in the order in which the directory lists them",
        ours=True,
        theirs=False,
        defect=7,
    ),
    often(
        "a task that raises each time is given up",
        _ends(do=b"1 / 0"),
        differs="after `spooler-retries`, to dead/; there it is run for ever",
        ours=True,
        theirs=False,
        defect=4,
    ),
    often(
        "a task that kills its process each time is given up",
        _ends(do=b"os.kill(os.getpid(), 9)"),
        differs="the same",
        ours=True,
        theirs=False,
        defect=4,
    ),
    often(
        "a task that leaves by `sys.exit()` each time is given up",
        _ends(do=b"sys.exit(1)"),
        differs="the same",
        ours=True,
        theirs=False,
        defect=4,
    ),
    often(
        "a file with an empty key is kept, with the reason",
        _garbage(EMPTY_KEY),
        differs="in dead/; there it is deleted",
        ours=True,
        theirs=False,
        defect=5,
    ),
    often(
        "a truncated file is kept, with the reason",
        _garbage(TRUNCATED),
        differs="in dead/; there it is deleted",
        ours=True,
        theirs=False,
        defect=5,
    ),
    often(
        "a writer that is killed in the middle of a task leaves half of it",
        _killed_while_writing,
        differs="no task, since a task is there from its rename on; there a part of it",
        ours=0,
        theirs=1,
        defect=5,
    ),
    often(
        "a task over the network with a body",
        _over_the_network(body=b"the body"),
        differs="CONTENT_LENGTH says how long it is; there it is not read",
        ours=(True, [[0, b"the body"]]),
        theirs=(True, [[0, None]]),
        defect=33,
    ),
    often(
        "a task over the network with a value of 10000 bytes",
        _over_the_network(extra=10000),
        differs="it is taken; there `buffer-size`, 4096 bytes by default, closes the connection",
        ours=(True, [[10000, None]]),
        theirs=(False, []),
        defect=33,
    ),
    rows_of(AREA, _row_of_its_own("spool-reload"))(
        "a reload in the middle of a task",
        _reloaded,
        differs="the task ends, in its `spooler-mercy`; there it is killed and begins again",
        ours=1,
        theirs=2,
        defect=8,
    ),
    rows_of(AREA, _row_of_its_own("spool-stop"))(
        "a stop in the middle of a task",
        _stopped,
        differs="the same",
        ours=True,
        theirs=False,
        defect=8,
    ),
    decorated(
        "with pass_arguments=True: an argument of 70000 bytes",
        _noted("call.spool('x' * 70000)", "call"),
        differs="any size is kept; ours say there that it is too long, theirs cut the pickle off",
        ours="call 70000",
        theirs="nothing",
        crossed={
            Side.OUR_DECORATORS_THERE: "raises ValueError",
            Side.THEIR_DECORATORS_HERE: "call 70000",
        },
        defect=3,
    ),
    decorated(
        "a pickle in `body`, as django-uwsgi's e-mail backend has it",
        _noted("mail.spool(body=b'\\x80\\x04\\xff')", "mail"),
        differs="it stays bytes; there the task fails for ever",
        **by_decorators("mail bytes 3", "nothing"),
        defect=37,
    ),
    rows_of(AREA, DROPPED)(
        "a task that raises `muleteer.Drop` is over",
        _dropped,
        differs="by ours on either server, and by theirs on muleteer",
        ours=True,
        theirs=False,
        crossed={Side.OUR_DECORATORS_THERE: True, Side.THEIR_DECORATORS_HERE: True},
    ),
    decorated(
        "a pickle in the task of a function that takes no arguments is opened",
        _pickle_for_plain,
        differs="only pass_arguments=True opens one",
        **by_decorators(False, True),
        defect=38,
    ),
]
