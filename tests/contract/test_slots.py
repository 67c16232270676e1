"""Slots: so many at once over all processes, given back by whoever dies, heard of at once."""

from __future__ import annotations

import os
import select
import signal as unix_signals
from collections.abc import Iterator
from pathlib import Path

import pytest

from muleteer.spool import arrivals
from muleteer.spool.slots import Slots


@pytest.fixture(params=["inotify", "polling"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How one hears of a free slot."""
    if request.param == "polling":
        monkeypatch.setattr(arrivals, "_libc", None)
    return str(request.param)


@pytest.fixture
def pair(tmp_path: Path, kind: str) -> Iterator[tuple[Slots, Slots]]:
    """Two spoolers of one directory."""
    both = Slots(bytes(tmp_path)), Slots(bytes(tmp_path))
    yield both
    for slots in both:
        slots.close()


def is_told(slots: Slots, within: float = 5.0) -> bool:
    """Does it hear of a free slot?"""
    if slots.fd is None:
        return slots.patience_s() < 1  # it looks by itself
    ready, _, _ = select.select([slots.fd], [], [], within)
    if ready:
        slots.heard()
    return bool(ready)


def test_no_more_than_the_limit_at_once(pair: tuple[Slots, Slots]) -> None:
    """Whoever asks, in whichever process; each function has its own."""
    one, other = pair
    first, second = one.take("f", 2), other.take("f", 2)
    assert first is not None
    assert second is not None
    assert one.take("f", 2) is other.take("f", 2) is None
    alone = one.take("g", 1)
    assert alone is not None
    one.give_back(first)
    third = other.take("f", 2)
    assert third is not None
    for slots, slot in ((other, second), (other, third), (one, alone)):
        slots.give_back(slot)


def test_parked_task_gets_its_turn_when_a_slot_is_given_back(pair: tuple[Slots, Slots]) -> None:
    """Not before, and one at a time, in their order."""
    one, other = pair
    slot = one.take("f", 1)
    assert slot is not None
    assert other.take("f", 1) is None
    for path in (b"a", b"b"):
        other.park("f", 1, path)
    assert other.admit() == []
    one.give_back(slot)
    assert is_told(other)
    assert other.patience_s() == 0.0
    assert other.admit() == [b"a"]
    slot = other.take("f", 1)
    assert slot is not None
    assert other.admit() == []
    other.give_back(slot)
    assert other.admit() == [b"b"]
    assert other.admit() == []


def test_task_that_is_gone_when_let_in_makes_room_for_the_next(pair: tuple[Slots, Slots]) -> None:
    """Who was let in and took no slot holds nobody up."""
    one, other = pair
    slot = one.take("f", 1)
    assert slot is not None
    for path in (b"gone", b"there"):
        other.park("f", 1, path)
    one.give_back(slot)
    assert is_told(other)
    assert [other.admit(), other.admit(), other.admit()] == [[b"gone"], [b"there"], []]


def test_task_that_was_overtaken_is_still_the_first(pair: tuple[Slots, Slots]) -> None:
    """Another spooler was faster: it waits at the head, not at the end."""
    one, other = pair
    slot = one.take("f", 1)
    assert slot is not None
    for path in (b"a", b"b"):
        other.park("f", 1, path)
    one.give_back(slot)
    assert is_told(other)
    assert other.admit() == [b"a"]
    faster = one.take("f", 1)
    assert faster is not None
    assert other.take("f", 1) is None
    other.park("f", 1, b"a")
    assert other.admit() == []
    one.give_back(faster)
    assert is_told(other)
    assert other.admit() == [b"a"]


def test_slot_given_back_before_anybody_listened_is_not_missed(pair: tuple[Slots, Slots]) -> None:
    """Between the look that found none and the listening."""
    one, other = pair
    slot = one.take("f", 1)
    assert slot is not None
    assert other.take("f", 1) is None
    one.give_back(slot)
    other.park("f", 1, b"a")
    assert other.admit() == [b"a"]


def test_looking_tells_nobody(tmp_path: Path) -> None:
    """Two who wait do not wake each other for ever."""
    one, other = Slots(bytes(tmp_path)), Slots(bytes(tmp_path))
    holder = Slots(bytes(tmp_path))
    slot = holder.take("f", 1)
    assert slot is not None
    for slots in (one, other):
        slots.park("f", 1, b"a")
        assert slots.admit() == []
        slots.heard()
    for _ in range(10):
        for slots in (one, other):
            slots.heard()
            assert slots.admit() == []
            assert slots.take("f", 1) is None
    assert not is_told(one, within=0)
    assert not is_told(other, within=0)
    holder.give_back(slot)
    for slots in (one, other, holder):
        slots.close()


def test_dead_process_gives_its_slot_back(pair: tuple[Slots, Slots], tmp_path: Path) -> None:
    """SIGKILL: the next one hears of it."""
    _, other = pair
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        Slots(bytes(tmp_path)).take("f", 1)
        os.write(writer, b"x")
        signal = unix_signals.sigwait([unix_signals.SIGUSR1])
        os._exit(signal)
    os.read(reader, 1)
    assert other.take("f", 1) is None
    other.park("f", 1, b"a")
    assert other.admit() == []
    os.kill(child, unix_signals.SIGKILL)
    os.waitpid(child, 0)
    assert is_told(other)
    assert other.admit() == [b"a"]
    for fd in (reader, writer):
        os.close(fd)


def test_what_a_task_forked_keeps_no_slot(pair: tuple[Slots, Slots]) -> None:
    """A child that lives on inherited the descriptor."""
    one, other = pair
    slot = one.take("f", 1)
    assert slot is not None
    child = os.fork()
    if child == 0:
        unix_signals.pause()
        os._exit(0)
    one.give_back(slot)
    taken = other.take("f", 1)
    os.kill(child, unix_signals.SIGKILL)
    os.waitpid(child, 0)
    assert taken is not None
    other.give_back(taken)


def test_many_parked_tasks_cost_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a function's slots are known to be taken, its next tasks are parked without a look."""
    slots = Slots(bytes(tmp_path))
    slot = slots.take("f", 1)
    assert slot is not None
    slots.park("f", 1, b"0")
    assert slots.admit() == []
    monkeypatch.setattr("muleteer.spool.slots._is_free", None)
    for number in range(1000):
        assert slots.take("f", 1) is None
        slots.park("f", 1, b"%d" % number)
        assert slots.admit() == []
    slots.give_back(slot)
    slots.close()
