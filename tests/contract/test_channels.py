"""Channels: what is sent arrives whole and in order, waits for its reader, and is never dropped."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from muleteer.errors import ChannelFull
from muleteer.ipc.channels import Bell, Mailbox, SignalPipe, Switchboard, message_pair
from muleteer.ipc.targets import Population


@pytest.fixture
def pipe() -> Iterator[SignalPipe]:
    made = SignalPipe("worker1")
    yield made
    made.close()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox("mule1")
    yield made
    made.close()


# -- signals ------------------------------------------------------------------------------


def test_a_signal_is_put_back_into_the_pipe_it_came_from() -> None:
    """Any number, from any pipe, as one number that fits into a cell of the scoreboard."""
    board = Switchboard(Population(workers=2, mules=1), [])
    try:
        for name, pipe in board.signals.items():
            for signum in (0, 65535):
                number = board.number_of(pipe, signum)
                assert 0 <= number < 1 << 62
                board.put_back(number)
                waiting = {n: p.take() for n, p in board.signals.items() if p.waiting()}
                assert waiting == {name: signum}
    finally:
        board.close()


def test_signals_arrive_in_order(pipe: SignalPipe) -> None:
    """Every number from 0 to 65535 travels, in the order of sending."""
    numbers = [0, 17, 255, 256, 65535, 17]
    for number in numbers:
        pipe.send(number)
    assert pipe.waiting() == 6
    assert [pipe.take() for _ in numbers] == numbers
    assert pipe.take() is None


def test_full_signal_queue_raises_and_drops_nothing(pipe: SignalPipe) -> None:
    """Thousands of signals wait; the one too many is refused, and all the others are there."""
    sent = 0
    with pytest.raises(ChannelFull, match="worker1"):
        while True:
            pipe.send(7, patience_s=0.0)
            sent += 1
    assert sent > 10_000
    assert pipe.waiting() == sent
    assert all(pipe.take() == 7 for _ in range(sent))
    assert pipe.take() is None


def test_tick_that_waits_is_not_queued_twice(pipe: SignalPipe) -> None:
    """A thousand ticks during one slow handler are one tick."""
    for _ in range(1000):
        pipe.send_tick(300)
    assert pipe.take() == 300
    assert pipe.take() is None
    pipe.send_tick(300)
    assert pipe.take() == 300


def test_tick_taken_by_a_process_that_died_does_not_stop_the_clock(pipe: SignalPipe) -> None:
    """When a reader dies right after taking a tick, the next tick still comes."""
    pipe.send_tick(9)
    os.read(pipe.read_fd, 2)  # taken, and dead before it could say so
    pipe.send_tick(9)
    assert pipe.take() is None
    pipe.forget_ticks()
    pipe.send_tick(9)
    assert pipe.take() == 9


def test_ticks_and_signals_do_not_mix(pipe: SignalPipe) -> None:
    """A signal that an application raises is queued each time, whatever the clock does."""
    pipe.send_tick(5)
    pipe.send(5)
    pipe.send(5)
    assert [pipe.take() for _ in range(4)] == [5, 5, 5, None]


# -- messages for mules -------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 1_000_000, 20_000_000])
def test_message_of_any_size_arrives_whole(mailbox: Mailbox, size: int) -> None:
    """An empty message, a small one and one of 20 MB arrive as they were sent."""
    message = os.urandom(min(size, 4096)) * (size // 4096) + b"x" * (size % 4096)
    if size < 4096:
        message = b"x" * size
    mailbox.send(message)
    assert mailbox.take() == message
    assert mailbox.take() is None


def test_messages_arrive_in_order(mailbox: Mailbox) -> None:
    """Small and large ones keep their order."""
    messages = [b"a", b"b" * 100_000, b"", b"c"]
    for message in messages:
        mailbox.send(message)
    assert [mailbox.take() for _ in messages] == messages


def test_full_mailbox_raises_and_drops_nothing(mailbox: Mailbox) -> None:
    """The message too many is refused with the name of the queue; the others are all there."""
    sent = 0
    with pytest.raises(ChannelFull, match="mule1"):
        while True:
            mailbox.send(str(sent).encode(), patience_s=0.0)
            sent += 1
    assert sent >= 200
    assert [mailbox.take() for _ in range(sent)] == [str(n).encode() for n in range(sent)]


def test_large_messages_leave_no_descriptor_behind(mailbox: Mailbox) -> None:
    """The nameless file of a large message is closed on both sides."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        mailbox.send(b"x" * 100_000)
        mailbox.take()
    assert len(os.listdir("/proc/self/fd")) == before


# -- bells and message pairs --------------------------------------------------------------


def test_bell_rings_and_is_hushed() -> None:
    """A ring is heard once; a full bell takes more rings without a word."""
    bell = Bell()
    assert not bell.hush()
    for _ in range(100_000):
        bell.ring()
    assert bell.hush()
    while bell.hush():
        pass
    bell.ring()
    assert bell.hush(1)
    assert not bell.hush()
    bell.close()


def test_message_pair_talks_both_ways() -> None:
    """Each end takes what the other sent, whole and in order."""
    ours, theirs = message_pair()
    for n in range(3):
        ours.send({"op": "spawn", "row": n})
    theirs.send({"op": "forked", "pid": 7})
    assert [message["row"] for message in theirs.take_all()] == [0, 1, 2]
    assert [message["pid"] for message in ours.take_all()] == [7]
    theirs.close()
    ours.send({"op": "nobody listens"})
    assert list(ours.take_all()) == []
    ours.close()


def test_full_message_pair_raises() -> None:
    """Who does not take its messages is stuck, and the sender is told."""
    ours, theirs = message_pair()
    with pytest.raises(ChannelFull, match="stuck"):
        while True:
            ours.send({"op": "x" * 100}, patience_s=0.0)
    ours.close()
    theirs.close()
