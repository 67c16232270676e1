"""Promises of static files and mounts: what a client gets, and what it never gets."""

from __future__ import annotations

import os
from collections.abc import Callable
from email.utils import formatdate

import pytest
from tests.harness import Response, Server, uwsgi_request
from tests.harness.clients import Client

StartServer = Callable[..., Server]

APP = """
def application(environ, start_response):
    body = "app {SCRIPT_NAME}|{PATH_INFO}".format(**environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
BIG = bytes(range(256)) * 8192
INI = """
http-socket = 127.0.0.1:0
socket = 127.0.0.1:0
module = app
static-map = /static=pub
static-map2 = /sub=pub
check-static = root
static-index = index.html
static-skip-ext = .php
static-expires = \\.css$ 60
"""
FILES = {
    "app.py": APP,
    "pub/a.txt": "hello",
    "pub/big.bin": BIG,
    "pub/ä ö.txt": "umlaut",
    "pub/noext": "x",
    "pub/code.php": "secret",
    "pub/sub/index.html": "<p>",
    "root/top.css": "top",
    "secret.txt": "secret",
}


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """An application, and files at three kinds of places beside it."""
    return start_server(ini=INI, files=FILES)


def ask(server: Server, path: str, headers: str = "", method: str = "GET") -> Response:
    """A request as it is written, so that nobody tidies its path up."""
    with Client(server.http) as client:
        client.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        return client.read_response(method)


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/static/a.txt", b"hello", "text/plain"),
        ("/static/big.bin", BIG, "application/octet-stream"),
        ("/static/%C3%A4%20%C3%B6.txt", b"umlaut", "text/plain"),
        ("/static/noext", b"x", None),
        ("/static/sub", b"<p>", "text/html"),
        ("/static/sub/", b"<p>", "text/html"),
        ("/static//a.txt", b"hello", "text/plain"),
        ("/sub/index.html", b"<p>", "text/html"),
        ("/top.css", b"top", "text/css"),
    ],
)
def test_a_file_is_sent(server: Server, path: str, body: bytes, kind: str | None) -> None:
    """With its type, length, date and tag; HEAD has the same head."""
    response = ask(server, path)
    assert (response.status, response.body) == (200, body)
    assert response.header("Content-Type") == kind
    assert response.header("Content-Length") == str(len(body))
    assert response.header("Last-Modified").endswith(" GMT")
    assert response.header("ETag").startswith('"')
    head = ask(server, path, method="HEAD")
    assert (head.status, head.body, head.header("Content-Length")) == (200, b"", str(len(body)))


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/static/nope", "app |/static/nope"),
        ("/static", "app |/static"),
        ("/staticky/a.txt", "app |/staticky/a.txt"),
        ("/static/code.php", "app |/static/code.php"),
        ("/static/../secret.txt", "app |/secret.txt"),
        ("/static/%2e%2e/secret.txt", "app |/secret.txt"),
        ("/static/..%2fsecret.txt", "app |/secret.txt"),
        ("/static/a.txt%00", "app |/static/a.txt\0"),
        ("/static/leak", "app |/static/leak"),
        ("/static/fifo", "app |/static/fifo"),
        ("/static/loop", "app |/static/loop"),
        ("/", "app |/"),
    ],
)
def test_what_is_no_file_there_is_the_applications(server: Server, path: str, seen: str) -> None:
    """Nothing climbs or leads out of the directory, nothing is listed, nothing blocks."""
    (server.folder / "pub/leak").symlink_to("../secret.txt")
    (server.folder / "pub/loop").symlink_to("loop")
    os.mkfifo(server.folder / "pub/fifo")
    assert ask(server, path).text == seen


def test_a_link_may_lead_where_it_is_safe(start_server: StartServer) -> None:
    """`static-safe` names the other directories."""
    server = start_server(ini=INI + "static-safe = media\n", files={**FILES, "media/m": "media"})
    (server.folder / "pub/link").symlink_to("../media/m")
    (server.folder / "pub/leak").symlink_to("../secret.txt")
    assert ask(server, "/static/link").text == "media"
    assert ask(server, "/static/leak").text.startswith("app ")


def test_only_get_and_head_are_files(server: Server) -> None:
    """What is posted to a file's path is the application's."""
    response = ask(server, "/static/a.txt", "Content-Length: 0\r\n", method="POST")
    assert response.text == "app |/static/a.txt"


def test_a_client_that_has_it_gets_304(server: Server) -> None:
    """By its tag, by its date, by the tag where both differ."""
    first = ask(server, "/static/a.txt")
    tag, date = first.header("ETag"), first.header("Last-Modified")
    assert ask(server, "/static/a.txt", f"If-None-Match: {tag}\r\n").status == 304
    assert ask(server, "/static/a.txt", f'If-None-Match: "x", W/{tag}\r\n').status == 304
    assert ask(server, "/static/a.txt", f"If-Modified-Since: {date}\r\n").status == 304
    old = formatdate(0, usegmt=True)
    assert ask(server, "/static/a.txt", f"If-Modified-Since: {old}\r\n").status == 200
    assert ask(server, "/static/a.txt", "If-Modified-Since: yesterday\r\n").status == 200
    both = f'If-None-Match: "x"\r\nIf-Modified-Since: {date}\r\n'
    assert ask(server, "/static/a.txt", both).status == 200


@pytest.mark.parametrize(
    ("asked", "status", "part", "where"),
    [
        ("bytes=1-2", 206, BIG[1:3], f"bytes 1-2/{len(BIG)}"),
        ("bytes=-5", 206, BIG[-5:], f"bytes {len(BIG) - 5}-{len(BIG) - 1}/{len(BIG)}"),
        ("bytes=100-", 206, BIG[100:], f"bytes 100-{len(BIG) - 1}/{len(BIG)}"),
        (f"bytes={len(BIG)}-", 416, b"", f"bytes */{len(BIG)}"),
        ("bytes=0-1,5-6", 200, BIG, None),
        ("nonsense", 200, BIG, None),
    ],
)
def test_a_part_is_sent(
    server: Server, asked: str, status: int, part: bytes, where: str | None
) -> None:
    """One range; the connection goes on afterwards."""
    with Client(server.http) as client:
        for _ in range(2):
            request = f"GET /static/big.bin HTTP/1.1\r\nHost: x\r\nRange: {asked}\r\n\r\n"
            client.send(request.encode())
            response = client.read_response()
            assert (response.status, response.body) == (status, part)
            assert response.header("Content-Range") == where


def test_a_part_of_another_version_is_no_part(server: Server) -> None:
    """`If-Range` with a tag that is not the file's: all of it."""
    tag = ask(server, "/static/a.txt").header("ETag")
    assert ask(server, "/static/a.txt", f"Range: bytes=0-0\r\nIf-Range: {tag}\r\n").status == 206
    assert ask(server, "/static/a.txt", 'Range: bytes=0-0\r\nIf-Range: "x"\r\n').status == 200


def test_files_may_be_kept(server: Server) -> None:
    """`static-expires` by the name."""
    assert ask(server, "/top.css").header("Cache-Control") == "max-age=60"
    assert ask(server, "/static/a.txt").header("Cache-Control") is None


def test_files_are_sent_over_the_uwsgi_protocol_too(server: Server) -> None:
    """nginx gets the same."""
    response = uwsgi_request(server.uwsgi, "/static/big.bin")
    assert (response.status, response.body) == (200, BIG)


def test_a_file_that_changes_is_another_one_at_once(server: Server) -> None:
    """Nothing is remembered."""
    tag = ask(server, "/static/a.txt").header("ETag")
    server.write({"pub/a.txt": "hello again"})
    response = ask(server, "/static/a.txt", f"If-None-Match: {tag}\r\n")
    assert (response.status, response.text) == (200, "hello again")


def test_the_kernel_sends_a_file(server: Server) -> None:
    """The log says so."""
    ask(server, "/static/big.bin")
    server.wait_for(r"GET /static/big\.bin => generated 2097152 bytes via sendfile\(\)")


def test_a_server_may_have_files_only(start_server: StartServer) -> None:
    """No application is named: 404 for the rest."""
    ini = "http-socket = 127.0.0.1:0\nstatic-map = /=pub\n"
    server = start_server(ini=ini, files=FILES)
    assert ask(server, "/a.txt").text == "hello"
    assert ask(server, "/nope").status == 404


# -- mounts -------------------------------------------------------------------------------

MOUNTED = {"app.py": APP, **{f"{n}.py": APP.replace("app ", f"{n} ") for n in ("one", "two")}}


def test_several_applications_answer_under_one_roof(start_server: StartServer) -> None:
    """By a module, by a file; the rest is the main application's."""
    ini = "http-socket = 127.0.0.1:0\nsocket = 127.0.0.1:0\nmodule = app\nmanage-script-name = 1\n"
    server = start_server(
        ini=ini + "mount = /one=one.py\nmount = /two=two:application\n", files=MOUNTED
    )
    assert ask(server, "/one/x").text == "one /one|/x"
    assert ask(server, "/two").text == "two /two|"
    assert ask(server, "/three").text == "app |/three"
    assert uwsgi_request(server.uwsgi, "/one/x").text == "one /one|/x"


def test_mounted_applications_need_no_main_one(start_server: StartServer) -> None:
    """The first answers the rest, or nobody does."""
    ini = "http-socket = 127.0.0.1:0\nmanage-script-name = 1\nmount = /one=one\nmount = /two=two\n"
    server = start_server(ini=ini, files=MOUNTED)
    assert ask(server, "/x").text == "one |/x"
    other = start_server(ini=ini + "no-default-app = 1\n", files=MOUNTED)
    assert (ask(other, "/x").status, ask(other, "/two/x").text) == (500, "two /two|/x")
