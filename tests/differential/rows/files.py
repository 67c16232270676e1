"""Static files, and several applications under one roof.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Claim, Observe, Setup, rows_of
from tests.harness import Server
from tests.harness.clients import Client

FILES = {
    "pub/a.txt": "hello",
    "pub/sub/index.html": "<p>",
    "pub/noext": "x",
    "top/top.css": "top",
    "one.py": """
def application(environ, start_response):
    body = (__name__ + " {SCRIPT_NAME}|{PATH_INFO}".format(**environ)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
""",
}
APP = FILES["one.py"]

STATIC = Setup(
    name="static",
    app=APP,
    files=FILES,
    ini="static-map = /static=pub\nstatic-map2 = /sub=pub\ncheck-static = top\n"
    "static-index = index.html\nstatic-skip-ext = .php",
)
MOUNTS = Setup(
    name="mounts",
    app=APP,
    files={**FILES, "deep.py": APP},
    ini="manage-script-name = true\nmount = /one=one.py\nmount = /one/deep=deep.py",
)
static_row = rows_of("Static files", STATIC)
mount_row = rows_of("Several applications", MOUNTS)


def ask(path: str, headers: str = "", method: str = "GET") -> Observe:
    """Status, type, length and body of an answer."""

    def look(server: Server) -> object:
        with Client(server.http) as client:
            client.send(f"{method} {path} HTTP/1.0\r\nHost: x\r\n{headers}\r\n".encode())
            response = client.read_response(method)
        names = ("Content-Type", "Content-Length")
        return response.status, [response.header(name) for name in names], response.body

    return look


def again(server: Server) -> object:
    """The status of a second request with the first answer's date."""
    with Client(server.http) as client:
        client.send(b"GET /static/a.txt HTTP/1.0\r\nHost: x\r\n\r\n")
        date = client.read_response().header("Last-Modified")
    return ask("/static/a.txt", f"If-Modified-Since: {date}\r\n")(server)


def shows_source(path: str) -> Observe:
    """Does an answer have the application's source?"""

    def look(server: Server) -> object:
        with Client(server.http) as client:
            client.send(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            return b"def application" in client.read_response().body

    return look


PART = (206, ["text/plain", "2"], b"el")
WHOLE = (200, ["text/plain", "5"], b"hello")

CLAIMS: list[Claim] = [
    static_row("`static-map`: a file", ask("/static/a.txt")),
    static_row("HEAD of a file", ask("/static/a.txt", method="HEAD")),
    static_row("a file whose type nobody knows", ask("/static/noext")),
    static_row("a directory with `static-index`", ask("/static/sub")),
    static_row("a directory without one is the application's", ask("/static")),
    static_row("`static-map2`", ask("/sub/index.html")),
    static_row("`check-static`", ask("/top.css")),
    static_row("no such file: the application answers", ask("/static/nope")),
    static_row("a path that climbs finds nothing", shows_source("/static/%2e%2e/app.py")),
    static_row("POST to a file is the application's", ask("/static/a.txt", method="POST")),
    static_row("`If-Modified-Since`", again),
    static_row(
        "`Range`",
        ask("/static/a.txt", "Range: bytes=1-2\r\n"),
        differs="always; there with `honour-range` only",
        ours=PART,
        theirs=WHOLE,
    ),
    static_row(
        "a path with a NUL byte",
        ask("/static/a.txt%00"),
        differs="it is no file's; there the path ends at the byte",
        ours=(200, ["text/plain", "19"], b"app |/static/a.txt\0"),
        theirs=WHOLE,
    ),
    mount_row("`mount`: the path finds the application", ask("/one/x")),
    mount_row("a mount's own path", ask("/one")),
    mount_row("a path that only begins alike", ask("/onetwo")),
    mount_row("no mount fits", ask("/x")),
    mount_row("two mounts fit: the longer one is meant", ask("/one/deep/x")),
]
