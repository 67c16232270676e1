"""Calls by name, here and over a socket: what comes back, and what of that which fails.

What the two servers are to each other, and byte by byte, is in test_rpc.py.
Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Observe, Setup, rows_of
from tests.differential.looks import evaluate, value
from tests.differential.probes import PROBE
from tests.harness import Server

SETUP = Setup(
    name="rpc",
    ini="processes = 2\nbuffer-size = 65535",
    app=PROBE
    + r"""

def join(*words):
    return b"|".join(words)


def text():
    return "text"


def none():
    return None


def empty():
    return b""


def boom():
    raise ValueError("on purpose")


def big(size):
    return b"x" * int(size)


for function in (join, text, none, empty, boom, big):
    uwsgi.register_rpc(function.__name__, function)
""",
)

here = rows_of("Calls: in this process", SETUP)
there = rows_of("Calls: over a socket", SETUP)
registered = rows_of("Calls: registering", SETUP)

REFUSED = "raises ValueError"
TEXT_TOO = "text and bytes are taken"
SAID = "the error says what it was; there it is None, as for everything that fails"


def _remote(arguments: str, then: str = "answer") -> Observe:
    """A call over the server's own socket."""

    def look(server: Server) -> object:
        host, port = server.uwsgi
        return evaluate(server, f"answer = uwsgi.rpc('{host}:{port}', {arguments}); {then}")

    return look


CLAIMS = [
    here("`call(name, …)` in bytes", value("uwsgi.call(b'join', b'a', b'b')")),
    here("`rpc(None, name, …)` is the same", value("uwsgi.rpc(None, b'join', b'a', b'b')")),
    here("`rpc('', name, …)`, too", value("uwsgi.rpc('', b'join', b'a', b'b')")),
    here("empty arguments", value("uwsgi.call(b'join', b'', b'a', b'')")),
    here("without arguments", value("uwsgi.call(b'join', b'a')")),
    here(
        "a name in text",
        value("uwsgi.call('join', b'a')"),
        differs=TEXT_TOO,
        ours=b"a",
        theirs=REFUSED,
        defect=9,
    ),
    here(
        "an argument in text",
        value("uwsgi.call(b'join', 'a')"),
        differs=TEXT_TOO,
        ours=b"a",
        theirs=REFUSED,
        defect=9,
    ),
    here(
        "a function that returns text",
        value("uwsgi.call(b'text')"),
        differs="its UTF-8 comes; there it is lost",
        ours=b"text",
        theirs=None,
        defect=10,
    ),
    here("a function that returns None", value("uwsgi.call(b'none')")),
    here(
        "a function that returns b''",
        value("uwsgi.call(b'empty')"),
        differs="it comes; there it is None, as for everything that fails",
        ours=b"",
        theirs=None,
        defect=10,
    ),
    here(
        "a function that raises",
        value("uwsgi.call(b'boom')"),
        differs=SAID,
        ours=REFUSED,
        theirs=None,
        defect=10,
    ),
    here(
        "a function that is not there",
        value("uwsgi.call(b'nobody')"),
        differs=SAID,
        ours=REFUSED,
        theirs=None,
        defect=10,
    ),
    here(
        "an argument of 70000 bytes",
        value("len(uwsgi.call(b'join', b'a' * 70000))"),
        differs="any size is passed on; there it is cut",
        ours=70000,
        theirs=4464,
        defect=11,
    ),
    there("`rpc(node, name, …)` in bytes", _remote("b'join', b'a', b'b'")),
    there("a result of 70000 bytes", _remote("b'big', b'70000'", "len(answer)")),
    there(
        "a name in text",
        _remote("'join', b'a'"),
        differs=TEXT_TOO,
        ours=b"a",
        theirs=REFUSED,
        defect=9,
    ),
    there(
        "a function that returns text",
        _remote("b'text'"),
        differs="its UTF-8 comes; there it is lost",
        ours=b"text",
        theirs=None,
        defect=10,
    ),
    there(
        "a function that raises",
        _remote("b'boom'"),
        differs=SAID,
        ours=REFUSED,
        theirs=None,
        defect=10,
    ),
    there(
        "a function that is not there",
        _remote("b'nobody'"),
        differs=SAID,
        ours=REFUSED,
        theirs=None,
        defect=10,
    ),
    there(
        "a node that is not there",
        value("uwsgi.rpc('127.0.0.1:1', b'join', b'a')"),
        differs="the error names it; there it is None, as for everything that fails",
        ours=REFUSED,
        theirs=None,
        defect=10,
    ),
    there(
        "an empty argument between two",
        _remote("b'join', b'a', b'', b'b'"),
        differs="it arrives; there it is dropped",
        ours=b"a||b",
        theirs=b"a|b",
        defect=11,
    ),
    there(
        "an empty argument at the end",
        _remote("b'join', b'a', b''"),
        differs="it arrives; there the call fails",
        ours=b"a|",
        theirs=None,
        defect=11,
    ),
    there(
        "an argument of 70000 bytes",
        _remote("b'join', b'a' * 70000", "len(answer)"),
        differs="any size is passed on; there it is cut",
        ours=70000,
        theirs=4464,
        defect=11,
    ),
    registered(
        "`register_rpc(text, function)`", value("uwsgi.register_rpc('more', lambda: b'more')")
    ),
    registered(
        "`register_rpc(bytes, function)`",
        value("uwsgi.register_rpc(b'most', lambda: b'most')"),
        differs=TEXT_TOO,
        ours=True,
        theirs="raises TypeError",
        defect=9,
    ),
    registered(
        "`register_rpc` with a number of arguments, which nobody counts",
        value("uwsgi.register_rpc('two', lambda *a: b'2', 2); uwsgi.call(b'two', b'1')"),
    ),
    registered(
        "the second one of a name",
        value("""uwsgi.register_rpc('same', lambda: b'first')
                 uwsgi.register_rpc('same', lambda: b'second')
                 uwsgi.call(b'same')"""),
    ),
    registered(
        "`register_rpc` of what cannot be called",
        value("uwsgi.register_rpc('number', 5)"),
        differs="refused; there it fails when it is called",
        ours=REFUSED,
        theirs=True,
    ),
    registered(
        "`rpc_list()` has the names, as bytes",
        value("[type(uwsgi.rpc_list()).__name__, {b'join', b'text'} <= set(uwsgi.rpc_list())]"),
    ),
]
