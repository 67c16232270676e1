"""The event loop, over epoll and over poll: what is ready is called, what is due is called."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from muleteer.ipc import loop as loop_module
from muleteer.ipc.loop import READ, WRITE, Loop


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["epoll", "poll"])
def loop(
    request: pytest.FixtureRequest, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Loop]:
    """A loop on either mechanism."""
    if request.param == "poll":
        monkeypatch.delattr(select, "epoll")
        monkeypatch.setattr(loop_module, "_EXCLUSIVE", 0)
    made = Loop(clock)
    yield made
    made.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    fds = os.pipe()
    yield fds
    for fd in fds:
        os.close(fd)


def test_what_is_ready_is_called_until_it_is_read(loop: Loop, pipe: tuple[int, int]) -> None:
    """Level-triggered: the callback comes in every turn until the byte is taken."""
    called: list[int] = []
    loop.watch(pipe[0], called.append)
    loop.turn(0)
    assert called == []
    os.write(pipe[1], b"x")
    loop.turn(0)
    loop.turn(0)
    assert called == [READ, READ]
    os.read(pipe[0], 1)
    loop.turn(0)
    assert len(called) == 2


def test_what_is_unwatched_is_not_called(loop: Loop, pipe: tuple[int, int]) -> None:
    """Not even in the turn in which another callback unwatched it."""
    other = os.dup(pipe[0])
    called: list[str] = []

    def first(_events: int) -> None:
        called.append("first")
        loop.unwatch(other)

    def second(_events: int) -> None:
        called.append("second")
        loop.unwatch(pipe[0])

    loop.watch(pipe[0], first)
    loop.watch(other, second)
    os.write(pipe[1], b"x")
    loop.turn(0)
    os.close(other)
    assert len(called) == 1


def test_unwatching_the_unknown_is_an_error(loop: Loop) -> None:
    """A mistake is not swallowed."""
    with pytest.raises(KeyError):
        loop.unwatch(99)


def test_the_events_can_be_changed(loop: Loop, pipe: tuple[int, int]) -> None:
    """From reading to writing, for what waits to be sent."""
    called: list[int] = []
    loop.watch(pipe[1], called.append, READ)
    loop.turn(0)
    assert called == []
    loop.change(pipe[1], WRITE)
    loop.turn(0)
    assert called == [WRITE]


def test_what_is_shared_is_looked_at_last(loop: Loop, pipe: tuple[int, int]) -> None:
    """A process with work in hand takes newcomers after it."""
    others = [os.dup(pipe[0]) for _ in range(4)]
    called: list[str] = []
    loop.watch(others[0], lambda _: called.append("shared"), exclusive=True)
    for fd in others[1:]:
        loop.watch(fd, lambda _: called.append("own"))
    loop.watch(pipe[0], lambda _: called.append("shared"), exclusive=True)
    os.write(pipe[1], b"x")
    loop.turn(0)
    assert called == ["own"] * 3 + ["shared"] * 2
    for fd in others:
        loop.unwatch(fd)
        os.close(fd)


def test_a_timer_fires_once_when_it_is_due(loop: Loop, clock: Clock) -> None:
    """Not before its time, and not twice."""
    fired: list[float] = []
    loop.call_at(101.0, lambda: fired.append(clock.now))
    loop.turn(0)
    clock.now = 100.9
    loop.turn(0)
    assert fired == []
    clock.now = 101.0
    loop.turn(0)
    loop.turn(0)
    assert fired == [101.0]


def test_timers_fire_in_the_order_of_their_times(loop: Loop, clock: Clock) -> None:
    """Equal times in the order in which they were set."""
    fired: list[str] = []
    loop.call_at(103.0, lambda: fired.append("c"))
    loop.call_at(102.0, lambda: fired.append("a"))
    loop.call_at(102.0, lambda: fired.append("b"))
    clock.now = 110.0
    loop.turn(0)
    assert fired == ["a", "b", "c"]


def test_a_cancelled_timer_never_fires(loop: Loop, clock: Clock) -> None:
    """Cancelling twice, or after it fired, is nothing."""
    fired: list[str] = []
    handle = loop.call_at(101.0, lambda: fired.append("x"))
    kept = loop.call_at(101.0, lambda: fired.append("kept"))
    handle.cancel()
    handle.cancel()
    clock.now = 102.0
    loop.turn(0)
    kept.cancel()
    assert fired == ["kept"]


def test_cancelled_timers_do_not_pile_up(loop: Loop) -> None:
    """A deadline that is moved a thousand times leaves no thousand entries."""
    for _ in range(1000):
        loop.call_at(200.0, lambda: None).cancel()
    assert len(loop._timers) < 200


def test_a_turn_waits_no_longer_than_the_next_timer(loop: Loop) -> None:
    """The wait is the smaller of the timeout and the time to the next timer."""
    assert loop._wait(None) < 0
    assert loop._wait(5.0) == 5.0
    loop.call_at(103.0, lambda: None)
    assert loop._wait(None) == 3.0
    assert loop._wait(1.0) == 1.0
    loop.call_at(50.0, lambda: None)
    assert loop._wait(None) == 0.0


def test_a_timer_set_by_a_timer_waits_for_its_time(loop: Loop, clock: Clock) -> None:
    """A periodic timer is one that sets itself again."""
    fired: list[float] = []

    def again() -> None:
        fired.append(clock.now)
        loop.call_at(clock.now + 1, again)

    loop.call_at(101.0, again)
    for clock.now in (101.0, 101.5, 102.0, 103.0):
        loop.turn(0)
    assert fired == [101.0, 102.0, 103.0]


def test_what_is_called_soon_comes_at_the_end_of_the_turn(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    """After all that was ready; what it asks for soon, in the next turn, which does not wait."""
    called: list[str] = []

    def ready(_events: int) -> None:
        loop.call_soon(soon)
        called.append("ready")

    def soon() -> None:
        called.append("soon")
        loop.call_soon(lambda: called.append("later"))

    loop.watch(pipe[0], ready)
    os.write(pipe[1], b"x")
    loop.turn(0)
    assert called == ["ready", "soon"]
    os.read(pipe[0], 1)
    loop.turn(60)
    assert called == ["ready", "soon", "later"]


def test_a_closed_loop_watches_nothing_and_closes_nothing(pipe: tuple[int, int]) -> None:
    """The descriptors belong to whoever opened them."""
    made = Loop()
    made.watch(pipe[0], print)
    made.close()
    os.write(pipe[1], b"x")
    assert os.read(pipe[0], 1) == b"x"
