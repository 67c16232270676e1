"""The servers that are compared, and how each of them is started: two workers, no request log.

Everything else is each server's own default. An address is a free port of loopback.

Runs in: the benchmark's process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import APPS, find_program, find_uwsgi

WORKERS = 2
BENCH = "`make bench` installs it (pip install --group bench)"
COMMON = ("--master", "--processes", str(WORKERS), "--disable-logging", "--need-app")


@dataclass(frozen=True, slots=True)
class Contender:
    """One server in one of its ways; `command` raises Missing where it is not installed."""

    name: str
    command: Callable[[str, int], list[str]]
    speaks: str = "http"


def muleteer_program() -> list[str]:
    """Ours."""
    return [find_program("muleteer", install="`make bench` installs it")]


def uwsgi_program() -> list[str]:
    """Real uWSGI, with the packages it was installed beside."""
    program = find_uwsgi()
    return [program, "--virtualenv", str(Path(program).parent.parent), "--die-on-term"]


def muleteer_command(option: str, *more: str) -> Callable[[str, int], list[str]]:
    """Ours, listening with that option."""

    def command(app: str, port: int) -> list[str]:
        return [*muleteer_program(), *COMMON, *more, *_served(app, option, port)]

    return command


def uwsgi_command(option: str, *more: str) -> Callable[[str, int], list[str]]:
    """Real uWSGI, listening with that option."""

    def command(app: str, port: int) -> list[str]:
        return [*uwsgi_program(), *COMMON, *more, *_served(app, option, port)]

    return command


def _served(app: str, option: str, port: int) -> Sequence[str]:
    address = f"127.0.0.1:{port}"
    return (f"--{option}", address, "--pythonpath", str(APPS), "--module", f"{app}:application")


def gunicorn_command(kind: str, *more: str) -> Callable[[str, int], list[str]]:
    """Gunicorn with one of its worker classes."""

    def command(app: str, port: int) -> list[str]:
        program = find_program("gunicorn", install=BENCH)
        workers = ["--workers", str(WORKERS), "--worker-class", kind]
        where = ["--bind", f"127.0.0.1:{port}", "--pythonpath", str(APPS)]
        return [program, *workers, *more, *where, f"{app}:application"]

    return command


def granian_command(app: str, port: int) -> list[str]:
    """Granian's WSGI interface."""
    program = find_program("granian", install=BENCH)
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS)]
    return [program, "--interface", "wsgi", *where, "--no-access-log", f"{app}:application"]


ENVIRONMENT = {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1"}

MULETEER = Contender("muleteer", muleteer_command("http-socket"))
UWSGI = Contender("uwsgi", uwsgi_command("http11-socket"))
# With keep-alive a core of its is one client's until that client leaves: 16 threads have 32 cores.
UWSGI_THREADS = Contender("uwsgi-threads", uwsgi_command("http11-socket", "--threads", "16"))
# Its http-socket closes after each answer and does not say so: the client must be told.
UWSGI_CLOSING = Contender(
    "uwsgi-http",
    uwsgi_command("http-socket", "--add-header", "Connection: close"),
)
CONTENDERS = (
    MULETEER,
    UWSGI,
    UWSGI_THREADS,
    UWSGI_CLOSING,
    Contender("gunicorn-gthread", gunicorn_command("gthread")),
    Contender("gunicorn-sync", gunicorn_command("sync")),
    Contender("granian", granian_command),
)
FOUR_THREADS = (
    Contender("muleteer", muleteer_command("http-socket", "--threads", "4")),
    Contender("uwsgi", uwsgi_command("http11-socket", "--threads", "4")),
    Contender("gunicorn-gthread", gunicorn_command("gthread", "--threads", "4")),
)
BEHIND_NGINX = (
    Contender("muleteer", muleteer_command("socket"), speaks="uwsgi"),
    Contender("uwsgi", uwsgi_command("socket"), speaks="uwsgi"),
)

NGINX = """\
daemon off;
{user}
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            uwsgi_pass 127.0.0.1:{upstream};
            {parameters}
        }}
    }}
}}
"""
PARAMETERS = (
    "QUERY_STRING $query_string",
    "REQUEST_METHOD $request_method",
    "CONTENT_TYPE $content_type",
    "CONTENT_LENGTH $content_length",
    "REQUEST_URI $request_uri",
    "PATH_INFO $document_uri",
    "DOCUMENT_ROOT $document_root",
    "SERVER_PROTOCOL $server_protocol",
    "REQUEST_SCHEME $scheme",
    "REMOTE_ADDR $remote_addr",
    "REMOTE_PORT $remote_port",
    "SERVER_PORT $server_port",
    "SERVER_NAME $server_name",
)


def nginx_command(folder: Path, port: int, upstream: int) -> list[str]:
    """An nginx of one worker in a folder of its own, in front of a uwsgi port."""
    program = find_program("nginx", install="sudo apt-get install nginx-light")
    folder.mkdir()
    parameters = "\n            ".join(f"uwsgi_param {line};" for line in PARAMETERS)
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(
        folder=folder, port=port, upstream=upstream, user=user, parameters=parameters
    )
    (folder / "nginx.conf").write_text(text)
    return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
