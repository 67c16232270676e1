"""uwsgi.register_signal, signal, add_timer, add_rb_timer, add_cron, free_signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.facade.conftest import make_runtime, seat

from muleteer.facade.surface import Surface
from muleteer.registry import Registration, Source
from muleteer.runtime import Runtime


def handler(signum: int) -> None:
    """A handler that does nothing."""


@pytest.mark.parametrize("signum", [-1, 65536, 1.5, "7", True, None])
def test_a_number_that_is_no_signal_is_refused(uwsgi: Any, signum: Any) -> None:
    """uWSGI wraps 256 round to 0 and -1 to 255; here it is a ValueError."""
    for call in (lambda: uwsgi.register_signal(signum, "", handler), lambda: uwsgi.signal(signum)):
        with pytest.raises(ValueError, match="number"):
            call()


def test_an_application_s_numbers_end_at_255(uwsgi: Any, runtime: Runtime) -> None:
    """256 and more are the server's to give out; the error says how to get one."""
    with pytest.raises(ValueError, match=r"0 to 255.*uwsgi\.free_signal"):
        uwsgi.register_signal(256, "", handler)
    uwsgi.register_signal(255, "", handler)
    assert runtime.registry.signals == {255: Registration("", handler)}


def test_a_number_given_out_can_be_registered(uwsgi: Any, runtime: Runtime) -> None:
    """What free_signal returned is above 255 and registers like an application's own."""
    number = uwsgi.free_signal("app.tick")
    assert 256 <= number <= 65535
    uwsgi.register_signal(number, "workers", handler)
    assert runtime.registry.target_of(number) == "workers"


def test_a_target_that_reaches_nobody_is_refused_at_once(uwsgi: Any) -> None:
    """uWSGI takes any text and fails when the signal is raised."""
    with pytest.raises(ValueError, match="'worker3' reaches nobody"):
        uwsgi.register_signal(1, "worker3", handler)
    assert uwsgi.signal_registered(1) is None


def test_a_handler_that_is_no_function_is_refused_at_once(uwsgi: Any) -> None:
    """uWSGI finds out when it calls it."""
    with pytest.raises(ValueError, match="not callable"):
        uwsgi.register_signal(1, "", "handler")


def test_a_taken_number_is_refused_before_the_fork(uwsgi: Any) -> None:
    """As in uWSGI's master; the error names who has it."""
    uwsgi.register_signal(1, "", handler)
    with pytest.raises(ValueError, match=r"test_facade_signals\.handler"):
        uwsgi.register_signal(1, "workers", print)


def test_a_child_may_register_a_number_anew(uwsgi: Any, runtime: Runtime) -> None:
    """As uWSGI's workers may."""
    uwsgi.register_signal(1, "", handler)
    seat(runtime, "worker", 1)
    uwsgi.register_signal(1, "workers", print)
    assert runtime.registry.signals[1] == Registration("workers", print)
    assert runtime.switchboard.targets.get(1) == "workers"


@pytest.mark.parametrize(
    ("kind", "number", "target"),
    [("worker", 2, "worker2"), ("mule", 1, "mule1"), ("spooler", 2, "/spool/b")],
)
def test_any_means_this_process_after_the_fork(
    uwsgi: Any, runtime: Runtime, kind: str, number: int, target: str
) -> None:
    """Only this child has the handler, so '' sends everybody's signal to it."""
    seat(runtime, kind, number)
    uwsgi.register_signal(5, "", handler)
    assert runtime.registry.signals[5].target == target
    assert runtime.switchboard.targets.get(5) == target


def test_a_target_of_255_bytes_is_the_longest() -> None:
    """The table has room for 255 bytes (uWSGI's for 63); the error says how many."""
    longest, longer = "/" + "d" * 254, "/" + "d" * 255
    uwsgi: Any = Surface(make_runtime(spooler=(longest, longer)))
    uwsgi.register_signal(1, longest, handler)
    with pytest.raises(ValueError, match="255 bytes"):
        uwsgi.register_signal(2, longer, handler)


def test_a_target_is_text(uwsgi: Any) -> None:
    """As in uWSGI, bytes are a TypeError."""
    with pytest.raises(TypeError, match="a target is a str"):
        uwsgi.register_signal(1, b"worker1", handler)


def test_signal_registered_is_true_or_none(uwsgi: Any) -> None:
    """None, not False: uWSGI's word for no."""
    uwsgi.register_signal(1, "", handler)
    assert uwsgi.signal_registered(1) is True
    assert uwsgi.signal_registered(2) is None


@pytest.mark.parametrize(
    ("target", "pipes"),
    [
        ("", {"worker"}),
        ("workers", {"worker1", "worker2"}),
        ("worker2", {"worker2"}),
        ("spooler", {"spooler"}),
    ],
)
def test_a_signal_goes_to_the_pipes_of_its_target(
    uwsgi: Any, runtime: Runtime, target: str, pipes: set[str]
) -> None:
    """One write into each pipe of the registered target, and None as the answer."""
    uwsgi.register_signal(9, target, handler)
    assert uwsgi.signal(9) is None
    sent = runtime.switchboard.signals
    assert {name for name in sent if sent[name].sent} == pipes  # type: ignore[attr-defined]
    assert all(sent[name].sent == [9] for name in pipes)  # type: ignore[attr-defined]


def test_sources_are_kept_for_the_clock(uwsgi: Any, runtime: Runtime) -> None:
    """In the zygote they wait in the registry; add_cron says True, the timers None, as uWSGI."""
    assert uwsgi.add_timer(1, 5) is None
    assert uwsgi.add_rb_timer(2, 5, 3) is None
    assert uwsgi.add_cron(3, 40, 2, -1, -1, -1) is True
    assert runtime.registry.sources == [
        Source("timer", 1, (5,)),
        Source("rbtimer", 2, (5, 3)),
        Source("cron", 3, (40, 2, -1, -1, -1)),
    ]


def test_a_timer_may_count_its_shots(uwsgi: Any, runtime: Runtime) -> None:
    """`add_timer(number, seconds, 1)`, as uWSGI's documentation writes it, fires once."""
    uwsgi.add_timer(1, 40, 1)
    assert runtime.registry.sources == [Source("rbtimer", 1, (40, 1))]


def test_a_child_tells_the_master_of_a_source(uwsgi: Any, runtime: Runtime) -> None:
    """After the fork the clock learns of a timer at once, with its signal's target."""
    seat(runtime, "worker", 1)
    uwsgi.register_signal(1, "worker2", handler)
    uwsgi.add_timer(1, 5)
    [message] = runtime.switchboard.control_out.messages  # type: ignore[attr-defined]
    assert (message["op"], message["kind"], message["target"]) == ("source", "timer", "worker2")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", None, True])
def test_a_timer_that_would_never_or_always_fire_is_refused(uwsgi: Any, seconds: Any) -> None:
    """uWSGI accepts 0 (never fires), negative numbers and, for rb-timers, fires in a burst."""
    for add in (uwsgi.add_timer, uwsgi.add_rb_timer):
        with pytest.raises(ValueError, match="second"):
            add(1, seconds)


@pytest.mark.parametrize(
    ("numbers", "names"),
    [
        ((60, 2, -1, -1, -1), "minute"),
        ((0, 24, -1, -1, -1), "hour"),
        ((0, 0, 32, -1, -1), "day"),
        ((0, 0, 30, 2, -1), "day 30"),
        ((0, 0, -1, 13, -1), "month"),
        ((0, 0, -1, -1, 8), "weekday"),
        ((0.5, 0, -1, -1, -1), "minute"),
        (("0", 0, -1, -1, -1), "whole line"),
        ((0, "0", -1, -1, -1), "hour"),
        ((0,), "hour"),
    ],
)
def test_a_cron_that_never_comes_is_refused(
    uwsgi: Any, runtime: Runtime, numbers: tuple[Any, ...], names: str
) -> None:
    """The error names the field; uWSGI waits for ever."""
    with pytest.raises(ValueError, match=names):
        uwsgi.add_cron(1, *numbers)
    assert runtime.registry.sources == []


@pytest.mark.parametrize(
    ("line", "options", "names"),
    [
        ("*/5 * * *", {}, "five fields"),
        ("61 * * * *", {}, "bad minute"),
        ("0 0 31 2 *", {}, "day of the month"),
        ("@sometimes", {}, "five fields"),
        ("* * * * *", {"tz": "Europe/Room"}, "no time zone 'Europe/Room'"),
        ("* * * * *", {"overlap": "no"}, "overlap='no'"),
        ("* * * * *", {"catch_up": "all"}, "catch_up='all'"),
    ],
)
def test_a_bad_line_of_a_crontab_is_refused(
    uwsgi: Any, runtime: Runtime, line: str, options: dict[str, str], names: str
) -> None:
    """At once, with what is wrong with it."""
    with pytest.raises(ValueError, match=names):
        uwsgi.add_cron(1, line, **options)
    assert runtime.registry.sources == []


def test_a_line_of_a_crontab_is_a_source_with_its_options(uwsgi: Any, runtime: Runtime) -> None:
    """It travels as text; options with their default do not travel."""
    assert uwsgi.add_cron(1, "*/5 * * * *", tz="Europe/Rome", overlap="skip", catch_up="one")
    uwsgi.add_cron(2, "@daily", overlap="allow", catch_up="none", tz=None)
    options = {"tz": "Europe/Rome", "overlap": "skip", "catch_up": "one"}
    assert runtime.registry.sources == [
        Source("crontab", 1, ("*/5 * * * *",), options),
        Source("crontab", 2, ("@daily",)),
    ]


def test_catching_up_needs_a_place(uwsgi: Any) -> None:
    """Without a spool directory `cron-state` must say where the last runs are kept."""
    uwsgi.add_cron(1, "@daily", catch_up="one")
    without: Any = Surface(make_runtime())
    with pytest.raises(ValueError, match="cron-state = FILE"):
        without.add_cron(1, "@daily", catch_up="one")
    Surface(make_runtime(cron_state="/var/cron-state")).add_cron(1, "@daily", catch_up="one")


def test_a_timer_in_milliseconds_is_a_timer(uwsgi: Any, runtime: Runtime) -> None:
    """As in uWSGI 2.1; with `overlap`, which is ours."""
    assert uwsgi.add_ms_timer(1, 250, overlap="skip") is None
    assert runtime.registry.sources == [Source("timer", 1, (0.25,), {"overlap": "skip"})]


def test_a_monitored_path_is_absolute(uwsgi: Any, runtime: Runtime) -> None:
    """A relative path counts from the directory of the call; text, bytes and Path are taken."""
    for path in ("bell", b"bell", Path("bell")):
        assert uwsgi.add_file_monitor(1, path) is None
    assert {source.arguments for source in runtime.registry.sources} == {
        (str(Path("bell").absolute()),)
    }


@pytest.mark.parametrize("path", ["", "a\0b", b""])
def test_what_is_no_path_is_refused(uwsgi: Any, path: Any) -> None:
    """With the call that named it."""
    with pytest.raises(ValueError, match="no path"):
        uwsgi.add_file_monitor(1, path)


def test_nobody_waits_for_signals_at_import(uwsgi: Any) -> None:
    """No signals come to the process that imports the code."""
    with pytest.raises(ValueError, match="not while the code is imported"):
        uwsgi.signal_wait()
    assert uwsgi.signal_received() == 0


def test_a_float_that_is_whole_is_a_number(uwsgi: Any, runtime: Runtime) -> None:
    """uWSGI raises TypeError at 2.0; settings files are full of such numbers."""
    uwsgi.add_cron(1, 40.0, 2.0, -1, -1, -1)
    assert runtime.registry.sources == [Source("cron", 1, (40, 2, -1, -1, -1))]
