"""Tasks: what `uwsgi.spool` takes and writes, what a handler sees, what its word means.

Runs in: the test process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from tests.differential.claims import Observe, Setup, rows_of
from tests.differential.looks import Endings, evaluate, in_spooler, packet, spool, value
from tests.differential.probes import SPOOLER
from tests.harness import Server

FILES: dict[str, str | bytes] = {"tasks/": "", "second/": "", "outside/": "", "seen/": ""}

SETUP = Setup(
    name="spooler",
    app=SPOOLER,
    ini="spooler = tasks\nspooler = second\nspooler-frequency = 1",
    files=FILES,
)
IDLE = Setup(
    name="idle-spooler",
    app=SPOOLER,
    ini="spooler-external = outside",
    files=FILES,
)
HOME = Setup(
    name="spooler-chdir",
    app=SPOOLER,
    ini="spooler = tasks\nspooler-frequency = 1\nspooler-chdir = %dhome",
    files={**FILES, "home/": ""},
)

enqueued = rows_of("Tasks: enqueueing", IDLE)
file_row = rows_of("Tasks: the file", IDLE)
handler = rows_of("Tasks: what the handler sees", SETUP)
ended = rows_of("Tasks: what becomes of them", SETUP)
asked = rows_of("Tasks: asking about them", IDLE)
home = rows_of("Tasks: what the handler sees", HOME)

STR_TOO = "str, numbers and dates are taken, too"


def _tried(call: str) -> Observe:
    """'a path', or the error."""
    return value(f"p = {call}; 'a path' if type(p) is bytes and os.path.exists(p) else p")


def _file(look: Callable[[Path, bytes], object], **task: bytes) -> Observe:
    """Something about the file a task becomes."""

    def observe(server: Server) -> object:
        path = spool(server, **task)
        return look(path.relative_to(server.folder), path.read_bytes())

    return observe


def _over_the_network(server: Server) -> object:
    """The answer to modifier 17, and what the task then holds."""
    answer = packet(server, [("a", "1"), ("id", "network")], modifier1=17)
    jobs = evaluate(server, "[uwsgi.parsefile(job.decode()) for job in uwsgi.spooler_jobs()]")
    assert isinstance(jobs, list)
    return answer, [task for task in jobs if task and b"id" in task]


def _mode(server: Server) -> object:
    return oct(spool(server, a=b"1").stat().st_mode)


def _times(server: Server) -> object:
    status = spool(server, at=b"4000000000").stat()
    return status.st_mtime, status.st_atime


def _shape(path: Path, _content: bytes) -> object:
    host = re.escape(os.uname().nodename)
    numbers = re.fullmatch(rf"uwsgi_spoolfile_on_{host}_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)", path.name)
    return bool(numbers) and str(path.parent)


def _bytes(_path: Path, content: bytes) -> object:
    return content


ENDINGS = {
    "SPOOL_OK": {"return": b"uwsgi.SPOOL_OK"},
    "-2 is SPOOL_OK": {"return": b"-2"},
    "-2.0, which is no int": {"return": b"-2.0"},
    "SPOOL_RETRY": {"return": b"uwsgi.SPOOL_RETRY"},
    "SPOOL_IGNORE": {"return": b"uwsgi.SPOOL_IGNORE"},
    "None": {"return": b"None"},
    "True": {"return": b"True"},
    "False": {"return": b"False"},
    "any other number": {"return": b"7"},
    "a word": {"return": b"'done'"},
    "an exception": {"do": b"1 / 0"},
    "`sys.exit()`": {"do": b"sys.exit(1)"},
    "its process is killed": {"do": b"os.kill(os.getpid(), 9)"},
    "`at` long ago": {"at": b"1700000000"},
}
"""What a handler returns or does; observed of each: its task is gone, or was run again."""

_endings = Endings(ENDINGS, lambda server, name: spool(server, **ENDINGS[name]))

CLAIMS = [
    enqueued("bytes to bytes; the path comes back, as bytes", _tried("uwsgi.spool({b'a': b'1'})")),
    enqueued("`send_to_spooler` is another name", _tried("uwsgi.send_to_spooler({b'a': b'1'})")),
    enqueued("an empty dict", _tried("uwsgi.spool({})")),
    enqueued("nothing at all", _tried("uwsgi.spool()")),
    enqueued(
        "`send_to_spooler(message_dict=…)`",
        _tried("uwsgi.send_to_spooler(message_dict={b'a': b'1'})"),
        differs="it is the dict, as its documentation has it; on Python 3 there it fails",
        ours="a path",
        theirs="raises ValueError",
        defect=9,
    ),
    enqueued("bytearray", _tried("uwsgi.spool({b'a': bytearray(b'1')})")),
    enqueued(
        "str keys",
        _tried("uwsgi.spool({'a': b'1'})"),
        differs=STR_TOO,
        ours="a path",
        theirs="raises ValueError",
        defect=9,
    ),
    enqueued(
        "str values",
        _tried("uwsgi.spool({b'a': '1'})"),
        differs=STR_TOO,
        ours="a path",
        theirs="raises ValueError",
        defect=9,
    ),
    enqueued(
        "int values",
        _tried("uwsgi.spool({b'a': 1})"),
        differs=STR_TOO,
        ours="a path",
        theirs="raises ValueError",
    ),
    enqueued(
        "keywords",
        _tried("uwsgi.spool(a=b'1')"),
        differs="they are the keys; on Python 3 there they always fail",
        ours="a path",
        theirs="raises ValueError",
        defect=9,
    ),
    enqueued("a value that cannot be stored", _tried("uwsgi.spool({b'a': None})")),
    enqueued("a key that cannot be one", _tried("uwsgi.spool({1: b'1'})")),
    enqueued(
        "a list of numbers as value",
        _tried("uwsgi.spool({b'a': [1, 2]})"),
        differs="refused: nobody means the bytes of those numbers",
        ours="raises ValueError",
        theirs="a path",
    ),
    enqueued(
        "an empty key",
        _tried("uwsgi.spool({b'': b'1'})"),
        differs="refused; there the task is deleted unread",
        ours="raises ValueError",
        theirs="a path",
    ),
    enqueued(
        "vars of more than 65535 bytes in all",
        _tried("uwsgi.spool({b'a': b'x' * 40000, b'b': b'x' * 40000})"),
        differs="any size is kept",
        ours="a path",
        theirs="raises ValueError",
    ),
    enqueued(
        "a value of 70000 bytes",
        value("""path = uwsgi.spool({b'a': b'x' * 70000})
                 len(uwsgi.spooler_get_task(path.decode())[b'a'])"""),
        differs="any size is kept; there it is cut to what is left of 65536, without a word",
        ours=70000,
        theirs=4464,
        defect=3,
    ),
    enqueued("`spooler` by its real path", _tried("uwsgi.spool({b'spooler': uwsgi.spoolers[0]})")),
    enqueued("`spooler` that is none", _tried("uwsgi.spool({b'spooler': b'/nowhere'})")),
    enqueued(
        "`body` is taken out of the caller's dict",
        value("task = {b'a': b'1', b'body': b'2'}; uwsgi.spool(task); task"),
        differs="the caller's dict is the caller's",
        ours={b"a": b"1", b"body": b"2"},
        theirs={b"a": b"1"},
    ),
    enqueued("a task over the network, modifier 17", _over_the_network),
    file_row("its name", _file(_shape, a=b"1")),
    file_row("its name with a priority", _file(_shape, priority=b"3")),
    file_row(
        "its bytes: a packet of modifier 17, the vars in their order",
        _file(_bytes, b=b"1", a=b"", at=b"4000000000"),
    ),
    file_row("a `body` stands behind the vars", _file(_bytes, a=b"1", body=b"\0 bytes \xff")),
    file_row("an empty `body` is none", _file(_bytes, a=b"1", body=b"")),
    file_row("its mode", _mode),
    file_row("`at` is its time", _times),
    file_row(
        "a fraction of `at`",
        lambda server: spool(server, at=b"4000000000.7").stat().st_mtime,
        differs="it counts",
        ours=4000000000.7,
        theirs=4000000000.0,
    ),
    handler(
        "`env['a']`, in text",
        in_spooler("e['a']", a=b"1"),
        differs="text finds it, too, as in the documentation's example",
        ours=b"1",
        theirs="raises KeyError",
        defect=9,
    ),
    handler(
        "vars are bytes to bytes, the two of the server have str keys",
        in_spooler(
            "[(type(k).__name__, type(v).__name__) for k, v in sorted(e.items(), key=str)]",
            body=b"1",
        ),
    ),
    handler(
        "`spooler_task_name` is the file's base name, as bytes",
        in_spooler(
            "[type(e['spooler_task_name']).__name__, os.path.exists(e['spooler_task_name'])]"
        ),
    ),
    handler("`body` comes back as it was", in_spooler("e['body']", body=b"\0 bytes \xff")),
    handler("without a body there is no such key", in_spooler("'body' in e")),
    handler(
        "`at`, `priority` and `spooler` are among the vars",
        in_spooler("[e[b'at'], b'spooler' in e]", at=b"1700000000"),
    ),
    handler(
        "keys in their order, the task's name first",
        in_spooler("[k for k in e if k != b'look']", b=b"1", a=b"2"),
    ),
    handler("an empty value", in_spooler("e[b'empty']", empty=b"")),
    handler(
        "the working directory is the spool directory", in_spooler("os.path.basename(os.getcwd())")
    ),
    home("with `spooler-chdir` it is that one", in_spooler("os.path.basename(os.getcwd())")),
    handler("`i_am_the_spooler()`", in_spooler("uwsgi.i_am_the_spooler()")),
    handler("`worker_id()` and `mule_id()`", in_spooler("[uwsgi.worker_id(), uwsgi.mule_id()]")),
    handler(
        "`masterpid()` is the master's", in_spooler("uwsgi.masterpid() not in (0, os.getpid())")
    ),
    handler(
        "the process is one of `spooler_pids()`", in_spooler("os.getpid() in uwsgi.spooler_pids()")
    ),
    handler("`spooler_pids()` has one for each directory", in_spooler("len(uwsgi.spooler_pids())")),
    handler("its niceness", in_spooler("os.nice(0)")),
    handler("it may enqueue", in_spooler("type(uwsgi.spool({b'look': b'1'})).__name__")),
    handler(
        "it may lock",
        in_spooler("[uwsgi.lock(), uwsgi.is_locked(), uwsgi.unlock()]"),
        differs="locks work in spoolers; there every call raises",
        ours=[None, True, None],
        theirs="raises ValueError",
        defect=23,
    ),
    *[ended(says, _endings.end_of(says)) for says in ENDINGS],
    asked(
        "`spooler_jobs()` is a list of paths, as bytes",
        value("""path = uwsgi.spool({b'a': b'1'})
                 jobs = uwsgi.spooler_jobs()
                 [type(jobs).__name__, path in jobs, {type(job).__name__ for job in jobs}]"""),
    ),
    asked(
        "it holds a delayed one",
        value("uwsgi.spool({b'at': b'4000000000'}) in uwsgi.spooler_jobs()"),
    ),
    asked(
        "it holds one with a priority",
        value("uwsgi.spool({b'priority': b'3'}) in uwsgi.spooler_jobs()"),
        differs="all that waits is there",
        ours=True,
        theirs=False,
    ),
    asked(
        "`spooler_get_task(path)` is what the handler would get, with the path as its name",
        value("""path = uwsgi.spool({b'a': b'1', b'body': b'2'}).decode()
                 task = uwsgi.spooler_get_task(path)
                 [task.pop('spooler_task_name') in (path, path.encode()), task]"""),
    ),
    asked(
        "its `spooler_task_name`",
        value("""path = uwsgi.spool({b'a': b'1'})
                 type(uwsgi.spooler_get_task(path.decode())['spooler_task_name']).__name__"""),
    ),
    asked("of a path that is not there", value("uwsgi.spooler_get_task('/nowhere')")),
    asked(
        "of what `spooler_jobs()` returns",
        value("uwsgi.spooler_get_task(uwsgi.spooler_jobs()[0]) is None"),
        differs="bytes are taken wherever str is",
        ours=False,
        theirs="raises TypeError",
        defect=9,
    ),
    asked(
        "`parsefile(path)` of a task's file",
        value("uwsgi.parsefile(uwsgi.spool({b'a': b'1', b'b': b''}).decode())"),
    ),
    asked(
        "`spoolers` holds the external ones", value("[os.path.basename(s) for s in uwsgi.spoolers]")
    ),
    asked("`spooler_pids()` has 0 for them", value("[uwsgi.spooler_pid(), uwsgi.spooler_pids()]")),
]
