"""Promises about the request log of a real server: who served, how many, and what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.harness import Server
from tests.harness.clients import Client

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


# -- formats ------------------------------------------------------------------------------

SPEAKING = """
import uwsgi

def application(environ, start_response):
    path = environ["PATH_INFO"]
    uwsgi.set_logvar("path", path)
    uwsgi.set_logvar(b"as_bytes", b"two words")
    assert uwsgi.get_logvar("path") == path.encode()
    assert uwsgi.get_logvar("other") is None
    if path == "/wanted":
        uwsgi.log_this_request()
    if path == "/first":
        uwsgi.set_logvar("other", "set")
    if path == "/log":
        uwsgi.log("from the application")
    status = {"/missing": "404 Not Found", "/broken": "503 No"}.get(path, "200 OK")
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


def test_a_log_format_is_followed(start_server: StartServer) -> None:
    """uWSGI's variables and the application's; what one request set is not the next one's."""
    ini = f"{INI}log-format = LINE %(method) %(uri) %(status) %(rsize) %(as_bytes) %(other)\n"
    server = start_server(ini=ini, files={"app.py": SPEAKING})
    for path in ("/first", "/second?a=b"):
        server.get(path)
    server.wait_for("LINE", times=2)
    assert server.log.find("^LINE")[0].string == "LINE GET /first 200 2 two words set"
    assert server.log.find("^LINE")[1].string == "LINE GET /second?a=b 200 2 two words -"


def test_json_logs_are_json_from_the_first_line(start_server: StartServer) -> None:
    """Requests, the server's own lines and `uwsgi.log`; a traceback is a field."""
    server = start_server(
        ini=f"{INI}json-logs = true\n",
        files={"app.py": SPEAKING},
        ready=r'"message": "ready: generation 1',
    )
    listening = server.log.find(r"listening on http (\S+)\"")[0][1]
    host, port = listening.split(":")
    with Client((host, int(port))) as client:
        client.request("GET", "/log")
        client.request("GET", "/missing")
    server.wait_for('"uri": "/missing"')
    lines = [json.loads(line) for line in server.log.lines()]
    assert {"time", "level", "who", "pid"} <= set.intersection(*(set(line) for line in lines))
    assert "from the application" in [line.get("message") for line in lines]
    (missing,) = [line for line in lines if line.get("uri") == "/missing"]
    assert (missing["status"], missing["rsize"], missing["vars"]["path"]) == (404, 2, "/missing")


def test_disabled_logging_keeps_what_matters(start_server: StartServer) -> None:
    """With `log-4xx` and `log-5xx` only those, and what the application itself asked for."""
    ini = f"{INI}disable-logging = true\nlog-4xx = true\nlog-5xx = true\n"
    server = start_server(ini=ini, files={"app.py": SPEAKING})
    for path in ("/", "/missing", "/quiet", "/wanted", "/broken"):
        server.get(path)
    server.wait_for("GET /broken")
    found = [match[1] for match in server.log.find(r"\] GET (\S+) =>")]
    assert found == ["/missing", "/wanted", "/broken"]
