"""Every Python snippet of uWSGI's documentation of the decorators and of what they stand on, run.

Pages: Python decorators, the uwsgi module, Spooler, Mules, Signals, Locks, RPC, Cron. They are as
they are written there but for `print` and `xrange` of Python 2, addresses, and typing errors.
The first of all, with Django, is the example site (test_example.py).
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.harness import eventually, uwsgi_packet
from tests.harness.clients import connect, read_all
from tests.process.playground import StartServer, play

SPOOLER = "processes = 2\nspooler = spool\nspooler-frequency = 1\n"


# -- Python decorators -----------------------------------------------------------------------

IN_SPOOLER = """
@timer(3, target='spooler')
def hello(signum):
    print("hello")
    note(bool(uwsgi.i_am_the_spooler()))
"""


def test_timer_in_the_spooler(start_server: StartServer) -> None:
    """A timer's handler runs in the spooler and leaves the workers free."""
    yard = play(start_server, IN_SPOOLER, SPOOLER)
    yard.server.wait_for("^hello$")
    yard.wait_for("True")


MYTASKS = """
from uwsgidecorators import *

@spool
def a_long_task(args):
    print(args)

@spool
def a_longer_task(args):
    print("longer.....")

@timer(3)
def three_seconds(signum):
    print("3 seconds elapsed")

@timer(10, target='spooler')
def ten_seconds_in_the_spooler(signum):
    print("10 seconds elapsed in the spooler")
"""

WEB2PY = """
import mytasks # be sure mytasks is importable!

def index(): # this is a web2py action
    mytasks.a_long_task.spool(foo='bar')
    return "Task enqueued"

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [index().encode()]
"""


def test_web2py_with_the_command_line_of_the_page(start_server: StartServer) -> None:
    """Options only: the timers tick, and what a controller enqueues runs in the spooler."""
    files = {"mytasks.py": MYTASKS, "web2py/__init__.py": "", "web2py/wsgihandler.py": WEB2PY}
    line = "--socket 127.0.0.1:0 --spooler myspool --master --processes 4 --import mytasks"
    args = [*line.split(), "--module", "web2py.wsgihandler"]
    server = start_server(args=args, files={**files, "myspool/": ""})
    assert server.ask("/").text == "Task enqueued"
    server.wait_for("'foo': 'bar'")
    server.wait_for("^3 seconds elapsed$")
    server.wait_for("^10 seconds elapsed in the spooler$", within=20)


POSTFORK = """
class myfoodb:
    @staticmethod
    def connect():
        note("connected")

@postfork
def reconnect_to_db():
    myfoodb.connect()

@postfork
def hello_world():
    print("Hello World")
"""


def test_postfork(start_server: StartServer) -> None:
    """Each in sequence, after each fork."""
    yard = play(start_server, POSTFORK, SPOOLER)
    yard.wait_for(*["connected"] * 3)
    yard.server.wait_for("^Hello World$", times=3)


SPOOL = """
@spool
def a_long_long_task(arguments):
    print(arguments)
    for i in range(0, 10000000):
        time.sleep(0.1)

@spool
def a_longer_task(args):
    print(args)
    for i in range(0, 10000000):
        time.sleep(0.5)

# enqueue the tasks
a_long_long_task.spool(foo='bar', hello='world')
a_longer_task.spool({'pippo':'pluto'})
"""

PASSED = """
@spool(pass_arguments=True)
def some_task(*args, **kwargs):
    print(args)
    print(kwargs)
    for i in range(0, 10000000):
        time.sleep(0.5)

# enqueue the task
some_task.spool(id=42, foo=['bar', 'baz'], func=min, at=str(1497023151))
"""


def _mercy(seconds: int) -> str:
    """What an endless task gets at the end of the test."""
    return f"{SPOOLER}spooler-processes = 2\nspooler-mercy = {seconds}\n"


def test_spool(start_server: StartServer) -> None:
    """Enqueued while the module is imported; each function gets its dict."""
    yard = play(start_server, SPOOL, _mercy(1))
    yard.server.wait_for(r"^\{.*'foo': 'bar', .*'hello': 'world'")
    yard.server.wait_for(r"^\{.*'pippo': 'pluto'")


def test_spool_with_arguments(start_server: StartServer) -> None:
    """Any pickle; `at` is the spooler's and does not reach the function."""
    yard = play(start_server, PASSED, _mercy(1))
    yard.server.wait_for(r"^\(\)$")
    yard.server.wait_for(
        r"^\{'id': 42, 'foo': \['bar', 'baz'\], 'func': <built-in function min>\}$"
    )


FOREVER = """
class time:
    sleep = staticmethod(lambda seconds: None)  # the page's tasks last for weeks

range = lambda begin, end: (begin, end)

@spoolforever
def a_longer_task(args):
    print(args)
    for i in range(0, 10000000):
        time.sleep(0.5)

# enqueue the task
a_longer_task.spool({'pippo':'pluto'})

@spoolforever(pass_arguments=True)
def a_longer_call(*args):
    print(args)
    for i in range(0, 10000000):
        time.sleep(0.5)

# enqueue the task
a_longer_call.spool('pluto', 42)
"""


def test_spoolforever(start_server: StartServer) -> None:
    """They are run again and again."""
    yard = play(start_server, FOREVER, SPOOLER)
    yard.server.wait_for("'pippo': 'pluto'", times=3)
    yard.server.wait_for(r"^\('pluto', 42\)$", times=3)


RAW = """
@spoolraw
def a_controlled_task(args):
    note("task", args['foo'])
    if args['foo'] == 'bar':
        return uwsgi.SPOOL_OK
    return uwsgi.SPOOL_RETRY

a_controlled_task.spool(foo='bar')

@spoolraw(pass_arguments=True)
def a_controlled_call(**kwargs):
    note("call", kwargs['foo'], kwargs['age'])
    if kwargs['foo'] == 'bar':
        return uwsgi.SPOOL_OK
    return uwsgi.SPOOL_RETRY

a_controlled_call.spool(foo='bar', age=42)
"""


def test_spoolraw(start_server: StartServer) -> None:
    """SPOOL_OK ends a task, SPOOL_RETRY has it run again."""
    yard = play(start_server, RAW, SPOOLER)
    yard.wait_for("task bar", "call bar 42")
    eventually(lambda: yard.ask("uwsgi.spooler_jobs()") == [])
    yard.ask("a_controlled_task.spool(foo='baz')")
    yard.wait_for(*["task baz"] * 3)
    assert yard.notes().count("task bar") == 1


NAMED = """
@rpc('helloworld')
def ciao_mondo_function():
    return "Hello World"

@signal(17)
def my_signal(num):
    print("i am signal %d" % num)

@timer(3)
def three_seconds(num):
    print("3 seconds elapsed")

@rbtimer(3)
def three_more_seconds(num):
    print("3 red black seconds elapsed")

@filemon("/tmp")
def tmp_has_been_modified(num):
    print("/tmp directory has been modified. Great magic is afoot")
"""


def test_rpc_signal_timers_and_filemon(start_server: StartServer, tmp_path: Path) -> None:
    """The call gives the text (which uWSGI loses), the others run when it is their time."""
    yard = play(start_server, NAMED, "processes = 2\n")
    assert yard.ask("uwsgi.call('helloworld')") == b"Hello World"
    yard.ask("uwsgi.signal(17)")
    yard.server.wait_for("^i am signal 17$")
    yard.server.wait_for("watching")
    here = yard.server.log.here()
    mark = Path("/tmp") / f"muleteer-{tmp_path.name}-{time.monotonic_ns()}"
    mark.touch()
    try:
        yard.server.wait_for("^/tmp directory has been modified. Great magic is afoot$", after=here)
    finally:
        mark.unlink()
    yard.server.wait_for("^3 seconds elapsed$")
    yard.server.wait_for("^3 red black seconds elapsed$")


CRON = """
@cron(59, 3, -1, -1, -1)
def execute_me_at_three_and_fiftynine(num):
    print("it's 3:59 in the morning")

@cron(-5, -1, -1, -1, -1)
def execute_me_every_five_min(num):
    print("5 minutes, what a long time!")
"""


@pytest.mark.parametrize(
    ("clock", "said"),
    [("03:58:55", "it's 3:59 in the morning"), ("16:04:55", "5 minutes, what a long time!")],
)
def test_cron(start_server: StartServer, clock: str, said: str) -> None:
    """On a machine where it is that time of the day, five seconds later."""
    yard = play(start_server, CRON, env={"TZ": _zone_where_it_is(clock)})
    assert said not in yard.server.log
    yard.server.wait_for(f"^{said}$", within=20)
    assert len(yard.server.log.find("morning|long time")) == 1


def _zone_where_it_is(clock: str) -> str:
    """A POSIX time zone whose wall shows this time of the day now."""
    hours, minutes, seconds = map(int, clock.split(":"))
    wanted = hours * 3600 + minutes * 60 + seconds
    west = (int(time.time()) - wanted) % 86400
    return f"XXX{west // 3600}:{west // 60 % 60:02}:{west % 60:02}"


THREAD = """
@thread
def a_running_thread():
    while True:
        time.sleep(2)
        print("i am a no-args thread")

@thread
def a_running_thread_with_args(who):
    while True:
        time.sleep(2)
        print("Hello %s (from arged-thread)" % who)

@postfork
def start_them():
    a_running_thread()
    a_running_thread_with_args("uWSGI")

@postfork
@thread
def a_post_fork_thread():
    while True:
        time.sleep(3)
        print("Hello from a thread in worker %d" % uwsgi.worker_id())
"""


def test_thread(start_server: StartServer) -> None:
    """Alone, with arguments, and under postfork, in each process."""
    yard = play(start_server, THREAD, "processes = 2\n")
    yard.server.wait_for("^i am a no-args thread$", times=2)
    yard.server.wait_for(r"^Hello uWSGI \(from arged-thread\)$", times=2)
    for number in (1, 2):
        yard.server.wait_for(f"^Hello from a thread in worker {number}$")
    assert yard.ask("uwsgi.worker_id()") in (1, 2)  # the worker serves meanwhile


AT_IMPORT = THREAD.replace("@postfork\ndef start_them():\n    a_", "a_").replace("    a_", "a_")


def test_thread_started_while_the_code_is_imported(start_server: StartServer) -> None:
    """As the page has it: it runs in the process that imports, and the forked ones serve."""
    assert "start_them" not in AT_IMPORT
    yard = play(start_server, AT_IMPORT, "processes = 2\n")
    yard.server.wait_for("^i am a no-args thread$", times=2)
    yard.server.wait_for(r"^Hello uWSGI \(from arged-thread\)$")
    assert yard.ask("[t.name for t in threading.enumerate() if 'running' in t.name]") == []


LOCK = """
@lock
def dangerous_op():
    print("Concurrency is for fools!")
    note(uwsgi.is_locked())
"""


def test_lock(start_server: StartServer) -> None:
    """Nobody else runs it meanwhile."""
    yard = play(start_server, LOCK)
    yard.ask("dangerous_op()")
    yard.server.wait_for("^Concurrency is for fools!$")
    assert yard.notes() == ["True"]
    assert yard.ask("uwsgi.is_locked()") is False


MULEFUNC = """
@mulefunc
def i_am_an_offloaded_function(argument1, argument2):
    print(argument1,argument2)
    note("any", uwsgi.mule_id() > 0)

@mulefunc(3)
def on_three():
    print("I'm running on mule 3.")
    note("three", uwsgi.mule_id())

@mulefunc('old_mcdonalds_farm')
def on_mcd():
    print("I'm running on a mule on Old McDonalds' farm.")
    note("farm", uwsgi.mule_id())
"""


def test_mulefunc(start_server: StartServer) -> None:
    """The call returns at once, and a mule runs it: any, that one, one of that farm."""
    yard = play(start_server, MULEFUNC, "mules = 4\nfarm = old_mcdonalds_farm:4\n")
    assert yard.ask("[i_am_an_offloaded_function(1, 'two'), on_three(), on_mcd()]") == [None] * 3
    yard.wait_for("any True", "three 3", "farm 4")
    yard.server.wait_for("^1 two$")
    yard.server.wait_for("^I'm running on mule 3.$")
    yard.server.wait_for("^I'm running on a mule on Old McDonalds' farm.$")


HARAKIRI = """
import builtins

rounds = 3
range = lambda begin, end: builtins.range(begin, rounds)  # the page's loops are for a fast machine

@harakiri(10)
def slow_function(foo, bar):
    for i in range(0, 10000):
        for y in range(0, 10000):
            pass

def slow_func():
    slow_function(1, 2)

def lower_level():
    # or the alternative lower level api
    uwsgi.set_user_harakiri(30) # you have 30 seconds. fight!
    slow_func()
    uwsgi.set_user_harakiri(0) # clear the timer, all is well
    return "all is well"

def endless():
    global rounds
    rounds = 10 ** 9
    slow_function("foo", "bar")
"""


def test_harakiri(start_server: StartServer) -> None:
    """In time nothing happens, and after ten seconds the worker is killed, inside the function."""
    yard = play(start_server, HARAKIRI)
    assert yard.ask("[slow_function(1, bar=2), lower_level()]") == [None, "all is well"]
    began = time.monotonic()
    with pytest.raises((OSError, AssertionError)):
        yard.ask("endless()", within=40)
    assert time.monotonic() - began > 9
    yard.server.wait_for("HARAKIRI ON WORKER 1")
    yard.server.wait_for("in slow_function")
    assert yard.ask("lower_level()") == "all is well"


# -- Spooler ---------------------------------------------------------------------------------

MY_SPOOLER = """
import uwsgi

def my_spooler(env):
    print(env['foobar'])
    return uwsgi.SPOOL_OK

uwsgi.spooler = my_spooler
"""


def test_a_spooler_function(start_server: StartServer) -> None:
    """`env['foobar']` is found, though the keys are bytes since Python 3."""
    yard = play(start_server, MY_SPOOLER, SPOOLER)
    yard.ask("uwsgi.spool(foobar='a value')")
    yard.server.wait_for("^b'a value'$")
    eventually(lambda: yard.ask("uwsgi.spooler_jobs()") == [])


KRATOS = """
uwsgi.spooler = lambda env: note(sorted(v for k, v in env.items() if isinstance(k, bytes))) or -2

# python
import uwsgi
uwsgi.spool({'foo': 'bar', 'name': 'Kratos', 'surname': 'the same of Zeus'})
# or
uwsgi.spool(foo='bar', name='Kratos', surname='the same of Zeus')
# for python3 use bytes instead of strings !!!
"""


def test_enqueueing(start_server: StartServer) -> None:
    """A dict or keywords, in text."""
    yard = play(start_server, KRATOS, SPOOLER)
    yard.wait_for(*["[b'Kratos', b'bar', b'the same of Zeus']"] * 2)


AGAIN = """
def call_me_again_and_again(env):
    note("called")
    return uwsgi.SPOOL_RETRY

uwsgi.spooler = call_me_again_and_again
"""


def test_a_task_that_retries(start_server: StartServer) -> None:
    """It comes back at the spooler's frequency."""
    yard = play(start_server, AGAIN, SPOOLER)
    yard.ask("uwsgi.spool(a='1')")
    yard.wait_for(*["called"] * 3)


EXTERNAL = """
import uwsgi
uwsgi.spool({'foo': 'bar',  'spooler': '/var/spool/uwsgi/external'})
# or
uwsgi.spool(foo='bar', spooler='/var/spool/uwsgi/external')
# for python3 use bytes instead of strings !!!
"""

MANAGER = "uwsgi.spooler = lambda env: note(env['foo'], env['spooler']) or uwsgi.SPOOL_OK"


def test_an_external_spooler(start_server: StartServer, tmp_path: Path) -> None:
    """One server enqueues into the directory that another one works off."""
    shared = tmp_path / "external"
    shared.mkdir()
    code = EXTERNAL.replace("/var/spool/uwsgi/external", str(shared))
    play(start_server, code, f"spooler-external = {shared}\n")
    assert len(list(shared.glob("uwsgi_spoolfile_on_*"))) == 2
    manager = play(start_server, MANAGER, f"spooler = {shared}\n")
    manager.wait_for(*[f"b'bar' b'{shared}'"] * 2)


def test_a_networked_spooler(start_server: StartServer) -> None:
    """A packet of modifier 17 is a task."""
    code = "uwsgi.spooler = lambda env: note(env['test'], env['argh']) or uwsgi.SPOOL_OK"
    yard = play(start_server, code, f"{SPOOLER}socket = my.sock\n")
    pairs = {b"test": b"test001", b"argh": b"boh", b"foo": b"bar"}.items()
    with connect(yard.server.uwsgi) as sock:
        sock.sendall(uwsgi_packet(pairs, modifier1=17))
        assert read_all(sock) == b"\xff\0\0\1"
    yard.wait_for("b'test001' b'boh'")


def test_priorities(start_server: StartServer) -> None:
    """`/spool/1` before `/spool/2` before what has none."""
    code = """
uwsgi.spooler = lambda env: hold("start") if b"first" in env else note(env["n"]) or -2
uwsgi.spool(first="1", priority="1")
for n, how in (("none", {}), ("two", {"priority": "2"}), ("one", {"priority": "1"})):
    uwsgi.spool(n=n, **how)
note("enqueued")
"""
    code = code.replace('hold("start") if', '(hold("start") or -2) if')
    yard = play(start_server, code, f"{SPOOLER}spooler-ordered = true\n")
    yard.wait_for("enqueued", "began start")
    yard.let("start")
    notes = yard.wait_for("b'none'")
    assert notes[-3:] == ["b'one'", "b'two'", "b'none'"]


def test_send_to_spooler_with_its_keywords(start_server: StartServer) -> None:
    """`message_dict`, `spooler`, `priority`, `at` and `body`, as the module's page lists them."""
    code = """
uwsgi.spooler = lambda env: note(env["a"], env["body"], env["b"]) or uwsgi.SPOOL_OK
def send():
    return uwsgi.send_to_spooler(message_dict={"a": "1"}, spooler=HERE + "/spool", priority=3,
                                 at=time.time(), body=b"a body", b="2")
"""
    yard = play(start_server, code, SPOOLER)
    assert b"/spool/3/uwsgi_spoolfile_on_" in yard.ask("send()")
    yard.wait_for("b'1' b'a body' b'2'")


# -- Mules -----------------------------------------------------------------------------------

BASIC = """
import uwsgi
from uwsgidecorators import timer, signal, filemon

# run a timer in the first available mule
@timer(30, target='mule')
def hello(signum):
    print("Hi! I am responding to signal %d, running on mule %d" % (signum, uwsgi.mule_id()))

# map signal 17 to mule 2
@signal(17, target='mule2')
def i_am_mule2(signum):
    print("Greetings! I am running in mule number two.")
    note("in", uwsgi.mule_id())

# monitor /tmp and arouse all of the mules on modifications
@filemon('/tmp', target='mules')
def tmp_modified(signum):
    print("/tmp has been modified. I am mule %d!" % uwsgi.mule_id())
"""


def test_mules_handle_signals(start_server: StartServer, tmp_path: Path) -> None:
    """The first idle one, that one, or all of them; the half minute is three seconds here."""
    yard = play(start_server, BASIC.replace("@timer(30,", "@timer(3,"), "mules = 2\n")
    yard.ask("uwsgi.signal(17)")
    yard.server.wait_for("^Greetings! I am running in mule number two.$")
    yard.wait_for("in 2")
    yard.server.wait_for("watching")
    mark = Path("/tmp") / f"muleteer-{tmp_path.name}-{time.monotonic_ns()}"
    mark.touch()
    mark.unlink()
    for number in (1, 2):
        yard.server.wait_for(f"^/tmp has been modified. I am mule {number}!$")
    yard.server.wait_for(r"^Hi! I am responding to signal \d+, running on mule [12]$")


SOMARO = """
# somaro.py
from threading import Thread
import time
import uwsgi

def loop1():
    while True:
        print("loop1: Waiting for messages... yawn.")
        message = uwsgi.mule_get_msg()
        print(message)

def loop2():
    print("Hi! I am loop2.")
    while True:
        time.sleep(2)
        print("This is a thread!")

t = Thread(target=loop2)
t.daemon = True
t.start()

if __name__ == '__main__':
    loop1()
"""

MYAPP = """
import uwsgi

def run_mule():
    print("mypkg.myapp in mule", uwsgi.mule_id())
    while True:
        uwsgi.mule_get_msg()
"""

CIUCHINO = """
# Send the string "ciuchino" to mule1.
# If you do not specify a mule ID, the message will be processed by the first available mule.
send = lambda: uwsgi.mule_msg("ciuchino", 1)
"""

MULES = "--mule=somaro.py --mule=mypkg.myapp:run_mule --mule --mule"


def test_programmed_mules(start_server: StartServer) -> None:
    """A script, a callable and two that only wait, from the command line."""
    files = {"somaro.py": SOMARO, "mypkg/__init__.py": "", "mypkg/myapp.py": MYAPP}
    yard = play(start_server, CIUCHINO, args=MULES.split(), files=files)
    yard.server.wait_for("^loop1: Waiting for messages... yawn.$")
    yard.server.wait_for("^Hi! I am loop2.$")
    yard.server.wait_for("^mypkg.myapp in mule 2$")
    assert yard.ask("send()") is True
    yard.server.wait_for("^b'ciuchino'$")
    yard.server.wait_for("^loop1: Waiting for messages... yawn.$", times=2)
    yard.server.wait_for("^This is a thread!$")
    assert len(yard.server.pids("mule")) == 4


FEED = """
import uwsgi
print("feed", uwsgi.mule_id(), uwsgi.in_farm("busy"), uwsgi.in_farm("idle"))
while True:
    print("feed", uwsgi.mule_id(), "eats", uwsgi.farm_get_msg())
"""

EAT = """
# Send the string "eat stuff" to farm "busy"
send = lambda: uwsgi.farm_msg("busy", "eat stuff")
"""

FARMS = "--mule=feed.py --mule=feed.py --mule=wallow.py --farm=busy:1,2 --farm=idle:3"


def test_farms(start_server: StartServer) -> None:
    """A message to a farm is one of its mules'."""
    files = {"feed.py": FEED, "wallow.py": FEED.replace("feed", "wallow")}
    yard = play(start_server, EAT, args=FARMS.split(), files=files)
    for number in (1, 2):
        yard.server.wait_for(f"^feed {number} True None$")
    yard.server.wait_for("^wallow 3 None True$")
    assert yard.ask("[send() for _ in range(10)]") == [None] * 10
    yard.server.wait_for(r"^feed [12] eats b'eat stuff'$", times=10)
    assert not yard.server.log.find("wallow 3 eats")


# -- Signals ---------------------------------------------------------------------------------

TABLE = """
import uwsgi

def hello_signal(num):
    print("i am the signal %d" % num)

def hello_signal2(num):
    print("Hi, i am the signal %d" % num)

# define 2 signal table items (30 and 22)
uwsgi.register_signal(30, "worker", hello_signal)
uwsgi.register_signal(22, "workers", hello_signal2)
"""


def test_the_signal_table(start_server: StartServer) -> None:
    """One worker has 30, each has 22."""
    yard = play(start_server, TABLE, "processes = 3\n")
    yard.ask("[uwsgi.signal(30), uwsgi.signal(22)]")
    yard.server.wait_for("^Hi, i am the signal 22$", times=3)
    yard.server.wait_for("^i am the signal 30$")
    assert len(yard.server.log.find("^i am the signal 30$")) == 1


HELLO_FILE = """
import uwsgi

def hello_file(num):
        print("/tmp has been modified !!!")

uwsgi.register_signal(17, "worker", hello_file)
uwsgi.add_file_monitor(17, "/tmp")
"""


def test_a_file_monitor(start_server: StartServer, tmp_path: Path) -> None:
    """Whatever happens in /tmp raises the signal."""
    yard = play(start_server, HELLO_FILE)
    yard.server.wait_for("watching")
    here = yard.server.log.here()
    mark = Path("/tmp") / f"muleteer-{tmp_path.name}-{time.monotonic_ns()}"
    mark.touch()
    mark.unlink()
    yard.server.wait_for("^/tmp has been modified !!!$", after=here)


TIMERS = """
import uwsgi

def hello_timer(num):
        print("2 seconds elapsed, signal %d raised" % num)

def oneshot_timer(num):
        print("40 seconds elapsed, signal %d raised. You will never see me again." % num)


uwsgi.register_signal(26, "worker", hello_timer)
uwsgi.register_signal(30, "", oneshot_timer)

uwsgi.add_timer(26, 2) # never-ending timer every 2 seconds
uwsgi.add_timer(30, 40, 1) # one shot timer after 40 seconds
"""


def test_timers(start_server: StartServer) -> None:
    """One for ever, and one of a single shot, which uWSGI's own function does not take."""
    yard = play(start_server, TIMERS)
    yard.server.wait_for(r"the clock has: .*\b40 1\) -> signal 30")
    yard = play(start_server, TIMERS.replace("(30, 40, 1)", "(30, 0.4, 1)"))
    yard.server.wait_for("^2 seconds elapsed, signal 26 raised$", times=2)
    assert len(yard.server.log.find("signal 30 raised. You will never see me again.$")) == 1


WAIT = """
def wait_for_one():
    uwsgi.signal_wait()
    signum = uwsgi.signal_received()
    return signum
"""


def test_signal_wait(start_server: StartServer) -> None:
    """One that nobody registered comes to whoever waits."""
    yard = play(start_server, WAIT)
    assert yard.ask("(uwsgi.signal(111), wait_for_one())[1]") == 111


# -- Locks -----------------------------------------------------------------------------------

LOCKS = """
def use_lock_zero_for_important_things():
    uwsgi.lock() # Implicit parameter 0
    # Critical section
    note("zero", uwsgi.is_locked(), uwsgi.is_locked(1))
    uwsgi.unlock() # Implicit parameter 0

def use_another_lock():
    uwsgi.lock(1)
    note("one", uwsgi.is_locked(), uwsgi.is_locked(1))
    time.sleep(1) # Take that, performance! Ha!
    uwsgi.unlock(1)
"""


def test_locks(start_server: StartServer) -> None:
    """Lock 0 and another one, each on its own."""
    yard = play(start_server, LOCKS, "locks = 1\n")
    yard.ask("[use_lock_zero_for_important_things(), use_another_lock()]")
    assert yard.notes() == ["zero True False", "one False True"]
    assert yard.ask("[uwsgi.is_locked(), uwsgi.is_locked(1)]") == [False, False]


# -- RPC -------------------------------------------------------------------------------------

HELLO = """
import uwsgi

def hello_world():
    return "Hello World"

uwsgi.register_rpc("hello", hello_world)

def hello_with_args(arg1, arg2):
    return b'args are ' + arg1 + b' ' + arg2

uwsgi.register_rpc('hellolua', hello_with_args)
"""

CALLER = """
import uwsgi

def application(env, start_response):
    start_response('200 Ok', [('Content-Type', 'text/html')])
    if env['PATH_INFO'] == '/args':
        return uwsgi.rpc('10.0.0.2:3031', 'hellolua', 'foo', 'bar')
    return uwsgi.rpc('10.0.0.2:3031', 'hello')
"""


def test_rpc_between_two_servers(start_server: StartServer) -> None:
    """What the function returns is the body of the answer."""
    exporter = play(start_server, HELLO, "socket = 127.0.0.1:0\n").server
    host, port = exporter.uwsgi
    files = {"app.py": CALLER.replace("10.0.0.2:3031", f"{host}:{port}")}
    caller = start_server(ini="http-socket = 127.0.0.1:0\nmodule = app\n", files=files)
    assert caller.get("/").text == "Hello World"
    assert caller.get("/args").text == "args are foo bar"


def test_rpc_here(start_server: StartServer) -> None:
    """With None for the node, or by `call`."""
    yard = play(start_server, HELLO)
    assert yard.ask("[uwsgi.rpc(None, 'hello'), uwsgi.call('hello')]") == [b"Hello World"] * 2
    assert yard.ask("sorted(uwsgi.rpc_list())") == [b"hello", b"hellolua"]


# -- Cron ------------------------------------------------------------------------------------

FIVE_O_CLOCK = """
import uwsgi

def five_o_clock_on_the_first_day_of_the_month(signum):
    print("It's 5 o'clock of the first day of the month.")

uwsgi.register_signal(99, "", five_o_clock_on_the_first_day_of_the_month)
uwsgi.add_cron(99, 0, 5, 1, -1, -1)
"""

UGLY = """
uwsgi.register_signal(99, "", lambda signum: note("99"))
uwsgi.add_cron(99, -1, -1, -1, -1, -1) # ugly, bad and inefficient, every minute :(
uwsgi.add_timer(99, 60) # much better.
"""


def test_a_job_of_a_day_in_the_month(start_server: StartServer) -> None:
    """It is in the clock, and does not run on another day."""
    yard = play(start_server, FIVE_O_CLOCK, env={"TZ": _zone_where_it_is("04:59:57")})
    yard.server.wait_for(r"the clock has: .*0 5 1 -1 -1")
    yard.ask("uwsgi.signal(99)")
    yard.server.wait_for("^It's 5 o'clock of the first day of the month.$")
    eventually(lambda: yard.ask("time.localtime().tm_hour") == 5, within=20)
    is_first = yard.ask("time.localtime().tm_mday") == 1
    assert len(yard.server.log.find("^It's 5 o'clock")) == 1 + is_first


def test_a_cron_job_and_a_timer_of_one_signal(start_server: StartServer) -> None:
    """A signal may have several sources; the job runs when its minute begins."""
    yard = play(start_server, UGLY, env={"TZ": _zone_where_it_is("12:00:57")})
    yard.server.wait_for(r"the clock has: .*cron.*timer|the clock has: .*timer.*cron")
    yard.wait_for("99", within=20)
