"""Promises about the request log of a real server: who served, how many, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.harness import Server

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
"""

MEETING = """
import threading

both = threading.Barrier(2, timeout=20)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/meet":
        both.wait()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
"""Answers /meet only when two threads of one process are asked for it."""


def test_the_line_names_the_thread(start_server: StartServer) -> None:
    """Two requests at once are served by two cores, and each line says by which."""
    server = start_server(ini=f"{INI}threads = 2\n", files={"app.py": MEETING})
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: server.get("/meet").text, range(2)))
    assert answers == ["ok", "ok"]
    server.wait_for(r"GET /meet", times=2)
    lines = server.log.find(r"GET /meet .* on core (\d)\)")
    assert {match[1] for match in lines} == {"0", "1"}


def test_the_line_counts_the_requests_of_all_workers(start_server: StartServer) -> None:
    """`req: n/N`: what this thread answered, and what the whole server did."""
    server = start_server(ini=f"{INI}processes = 2\n", files={"app.py": MEETING})
    for _ in range(20):
        server.get("/")
    server.wait_for(r"GET / ", times=20)
    lines = server.log.find(r"\[pid: (\d+)\|app: 0\|req: (\d+)/(\d+)\]")
    assert max(int(match[3]) for match in lines) == 20  # two at once may both see the later number
    by_worker = {match[1]: [int(m[2]) for m in lines if m[1] == match[1]] for match in lines}
    for counts in by_worker.values():
        assert counts == list(range(1, len(counts) + 1))
