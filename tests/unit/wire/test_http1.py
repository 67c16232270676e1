"""HTTP requests: what comes in as bytes, whole or in pieces, comes out as the same requests."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muleteer.errors import WireError
from muleteer.wire.http1 import RequestReader
from muleteer.wire.request import Limits, Request

DATA = Path(__file__).resolve().parents[2] / "data" / "http"
VALID = sorted(path.stem for path in (DATA / "valid").glob("*.http"))
INVALID = sorted(path.stem for path in (DATA / "invalid").glob("*.http"))
HOST = b"Host: a.example\r\n"

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


def by_byte(data: bytes) -> Iterable[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def in_random_cuts(data: bytes) -> Iterable[bytes]:
    dice = random.Random(data)
    places = sorted(dice.sample(range(len(data) + 1), k=min(7, len(data))))
    return (data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True))


CUTS = pytest.mark.parametrize("cut", [whole, by_byte, in_random_cuts], ids=lambda c: c.__name__)


def new_reader(head: int = 65535, body: int = 0, memory: int = 1 << 20) -> RequestReader:
    return RequestReader({"FIXED": "1"}, Limits(head, body, memory), io.BytesIO, "9.9.9.9")


def read(reader: RequestReader, pieces: Iterable[bytes]) -> list[Request]:
    return [request for piece in pieces for request in reader.feed(piece)]


def shown(request: Request) -> dict[str, Any]:
    variables = {k: v for k, v in request.variables.items() if k not in ("FIXED", "REMOTE_ADDR")}
    assert isinstance(request.body, bytes)
    body = request.body.decode("latin-1")
    return {"variables": variables, "keep_alive": request.keep_alive, "body": body}


@CUTS
@pytest.mark.parametrize("name", VALID)
def test_a_valid_case_gives_its_requests(name: str, cut: Cut) -> None:
    """Each case gives the requests that stand beside it, however its bytes are cut."""
    reader = new_reader()
    requests = read(reader, cut((DATA / "valid" / f"{name}.http").read_bytes()))
    assert reader.failure is None
    expected = json.loads((DATA / "valid" / f"{name}.json").read_text())
    assert [shown(request) for request in requests] == expected


@CUTS
@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_case_gives_its_status(name: str, cut: Cut) -> None:
    """Each case is refused with its status, after the requests that came before the fault."""
    reader = new_reader()
    requests = read(reader, cut((DATA / "invalid" / f"{name}.http").read_bytes()))
    expected = json.loads((DATA / "invalid" / f"{name}.json").read_text())
    assert reader.failure is not None
    assert reader.failure.status == expected["status"]
    assert len(requests) == expected["requests_before"]


def test_an_upgrade_that_closes_is_declined_with_its_body() -> None:
    """The variables of such a request are its own still when the body's framing is told anew."""
    head = b"POST / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    reader = new_reader()
    (request,) = read(
        reader,
        by_byte(head + b"Content-Length: 3\r\n\r\nabcGET /second HTTP/1.0\r\nX-More: 1\r\n\r\n"),
    )
    assert (request.body, request.keep_alive, request.variables["HTTP_HOST"]) == (
        b"abc",
        False,
        "a",
    )
    assert "HTTP_X_MORE" not in request.variables


def test_a_length_of_thousands_of_digits_is_the_clients_fault() -> None:
    """Python would not read the number, llhttp does: leading zeros are allowed."""
    reader = new_reader(body=100)
    reader.feed(b"POST / HTTP/1.1\r\n%bContent-Length: %b5\r\n\r\nabcde" % (HOST, b"0" * 5000))
    assert reader.failure is not None
    assert reader.failure.status == 400


def test_every_request_has_the_fixed_variables_and_its_peer() -> None:
    """The template and the peer's address are in each request, and no request shares them."""
    first, second = new_reader().feed(b"GET / HTTP/1.1\r\n%b\r\n" % HOST * 2)
    assert first.variables["FIXED"] == second.variables["FIXED"] == "1"
    assert first.variables["REMOTE_ADDR"] == "9.9.9.9"
    assert first.variables is not second.variables


@given(st.lists(st.binary(max_size=200), max_size=8))
@settings(deadline=None)
def test_arbitrary_bytes_never_raise(pieces: list[bytes]) -> None:
    """Whatever comes, `feed` returns; what is wrong stands in `failure`."""
    reader = new_reader(head=100, body=100, memory=10)
    read(reader, pieces)
    assert reader.failure is None or isinstance(reader.failure, WireError)
    reader.discard()
    assert reader.feed(b"GET / HTTP/1.0\r\n\r\n") == []


@given(st.sampled_from(VALID), st.data())
@settings(deadline=None)
def test_a_flipped_byte_never_raises(name: str, data: st.DataObject) -> None:
    """A valid case with one byte changed is read or refused, never an exception."""
    raw = bytearray((DATA / "valid" / f"{name}.http").read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    reader = new_reader()
    read(reader, in_random_cuts(bytes(raw)))
    assert reader.failure is None or 400 <= reader.failure.status < 600


@CUTS
def test_a_head_over_its_limit_is_431(cut: Cut) -> None:
    """Headers beyond `buffer-size` are refused, however they come."""
    reader = new_reader(head=300)
    read(reader, cut(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 400 + b"\r\n\r\n"))
    assert reader.failure is not None
    assert reader.failure.status == 431


@CUTS
def test_a_head_that_never_ends_is_431(cut: Cut) -> None:
    """A client cannot make us keep more than a head's limit by never ending it."""
    reader = new_reader(head=300)
    read(reader, cut(b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 400))
    assert reader.failure is not None
    assert reader.failure.status == 431


@CUTS
def test_a_request_line_over_the_limit_is_414(cut: Cut) -> None:
    """A target beyond `buffer-size` is called too long by name."""
    reader = new_reader(head=300)
    read(reader, cut(b"GET /" + b"y" * 400 + b" HTTP/1.1\r\n" + HOST + b"\r\n"))
    assert reader.failure is not None
    assert reader.failure.status == 414


def test_many_small_heads_are_not_one_large() -> None:
    """The limit is each head's own: pipelined requests do not add up."""
    reader = new_reader(head=100)
    assert len(reader.feed((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 20)) == 20
    assert reader.failure is None


def test_a_large_body_is_not_a_large_head() -> None:
    """A body of any size passes under a small limit for heads."""
    reader = new_reader(head=100)
    data = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000
    (request,) = reader.feed(data)
    assert request.body == b"x" * 5000


@CUTS
@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 50\r\n\r\n" + b"x" * 50,
        b"Transfer-Encoding: chunked\r\n\r\n32\r\n" + b"x" * 50 + b"\r\n0\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
def test_a_body_over_its_limit_is_413(framed: bytes, cut: Cut) -> None:
    """A body beyond `limit-post` is refused, with a length or in chunks."""
    reader = new_reader(body=40)
    assert read(reader, cut(b"POST / HTTP/1.1\r\n" + HOST + framed)) == []
    assert reader.failure is not None
    assert reader.failure.status == 413


def test_a_too_long_body_is_refused_before_it_comes() -> None:
    """The announced length is enough to refuse."""
    reader = new_reader(body=40)
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 41\r\n\r\n")
    assert reader.failure is not None
    assert reader.failure.status == 413


@CUTS
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_long_body_goes_into_a_file(framing: str, cut: Cut) -> None:
    """A body beyond the memory limit is in a file, whole."""
    body = bytes(range(256)) * 2
    head = b"Content-Length: 512\r\n\r\n" + body
    if framing == "chunked":
        head = b"Transfer-Encoding: chunked\r\n\r\n200\r\n" + body + b"\r\n0\r\n\r\n"
    reader = new_reader(memory=100)
    (request,) = read(reader, cut(b"POST / HTTP/1.1\r\n" + HOST + head))
    if cut is whole and isinstance(request.body, bytes):
        pytest.fail("the body stayed in memory")
    assert isinstance(request.body, io.BytesIO)
    assert request.body.getvalue() == body
    assert request.variables["CONTENT_LENGTH"] == "512"


def test_a_file_of_an_unfinished_body_is_closed() -> None:
    """When the client goes away in the middle, its file is given back."""
    spills: list[io.BytesIO] = []

    def make() -> io.BytesIO:
        spills.append(io.BytesIO())
        return spills[0]

    reader = RequestReader({}, Limits(1000, 0, 10), make)
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\n" + b"x" * 50)
    reader.discard()
    assert spills[0].closed


def test_a_body_that_cannot_be_kept_is_500() -> None:
    """A full disk is our fault, not the client's, and is called by its name."""

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    reader = RequestReader({}, Limits(1000, 0, 10), Full)
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\n" + b"x" * 50)
    assert reader.failure is not None
    assert reader.failure.status == 500
    assert "No space left" in str(reader.failure)


def test_endless_chunk_extensions_are_refused() -> None:
    """What is not data in chunks is bounded, too."""
    reader = new_reader(head=200)
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        reader.feed(b"1;" + b"x" * 200 + b"\r\na\r\n")
    assert reader.failure is not None


def test_endless_trailers_are_refused() -> None:
    """Trailers are bounded as heads are."""
    reader = new_reader(head=200)
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    for _ in range(100):
        reader.feed(b"X: yyyyyyyyyyyyyyyyy\r\n")
    assert reader.failure is not None


def test_a_client_that_expects_a_word_is_known_once() -> None:
    """`Expect: 100-continue` is taken once, in HTTP/1.1, while no body has come."""
    reader = new_reader()
    head = b"POST / HTTP/1.%c\r\n" + HOST + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"
    reader.feed(head % b"1")
    assert reader.is_in_body
    assert reader.take_expectation()
    assert not reader.take_expectation()
    reader.feed(b"x")
    reader.feed(head % b"1")
    assert reader.take_expectation()
    old = new_reader()
    old.feed(head % b"0")
    assert not old.take_expectation()


def test_it_is_idle_only_between_requests() -> None:
    """Idle before the first byte and after a whole request; not with half of one."""
    reader = new_reader()
    assert reader.is_idle
    reader.feed(b"GET / HT")
    assert not reader.is_idle
    reader.feed(b"TP/1.1\r\n" + HOST + b"\r\n")
    assert reader.is_idle
    reader.feed(b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET /hal")
    assert not reader.is_idle


def test_a_dropped_header_is_remembered() -> None:
    """The name with the underscore can be told to the log."""
    reader = new_reader()
    reader.feed(b"GET / HTTP/1.1\r\n" + HOST + b"X_Y: 1\r\n\r\n")
    assert reader.dropped == b"X_Y"


@pytest.mark.parametrize(
    ("name", "word"), [("tls", "TLS"), ("uwsgi_packet", "uwsgi"), ("http2_preface", "HTTP/2")]
)
def test_another_protocol_is_called_by_its_name(name: str, word: str) -> None:
    """Who speaks TLS, uwsgi or HTTP/2 to an HTTP socket is told so."""
    reader = new_reader()
    reader.feed((DATA / "invalid" / f"{name}.http").read_bytes())
    assert word in str(reader.failure)
