"""The uwsgi protocol's reader: packets in, at every cut, requests out."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.errors import WireError
from muleteer.wire.packet import Packet, encode_packet, encode_vars
from muleteer.wire.request import Limits, Request
from muleteer.wire.uwsgi import PacketReader

DATA = Path(__file__).resolve().parents[2] / "data" / "uwsgi"
CASES = sorted(path.stem for path in DATA.glob("*.bin"))


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def by_byte(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def in_random_cuts(data: bytes) -> Iterable[bytes]:
    dice = random.Random(data)
    places = sorted(dice.sample(range(len(data) + 1), k=min(5, len(data))))
    return (data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True))


Cut = Callable[[bytes], Iterable[bytes]]
CUTS = pytest.mark.parametrize("cut", [whole, by_byte, in_random_cuts], ids=lambda c: c.__name__)


def new_reader(head: int = 65535, body: int = 0, memory: int = 1 << 20) -> PacketReader:
    return PacketReader({"wsgi.url_scheme": "http"}, Limits(head, body, memory), io.BytesIO)


def read(reader: PacketReader, pieces: Iterable[bytes]) -> Request | Packet | None:
    for piece in pieces:
        found = reader.feed(piece)
        if found is not None:
            return found
    return None


@CUTS
@pytest.mark.parametrize("name", CASES)
def test_a_packet_gives_what_stands_beside_it(name: str, cut: Cut) -> None:
    """Each case gives its variables and body, or its refusal, however its bytes are cut."""
    reader = new_reader()
    found = read(reader, cut((DATA / f"{name}.bin").read_bytes()))
    expected = json.loads((DATA / f"{name}.json").read_text())
    if "status" in expected:
        assert found is None
        assert reader.failure is not None
        assert reader.failure.status == expected["status"]
    elif "modifier1" in expected:
        payload = expected["payload"].encode("latin-1")
        assert found == Packet(expected["modifier1"], payload, expected["modifier2"])
    else:
        assert isinstance(found, Request)
        assert found.variables == expected["variables"]
        assert found.body == expected["body"].encode("latin-1")
        assert not found.keep_alive


@given(st.lists(st.binary(max_size=100), max_size=6))
def test_arbitrary_bytes_never_raise(pieces: list[bytes]) -> None:
    """Whatever comes, `feed` returns; what is wrong stands in `failure`."""
    reader = new_reader(head=80, body=50, memory=10)
    read(reader, pieces)
    assert reader.failure is None or isinstance(reader.failure, WireError)
    reader.discard()


@given(st.binary(max_size=100))
def test_arbitrary_variables_never_raise(block: bytes) -> None:
    """A block of nonsense is a request or a refusal."""
    reader = new_reader()
    found = reader.feed(encode_packet(0, block))
    assert isinstance(found, Request) or isinstance(reader.failure, WireError) or reader.is_in_body


def test_the_last_of_equal_variables_counts() -> None:
    """As in uWSGI, where the block becomes a dict."""
    found = new_reader().feed(encode_packet(0, encode_vars([(b"A", b"1"), (b"A", b"2")])))
    assert isinstance(found, Request)
    assert found.variables["A"] == "2"


@CUTS
def test_a_long_body_goes_into_a_file(cut: Cut) -> None:
    """A body beyond the memory limit is in a file, whole."""
    data = encode_packet(0, encode_vars([(b"CONTENT_LENGTH", b"500")])) + b"x" * 500
    found = read(new_reader(memory=100), cut(data))
    assert isinstance(found, Request)
    assert isinstance(found.body, io.BytesIO)
    assert found.body.getvalue() == b"x" * 500


def test_a_body_that_cannot_be_kept_is_500() -> None:
    """A full disk is our fault, not the client's, and is called by its name."""

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    reader = PacketReader({}, Limits(1000, 0, 10), Full)
    reader.feed(encode_packet(0, encode_vars([(b"CONTENT_LENGTH", b"99")])) + b"x" * 50)
    assert reader.failure is not None
    assert reader.failure.status == 500
    assert "No space left" in str(reader.failure)


def test_limits_are_the_options() -> None:
    """`buffer-size` for the variables, `limit-post` for the body; each is named."""
    reader = new_reader(head=10)
    reader.feed(encode_packet(0, b"x" * 11)[:4])
    assert "buffer-size" in str(reader.failure)
    reader = new_reader(body=10)
    reader.feed(encode_packet(0, encode_vars([(b"CONTENT_LENGTH", b"11")])))
    assert "limit-post" in str(reader.failure)


def test_it_is_idle_until_something_comes() -> None:
    """Idle before the first byte, in the body after the variables."""
    reader = new_reader()
    assert reader.is_idle
    data = encode_packet(0, encode_vars([(b"CONTENT_LENGTH", b"1")]))
    reader.feed(data[:1])
    assert not reader.is_idle
    assert not reader.is_in_body
    reader.feed(data[1:])
    assert reader.is_in_body
