"""What two muleteers say to each other: values, frames, and what is refused."""

from __future__ import annotations

import random
import struct
from enum import IntEnum
from typing import Any

import pytest

from muleteer.errors import Malformed, TooLarge
from muleteer.wire.calls import (
    BYE,
    HELLO,
    MAX_FRAME,
    OWN,
    FrameReader,
    Kind,
    copied,
    decode_values,
    encode_frame,
    encode_values,
    is_hello,
)
from muleteer.wire.packet import Packet, decode_header


class Color(IntEnum):
    RED = 1


TRAVELS: list[tuple[Any, Any]] = [
    (b"", b""),
    (b"\x00\xff", b"\x00\xff"),
    ("é", "é".encode()),
    (bytearray(b"x"), b"x"),
    (memoryview(b"x"), b"x"),
    (b"x" * 70000, b"x" * 70000),
    (None, None),
    (True, True),
    (7, 7),
    (-1.5, -1.5),
    (Color.RED, 1),
    ([1, "é", None, {"a": [True]}], [1, "é", None, {"a": [True]}]),
    ((1, 2), [1, 2]),
    ({}, {}),
]


@pytest.mark.parametrize(("sent", "seen"), TRAVELS, ids=lambda v: f"{type(v).__name__}-{v!r}"[:14])
def test_a_value_arrives(sent: Any, seen: Any) -> None:
    """Text is its UTF-8 bytes, bytes are bytes, JSON is JSON; and a local copy sees the same."""
    assert decode_values(encode_values([b"f", sent, b"end"])) == [b"f", seen, b"end"]
    assert copied(sent) == seen
    assert type(copied(sent)) is type(seen)


def ring() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, [b"bytes"], {"a": b"bytes"}, {(1,): 2}, ring(), 1j]
)
def test_a_value_that_cannot_travel_is_named(value: Any) -> None:
    """What JSON has not is refused with its type, here and in a local call."""
    with pytest.raises(Malformed, match=type(value).__name__):
        encode_values([value])
    with pytest.raises(Malformed, match=type(value).__name__):
        copied(value)


def test_a_local_copy_is_a_copy() -> None:
    """A function that changes its argument changes its own, wherever it runs."""
    mine = {"a": [1]}
    copied(mine)["a"].append(2)
    assert mine == {"a": [1]}


@pytest.mark.parametrize(
    "block",
    [
        b"\x00",
        struct.pack("<BI", 0, 5) + b"four",
        struct.pack("<BI", 0, 0xFFFFFFFF),
        struct.pack("<BI", 9, 0),
        struct.pack("<BI", 1, 1) + b"{",
        struct.pack("<BI", 1, 200_000) + b"[" * 200_000,
        struct.pack("<BI", 1, 6000) + b"9" * 6000,
        struct.pack("<BI", 1, 2) + b"\xff\xfe",
    ],
)
def test_a_broken_block_is_malformed(block: bytes) -> None:
    """Short, long, of an unknown kind, no JSON, JSON too deep: one kind of error, and no other."""
    with pytest.raises(Malformed):
        decode_values(block)


def test_any_bytes_are_values_or_malformed() -> None:
    """Noise raises nothing but Malformed, whatever it says about lengths."""
    noise = random.Random(173)
    good = encode_values([b"f", "text", 1, [2], None])
    for _ in range(5000):
        block = bytearray(good if noise.random() < 0.7 else noise.randbytes(noise.randrange(40)))
        for _ in range(noise.randrange(4)):
            if block:
                block[noise.randrange(len(block))] = noise.randrange(256)
        try:
            decode_values(bytes(block[: noise.randrange(len(block) + 1)]))
        except Malformed:
            pass


FRAMES = [(Kind.CALL, b"one"), (Kind.RESULT, b""), (Kind.FAILED, b"x" * 3000), (Kind.BYE, b"")]
STREAM = b"".join(encode_frame(kind, payload) for kind, payload in FRAMES)


def test_frames_may_be_cut_anywhere() -> None:
    """However the bytes come, the frames are the same, and the reader is idle after the last."""
    cuts = random.Random(5)
    for _ in range(200):
        reader, seen, rest = FrameReader(), [], STREAM
        while rest:
            size = cuts.choice([1, 2, 5, 7, 1000, len(rest)])
            seen += reader.feed(rest[:size])
            rest = rest[size:]
        assert seen == FRAMES
        assert reader.is_idle


def test_half_a_frame_is_waited_for() -> None:
    """A reader with a part of a frame is not idle."""
    reader = FrameReader()
    assert reader.feed(STREAM[:6]) == []
    assert not reader.is_idle


@pytest.mark.parametrize(
    ("head", "error"),
    [(struct.pack("<IB", MAX_FRAME + 1, 1), TooLarge), (struct.pack("<IB", 0, 99), Malformed)],
)
def test_a_wrong_frame_ends_the_line(head: bytes, error: type[Exception]) -> None:
    """A size nobody would send and a kind nobody knows are refused at the head."""
    with pytest.raises(error):
        FrameReader().feed(head)
    with pytest.raises(error):
        FrameReader().feed(head + b"more")


def test_a_hello_is_a_ping_to_all_others() -> None:
    """modifier1 100, no payload: uWSGI answers it as it answers any ping."""
    assert decode_header(HELLO) == (100, 0, OWN)
    assert is_hello(Packet(100, b"", OWN))
    assert not is_hello(Packet(100, b"", 0))
    assert not is_hello(Packet(173, b"", OWN))


def test_a_goodbye_is_a_frame() -> None:
    """A caller reads it where it would read an answer."""
    assert FrameReader().feed(BYE) == [(Kind.BYE, b"")]
