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

SIGNALS = (
    PROBE
    + r'''

def who():
    """This process, as the module tells it."""
    if uwsgi.i_am_the_spooler():
        return "spooler"
    return "worker{}".format(uwsgi.worker_id()) if uwsgi.worker_id() else "master"


def handle(number):
    say("SIGNAL", number, "on", who())


def fail(number):
    say("SIGNAL", number, "on", who())
    raise ValueError("on purpose")


def describe(*arguments):
    say("SIGNAL", arguments[0], "with", repr(arguments))


TARGETS = {10: "", 11: "worker", 12: "worker0", 13: "worker2", 14: "workers",
           15: "active-workers", 16: "spooler"}
for number, target in TARGETS.items():
    uwsgi.register_signal(number, target, handle)
uwsgi.register_signal(20, "worker1", describe)
uwsgi.register_signal(21, "worker1", fail)

uwsgi.register_signal(30, "worker1", handle)
uwsgi.add_timer(30, 1)
uwsgi.register_signal(31, "worker1", handle)
uwsgi.add_rb_timer(31, 1, 2)
uwsgi.register_signal(32, "worker1", handle)
uwsgi.add_cron(32, time.localtime().tm_min, -1, -1, -1, -1)
uwsgi.register_signal(33, "spooler", handle)
uwsgi.add_timer(33, 1)

uwsgi.post_fork_hook = lambda: say("FORKED", who())
uwsgi.after_req_hook = lambda: say("AFTER", uwsgi.worker_id() > 0)

AT_IMPORT = {source: run(source, {}) for source in (
    "uwsgi.register_signal(10, '', handle)",
    "uwsgi.signal_registered(10)",
    "[uwsgi.worker_id(), uwsgi.mule_id()]",
    "uwsgi.i_am_the_spooler()",
    "uwsgi.ready()",
    "[uwsgi.total_requests(), uwsgi.request_id()]",
    "[uwsgi.lock(), uwsgi.is_locked(), uwsgi.unlock()]",
    "uwsgi.masterpid() == os.getpid()",
    "uwsgi.masterpid() > 1",
    "len(uwsgi.workers())",
    "[worker['pid'] for worker in uwsgi.workers()]",
    "type(uwsgi.spool({b'at': b'4000000000'})).__name__",
    "uwsgi.spooler_pids()",
    "uwsgi.signal(10)",
)}
'''
)
"""The probe with handlers, timers and hooks, and a note of what the module says at import."""

DECORATED = (
    PROBE
    + r'''

import importlib
import threading

d = importlib.import_module(os.environ["PROBED_DECORATORS"])


def who():
    """This process, as the module tells it."""
    if uwsgi.i_am_the_spooler():
        return "spooler"
    return "worker{}".format(uwsgi.worker_id()) if uwsgi.worker_id() else "master"
'''
)
"""The probe with `d`, the decorators under test."""

DECORATORS = (
    DECORATED
    + r'''

def got(arguments):
    """Tell what a task was called with, less what is the same in all; by its `id`."""
    same = ("spooler_task_name", "id", "ud_spool_func", "ud_spool_ret")
    own = {k: v for k, v in sorted(arguments.items()) if k not in same}
    say("GOT", arguments["id"], repr(own))


HERE = os.getcwd()


def first_time(name):
    """Is it the first run of the task? Files remember."""
    seen = os.path.join(HERE, "seen", name)
    is_first = not os.path.exists(seen)
    open(seen if is_first else seen + ".again", "w").close()
    return is_first


@d.spool
def note(arguments):
    got(arguments)


@d.spool
def note_keys(arguments):
    say("GOT", arguments["id"], repr([sorted(arguments), arguments["ud_spool_func"],
                                      arguments["ud_spool_ret"]]))


@d.spool
def returns(arguments):
    pass


@d.spool
def fail_once(arguments):
    if first_time(arguments["spooler_task_name"]):
        raise ValueError("on purpose")


@d.spool
def answer_retry(arguments):
    first_time(arguments["spooler_task_name"])
    return uwsgi.SPOOL_RETRY


@d.spoolraw
def retry_once(arguments):
    return uwsgi.SPOOL_RETRY if first_time(arguments["spooler_task_name"]) else uwsgi.SPOOL_OK


@d.spoolraw
def done(arguments):
    return uwsgi.SPOOL_OK


@d.spoolraw
def says_nothing(arguments):
    return None if first_time(arguments["spooler_task_name"]) else uwsgi.SPOOL_OK


@d.spoolforever
def forever(arguments):
    say("FOREVER", arguments["id"])


@d.spool(pass_arguments=True)
def call(*args, **kwargs):
    say("GOT", kwargs.pop("id"), repr([args, kwargs]))


@d.lock
def locked(value):
    """Held while it runs."""
    return [value, uwsgi.is_locked()]


@d.lock
def locked_crash():
    raise ValueError("on purpose")


@d.spool
def lock_in_spooler(arguments):
    try:
        answer = locked(1)
    except Exception as error:
        answer = type(error).__name__
    say("GOT", arguments["id"], repr(answer))


@d.thread
def threaded(*args, **kwargs):
    thread = threading.current_thread()
    say("THREAD", repr([args, kwargs, thread.daemon, thread is threading.main_thread()]))


def plain(number):
    """A handler."""
    say("HANDLED", number, type(number).__name__, "on", who())


try:
    ERLANG = d.erlang("a process")(plain) is plain
except Exception as error:
    ERLANG = type(error).__name__

signal_50 = d.signal(50)(plain)
signal_51 = d.signal(51, target="worker2")(plain)
signal_52 = d.signal(52, target="workers")(plain)
signal_53 = d.signal(53, target="spooler")(plain)


@d.timer(1)
def tick(number):
    say("TICK on", who()[:6], type(number).__name__)


@d.timer(1, signum=60, target="spooler")
def tick_in_spooler(number):
    say("TOCK on", who(), number)


@d.rbtimer(1, target="worker1")
def red_black(number):
    say("RED on", who())


@d.cron(time.localtime().tm_min, -1, -1, -1, -1, target="worker1")
def job(number):
    say("JOB on", who())


@d.postfork
def forked():
    say("FORKED bare on", who())


@d.postfork(1)
def forked_in_one():
    say("FORKED one on", who())


@d.postfork(0)
def forked_in_all():
    say("FORKED all on", who())


@d.postfork
def forked_badly():
    say("FORKED badly on", who())
    raise ValueError("on purpose")


@d.postfork
def forked_last():
    say("FORKED last on", who())
'''
)
"""Every decorator, used."""

DEADLINES = (
    DECORATED
    + r"""

@d.harakiri(1)
def long(seconds):
    time.sleep(seconds)
    return "in time"


@d.harakiri(1)
def crash():
    raise ValueError("on purpose")


@d.harakiri(1)
def outer():
    long(0)
    time.sleep(3.5)


def nested(environ, start_response):
    outer()
    return hello(environ, start_response)


def longest(environ, start_response):
    long(30)
    return hello(environ, start_response)


def crash_and_stay(environ, start_response):
    try:
        crash()
    except ValueError:
        time.sleep(3.5)
    return hello(environ, start_response)


VIEWS.update({"/longest": longest, "/crash_and_stay": crash_and_stay, "/nested": nested})
"""
)
"""`harakiri` around calls that are too long, and around one that raises."""

LISTENING = (
    DECORATED
    + r"""

@d.mulefunc
def called(word):
    print("CALLED with", word, flush=True)


@d.mulemsg(1)
def heard(message):
    print("CALLED as a message" if b"uwsgi_mulefunc" in message else message, flush=True)
"""
)
"""A mule that listens by `mulemsg`, and a function that is called in any mule."""

NOTE_IMPORT = """
import builtins
if not hasattr(builtins, "IMPORTED"):
    builtins.IMPORTED = []
builtins.IMPORTED.append(__name__)
"""
"""A module that notes, in order, that it was imported."""

LIFE = (
    PROBE
    + r"""

open("imports", "a").write("x")  # a letter for each time the application is loaded

uwsgi.spooler = lambda task: uwsgi.SPOOL_OK


def wait(environ, start_response):
    say("WAITING")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return hello(environ, start_response)


def die(environ, start_response):
    os._exit(7)


def forever(environ, start_response):
    time.sleep(60)
    return hello(environ, start_response)


VIEWS.update({"/wait": wait, "/die": die, "/forever": forever})
"""
)
"""The probe with requests that outlive what is done to their worker."""
