"""What the started apps are: source texts that look at the server from inside.

Runs in: the started server; here they are only words.
"""

from __future__ import annotations

PROBE = r'''
import ast, os, sys, time
import uwsgi


def run(source, environ):
    """The value of the last expression of some statements, or which built-in error they raise."""
    space = {**globals(), "e": environ}
    try:
        *body, last = ast.parse(source).body
        exec(compile(ast.Module(body, []), "probe", "exec"), space)
        return eval(compile(ast.Expression(last.value), "probe", "eval"), space)
    except (NameError, SyntaxError):
        raise
    except Exception as error:
        return "raises " + next(kind.__name__ for kind in type(error).__mro__
                                if kind.__module__ == "builtins")


def show(environ, start_response):
    answer = repr(run(environ["wsgi.input"].read().decode(), environ)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def see(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    plain = (str, int, bool, tuple)
    return [repr({key: value for key, value in environ.items() if type(value) in plain}).encode()]


PLAIN = [("Content-Type", "text/plain")]


def hello(environ, start_response):
    start_response("200 OK", [*PLAIN, ("Content-Length", "5"), ("X-One", "1"), ("X-One", "2")])
    return [b"hello"]


def reason(environ, start_response):
    start_response("299 Quite All Right", [("x-lower", " a  b ")])
    return [b"a", b"", b"b"]


def unsized(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello"]


def generated(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"one "
    yield b""
    yield b"two"


def late(environ, start_response):
    """Calls start_response at the first item only."""
    start_response("200 OK", PLAIN)
    yield b"late"


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def nothing(environ, start_response):
    start_response("200 OK", PLAIN)
    return []


def text(environ, start_response):
    start_response("200 OK", PLAIN)
    return ["text"]


def as_bytes(environ, start_response):
    start_response("200 OK", PLAIN)
    return b"bytes"


def none(environ, start_response):
    start_response("200 OK", PLAIN)


def write(environ, start_response):
    send = start_response("200 OK", PLAIN)
    send(b"written ")
    return [b"returned"]


def crash(environ, start_response):
    raise ValueError("on purpose")


def crash_later(environ, start_response):
    start_response("200 OK", PLAIN)
    raise ValueError("on purpose")


def crash_in_body(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"begun "
    raise ValueError("on purpose")


def silent(environ, start_response):
    return [b"no status"]


def twice(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Try", "1")])
    try:
        start_response("500 Again", [*PLAIN, ("X-Try", "2")])
    except Exception as error:
        return ["raises {}".format(type(error).__name__).encode()]
    return [b"no error"]


def replaced(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Try", "1")])
    try:
        raise ValueError("on purpose")
    except ValueError:
        start_response("500 Replaced", [("X-Try", "2")], sys.exc_info())
    return [b"replaced"]


def a_file(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](open("page.txt", "rb"))


def a_file_in_pieces(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](open("page.txt", "rb"), 3)


def not_a_file(environ, start_response):
    import io
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"from memory"), 3)


class Closing:
    """A body that says when it is closed."""

    def __init__(self, items, name):
        self.items, self.name = iter(items), name

    def __iter__(self):
        return self.items

    def close(self):
        say("closed", self.name)


def closing(environ, start_response):
    start_response("200 OK", PLAIN)
    return Closing([b"body"], environ["QUERY_STRING"])


def echo(environ, start_response):
    start_response("200 OK", PLAIN)
    return [environ["wsgi.input"].read()]


def read_in_pieces(environ, start_response):
    start_response("200 OK", PLAIN)
    file = environ["wsgi.input"]
    parts = [file.read(3), file.readline(), file.readlines(), file.read(), file.read(5)]
    return [repr(parts).encode()]


def read_little_lines(environ, start_response):
    start_response("200 OK", PLAIN)
    file = environ["wsgi.input"]
    return [repr([file.readline(2), file.readline()]).encode()]


def read_by_lines(environ, start_response):
    start_response("200 OK", PLAIN)
    return [repr(list(environ["wsgi.input"])).encode()]


def unread(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"did not look"]


def bad_header(environ, start_response):
    start_response("200 OK", [eval(environ["QUERY_STRING"])])
    return [b"sent"]


def bad_status(environ, start_response):
    start_response(eval(environ["QUERY_STRING"]), PLAIN)
    return [b"sent"]


def leave(environ, start_response):
    sys.exit(3)


VIEWS = {"/" + function.__name__: function for function in (
    see, hello, reason, unsized, generated, late, empty, nothing, text, as_bytes, none, write,
    crash, crash_later, crash_in_body, silent, twice, replaced, a_file, a_file_in_pieces,
    not_a_file, closing, echo, read_in_pieces, read_little_lines, read_by_lines, unread, bad_header,
    bad_status, leave,
)}


def application(environ, start_response):
    path = environ.get("PATH_INFO", "")
    view = see if "see" in path or not path else VIEWS.get(path, show)
    return view(environ, start_response)


def say(*words):
    """One whole line of the log."""
    os.write(2, (" ".join(str(word) for word in words) + "\n").encode())
'''
"""Answers the repr of the Python statements it was sent, run in the worker; `/see`: its environ."""

SPOOLER = (
    PROBE
    + r'''

def first_time(name):
    """Is it the first run of the task? Files remember: a killed spooler could not."""
    seen = os.path.join(HERE, "seen", name)
    is_first = not os.path.exists(seen)
    open(seen if is_first else seen + ".again", "w").close()
    return is_first


HERE = os.getcwd()


def spooler(task):
    name = task["spooler_task_name"].decode()
    if not first_time(name):
        return uwsgi.SPOOL_OK
    say("TASK", name, repr(run(task.get(b"look", b"0").decode(), task)))
    if b"do" in task:
        exec(task[b"do"].decode())
    return eval(task.get(b"return", b"uwsgi.SPOOL_OK").decode())


uwsgi.spooler = spooler
'''
)
"""The probe with a spooler hook: a task says what it wants to know, do and return."""
