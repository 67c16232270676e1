"""The handshake: both sides of ours with each other, and with what real nodes said."""

from __future__ import annotations

import random
import struct

import pytest

from muleteer.errors import Malformed, NodeRefused, TooLarge
from muleteer.wire.handshake import (
    MANDATORY,
    OURS,
    Acceptor,
    Flag,
    Handshake,
    Initiator,
    Local,
    Peer,
    digest,
)

COOKIE = b"testcookie"
HERE = Local("py@127.0.0.1", 0x01020304, COOKIE, 0x2AD56B94)
THERE = Local("t@127.0.0.1", 77, COOKIE, 0x48575989)

# Captured from a real node of OTP 25 that was called: its packets, ours in between.
OURS_NAME = bytes.fromhex("001b4e0000000d07070fbc01020304000c7079403132372e302e302e31")
THEIR_STATUS = bytes.fromhex("0003736f6b")
THEIR_CHALLENGE = bytes.fromhex(
    "00234e0000000d07df7fbd485759896b049b70001065726c737276403132372e302e302e31"
)
OUR_REPLY = bytes.fromhex("0015722ad56b940d0c5adb2b91d6672a476efaa6ba4c1a")
THEIR_ACK = bytes.fromhex("001161854de1b6d112098827c22fd07a44afde")


@pytest.mark.parametrize(
    ("cookie", "challenge", "proof"),
    [
        (b"testcookie", 77, "f54cd92d90b484b987f759d762ce755c"),
        (b"testcookie", 4294967295, "dad0df80fdd7a08b5602d9d807646480"),
        (b"C", 0, "9c5959e6f08f10d0edbadf5be1f33c53"),
    ],
)
def test_the_proof_is_erlangs(cookie: bytes, challenge: int, proof: str) -> None:
    """MD5 of the cookie and the challenge as an unsigned decimal number."""
    assert digest(cookie, challenge).hex() == proof


def test_our_flags_are_the_ones_that_were_measured() -> None:
    """Hidden, no atom cache, no fragments, and everything that OTP 25 to 28 insist on."""
    assert (int(MANDATORY), int(OURS)) == (0x1070F94, 0xD07070FBC)
    assert not OURS & (Flag.PUBLISHED | 0x2000 | 0x800000)


def test_a_real_nodes_handshake_is_answered_byte_by_byte() -> None:
    """Called: name, status, challenge, reply, ack, as captured."""
    side = Initiator(HERE)
    assert side.start() == OURS_NAME
    assert side.feed(THEIR_STATUS) == b""
    assert side.feed(THEIR_CHALLENGE) == OUR_REPLY
    assert side.peer is None
    assert side.feed(THEIR_ACK + b"\0\0\0\0") == b""
    assert side.peer == Peer("erlsrv@127.0.0.1", 0x6B049B70, 0xD07DF7FBD)
    assert side.rest == b"\0\0\0\0"


def shake(left: Initiator, right: Acceptor, size: int = 1000) -> None:
    """Let the two talk, in pieces, until neither says more."""
    to_right, to_left = left.start(), b""
    while to_right or to_left:
        piece, to_right = to_right[:size], to_right[size:]
        to_left += right.feed(piece)
        piece, to_left = to_left[:size], to_left[size:]
        to_right += left.feed(piece)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("status", ["ok", "ok_simultaneous", "alive"])
def test_both_sides_of_ours_agree(status: str, size: int) -> None:
    """However the bytes are cut, each knows the other in the end."""
    met: list[Peer] = []
    left, right = Initiator(HERE), Acceptor(THERE, lambda peer: met.append(peer) or status)
    shake(left, right, size)
    assert left.peer == Peer(THERE.name, THERE.creation, int(OURS))
    assert right.peer == met[0] == Peer(HERE.name, HERE.creation, int(OURS))
    assert left.is_simultaneous == (status == "ok_simultaneous")


def test_a_wrong_cookie_is_noticed_by_the_one_who_was_called() -> None:
    """The caller proves itself first; the error says cookie, not which one."""
    wrong = Local(HERE.name, 1, b"wrongcookie", 5)
    left, right = Initiator(wrong), Acceptor(THERE, lambda peer: "ok")
    reply = left.feed(right.feed(left.start()))
    with pytest.raises(NodeRefused, match="cookie") as caught:
        right.feed(reply)
    assert right.peer is None
    assert "wrongcookie" not in str(caught.value)
    assert "testcookie" not in f"{caught.value}{THERE!r}"


def test_a_false_node_is_noticed_by_the_caller() -> None:
    """Whoever answers without the cookie is no peer."""
    side = Initiator(HERE)
    side.feed(THEIR_STATUS + THEIR_CHALLENGE)
    with pytest.raises(NodeRefused, match="cookie"):
        side.feed(THEIR_ACK[:-1] + b"\0")
    assert side.peer is None


@pytest.mark.parametrize(
    ("status", "words"),
    [("nok", "connecting to us"), ("not_allowed", "allow"), ("named:x", "named:x"), ("", "''")],
)
def test_a_caller_that_is_turned_away_says_why(status: str, words: str) -> None:
    """Each status has its sentence."""
    packet = b"s" + status.encode()
    with pytest.raises(NodeRefused, match=words):
        Initiator(HERE).feed(struct.pack(">H", len(packet)) + packet)


def test_a_caller_that_lacks_what_is_mandatory_is_told_so() -> None:
    """It gets `not_allowed` before the connection is closed."""
    poor = Local("old@h", 1, COOKIE, 1, int(OURS & ~Flag.MAP_TAG & ~Flag.MANDATORY_25_DIGEST))
    with pytest.raises(NodeRefused, match="old@h") as caught:
        Acceptor(THERE, lambda peer: "ok").feed(Initiator(poor).start())
    assert caught.value.farewell == b"\0\x0csnot_allowed"


@pytest.mark.parametrize("flags", [int(Flag.MANDATORY_25_DIGEST), 0x407074F9C])
def test_a_c_node_and_the_short_form_are_enough(flags: int) -> None:
    """The ei library offers neither SPAWN nor ALIAS; the digest flag stands for the set."""
    right = Acceptor(THERE, lambda peer: "ok")
    shake(Initiator(Local("c@h", 1, COOKIE, 1, flags)), right)
    assert right.peer == Peer("c@h", 1, flags)


@pytest.mark.parametrize("status", ["nok", "not_allowed"])
def test_a_caller_may_be_turned_away(status: str) -> None:
    """What the greeter says is sent before the end."""
    with pytest.raises(NodeRefused) as caught:
        Acceptor(THERE, lambda peer: status).feed(Initiator(HERE).start())
    assert caught.value.farewell[3:] == status.encode()


def test_a_second_connection_that_is_given_up_ends() -> None:
    """`alive` is answered with false by a node whose first connection works."""
    right = Acceptor(THERE, lambda peer: "alive")
    assert right.feed(Initiator(HERE).start()) == b"\0\x06salive"
    with pytest.raises(NodeRefused, match="already"):
        right.feed(b"\0\x06sfalse")


@pytest.mark.parametrize(
    "name", [b"", b"py", b"@h", b"py@", b"a@b@c", "é@h".encode(), b"a@" + b"h" * 254, b"a\n@h"]
)
def test_a_name_is_alive_at_host(name: bytes) -> None:
    """Anything else is refused before it is looked at."""
    packet = struct.pack(">cQIH", b"N", int(OURS), 1, len(name)) + name
    with pytest.raises(Malformed, match="alive@host"):
        Acceptor(THERE, lambda peer: "ok").feed(struct.pack(">H", len(packet)) + packet)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0",
        b"\0\x01N",
        b"\x08\x01" + b"N" * 2049,
        b"\xff\xff",
        b"\0\x07n\0\x05\0\0\0\0",
    ],
)
def test_garbage_is_refused(garbage: bytes) -> None:
    """A browser, an empty packet, the old greeting: no answer and one of our errors."""
    with pytest.raises((Malformed, TooLarge)):
        Acceptor(THERE, lambda peer: "ok").feed(garbage)


def test_garbage_from_the_called_side_is_refused() -> None:
    """A web server on the port of a node, and a challenge cut short."""
    with pytest.raises((Malformed, TooLarge)):
        Initiator(HERE).feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    side = Initiator(HERE)
    with pytest.raises(Malformed):
        side.feed(THEIR_STATUS + b"\0\x05N\0\0\0\0")


def test_mutated_handshakes_make_no_peer() -> None:
    """No seeded mutation of what a node sends raises anything but our own errors."""
    dice = random.Random(11)
    callers = OURS_NAME + OUR_REPLY
    called = THEIR_STATUS + THEIR_CHALLENGE + THEIR_ACK
    for _ in range(5000):
        sides: list[tuple[Handshake, bytes]] = [
            (Acceptor(THERE, lambda peer: "ok"), callers),
            (Initiator(HERE), called),
        ]
        for side, stream in sides:
            data = bytearray(stream)
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            try:
                side.feed(bytes(data))
            except (Malformed, TooLarge, NodeRefused):
                assert side.peer is None
