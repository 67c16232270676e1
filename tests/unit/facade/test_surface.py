"""facade/surface.py and install.py: the module itself, its facts, its view of the server."""

from __future__ import annotations

import importlib
import inspect
import logging
import signal as unix_signals
import sys
from typing import Any

import pytest
from tests.unit.facade.conftest import make_runtime, seat

import muleteer
from muleteer.facade import process
from muleteer.facade.install import install
from muleteer.facade.surface import Surface
from muleteer.ipc.scoreboard import Seat, State
from muleteer.runtime import Runtime

HOOKS = ("spooler", "post_fork_hook", "mule_msg_hook", "atexit", "after_req_hook")


@pytest.fixture
def installed(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`uwsgi` installed in this process, and out again."""
    monkeypatch.setitem(sys.modules, "uwsgi", None)
    return install(runtime)


# -- a module ------------------------------------------------------------------------------


def test_import_uwsgi_gives_the_installed_module(installed: Any) -> None:
    """In every form of the import."""
    import uwsgi
    from uwsgi import SPOOL_OK, worker_id

    names: dict[str, Any] = {}
    exec("from uwsgi import *", names)
    assert uwsgi is installed is importlib.import_module("uwsgi")
    assert (SPOOL_OK, worker_id()) == (-2, 0)
    assert names["spool"] == uwsgi.spool
    assert not any(name.startswith("_") for name in names if name != "__builtins__")


def test_importing_the_facade_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the server `import uwsgi` goes on failing, as users expect."""
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
    importlib.reload(importlib.import_module("muleteer.facade.install"))
    assert "uwsgi" not in sys.modules


def test_every_public_function_says_what_it_does(uwsgi: Any) -> None:
    """Each has a docstring and a signature that `help` and editors can show."""
    functions = [getattr(uwsgi, name) for name in dir(uwsgi) if callable(getattr(uwsgi, name))]
    assert len(functions) > 30
    for function in functions:
        assert function.__doc__, function
        assert "self" not in inspect.signature(function).parameters


@pytest.mark.parametrize("name", ["cache_get", "queue_push", "websocket_recv", "sharedarea_read"])
def test_what_is_not_there_yet_says_so(uwsgi: Any, name: str) -> None:
    """By name, and in a way that hasattr() understands."""
    assert not hasattr(uwsgi, name)
    with pytest.raises(AttributeError, match=f"uwsgi.{name}.*does not have it yet"):
        getattr(uwsgi, name)


def test_what_uwsgi_never_had_is_an_ordinary_attribute_error(uwsgi: Any) -> None:
    """A typo is not promised for later."""
    with pytest.raises(AttributeError, match="module 'uwsgi' has no attribute 'spol'"):
        _ = uwsgi.spol


@pytest.mark.parametrize("name", HOOKS)
def test_assigning_a_hook_hands_it_to_the_server(uwsgi: Any, runtime: Runtime, name: str) -> None:
    """It can be read back, replaced, and taken back with None or del."""
    assert not hasattr(uwsgi, name)
    setattr(uwsgi, name, print)
    assert runtime.registry.hooks == {name: print}
    assert getattr(uwsgi, name) is print
    setattr(uwsgi, name, None)
    assert runtime.registry.hooks == {}
    setattr(uwsgi, name, len)
    delattr(uwsgi, name)
    assert runtime.registry.hooks == {}
    assert not hasattr(uwsgi, name)


def test_a_hook_that_is_no_function_is_refused(uwsgi: Any, runtime: Runtime) -> None:
    """At the assignment, where the mistake is."""
    with pytest.raises(TypeError, match="post_fork_hook"):
        uwsgi.post_fork_hook = "tasks.start"
    assert runtime.registry.hooks == {}


def test_other_assignments_are_as_on_any_module(uwsgi: Any, runtime: Runtime) -> None:
    """Real code keeps its own things there."""
    uwsgi.my_thing = 1
    assert uwsgi.my_thing == 1
    assert runtime.registry.hooks == {}
    del uwsgi.my_thing
    assert not hasattr(uwsgi, "my_thing")


# -- facts ---------------------------------------------------------------------------------


def test_the_facts_have_uwsgi_s_types() -> None:
    """Bytes where uWSGI has bytes, ints where it has ints."""
    opt = {"spooler": [b"/spool/a", b"/spool/b"], "master": True, "mode": b"live"}
    uwsgi = Surface(make_runtime(workers=3, opt=opt))
    assert uwsgi.opt == opt
    assert (uwsgi.numproc, uwsgi.cores, uwsgi.has_threads) == (3, 1, 1)
    assert (uwsgi.loop, uwsgi.applications, uwsgi.is_a_reload) == (None, None, False)
    assert isinstance(uwsgi.hostname, bytes)
    assert isinstance(uwsgi.started_on, int)
    assert uwsgi.mode == b"live"
    with pytest.raises(AttributeError, match="pidfile = FILE"):
        _ = uwsgi.pidfile


def test_version_is_the_api_s_and_muleteer_version_is_ours(uwsgi: Any) -> None:
    """Libraries compare `uwsgi.version` with uWSGI's numbers."""
    assert uwsgi.version == b"2.0.31"
    assert uwsgi.version_info == (2, 0, 31, 0, b"")
    assert uwsgi.muleteer_version == muleteer.__version__


# -- the view ------------------------------------------------------------------------------


def test_ids_are_zero_but_for_one_s_own_kind(uwsgi: Any, runtime: Runtime) -> None:
    """A worker has a worker_id and no mule_id; the zygote has none."""
    assert (uwsgi.worker_id(), uwsgi.mule_id(), uwsgi.request_id()) == (0, 0, 0)
    seat(runtime, "worker", 2)
    assert (uwsgi.worker_id(), uwsgi.mule_id()) == (2, 0)
    assert uwsgi.masterpid() == runtime.scoreboard.master_pid


def test_workers_shows_every_seat(uwsgi: Any, runtime: Runtime) -> None:
    """With uWSGI's keys; a seat without a process is cheap, the others count what they did."""
    seat(runtime, "worker", 2)
    assert runtime.row is not None
    core = runtime.row.cores[0]
    core.enter()
    core.count(tx=100, seconds=0.5, failed=True)
    first, second = uwsgi.workers()
    assert (first["id"], first["pid"], first["status"]) == (1, 0, b"cheap")
    assert second["id"] == 2
    assert second["status"] == b"busy"
    assert (second["requests"], second["exceptions"], second["tx"]) == (1, 1, 100)
    assert (second["avg_rt"], second["running_time"]) == (500_000, 500_000)
    assert (uwsgi.total_requests(), uwsgi.request_id()) == (1, 1)
    core.leave()
    runtime.row.start_task(0.0, 17)
    assert uwsgi.workers()[1]["status"] == b"sig17"
    assert set(first) == set(second) == {
        *("id", "pid", "requests", "delta_requests", "signals", "exceptions", "status", "rss"),
        *("vsz", "running_time", "last_spawn", "respawn_count", "tx", "avg_rt", "apps"),
    }  # fmt: skip


def test_workers_makes_new_dicts_at_each_call(uwsgi: Any) -> None:
    """uWSGI hands out the same dicts and overwrites them."""
    before = uwsgi.workers()
    before[0]["id"] = 99
    assert uwsgi.workers()[0]["id"] == 1
    assert before[0]["id"] == 99


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [(State.RETIRING, State.READY, 22), (State.READY, State.FORKED, 11)],
)
def test_of_an_old_and_a_new_child_the_ready_one_is_shown(
    uwsgi: Any, runtime: Runtime, old: State, new: State, shown: int
) -> None:
    """In a reload one seat has two rows for a while."""
    for generation, state, pid in [(1, old, 11), (2, new, 22)]:
        row = runtime.scoreboard.free_row()
        assert row is not None
        row.assign(Seat("worker", 1), generation, 0)
        row.set_state(state, pid)
    assert uwsgi.workers()[0]["pid"] == shown


def test_ready_is_none_until_a_child_is(uwsgi: Any, runtime: Runtime) -> None:
    """True after the start, None before."""
    assert uwsgi.ready() is None
    seat(runtime, "worker", 1)
    assert uwsgi.ready() is True


def test_mem_is_resident_and_virtual_bytes(uwsgi: Any) -> None:
    """Of this process."""
    rss, vsz = uwsgi.mem()
    assert 1_000_000 < rss < vsz


def test_a_listen_queue_that_is_not_there_is_refused(uwsgi: Any) -> None:
    """As in uWSGI."""
    with pytest.raises(ValueError, match="0 sockets"):
        uwsgi.listen_queue()


# -- the process ---------------------------------------------------------------------------


def test_lock_and_unlock_answer_none_as_in_uwsgi(uwsgi: Any) -> None:
    """is_locked says True or False, and an unlock of a free lock is nothing."""
    assert uwsgi.lock() is None
    assert uwsgi.is_locked() is True
    assert uwsgi.is_locked(1) is False
    assert uwsgi.unlock() is None
    assert uwsgi.is_locked() is False
    assert uwsgi.unlock() is None


def test_lock_with_a_timeout_says_whether_it_was_got(uwsgi: Any) -> None:
    """Ours: uWSGI can only wait for ever."""
    assert uwsgi.lock(1, timeout=0) is True


@pytest.mark.parametrize("number", [2, -1])
def test_a_lock_that_is_not_there_is_refused(uwsgi: Any, number: Any) -> None:
    """`locks = 1` makes the locks 0 and 1."""
    for call in (uwsgi.lock, uwsgi.unlock, uwsgi.is_locked):
        with pytest.raises(ValueError, match="lock"):
            call(number)


def test_a_spooler_may_lock(uwsgi: Any, runtime: Runtime) -> None:
    """uWSGI refuses it there, and its @lock then skips the function."""
    seat(runtime, "spooler", 1)
    uwsgi.lock()
    uwsgi.unlock()


def test_set_user_harakiri_sets_and_clears_a_deadline(uwsgi: Any, runtime: Runtime) -> None:
    """In this process's row, and the master is told; before the fork it does nothing."""
    uwsgi.set_user_harakiri(30)
    seat(runtime, "worker", 1)
    assert runtime.row is not None
    runtime.scoreboard.next_check = float("inf")
    uwsgi.set_user_harakiri(30)
    assert [name for name, _ in runtime.row.deadlines] == ["set_user_harakiri"]
    assert [m["op"] for m in runtime.switchboard.control_out.messages] == ["deadline"]  # type: ignore[attr-defined]
    uwsgi.set_user_harakiri(0)
    assert list(runtime.row.deadlines) == []
    with pytest.raises(ValueError, match="negative"):
        uwsgi.set_user_harakiri(-1)


def test_reload_and_stop_ask_the_master(
    uwsgi: Any, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the Unix signals that mean so, whatever SIGTERM means; True from both, as uWSGI."""
    sent: list[unix_signals.Signals] = []
    monkeypatch.setattr(runtime, "signal_master", sent.append)
    assert uwsgi.reload() is True
    assert uwsgi.stop() is True
    assert sent == [unix_signals.SIGHUP, unix_signals.SIGQUIT]


def test_log_takes_str_and_bytes(uwsgi: Any, caplog: pytest.LogCaptureFixture) -> None:
    """uWSGI refuses bytes; a percent sign is a percent sign; the answer is True."""
    with caplog.at_level(logging.INFO, "muleteer.app"):
        assert uwsgi.log("100%s") is True
        assert uwsgi.log(b"caf\xc3\xa9 \xff") is True
    assert caplog.messages == ["100%s", "café \ufffd"]


def test_setprocname_changes_the_title(uwsgi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `ps` shows."""
    titles: list[str] = []
    monkeypatch.setattr(process, "set_title", titles.append)
    uwsgi.setprocname("encoder")
    assert titles == ["encoder"]
