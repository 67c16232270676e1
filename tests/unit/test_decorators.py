"""decorators.py: one behaviour on our `uwsgi` and on one as strict as uWSGI's; and without any."""

from __future__ import annotations

import importlib
import inspect
import logging
import pickle
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from tests.unit.fake_uwsgi import FakeUwsgi, Server, load


@pytest.fixture(params=[True, False], ids=["ours", "uwsgi"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server in memory: ours, or one with uWSGI's strictness."""
    return Server(ours=request.param)


@pytest.fixture
def d(monkeypatch: pytest.MonkeyPatch, server: Server) -> Any:
    """The decorators on that server."""
    return load(monkeypatch, server.uwsgi)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The decorators without a server."""
    return load(monkeypatch, None)


def named(name: str, module: str = "tasks") -> Callable[[dict[str, Any]], None]:
    """A function of that name, as if from that module."""
    source = f"def {name}(arguments): seen.append(({module!r}, arguments))"
    space: dict[str, Any] = {"seen": [], "__name__": module}
    exec(compile(source, f"/app/{module}.py", "exec"), space)
    function = space[name]
    function.seen = space["seen"]
    return function  # type: ignore[no-any-return]


# -- spool ---------------------------------------------------------------------------------


def test_a_spooled_function_gets_one_dict_of_text(d: Any, server: Server) -> None:
    """What was enqueued and the server's own keys, all str, as under uWSGI; the answer is OK."""
    seen: list[dict[str, Any]] = []

    @d.spool
    def encode_video(arguments: dict[str, Any]) -> None:
        seen.append(arguments)

    path = encode_video.spool({"filename": "clip.mp4"}, size=3)
    assert isinstance(path, bytes)
    assert server.run() == [server.uwsgi.SPOOL_OK]
    [arguments] = seen
    assert isinstance(arguments.pop("spooler_task_name"), str)
    assert arguments == {
        "filename": "clip.mp4",
        "size": "3",
        "ud_spool_func": "encode_video",
        "ud_spool_ret": "-2",
    }


def test_calling_enqueues_as_under_uwsgi(d: Any, server: Server) -> None:
    """Under a server; the function itself is `.f`, which `.spool` is an attribute of, too."""
    seen: list[Any] = []

    @d.spool
    def task(arguments: dict[str, Any]) -> None:
        seen.append(arguments)

    assert isinstance(task({"a": "1"}), bytes)
    assert isinstance(task.f.spool(a="2"), bytes)
    assert seen == []
    assert len(server.tasks) == 2
    task.f({"a": "3"})
    assert seen == [{"a": "3"}]


def test_the_caller_s_dict_stays_as_it_was(d: Any, server: Server) -> None:
    """uWSGI takes `body` out of it."""
    task = d.spool(named("task"))
    message = {"a": 1, b"b": b"2", "body": b"B"}
    task.spool(message, c="3")
    assert message == {"a": 1, b"b": b"2", "body": b"B"}


def test_bytes_that_are_no_text_arrive_as_bytes(d: Any, server: Server) -> None:
    """uWSGI's decorators raise UnicodeDecodeError at these, at every run, for ever."""
    function = named("task")
    d.spool(function).spool(data=b"\xff\x00", body=b"\x80\x04pickle")
    server.run()
    [(_, arguments)] = function.seen  # type: ignore[attr-defined]
    assert arguments["data"] == b"\xff\x00"
    assert arguments["body"] == b"\x80\x04pickle"


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, "\ud800"])
def test_what_cannot_be_stored_is_refused_by_its_key(d: Any, server: Server, value: Any) -> None:
    """At the call, and nothing is enqueued."""
    with pytest.raises(ValueError, match="'filename'"):
        d.spool(named("task")).spool(filename=value)
    assert server.tasks == []


def test_positional_arguments_are_refused_with_the_way_out(d: Any) -> None:
    """A plain task is a dict; pass_arguments=True is what was meant."""
    task = d.spool(named("task"))
    for call in (task, task.spool):
        with pytest.raises(TypeError, match="pass_arguments=True"):
            call("clip.mp4")


AT = 1_999_999_999


@pytest.mark.parametrize(
    "at",
    [AT, float(AT), str(AT), str(AT).encode(), datetime.fromtimestamp(AT, UTC)],
    ids=["int", "float", "str", "bytes", "datetime"],
)
@pytest.mark.parametrize("pass_arguments", [True, False])
def test_a_due_time_may_be_anything_that_is_one(
    d: Any, server: Server, at: Any, pass_arguments: bool
) -> None:
    """uWSGI's decorators take decimal text only."""
    d.spool(pass_arguments=pass_arguments)(named("task")).spool(at=at)
    assert server.tasks[0][b"at"] == str(AT).encode()


def test_a_delay_and_a_day_are_due_times(d: Any, server: Server) -> None:
    """A timedelta counts from now, a date is its first moment, in local time."""
    task = d.spool(named("task"))
    task.spool(at=timedelta(hours=1))
    task.spool(at=date(2033, 1, 1))
    now = datetime.now(UTC).timestamp()
    delayed, dated = (float(task[b"at"]) for task in server.tasks)
    assert abs(delayed - now - 3600) < 30
    assert dated == datetime(2033, 1, 1).timestamp()


def test_pass_arguments_brings_the_arguments_themselves(d: Any, server: Server) -> None:
    """Any object that pickles; the spooler's own keywords do not reach the function."""
    seen: list[Any] = []

    @d.spool(pass_arguments=True)
    def task(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))

    day = date(2026, 1, 2)
    task.spool(1, [day], priority="3", body=b"B", when=day)
    task(None)
    assert server.tasks[0][b"priority"] == b"3"
    assert server.tasks[0]["body"] == b"B"
    assert server.run() == [server.uwsgi.SPOOL_OK] * 2
    assert seen == [((1, [day]), {"when": day}), ((None,), {})]


def test_an_argument_that_does_not_pickle_is_refused(d: Any, server: Server) -> None:
    """At the call, by the function's name."""
    with pytest.raises(ValueError, match=r"task\.spool.*lambda"):
        d.spool(pass_arguments=True)(named("task")).spool(lambda: None)
    assert server.tasks == []


def test_a_plain_function_never_has_a_pickle_opened(d: Any, server: Server) -> None:
    """Who can write into the spool directory cannot make it load code; it gets the bytes."""
    function = named("task")
    d.spool(function)
    bomb = pickle.dumps(print)
    server.uwsgi.spool({b"ud_spool_func": b"task", b"args": bomb, b"ud_spool_ret": b"-2"})
    server.run()
    [(_, arguments)] = function.seen  # type: ignore[attr-defined]
    assert arguments["args"] == bomb


def test_a_task_of_the_other_kind_is_refused_clearly(d: Any, server: Server) -> None:
    """A function got pass_arguments=True while a plain task of it waited."""
    d.spool(pass_arguments=True)(named("task"))
    server.uwsgi.spool({b"ud_spool_func": b"task", b"ud_spool_ret": b"-2"})
    with pytest.raises(ValueError, match="enqueued without it"):
        server.run()


@pytest.mark.parametrize("pass_arguments", [None, True, False])
@pytest.mark.parametrize(
    ("decorator", "returns", "said"),
    [("spool", 5, -2), ("spoolforever", 5, -1), ("spoolraw", -2, -2), ("spoolraw", 0, 0)],
)
def test_each_decorator_says_how_a_run_ends(
    d: Any, server: Server, decorator: str, returns: int, said: int, pass_arguments: bool | None
) -> None:
    """OK, RETRY, or what the function returned; with, without and with empty parentheses."""
    decorate = getattr(d, decorator)
    if pass_arguments is not None:
        decorate = decorate(pass_arguments=pass_arguments)
    task = decorate(lambda *args, **kwargs: returns)
    task.spool()
    assert server.run() == [said]


def test_empty_parentheses_are_none(d: Any, server: Server) -> None:
    """`@spool()` is `@spool`."""
    d.spool()(named("task")).spool()
    assert server.run() == [-2]


def test_a_raw_function_that_returns_no_number_is_told(d: Any, server: Server) -> None:
    """uWSGI's decorator fails with int(None)."""
    d.spoolraw(named("task")).spool()
    with pytest.raises(TypeError, match="SPOOL_OK"):
        server.run()


def test_an_exception_of_the_function_reaches_the_spooler(d: Any, server: Server) -> None:
    """Which logs it and runs the task again."""

    @d.spool
    def task(arguments: dict[str, Any]) -> None:
        raise OSError("disk full")

    task.spool()
    with pytest.raises(OSError, match="disk full"):
        server.run()


def test_functions_of_one_name_in_two_modules_keep_their_tasks(
    d: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """uWSGI runs the later one for both; here the task knows its module, and the log warns."""
    one, two = named("task", "one"), named("task", "two")
    with caplog.at_level(logging.WARNING):
        first, second = d.spool(one), d.spool(two)
    assert "one.task and two.task" in caplog.text
    first.spool(n=1)
    second.spool(n=2)
    server.run()
    assert [module for module, _ in one.seen] == ["one"]  # type: ignore[attr-defined]
    assert [module for module, _ in two.seen] == ["two"]  # type: ignore[attr-defined]


def test_a_plain_name_that_two_functions_have_is_refused(d: Any, server: Server) -> None:
    """A task that uWSGI's own decorators wrote does not say which is meant; the error has both."""
    d.spool(named("task", "one"))
    d.spool(named("task", "two"))
    server.uwsgi.spool({b"ud_spool_func": b"task"})
    with pytest.raises(LookupError, match=r"one\.task, two\.task"):
        server.run()


def test_one_module_imported_twice_is_no_clash(
    d: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """`tasks` and `project.tasks` from one file: the common slip of Django projects."""
    source = "def task(arguments): return None"
    for module in ("tasks", "project.tasks"):
        space = {"__name__": module}
        exec(compile(source, "/app/project/tasks.py", "exec"), space)
        d.spool(space["task"])
    assert caplog.text == ""
    server.uwsgi.spool({b"ud_spool_func": b"task", b"ud_spool_ret": b"-2"})
    assert server.run() == [-2]


def test_a_task_that_uwsgi_s_decorators_wrote_runs(d: Any, server: Server) -> None:
    """It has the plain name only; so has one whose function moved to another module."""
    function = named("task", "moved")
    d.spool(function)
    server.uwsgi.spool({b"ud_spool_func": b"task", b"ud_spool_ret": b"-2", b"a": b"1"})
    moved = {b"ud_spool_func": b"task", b"ud_spool_name": b"old.task", b"ud_spool_ret": b"-2"}
    server.uwsgi.spool(moved)
    assert server.run() == [-2, -2]
    assert function.seen[0][1]["a"] == "1"  # type: ignore[attr-defined]
    assert "ud_spool_name" not in function.seen[1][1]  # type: ignore[attr-defined]


def test_a_task_for_an_unknown_function_says_what_there_is(d: Any, server: Server) -> None:
    """And how its module gets imported; uWSGI says KeyError, for ever."""
    d.spool(named("known"))
    server.uwsgi.spool({b"ud_spool_func": b"gone", b"ud_spool_name": b"app.gone"})
    with pytest.raises(LookupError, match=r"app\.gone.*tasks\.known.*import = MODULE"):
        server.run()


def test_a_task_of_plain_spool_is_for_the_hook_set_before(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """uWSGI's decorators overwrite that hook; without one the error says what to assign."""
    server.uwsgi.spooler = lambda task: -1 if task[b"a"] == b"1" else 0
    load(monkeypatch, server.uwsgi)
    server.uwsgi.spool({b"a": b"1"})
    assert server.run() == [-1]
    del server.uwsgi.spooler
    load(monkeypatch, server.uwsgi)
    server.uwsgi.spool({b"a": b"1"})
    with pytest.raises(LookupError, match=r"uwsgi\.spooler"):
        server.run()


def test_any_size_is_fine_on_ours_and_refused_on_uwsgi(d: Any, server: Server) -> None:
    """uWSGI keeps 70000 bytes as 4464, without a word; pickles then never load again."""
    seen: list[Any] = []
    task = d.spool(pass_arguments=True)(seen.append)
    if server.ours:
        task.spool("x" * 70000)
        server.run()
        assert seen == ["x" * 70000]
    else:
        with pytest.raises(ValueError, match=r"'args' has 700\d\d bytes"):
            task.spool("x" * 70000)
        assert server.tasks == []
    d.spool(named("other")).spool(body=b"x" * 70000)
    assert len(server.tasks[0]["body"]) == 70000


def test_without_a_spooler_the_error_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """The decorator itself does not mind; uWSGI's raises at import."""
    bare = ModuleType("uwsgi")
    d = load(monkeypatch, bare)
    with pytest.raises(RuntimeError, match="spooler = DIR"):
        d.spool(named("task")).spool()


# -- signals -------------------------------------------------------------------------------


def test_signal_registers_under_its_number(d: Any, server: Server) -> None:
    """The function stays what it is."""

    def handler(num: int) -> None: ...

    assert d.signal(17, target="workers")(handler) is handler
    assert server.handlers == {17: ("workers", handler)}


@pytest.mark.parametrize(
    ("decorator", "arguments", "source"),
    [
        ("timer", (3,), ("timer", 3)),
        ("rbtimer", (3,), ("rbtimer", 3, 0)),
        ("cron", (40, 2, -1, -1, -1), ("cron", 40, 2, -1, -1, -1)),
    ],
)
def test_sources_raise_a_free_signal_or_the_one_given(
    d: Any, server: Server, decorator: str, arguments: tuple[int, ...], source: tuple[Any, ...]
) -> None:
    """With uWSGI's keywords signum and target; the function stays what it is."""

    def first(num: int) -> None: ...
    def second(num: int) -> None: ...

    decorate = getattr(d, decorator)
    assert decorate(*arguments)(first) is first
    assert decorate(*arguments, signum=9, target="spooler")(second) is second
    assert server.handlers[9] == ("spooler", second)
    [free] = [number for number in server.handlers if number != 9]
    assert server.handlers[free] == ("", first)
    kind, *numbers = source
    assert server.sources == [(kind, free, *numbers), (kind, 9, *numbers)]


def test_free_signals_leave_an_application_s_own_alone(d: Any, server: Server) -> None:
    """On ours they begin at 256; on uWSGI the first that is free is taken."""
    for number in range(20):
        server.uwsgi.register_signal(number, "", print)

    @d.timer(3)
    def tick(num: int) -> None: ...

    [number] = server.handlers.keys() - set(range(20))
    assert (number >= 256) if server.ours else (number == 20)
    assert d.get_free_signal() == (20 if server.ours else 21)


def test_many_timers_are_no_problem_on_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI ends at 64 timers and 256 signals."""
    server = Server(ours=True)
    d = load(monkeypatch, server.uwsgi)
    for n in range(300):
        d.timer(60)(named(f"f{n}"))
    assert len(server.handlers) == 300


def test_a_missing_function_of_the_server_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server lacks is named where it is used, and nothing is half registered."""
    bare = ModuleType("uwsgi")
    bare.register_signal = pytest.fail  # type: ignore[attr-defined]
    d = load(monkeypatch, bare)
    uses = {
        "add_file_monitor": d.filemon("/tmp"),
        "add_ms_timer": d.mstimer(100),
        "register_rpc": d.rpc("f"),
        "erlang_register_process": d.erlang("f"),
        "mule_msg": d.mulefunc,
        "mule_get_msg": d.mule(1),
    }
    for name, use in uses.items():
        with pytest.raises(AttributeError, match=name):
            use(named("task"))


# -- around one call -----------------------------------------------------------------------


def held(server: Server) -> bool:
    """Is lock 0 held now?"""
    if server.ours:
        return bool(server.uwsgi.is_locked())
    return server.uwsgi.calls[-1:] == [("lock", 0)]


def test_lock_is_held_for_the_call_and_not_longer(d: Any, server: Server) -> None:
    """Also when the function raises."""

    @d.lock
    def work(fail: bool) -> bool:
        if fail:
            raise OSError
        return held(server)

    assert work(False) is True
    assert not held(server)
    with pytest.raises(OSError):
        work(True)
    assert not held(server)


def test_harakiri_is_called_off_however_the_call_ends(
    d: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uWSGI's decorator leaves the deadline when the function raises."""
    deadlines: list[int] = []
    monkeypatch.setattr(server.uwsgi, "set_user_harakiri", deadlines.append)

    @d.harakiri(30)
    def work(fail: bool) -> str:
        if fail:
            raise OSError
        return "done"

    assert work(fail=False) == "done"
    with pytest.raises(OSError):
        work(True)
    assert deadlines == [30, 0, 30, 0]


@pytest.mark.parametrize(("outer", "inner"), [(50, 5), (5, 50)])
def test_of_nested_deadlines_the_soonest_counts(
    d: Any, server: Server, monkeypatch: pytest.MonkeyPatch, outer: int, inner: int
) -> None:
    """The outer one goes on when the inner one is over; what is left is whole on uWSGI, never 0."""
    deadlines: list[float] = []
    monkeypatch.setattr(server.uwsgi, "set_user_harakiri", deadlines.append)
    work = d.harakiri(inner)(lambda: None)
    d.harakiri(outer)(work)()
    first, within, after, last = deadlines
    assert (first, last) == (outer, 0)
    assert 0 < within <= 5
    assert 0 < after <= outer
    assert server.ours or all(isinstance(seconds, int) for seconds in deadlines)


def test_thread_runs_each_call_in_a_daemon_thread(alone: Any) -> None:
    """With keywords, which uWSGI's refuses; the call returns the thread, named as the function."""
    seen: list[Any] = []

    @alone.thread
    def work(a: int, b: int = 0) -> None:
        seen.append((a, b, threading.current_thread()))

    started = work(1, b=2)
    started.join()
    assert seen == [(1, 2, started)]
    assert (started.name, started.daemon) == ("work", True)


# -- after the fork ------------------------------------------------------------------------


def test_postfork_functions_run_in_order_and_keep_their_names(d: Any, server: Server) -> None:
    """uWSGI's @postfork(N) leaves None under the name."""
    ran: list[str] = []

    @d.postfork
    def everywhere() -> None:
        ran.append("everywhere")

    @d.postfork(1)
    def in_one() -> None:
        ran.append("one")

    @d.postfork(2)
    def in_two() -> None:
        ran.append("two")

    @d.postfork()
    def last() -> None:
        ran.append("last")

    assert [f.__name__ for f in (everywhere, in_one, in_two, last)] == [
        *("everywhere", "in_one", "in_two", "last")
    ]
    server.fork(worker=2)
    assert ran == ["everywhere", "two", "last"]
    ran.clear()
    server.fork()
    assert ran == ["everywhere", "last"]


def test_one_postfork_exception_stops_no_other(
    d: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback and its function's name; uWSGI gives up the rest."""
    ran: list[int] = []

    @d.postfork
    def broken() -> None:
        raise OSError("no database")

    d.postfork(lambda: ran.append(1))
    with caplog.at_level(logging.ERROR):
        server.fork()
    assert ran == [1]
    assert "broken" in caplog.text
    assert "no database" in caplog.text


def test_a_post_fork_hook_set_before_runs_first(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """uWSGI's decorators overwrite it."""
    ran: list[str] = []
    server.uwsgi.post_fork_hook = lambda: ran.append("before")
    d = load(monkeypatch, server.uwsgi)
    d.postfork(lambda: ran.append("ours"))
    server.fork(worker=1)
    assert ran == ["before", "ours"]


def test_postfork_and_thread_make_a_thread_per_process(d: Any, server: Server) -> None:
    """The documented way to have a background thread."""
    done = threading.Event()

    @d.postfork
    @d.thread
    def background() -> None:
        done.set()

    server.fork(worker=1)
    assert done.wait(5)


# -- without a server ----------------------------------------------------------------------


def test_without_a_server_a_decorated_function_is_a_function(alone: Any) -> None:
    """Every decorator applies, and a call runs the function and returns its result."""
    decorators = [
        *(alone.spool, alone.spoolforever, alone.spoolraw, alone.spool(pass_arguments=True)),
        *(alone.signal(1), alone.timer(1), alone.mstimer(1), alone.rbtimer(1), alone.filemon("x")),
        *(alone.cron(-1, -1, -1, -1, -1), alone.rpc("f"), alone.erlang("f"), alone.lock),
        *(alone.harakiri(1), alone.postfork, alone.postfork(1), alone.mulefunc, alone.mulefunc(1)),
        *(alone.mule(1), alone.muleloop(1), alone.mulemsg(1), alone.farm("f")),
    ]
    for decorate in decorators:

        def add(a: int, b: int = 1) -> int:
            """Add."""
            return a + b

        decorated = decorate(add)
        assert decorated(1, b=2) == 3
        assert decorated.__name__ == "add"


def test_without_a_server_spool_says_what_to_do(alone: Any) -> None:
    """Start a server with a spooler, or call the function."""
    with pytest.raises(RuntimeError, match=r"spooler = DIR.*task\(…\)"):
        alone.spool(named("task")).spool(a="1")


# -- manners -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decorate",
    [
        lambda d: d.spool,
        lambda d: d.spoolraw(pass_arguments=True),
        lambda d: d.lock,
        lambda d: d.harakiri(3),
        lambda d: d.thread,
        lambda d: d.timer(3),
        lambda d: d.postfork,
    ],
)
def test_name_docstring_and_signature_are_kept(d: Any, decorate: Callable[[Any], Any]) -> None:
    """As help(), inspect and Sphinx see them."""

    def encode(arguments: dict[str, str], quality: int = 3) -> None:
        """Encode a video."""

    decorated = decorate(d)(encode)
    assert (decorated.__name__, decorated.__doc__) == ("encode", "Encode a video.")
    assert decorated.__module__ == __name__
    assert inspect.signature(decorated) == inspect.signature(encode)


def test_decorating_no_function_is_refused(d: Any) -> None:
    """`@spool("name")` is nobody's form."""
    with pytest.raises(TypeError, match="'name'"):
        d.spool("name")


@pytest.mark.parametrize("name", ["uwsgidecorators", "django_uwsgi.decorators"])
def test_the_other_names_are_the_same_decorators(
    monkeypatch: pytest.MonkeyPatch, alone: Any, name: str
) -> None:
    """Every public name; and no other without a server, whose module is passed on, too."""
    source = importlib.util.find_spec("muleteer").submodule_search_locations[0]  # type: ignore[union-attr, index]
    monkeypatch.syspath_prepend(source.removesuffix("/muleteer"))
    for loaded in ("uwsgidecorators", "django_uwsgi", "django_uwsgi.decorators"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    module = importlib.import_module(name)
    assert module.__all__ == alone.__all__
    assert all(getattr(module, each) is getattr(alone, each) for each in alone.__all__)
    for loaded in ("uwsgidecorators", "django_uwsgi", "django_uwsgi.decorators"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)


@pytest.mark.parametrize("name", ["uwsgidecorators", "django_uwsgi.decorators"])
def test_a_star_import_brings_the_server_s_module(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """`from uwsgidecorators import *`, and then `uwsgi.SPOOL_OK`, as in uWSGI's documentation."""
    server = FakeUwsgi()
    load(monkeypatch, server)
    source = importlib.util.find_spec("muleteer").submodule_search_locations[0]  # type: ignore[union-attr, index]
    monkeypatch.syspath_prepend(source.removesuffix("/muleteer"))
    for loaded in ("uwsgidecorators", "django_uwsgi", "django_uwsgi.decorators"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    space: dict[str, Any] = {}
    exec(f"from {name} import *", space)
    assert space["uwsgi"] is server
    for loaded in ("uwsgidecorators", "django_uwsgi", "django_uwsgi.decorators"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)


def test_every_name_of_uwsgi_s_module_is_there(alone: Any) -> None:
    """The public names of uwsgidecorators.py 2.0.31 and 2.1."""
    names = {
        *("spool", "spoolraw", "spoolforever", "signal", "timer", "mstimer", "rbtimer", "cron"),
        *("filemon", "rpc", "erlang", "postfork", "lock", "thread", "harakiri", "mule"),
        *("muleloop", "mulemsg", "mulefunc", "farm", "get_free_signal"),
        *("spooler_functions", "mule_functions", "postfork_chain"),
    }
    assert names <= set(alone.__all__)


def test_the_strict_server_is_strict() -> None:
    """The stand-in for uWSGI fails where uWSGI does."""
    with pytest.raises(AssertionError):
        FakeUwsgi().spool({"a": "1"})  # type: ignore[dict-item]
    with pytest.raises(AssertionError):
        FakeUwsgi().add_timer(1, 1.5)  # type: ignore[arg-type]


# -- mules ---------------------------------------------------------------------------------


class Mules(ModuleType):
    """A server with mules whose queue is a list; with or without uWSGI 2.1's list of hooks."""

    def __init__(self, hooks: bool) -> None:
        super().__init__("uwsgi")
        self.sent: list[tuple[Any, ...]] = []
        self.hooks: list[Callable[[bytes], Any]] = []
        if hooks:
            self.install_mule_msg_hook = self.hooks.append

    def mule_msg(self, *arguments: Any) -> bool:
        self.sent.append(arguments)
        return True

    def deliver(self) -> None:
        """Hand every message to the hooks, as a mule would."""
        for data, *_ in self.sent:
            for hook in [getattr(self, "mule_msg_hook", None), *self.hooks]:
                if hook is not None:
                    hook(data)
        self.sent.clear()


@pytest.fixture(params=[True, False], ids=["list of hooks", "one hook"])
def mules(request: pytest.FixtureRequest) -> Mules:
    """A server with mules, of either kind."""
    return Mules(hooks=request.param)


def test_a_mule_function_runs_in_the_mule_with_its_arguments(
    monkeypatch: pytest.MonkeyPatch, mules: Mules
) -> None:
    """To any mule, to one, or to a farm, whose name uWSGI wants as bytes; the call returns None."""
    d = load(monkeypatch, mules)
    ran: list[Any] = []

    def work(a: int, b: int = 0) -> None:
        ran.append((a, b))

    assert d.mulefunc(work)(1, b=2) is None
    d.mulefunc(3)(work)(4)
    d.mulefunc("crew")(work)(5)
    assert [target for _, *target in mules.sent] == [[], [3], [b"crew"]]
    assert ran == []
    mules.deliver()
    assert ran == [(1, 2), (4, 0), (5, 0)]


def test_an_application_s_own_messages_reach_its_own_hook(
    monkeypatch: pytest.MonkeyPatch, mules: Mules
) -> None:
    """uWSGI's decorators take the hook away and fail at every message that is no pickle."""
    seen: list[bytes] = []
    mules.mule_msg_hook = seen.append
    d = load(monkeypatch, mules)
    d.mulefunc(named("work"))
    mules.mule_msg(b"hello")
    mules.deliver()
    assert seen == [b"hello"]


def test_mule_functions_of_one_name_keep_their_calls(
    monkeypatch: pytest.MonkeyPatch, mules: Mules
) -> None:
    """uWSGI runs the later one for both."""
    d = load(monkeypatch, mules)
    one, two = named("work", "one"), named("work", "two")
    first, second = d.mulefunc(one), d.mulefunc(two)
    first(1)
    second(2)
    mules.deliver()
    assert one.seen == [("one", 1)]  # type: ignore[attr-defined]
    assert two.seen == [("two", 2)]  # type: ignore[attr-defined]


def test_a_call_that_was_not_sent_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """uWSGI's decorator drops it without a word."""
    full = Mules(hooks=False)
    monkeypatch.setattr(full, "mule_msg", lambda *_: False)
    d = load(monkeypatch, full)
    with pytest.raises(BlockingIOError, match="work"):
        d.mulefunc(named("work"))(1)
