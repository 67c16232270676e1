"""The packets and control messages of connected nodes."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from muleteer.errors import BadTerm, Malformed, TooLarge
from muleteer.wire import distribution, etf
from muleteer.wire.distribution import Message, Op, Packets
from muleteer.wire.terms import Atom, Charlist, Pid, Ref

PID = Pid(Atom("t@127.0.0.1"), 90, 0, 3)
OURS = Pid(Atom("py@127.0.0.1"), 7, 0, 9)
REF = Ref(Atom("t@127.0.0.1"), 3, (1, 2, 3))


def framed(*packets: bytes) -> bytes:
    """Packets as they stand on the wire."""
    return b"".join(struct.pack(">I", len(packet)) + packet for packet in packets)


def test_packets_come_whole_however_they_are_cut() -> None:
    """Every cut at every byte gives the same packets; an empty one is a tick."""
    packets = [b"pone", b"", b"p" * 300, b"", b"p"]
    stream = framed(*packets)
    for cut in range(len(stream) + 1):
        reader = Packets()
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == packets
    reader = Packets()
    assert [packet for byte in stream for packet in reader.feed(bytes((byte,)))] == packets


def test_a_large_packet_is_put_together_once() -> None:
    """Its pieces are not looked at before the last one is there."""
    reader = Packets()
    stream = framed(b"p" * 3_000_000)
    found = [got for at in range(0, len(stream), 65536) for got in reader.feed(stream[at:][:65536])]
    assert found == [b"p" * 3_000_000]


def test_a_too_large_packet_is_refused_at_its_length() -> None:
    """Nothing of it is kept, not even awaited."""
    reader = Packets(limit=1000)
    assert reader.feed(framed(b"p" * 1000)) == [b"p" * 1000]
    with pytest.raises(TooLarge, match="1001"):
        reader.feed(struct.pack(">I", 1001))
    with pytest.raises(TooLarge):
        Packets().feed(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (distribution.send(PID, b"x"), Message(2, (Atom(""), PID), b"x")),
        (distribution.send_to_name(OURS, "echo", 1), Message(6, (OURS, "", Atom("echo")), 1)),
        (distribution.send_to_alias(OURS, REF, None), Message(33, (OURS, REF), None)),
        (distribution.exited(OURS, PID, Atom("noproc")), Message(3, (OURS, PID, Atom("noproc")))),
        (distribution.exit_process(OURS, PID, 1), Message(8, (OURS, PID, 1))),
        (distribution.monitored(OURS, PID, REF, 1), Message(21, (OURS, PID, REF, 1))),
        (distribution.unlinked(5, OURS, PID), Message(36, (5, OURS, PID))),
        (distribution.spawned(REF, PID, 2, OURS), Message(31, (REF, PID, 2, OURS))),
        (distribution.not_spawned(REF, PID, "notsup"), Message(31, (REF, PID, 0, Atom("notsup")))),
    ],
    ids=lambda value: Op(value.op).name if isinstance(value, Message) else "",
)
def test_what_is_written_is_read(packet: bytes, message: Message) -> None:
    """Number, parts and payload come back as they were."""
    [body] = Packets().feed(packet)
    assert distribution.decode_message(body) == message


def test_an_rpc_call_as_captured_is_read() -> None:
    """The arguments `[2,3]` of a real rpc:call are a string on the wire."""
    payload = bytes.fromhex("836c00000004610377016d77036164646b000202036a")
    control = etf.encode((29, REF, PID, PID, (Atom("erpc"), Atom("execute_call"), 4), [1]))
    message = distribution.decode_message(b"\x70" + control + payload)
    assert message.op == Op.SPAWN_REQUEST
    assert message.payload == [3, Atom("m"), Atom("add"), Charlist("\2\3")]


def test_bytes_after_the_payload_are_tolerated() -> None:
    """As every node does."""
    packet = distribution.send(PID, 1)[4:] + b"more"
    assert distribution.decode_message(packet).payload == 1


def test_a_broken_payload_leaves_the_control_message_good() -> None:
    """One message is lost and named; the connection goes on."""
    control = etf.encode((2, Atom(""), PID))
    for payload in (b"\x83\x46\x7f\xf0\0\0\0\0\0\0", b"\x83", b""):
        message = distribution.decode_message(b"\x70" + control + payload)
        assert message.args == (Atom(""), PID)
        assert message.broken
    assert not distribution.decode_message(b"\x70" + control + etf.encode(1)).broken


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"p",
        b"\x83\x44\x00",
        b"q" + etf.encode((2, Atom(""), PID)) + etf.encode(1),
        b"p" + etf.encode([2, Atom(""), PID]),
        b"p" + etf.encode(()),
        b"p" + etf.encode((True, 1)),
        b"p" + etf.encode((0, 1)),
        b"p" + etf.encode((1 << 100_000, 1)),
        b"p" + etf.encode((2, PID)),
        b"p" + etf.encode((19, PID, OURS)),
        b"p" + etf.encode((29, PID, OURS)),
        b"p\x83\x68\x03\x61\x02",
    ],
)
def test_a_broken_control_message_is_an_error(packet: bytes) -> None:
    """After it nobody knows what the peer means."""
    with pytest.raises(Malformed):
        distribution.decode_message(packet)


def test_what_cannot_be_sent_is_refused_before_a_byte_is_written() -> None:
    """The caller reads why; the connection is not touched."""
    with pytest.raises(BadTerm, match="nan"):
        distribution.send(PID, [float("nan")])


def test_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we would not take, we do not send."""
    monkeypatch.setattr(distribution, "MAX_PACKET", 100)
    with pytest.raises(TooLarge):
        distribution.send(PID, b"x" * 100)


def test_mutated_packets_are_read_or_refused() -> None:
    """Ten thousand seeded mutations raise nothing but our own errors."""
    dice = random.Random(7)
    seeds: list[Any] = [
        distribution.send_to_name(PID, "echo", (PID, b"hello"))[4:],
        distribution.monitored(OURS, PID, REF, Atom("noproc"))[4:],
        b"p" + etf.encode((29, REF, PID, PID, (Atom("m"), Atom("f"), 4), [])) + etf.encode([1]),
    ]
    for _ in range(10_000):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            distribution.decode_message(bytes(data))
        except (Malformed, TooLarge):
            pass
