"""What a front server sees of a uwsgi socket: requests, pings, and what is not understood."""

from __future__ import annotations

import pprint
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.contract.serving import Client

from muleteer.wire.packet import Packet

NewSite = Callable[..., Any]

GET = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a%20b?x=1",
    "PATH_INFO": "/a b",
    "QUERY_STRING": "x=1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SCRIPT_NAME": "",
    "SERVER_NAME": "a.example",
    "SERVER_PORT": "80",
    "REMOTE_ADDR": "1.2.3.4",
    "HTTP_HOST": "a.example",
}


def shown(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ.pop("wsgi.input").read()
    kinds = {k: v for k, v in environ.items() if isinstance(v, str | bytes | bool | tuple)}
    return [pprint.pformat({**kinds, "body": body}, width=500).encode()]


def environ_of(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 OK" in head
    environ: dict[str, Any] = eval(body)
    return environ


def test_variables_reach_the_application_as_they_are(new_site: NewSite) -> None:
    """Every variable of the packet is in the environ, none is added but the server's own."""
    environ = environ_of(new_site(shown).packet({**GET, "X_OWN": "\xe9"}))
    own = {key for key in environ if "." in key} | {"body"}
    assert {key: environ[key] for key in environ.keys() - own} == {**GET, "X_OWN": "\xe9"}
    assert environ["wsgi.version"] == (1, 0)
    assert environ["uwsgi.version"] == b"2.0.31"
    assert isinstance(environ["uwsgi.node"], bytes)
    assert environ["wsgi.run_once"] is False


@pytest.mark.parametrize(
    ("extra", "scheme"),
    [
        ({}, "http"),
        ({"HTTPS": "on"}, "https"),
        ({"HTTPS": "1"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"HTTPS": ""}, "http"),
        ({"UWSGI_SCHEME": "https"}, "https"),
        ({"UWSGI_SCHEME": "http", "HTTPS": "on"}, "http"),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "https"),
        ({"HTTP_X_FORWARDED_PROTO": "http", "HTTPS": "on"}, "http"),
        ({"HTTP_X_FORWARDED_PROTO": "gopher"}, "http"),
        ({"HTTP_X_FORWARDED_PROTO": "http", "UWSGI_SCHEME": "https"}, "https"),
    ],
)
def test_the_scheme_is_the_front_servers_word(
    new_site: NewSite, extra: dict[str, str], scheme: str
) -> None:
    """UWSGI_SCHEME says it, else what a balancer before it forwarded, else HTTPS does."""
    environ = environ_of(new_site(shown).packet({**GET, **extra}))
    assert environ["wsgi.url_scheme"] == scheme


def test_modifier_30_takes_the_script_name_off_the_path(new_site: NewSite) -> None:
    """The legacy modifier leaves PATH_INFO without SCRIPT_NAME."""
    variables = {**GET, "SCRIPT_NAME": "/app", "PATH_INFO": "/app/x"}
    site = new_site(shown)
    assert environ_of(site.packet(variables, modifier1=30))["PATH_INFO"] == "/x"
    assert environ_of(site.packet(variables))["PATH_INFO"] == "/app/x"


@pytest.mark.parametrize("size", [0, 1, 100, 2000, 300_000])
def test_a_body_is_read_by_its_length(new_site: NewSite, size: int) -> None:
    """CONTENT_LENGTH bytes after the packet are the body; more is not read."""
    body = b"x" * size
    variables = {**GET, "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(size)}
    environ = environ_of(new_site(shown, post_buffering=1000).packet(variables, body))
    assert environ["body"] == body


def test_a_packet_may_come_byte_by_byte(new_site: NewSite) -> None:
    """A request is whole when its last byte is there, however it came."""
    site = new_site(shown)
    client = site.connect("uwsgi")
    block = b"\x09\0PATH_INFO\x01\0/\x0e\0CONTENT_LENGTH\x02\x0010"
    for byte in struct.pack("<BHB", 0, len(block), 0) + block + b"0123456789":
        client.send(bytes([byte]))
        site.turn(2)
    assert environ_of(client.read_to_end())["body"] == b"0123456789"


def test_the_end_of_the_connection_is_the_end_of_the_body(new_site: NewSite) -> None:
    """A body without a length is neither chunked nor has it a Connection header."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"one", b"two"])

    answer = new_site(app).packet(GET)
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nonetwo"


def test_the_protocol_of_the_client_is_echoed(new_site: NewSite) -> None:
    """The status line speaks the client's version, as uWSGI's does."""
    assert new_site(shown).packet({**GET, "SERVER_PROTOCOL": "HTTP/2.0"})[:12] == b"HTTP/2.0 200"


def test_the_validator_passes_over_a_uwsgi_socket(new_site: NewSite, caplog: Any) -> None:
    """wsgiref's validator has nothing to say about a packet's environ."""
    site = new_site(
        validator(lambda e, s: (s("200 OK", [("Content-Type", "text/plain")]), [b"ok"])[1])
    )
    for method in ("GET", "HEAD", "POST"):
        answer = site.packet({**GET, "REQUEST_METHOD": method, "CONTENT_LENGTH": "3"}, b"abc")
        assert b" 200 OK" in answer, caplog.text
        assert answer.endswith(b"\r\n\r\n" if method == "HEAD" else b"ok")
    assert caplog.text == ""


def test_a_ping_is_answered(new_site: NewSite) -> None:
    """Modifier 100 gets its four bytes back, and is no request."""
    site = new_site(shown)
    assert site.packet({}, modifier1=100) == b"\x64\0\0\x01"
    assert site.core.counted == []


def test_other_packets_go_to_their_handler(new_site: NewSite) -> None:
    """A handler gets the packet, and what it returns is sent."""
    site = new_site(shown)
    seen: list[Packet] = []

    def handler(packet: Packet) -> bytes:
        seen.append(packet)
        return b"\xff\0\0\x01"

    site.engine.packets[17] = handler
    assert site.packet({"a": "b"}, modifier1=17) == b"\xff\0\0\x01"
    assert seen == [Packet(17, b"\x01\0a\x01\0b", 0)]


def test_a_handler_that_raises_closes_its_connection(new_site: NewSite, caplog: Any) -> None:
    """Its exception is in the log; the server goes on."""
    site = new_site(shown)

    def handler(packet: Packet) -> bytes:
        raise RuntimeError("the handler's own")

    site.engine.packets[17] = handler
    assert site.packet({}, modifier1=17) == b""
    assert "the handler's own" in caplog.text
    assert b" 200 " in site.packet(GET)


def test_an_unknown_modifier_is_closed_and_named(new_site: NewSite, caplog: Any) -> None:
    """A packet that nothing answers ends its connection, and the log says which it was."""
    assert new_site(shown).packet({}, modifier1=98) == b""
    assert "modifier1 98" in caplog.text


def test_http_is_answered_in_http_and_told_where_to_go(new_site: NewSite, caplog: Any) -> None:
    """A browser at a uwsgi socket gets a 400 that names the option to use."""
    client = new_site(shown).connect("uwsgi")
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.read_to_end()
    (answer,) = client.answers(1)
    assert answer.status == 400
    assert b"http-socket" in answer.body
    assert "http-socket" in caplog.text


@pytest.mark.parametrize(
    ("variables", "options", "status"),
    [
        ({"CONTENT_LENGTH": "11"}, {"limit_post": 10}, b" 413 "),
        ({"CONTENT_LENGTH": "x"}, {}, b" 400 "),
        ({"HTTP_X": "y" * 200}, {"buffer_size": 100}, b" 431 "),
        ({"": "x"}, {}, b" 400 "),
    ],
)
def test_what_is_refused_is_told_so(
    new_site: NewSite, variables: dict[str, str], options: dict[str, int], status: bytes
) -> None:
    """The front server gets an answer to pass on, not a closed connection."""
    site = new_site(shown, **options)
    assert status in site.packet(variables, b"x" * 11)[:14]


def test_a_packet_that_does_not_come_is_given_up(new_site: NewSite) -> None:
    """Half a packet is kept for `socket-timeout` seconds."""
    site = new_site(shown)
    client = site.connect("uwsgi")
    client.send(b"\0\x10\0\0\x03")
    site.turn(2)
    site.move_clock(3)
    assert site.engine.open_connections == 1
    site.move_clock(2)
    assert site.engine.open_connections == 0


def test_a_silent_front_server_does_not_hold_up_retirement(new_site: NewSite) -> None:
    """A connection on which nothing came is closed after a moment."""
    site = new_site(shown)
    site.connect("uwsgi")
    site.turn(2)
    assert site.engine.open_connections == 1
    site.engine.retire()
    site.move_clock(1)
    assert site.engine.open_connections == 0


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_a_unix_socket_serves_too(new_site: NewSite, tmp_path: Path, protocol: str) -> None:
    """Both protocols are spoken over a unix socket; its client has no address."""
    site = new_site(shown)
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as sock,
    ):
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        site.engine.listen(listener, protocol)
        sock.connect(str(tmp_path / "s"))
        client = Client(site, sock)
        if protocol == "http":
            client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        else:
            client.send(b"\0\x0f\0\0\x09\0PATH_INFO\x02\0/x")
        environ = environ_of(client.read_to_end())
        assert environ["PATH_INFO"] == "/x"
        assert environ.get("REMOTE_ADDR", "") == ""
        site.engine.close()
