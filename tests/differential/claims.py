"""The table of compatibility: one claim, one row, one test.

A row is an app, an ini and something to observe, done once on muleteer and once on real uWSGI.
It says *same*, or *differs* and why; a difference that is not listed is a bug, and a listed one
that is none any more is a stale row: both fail. docs/compatibility.md is written from here:

    python -m tests.differential.claims

Runs in: the test process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import Server, apps

BASE = {
    "master": "true",
    "processes": "1",
    "socket": "127.0.0.1:0",
    "http-socket": "127.0.0.1:0",
    "module": "app",
}
"""What every row's ini starts with; a row may override a key."""

Observe = Callable[[Server], object]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One row."""

    area: str
    says: str
    observe: Observe
    ini: str = ""
    app: str = apps.EVALUATE
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    differs: str | None = None
    """Why ours is different; None: it is the same."""

    def __str__(self) -> str:
        return f"{self.area}: {self.says}"


@dataclass(frozen=True)
class Pair:
    """What one claim observed on both."""

    ours: object
    theirs: object


def observe(claim: Claim, kind: type[Server], folder: Path) -> object:
    """Start one of the two with the claim's app and ini, and look."""
    folder.mkdir()
    files = {"app.py": claim.app, **claim.files}
    with kind(folder, ini=full_ini(claim.ini), files=files) as server:
        return claim.observe(server)


def full_ini(lines: str) -> str:
    """The base with a row's lines; a key that the row names replaces the base's."""
    named = {line.partition("=")[0].strip() for line in lines.splitlines()}
    kept = [f"{key} = {value}" for key, value in BASE.items() if key not in named]
    return "\n".join([*kept, lines, ""])


# -- what can be observed -------------------------------------------------------------------


def value(expression: str) -> Observe:
    """The repr of a Python expression, evaluated in a worker that has imported `uwsgi`."""

    def look(server: Server) -> object:
        return server.ask("/", body=expression.encode()).text

    return look


def answer(path: str = "/", *, body: bytes = b"", protocol: str = "uwsgi") -> Observe:
    """Status, headers but for Date and Server, and body of one answer."""

    def look(server: Server) -> object:
        response = server.ask(path, body=body) if protocol == "uwsgi" else server.get(path)
        headers = sorted((name.lower(), text) for name, text in response.headers)
        kept = [pair for pair in headers if pair[0] not in {"date", "server", "connection"}]
        return response.status, kept, response.body

    return look


def logged(path: str, pattern: str) -> Observe:
    """What a pattern's groups find in the log after one request."""

    def look(server: Server) -> object:
        server.ask(path)
        return server.wait_for(pattern).groups()

    return look


# -- the table ------------------------------------------------------------------------------

ENVIRON = "[e[k] for k in ('PATH_INFO', 'QUERY_STRING', 'REQUEST_METHOD', 'SERVER_PROTOCOL')]"

CLAIMS = [
    Claim(
        area="requests",
        says="a WSGI app answers over the uwsgi protocol with its status, headers and body",
        app=apps.HELLO,
        observe=answer("/anything?a=1"),
    ),
    Claim(
        area="requests",
        says="a WSGI app answers over HTTP with its status, headers and body",
        app=apps.HELLO,
        observe=answer("/anything?a=1", protocol="http"),
    ),
    Claim(
        area="requests",
        says="a request body arrives whole",
        app=apps.ECHO,
        observe=answer("/", body=b"0123456789" * 20000),
    ),
    Claim(
        area="requests",
        says="the CGI variables of a packet reach the environ",
        observe=value(ENVIRON),
    ),
    Claim(
        area="configuration",
        says="`uwsgi.opt` has str keys and bytes values, placeholders included",
        ini="my-name = me\nmy-greeting = hello %(my-name)",
        observe=value("[uwsgi.opt[k] for k in ('processes', 'my-name', 'my-greeting')]"),
    ),
    Claim(
        area="configuration",
        says="a key without a value is empty in `uwsgi.opt`",
        ini="lonely",
        observe=value("uwsgi.opt['lonely']"),
    ),
    Claim(
        area="configuration",
        says="a repeated key is a list in `uwsgi.opt`",
        ini="mine = one\nmine = two",
        observe=value("uwsgi.opt['mine']"),
        differs="uWSGI 2.0 shows the last one only; lists are what its documentation says",
    ),
    Claim(
        area="configuration",
        says="%n, %s and %% are replaced while the file is read",
        ini="mine = %n-%s-%%",
        observe=value("uwsgi.opt['mine']"),
    ),
    Claim(
        area="configuration",
        says="a comment after a value is a comment",
        ini="mine = value ; really",
        observe=value("uwsgi.opt['mine']"),
        differs="uWSGI takes the comment as part of the value, which nobody means",
    ),
    Claim(
        area="the module",
        says="a worker knows its number, and the server its size",
        ini="processes = 2",
        observe=value("[type(uwsgi.worker_id()), uwsgi.numproc, uwsgi.masterpid() != os.getpid()]"),
    ),
    Claim(
        area="the module",
        says="the constants of the spooler are uWSGI's",
        ini="spooler = tasks",
        files={"tasks/": ""},
        observe=value("[uwsgi.SPOOL_OK, uwsgi.SPOOL_RETRY, uwsgi.SPOOL_IGNORE]"),
    ),
]


# -- the page -------------------------------------------------------------------------------

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"

HEAD = """\
# Compatibility with uWSGI

Real uWSGI 2.0.31 is the reference.
Each row is a test: it starts both servers with the same app and the same ini and compares.
This page is written from the rows: `python -m tests.differential.claims`.
"""


def page() -> str:
    """docs/compatibility.md, whole."""
    parts = [HEAD]
    for area, claims in itertools.groupby(CLAIMS, key=lambda claim: claim.area):
        rows = "".join(f"| {claim.says} | {_verdict(claim)} |\n" for claim in claims)
        parts.append(f"## {area[0].upper()}{area[1:]}\n\n| | |\n| --- | --- |\n{rows}")
    return "\n".join(parts)


def _verdict(claim: Claim) -> str:
    return "same" if claim.differs is None else f"differs, because {claim.differs}"


if __name__ == "__main__":
    PAGE.write_text(page())
