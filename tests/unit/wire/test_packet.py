"""The uwsgi packet: what is encoded decodes to the same, and what is broken is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.errors import Malformed, TooLarge
from muleteer.wire import packet
from muleteer.wire.packet import Modifier

PAIRS = st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.binary(max_size=300)))


def test_a_packet_is_a_header_and_its_payload() -> None:
    """Modifier, little-endian size, modifier: uWSGI's four bytes."""
    assert packet.encode_packet(17, b"abc", 2) == b"\x11\x03\x00\x02abc"
    assert packet.decode_header(b"\x11\x03\x01\x02abc") == (17, 259, 2)
    assert packet.encode_packet(Modifier.PING, b"") == b"\x64\0\0\0"


def test_a_payload_over_64k_is_refused() -> None:
    """The size has two bytes; more is refused, not cut."""
    packet.encode_packet(0, b"x" * 65535)
    with pytest.raises(TooLarge, match="65536"):
        packet.encode_packet(0, b"x" * 65536)


def test_variables_are_as_uwsgi_writes_them() -> None:
    """Lengths before name and value, in little-endian."""
    assert packet.encode_vars([(b"ab", b"c"), (b"d", b"")]) == b"\x02\0ab\x01\0c\x01\0d\0\0"


@given(PAIRS)
def test_variables_come_back(pairs: list[tuple[bytes, bytes]]) -> None:
    """What was encoded is decoded, in order, with duplicates."""
    assert packet.decode_vars(packet.encode_vars(pairs)) == pairs


@given(st.lists(st.binary(max_size=300)))
def test_arrays_come_back(items: list[bytes]) -> None:
    """Empty items too."""
    assert packet.decode_array(packet.encode_array(items)) == items


@given(st.binary(max_size=300))
def test_arbitrary_blocks_are_read_or_refused(block: bytes) -> None:
    """Nothing but Malformed comes out of a block from outside."""
    for decode in (packet.decode_vars, packet.decode_array):
        try:
            decode(block)
        except Malformed:
            pass


@pytest.mark.parametrize(
    ("block", "offset"),
    [(b"\x01", "0"), (b"\x02\0a", "0"), (b"\x01\0a", "3"), (b"\x01\0a\x05\0b", "3")],
)
def test_a_broken_block_names_its_place(block: bytes, offset: str) -> None:
    """The error says at which byte it is."""
    with pytest.raises(Malformed, match=rf"\b{offset}\b"):
        packet.decode_vars(block)


def test_an_empty_name_is_refused_both_ways() -> None:
    """A variable without a name is nobody's."""
    with pytest.raises(Malformed):
        packet.encode_vars([(b"", b"x")])
    with pytest.raises(Malformed):
        packet.decode_vars(b"\0\0\x01\0x")


def test_a_too_long_value_names_its_key() -> None:
    """The user reads which variable it was."""
    with pytest.raises(TooLarge, match="'big' has 65536 bytes"):
        packet.encode_vars([(b"big", b"x" * 65536)])
    with pytest.raises(TooLarge, match="item 1"):
        packet.encode_array([b"", b"x" * 65536])
