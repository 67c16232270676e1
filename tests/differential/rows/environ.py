"""What an application sees of a request: the environ, over both protocols.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Setup, rows_of
from tests.differential.looks import seen, seen_over_http, value
from tests.harness import Server

SETUP = Setup(name="requests", files={"page.txt": "a page of text\n"})

row = rows_of("The environ of a request", SETUP)

CGI = "[A-Z_]+"
WSGI = "wsgi[.].*"


def get(path: str, *headers: str) -> str:
    """The head of a GET."""
    return "\n".join([f"GET {path} HTTP/1.1", "Host: example.org", "Connection: close", *headers])


def _port(server: Server) -> object:
    found = seen_over_http(get("/see"), only="SERVER_PORT")(server)
    return found == {"SERVER_PORT": str(server.http[1])}


CLAIMS = [
    row("the variables of a packet are there, as str, and no others", seen(only=CGI)),
    row(
        "the `wsgi.` keys that are plain values",
        seen(only=WSGI),
        differs="`wsgi.input_terminated` is there, too: reading to the end is safe, and Flask asks",
        ours={
            "wsgi.input_terminated": True,
            "wsgi.multiprocess": False,
            "wsgi.multithread": False,
            "wsgi.run_once": False,
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
        },
        theirs={
            "wsgi.multiprocess": False,
            "wsgi.multithread": False,
            "wsgi.run_once": False,
            "wsgi.url_scheme": "http",
            "wsgi.version": (1, 0),
        },
    ),
    row(
        "`uwsgi.version` and `uwsgi.node` are the module's version and hostname, as bytes",
        value("""[type(e['uwsgi.version']).__name__, e['uwsgi.version'] == uwsgi.version,
                  type(e['uwsgi.node']).__name__, e['uwsgi.node'] == uwsgi.hostname]"""),
    ),
    row("uWSGI's version is the same", value("[e['uwsgi.version'], uwsgi.version_info]")),
    row(
        "the methods of `wsgi.input`",
        value("""[hasattr(e['wsgi.input'], name) for name in
                  ('read', 'readline', 'readlines', '__iter__', 'close', 'fileno')]"""),
    ),
    row(
        "the methods of `wsgi.errors`",
        value("[hasattr(e['wsgi.errors'], name) for name in ('write', 'flush', 'writelines')]"),
    ),
    row("`wsgi.file_wrapper` can be called", value("callable(e['wsgi.file_wrapper'])")),
    row(
        "of a variable that comes twice the last counts",
        seen(("HTTP_X_TWICE", "1"), ("HTTP_X_TWICE", "2"), only="HTTP_X_TWICE"),
    ),
    row("an empty variable is there", seen(("HTTP_X_EMPTY", ""), only="HTTP_X_EMPTY")),
    row("bytes are latin-1", seen(("HTTP_X_WORD", "\xe9\xff"), only="HTTP_X_WORD")),
    row(
        "SCRIPT_NAME stays as it came, and so does PATH_INFO",
        seen(("SCRIPT_NAME", "/mounted"), only="SCRIPT_NAME|PATH_INFO"),
    ),
    row("without SCRIPT_NAME there is none", seen(only="SCRIPT_NAME")),
    row("HTTPS = on is the scheme https", seen(("HTTPS", "on"), only=".*scheme")),
    row("HTTPS = 1, too", seen(("HTTPS", "1"), only=".*scheme")),
    row("HTTPS = off is http", seen(("HTTPS", "off"), only=".*scheme")),
    row("UWSGI_SCHEME is the scheme", seen(("UWSGI_SCHEME", "https"), only=".*scheme")),
    row("REQUEST_SCHEME is not", seen(("REQUEST_SCHEME", "https"), only=".*scheme")),
    row(
        "X-Forwarded-Proto is the scheme, whoever sent it",
        seen(("HTTP_X_FORWARDED_PROTO", "https"), only=".*scheme"),
    ),
    row(
        "X-Forwarded-Proto may be any word",
        seen(("HTTP_X_FORWARDED_PROTO", "gopher"), only=".*scheme"),
        differs="only http and https are believed",
        ours={"wsgi.url_scheme": "http"},
        theirs={"wsgi.url_scheme": "gopher"},
    ),
    row("over HTTP: the CGI variables", seen_over_http(get("/see?a=%20"), only="(?!.*PORT)" + CGI)),
    row("over HTTP: SERVER_PORT is the listening socket's", _port),
    row("over HTTP: REMOTE_PORT is not there", seen_over_http(get("/see"), only="REMOTE_PORT")),
    row(
        "over HTTP: equal headers are joined",
        seen_over_http(get("/see", "X-Twice: 1", "X-Twice: 2"), only="HTTP_X_TWICE"),
    ),
    row(
        "over HTTP: cookies in several headers are joined",
        seen_over_http(get("/see", "Cookie: a=1", "Cookie: b=2"), only="HTTP_COOKIE"),
        differs="with a semicolon, which is how cookies are joined; with a comma they are one",
        ours={"HTTP_COOKIE": "a=1; b=2"},
        theirs={"HTTP_COOKIE": "a=1, b=2"},
    ),
    row(
        "over HTTP: the content's type has no HTTP_ before it",
        seen_over_http(get("/see", "Content-Type: text/x"), only=".*CONTENT.*"),
    ),
    row(
        "over HTTP: a header with an underscore",
        seen_over_http(get("/see", "X_Under: 1"), only="HTTP_X_UNDER"),
        differs="it is dropped: it would pass for the one with a dash, which a proxy may vouch for",
        ours={},
        theirs={"HTTP_X_UNDER": "1"},
    ),
    row(
        "over HTTP: `Proxy` is HTTP_PROXY", seen_over_http(get("/see", "Proxy: a"), only=".*PROXY")
    ),
    row(
        "over HTTP: PATH_INFO is decoded, REQUEST_URI is not",
        seen_over_http(get("/se%65/%2F%C3%A9?%65"), only="PATH_INFO|REQUEST_URI|QUERY_STRING"),
    ),
    row(
        "over HTTP: an empty query and none",
        lambda server: [
            seen_over_http(get(path), only="QUERY_STRING|REQUEST_URI")(server)
            for path in ("/see?", "/see")
        ],
    ),
    row(
        "over HTTP: dots in the path are resolved",
        seen_over_http(get("/a/../b/./see"), only="PATH_INFO|REQUEST_URI"),
    ),
    row(
        "over HTTP: slashes in the path stay as they are",
        seen_over_http(get("//a//see/"), only="PATH_INFO|REQUEST_URI"),
    ),
    row(
        "over HTTP: a whole URL as target",
        seen_over_http(get("http://example.org/see"), only="PATH_INFO|HTTP_HOST"),
        differs="HTTP/1.1 wants it understood; there the URL becomes the path",
        ours={"HTTP_HOST": "example.org", "PATH_INFO": "/see"},
        theirs={"HTTP_HOST": "example.org", "PATH_INFO": "http://example.org/see"},
    ),
    row(
        "over HTTP: a header's bytes are latin-1, without the spaces around it",
        seen_over_http(get("/see", "X-Word:   \xe9 b  "), only="HTTP_X_WORD"),
    ),
    row(
        "over HTTP: HTTP/1.0 without Host",
        seen_over_http("GET /see HTTP/1.0", only="SERVER_PROTOCOL|HTTP_HOST"),
    ),
    row(
        "over HTTP: X-Forwarded-Proto is the scheme",
        seen_over_http(get("/see", "X-Forwarded-Proto: https"), only=".*scheme"),
    ),
]
