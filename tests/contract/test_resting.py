"""Who of the resting spoolers is called back, when, and what the master listens to meanwhile."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from muleteer.config.options import Settings
from muleteer.ipc.channels import Switchboard
from muleteer.ipc.scoreboard import Row, Scoreboard, Seat, State
from muleteer.ipc.targets import Population
from muleteer.master.resting import Resting
from muleteer.spool import arrivals

FAR = 4_000_000_000.0


class House:
    """A master's view of three spoolers on one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        directory = str(folder)
        self.settings = Settings(
            spooler=(directory,), spooler_processes="3", spooler_cheap=True, spooler_frequency=30.0
        )
        self.board = Scoreboard(rows=6, cores=1)
        self.switchboard = Switchboard(Population(0, 3, (directory,), 0, ()), (directory,))
        self.selector = selectors.DefaultSelector()
        self.resting = Resting(self.settings, self.board, self.switchboard, self.selector)
        self.rows: dict[int, Row] = {}
        for number in (1, 2, 3):
            self.forked(number)
            self.rows[number].set_state(State.READY)

    def forked(self, number: int) -> None:
        """A spooler's process was forked."""
        row = self.board.free_row()
        assert row is not None
        row.assign(Seat("spooler", number), 1, 0)
        row.note_pid(1000 + number)
        self.rows[number] = row

    def rests(self, *numbers: int, due: float | None = None) -> None:
        """Spoolers say that they have nothing to do, and are gone."""
        for number in numbers:
            self.resting.rest(self.rows[number], due)
            self.board.retire_row(self.rows[number])

    @property
    def there(self) -> list[int]:
        """Whose seats are to be filled."""
        return [seat.id for seat in self.resting.seats]

    def turn(self, within: float = 0.0) -> int:
        """One turn of the master's loop; how much it heard."""
        events = self.selector.select(within)
        for key, _ in events:
            key.data()
        self.resting.look()
        return len(events)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """All three are there, idle."""
    made = House(tmp_path)
    yield made
    made.resting.close()
    made.selector.close()
    made.switchboard.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass in the room."""
    passed = 0.0
    monotonic, wall = time.monotonic, time.time

    class Clock:
        """`time` as the room sees it."""

        @staticmethod
        def monotonic() -> float:
            return monotonic() + passed

        @staticmethod
        def time() -> float:
            return wall() + passed

    def advance(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr("muleteer.master.resting.time", Clock)
    return advance


def test_who_rests_is_not_to_be_there(house: House) -> None:
    """One after the other, until nobody is."""
    assert house.there == [1, 2, 3]
    house.rests(2)
    assert house.there == [1, 3]
    house.rests(1, 3)
    assert house.there == []
    assert house.resting.next_look() is None, "whatever comes is heard"


def test_file_calls_one_back(house: House) -> None:
    """And no more as long as that one has not been seen busy."""
    house.rests(1, 2, 3)
    (house.folder / "file").write_bytes(b"x")
    assert house.turn(within=5) == 1
    assert house.there == [1]
    house.forked(1)
    (house.folder / "more").write_bytes(b"x")
    house.turn(within=5)
    assert house.there == [1]


def test_backlog_calls_one_after_the_other(house: House, clock: Callable[[float], None]) -> None:
    """As long as all who are there are busy; one who is idle ends it."""
    house.rests(1, 2, 3)
    (house.folder / "file").write_bytes(b"x")
    house.turn(within=5)
    for number in (1, 2):
        house.forked(number)
        house.rows[number].set_state(State.READY)
        house.rows[number].start_task(0.0)
        clock(0.6)
        house.turn()
        assert house.there == list(range(1, number + 2))
    house.forked(3)
    house.rows[3].set_state(State.READY)
    assert house.there == [1, 2, 3]


def test_idle_one_answers_the_call(house: House, clock: Callable[[float], None]) -> None:
    """Nobody is forked for what he will take."""
    house.rests(2, 3)
    (house.folder / "file").write_bytes(b"x")
    house.turn(within=5)
    clock(0.6)
    house.turn()
    assert house.there == [1]


def test_who_has_not_left_yet_is_not_called(house: House, clock: Callable[[float], None]) -> None:
    """The call stays open until somebody can come, and costs no turn of the loop meanwhile."""
    house.resting.rest(house.rows[1], None)
    house.resting.rest(house.rows[2], None)
    house.resting.rest(house.rows[3], None)
    house.switchboard.spooler_bells[str(house.folder)].ring()
    assert house.turn(within=5) == 1
    assert house.there == []
    assert house.turn() == 0, "the bell is not heard again and again"
    house.board.retire_row(house.rows[2])
    clock(0.6)
    house.turn()
    assert house.there == [2]


def test_due_time_calls_one_back(house: House, clock: Callable[[float], None]) -> None:
    """A moment before it; the earliest that any of them knew."""
    now = time.time()
    house.rests(1, due=now + 500)
    house.rests(2, due=now + 100)
    house.rests(3)
    when = house.resting.next_look()
    assert when is not None
    assert 99 < when - time.monotonic() < 100
    clock(99)
    house.turn()
    assert house.there == []
    clock(0.95)
    house.turn()
    assert house.there == [1]


@pytest.mark.parametrize("pipe", ["spooler", "own"])
def test_signal_calls_one_back(house: House, pipe: str) -> None:
    """For any spooler, and for those of the directory; while one is there it is his."""
    name = "spooler" if pipe == "spooler" else f"spooler {house.folder}"
    house.rests(1, 2)
    house.switchboard.signals[name].send(7)
    assert house.turn() == 0
    house.rests(3)
    assert house.turn(within=5) == 1
    assert house.there == [1]


def test_without_inotify_one_looks_at_every_frequency(
    house: House, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would."""
    monkeypatch.setattr(arrivals, "_libc", None)
    house.rests(1, 2, 3)
    clock(29)
    house.turn()
    assert house.there == []
    clock(2)
    house.turn()
    assert house.there == [1]


def test_busy_one_may_know_more_than_is_heard(house: House, clock: Callable[[float], None]) -> None:
    """A delayed task that came while the others were away: after a frequency another one looks."""
    house.rests(1, 2)
    house.rows[3].start_task(0.0)
    clock(31)
    house.turn()
    assert house.there == [1, 3]


def test_new_folder_is_heard_of(house: House) -> None:
    """A priority's; what comes into it is a call, too."""
    house.rests(1, 2, 3)
    (house.folder / "5").mkdir()
    assert house.turn(within=5) == 1
    house.forked(1)
    house.rows[1].set_state(State.READY)
    house.turn()
    house.rests(1)
    assert house.there == []
    (house.folder / "5" / "file").write_bytes(b"x")
    assert house.turn(within=5) == 1
    assert house.there == [1]


def test_without_the_option_all_come_back(house: House) -> None:
    """After a reload that took it away."""
    house.rests(1, 2)
    house.resting.follow(Settings(spooler=house.settings.spooler, spooler_processes="3"))
    assert house.there == [1, 2, 3]
    house.rests(1)
    assert house.there == [1, 2, 3]


def test_nothing_is_left_open(house: House) -> None:
    """After the last one is back, and after the end."""
    before = len(os.listdir("/proc/self/fd"))
    house.rests(1, 2, 3)
    house.resting.follow(Settings(spooler=house.settings.spooler, spooler_processes="3"))
    assert len(os.listdir("/proc/self/fd")) == before
    house.forked(1)
    house.rests(1)
    house.resting.close()
    assert len(os.listdir("/proc/self/fd")) == before
