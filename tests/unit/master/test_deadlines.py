"""Whose time is over, and what is done to him step by step."""

from __future__ import annotations

from muleteer.ipc.scoreboard import Scoreboard, Seat
from muleteer.master.deadlines import LAST_WORDS_S, Deadlines, Step
from muleteer.master.roster import ChildHandle, Phase

NOW = 1000.0


class Bench:
    """One worker with a request, and the master's eye on it."""

    def __init__(self) -> None:
        self.board = Scoreboard(rows=2, cores=2)
        self.board.rows[0].assign(Seat("worker", 1), 1, 0)
        self.core = self.board.rows[0].cores[1]
        self.child = ChildHandle(Seat("worker", 1), 0, 1, 1, 0, 0, 7, Phase.READY)
        self.deadlines = Deadlines(self.board)

    def steps(self, at: float, graceful_s: float = 0.0) -> list[Step]:
        found = self.deadlines.overdue([self.child], at, graceful_s)
        return [overdue.step for overdue in found]


def test_nothing_is_done_before_the_deadline() -> None:
    """At the deadline its stacks are asked for, a moment later it is killed, each once."""
    bench = Bench()
    bench.core.enter(NOW)
    assert bench.steps(NOW - 0.1) == []
    assert bench.steps(NOW) == [Step.STACKS]
    assert bench.steps(NOW + LAST_WORDS_S / 2) == []
    assert bench.steps(NOW + LAST_WORDS_S) == [Step.KILL]


def test_an_exception_comes_first_if_it_is_asked_for() -> None:
    """And what goes on in spite of it is killed when its time is over."""
    bench = Bench()
    bench.core.enter(NOW)
    assert bench.steps(NOW, 5) == [Step.RAISE]
    assert bench.steps(NOW + 4.9, 5) == []
    assert bench.steps(NOW + 5, 5) == [Step.STACKS]
    assert bench.steps(NOW + 5 + LAST_WORDS_S, 5) == [Step.KILL]


def test_what_ends_is_left_alone() -> None:
    """The next request has its own deadline, and begins with the first step."""
    bench = Bench()
    bench.core.enter(NOW)
    assert bench.steps(NOW, 5) == [Step.RAISE]
    bench.core.leave()
    assert bench.steps(NOW + 6, 5) == []
    bench.core.enter(NOW + 10)
    assert bench.steps(NOW + 10, 5) == [Step.RAISE]


def test_the_master_wakes_up_for_the_next_step() -> None:
    """For a deadline that runs, and for a step that was planned."""
    bench = Bench()
    assert bench.deadlines.next_check([], NOW) is None
    bench.core.enter(NOW)
    assert bench.deadlines.next_check([], NOW - 3) == NOW
    assert bench.steps(NOW, 5) == [Step.RAISE]
    assert bench.deadlines.next_check([], NOW + 1) == NOW + 5


def test_a_request_says_which_it_is() -> None:
    """Its words are cut to their room, and the next ones take their place whole."""
    bench = Bench()
    bench.core.say("GET /" + "x" * 500)
    assert bench.core.doing == "GET /" + "x" * 123
    bench.core.say("GET /é")
    bench.core.enter(NOW)
    (overdue,) = bench.deadlines.overdue([bench.child], NOW)
    assert overdue.what == "GET /é"
