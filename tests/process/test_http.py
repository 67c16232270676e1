"""Promises about serving that need real sockets, a real worker and a real nginx.

What the bytes of one request and one answer are is proven in tests/contract/test_serving*.py.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct

import pytest
from tests.harness import Server, eventually
from tests.harness.clients import Client, http_request
from tests.harness.processes import descriptors
from tests.process.playground import StartServer

INI = """
http-socket = 127.0.0.1:0
socket = 127.0.0.1:0
module = app
processes = 1
disable-logging = true
"""

APP = """
import hashlib, os
HERE = os.getcwd()
HEAD = [("Content-Type", "text/plain")]

class Stream:
    def __iter__(self):
        return self
    def __next__(self):
        return b"x" * 10000
    def close(self):
        open(HERE + "/closed", "w").close()

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/unread":
        start_response("200 OK", [*HEAD, ("Content-Length", "6")])
        return [b"unread"]
    if path == "/digest":
        digest, size = hashlib.sha256(), 0
        while part := environ["wsgi.input"].read(65536):
            digest.update(part)
            size += len(part)
        body = f"{size} {digest.hexdigest()}".encode()
        start_response("200 OK", [*HEAD, ("Content-Length", str(len(body)))])
        return [body]
    if path == "/endless":
        start_response("200 OK", HEAD)
        return Stream()
    if path == "/chunks":
        start_response("200 OK", HEAD)
        return iter([b"one ", b"", b"two ", environ["wsgi.input"].read()])
    if path == "/large":
        start_response("200 OK", [*HEAD, ("Content-Length", "5000000")])
        return [b"0123456789" * 500000]
    if path == "/file":
        start_response("200 OK", [*HEAD, ("Content-Length", "3000000")])
        return environ["wsgi.file_wrapper"](open(HERE + "/data", "rb"), 8192)
    body = f"{os.getpid()} {environ['REQUEST_METHOD']}".encode()
    start_response("200 OK", [*HEAD, ("Content-Length", str(len(body)))])
    return [body]
"""

DATA = bytes(range(250)) * 12_000


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """One worker with one thread: what holds it up holds up everybody."""
    server: Server = start_server(ini=INI, files={"app.py": APP, "data": DATA})
    return server


def digest(data: bytes) -> str:
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def test_half_sent_requests_cost_no_worker(server: Server) -> None:
    """Fifty clients in the middle of a header or a body; the others are served meanwhile."""
    halves = [b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ", b"POST / HTTP/1.1\r\nHost: x\r\n"]
    clients = [Client(server.http) for _ in range(50)]
    for number, client in enumerate(clients):
        client.send(halves[number % 2])
    assert all(server.get("/").status == 200 for _ in range(50))
    for number, client in enumerate(clients):
        client.send(b"1\r\n\r\n" if number % 2 == 0 else b"Content-Length: 2\r\n\r\nab")
    assert {client.read_response().status for client in clients} == {200}
    for client in clients:
        client.close()


def test_slow_readers_cost_no_worker(server: Server) -> None:
    """Ten clients that do not read their five megabytes; the others are served meanwhile."""
    clients = []
    for _ in range(10):
        client = Client(server.http)
        client.send(http_request("GET", "/large"))
        clients.append(client)
    assert all(server.get("/").status == 200 for _ in range(20))
    assert {len(client.read_response().body) for client in clients} == {5_000_000}
    for client in clients:
        client.close()


@pytest.mark.parametrize("reset", [False, True])
def test_client_gone_in_the_middle_closes_the_answer(server: Server, reset: bool) -> None:
    """An endless stream ends with its client: `close()` is called and the worker serves on."""
    pid = server.get("/").text.split()[0]
    with Client(server.http) as client:
        client.send(http_request("GET", "/endless"))
        assert client.sock.recv(1000)
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    eventually((server.folder / "closed").exists)
    assert server.get("/").text.split()[0] == pid
    assert "Traceback" not in server.log


def test_unread_body_does_not_cut_the_answer_off(server: Server) -> None:
    """The app never reads four megabytes; the client that sends them all gets its answer."""
    with Client(server.http) as client:
        for _ in range(3):
            response = client.request("POST", "/unread", body=b"x" * 4_000_000)
            assert response.text == "unread"
            if response.header("Connection") == "close":
                break
    assert server.get("/").status == 200


def test_one_connection_carries_many_requests(server: Server) -> None:
    """A thousand requests on one connection, and four hundred in a single write."""
    with Client(server.http) as client:
        for _ in range(1000):
            assert client.request("GET", "/").status == 200
        client.send(http_request("GET", "/") * 400)
        assert {client.read_response().status for _ in range(400)} == {200}


def test_pipelined_large_requests_are_answered_in_order(server: Server) -> None:
    """Eight bodies of 128 KB in a row without waiting; eight right answers in that order."""
    bodies = [os.urandom(131_072) for _ in range(8)]
    with Client(server.http) as client:
        client.send(b"".join(http_request("POST", "/digest", body=body) for body in bodies))
        assert [client.read_response().text for _ in bodies] == [digest(b) for b in bodies]


def test_head_has_no_body(server: Server) -> None:
    """HEAD tells the length and sends nothing; the connection lives on."""
    with Client(server.http) as client:
        response = client.request("HEAD", "/large")
        assert (response.status, response.header("Content-Length")) == (200, "5000000")
        assert client.request("GET", "/").text.endswith("GET")


def test_chunks_both_ways(server: Server) -> None:
    """A chunked body arrives, and an answer of unknown length goes out in chunks."""
    with Client(server.http) as client:
        for _ in range(2):
            headers = [("Transfer-Encoding", "chunked")]
            body = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
            response = client.request("POST", "/chunks", headers=headers, body=body)
            assert response.header("Transfer-Encoding") == "chunked"
            assert response.text == "one two abcdefg"


def test_file_wrapper_sends_the_file(server: Server) -> None:
    """`wsgi.file_wrapper` sends three megabytes as they are, and keeps no file open."""
    with Client(server.http) as client:
        assert all(client.request("GET", "/file").body == DATA for _ in range(3))
    (worker,) = server.pids("worker")
    opened = [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in os.listdir(f"/proc/{worker}/fd")]
    assert not [name for name in opened if name.endswith("/data")]


def test_nginx_in_front_carries_large_bodies(server: Server, start_nginx: StartServer) -> None:
    """Through nginx and the uwsgi protocol: five megabytes up, five down, and a file."""
    nginx = start_nginx(server.uwsgi)
    upload = os.urandom(5_000_000)
    with Client(nginx.http) as client:
        assert client.request("POST", "/digest", body=upload).text == digest(upload)
        assert client.request("GET", "/large").body == b"0123456789" * 500_000
        assert client.request("GET", "/file").body == DATA
        assert client.request("POST", "/unread", body=upload).text == "unread"
        assert client.request("HEAD", "/large").header("Content-Length") == "5000000"


def test_connections_leave_no_descriptor(server: Server) -> None:
    """After two hundred clients of all manners the worker holds what it held before."""
    (worker,) = server.pids("worker")
    server.get("/")
    before = descriptors(worker)
    for number in range(200):
        with Client(server.http) as client:
            client.send((b"", b"GET", http_request("GET", "/"), b"\0nonsense\r\n\r\n")[number % 4])
    eventually(lambda: descriptors(worker) <= before)
    assert server.get("/").status == 200
