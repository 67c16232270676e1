"""wsgiref's validator over methods, bodies, protocols and shapes of applications."""

from __future__ import annotations

import io
import itertools
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.contract.serving import (
    NewSite,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
FRAMINGS = ("none", "length", "chunked", "spilled")
PROTOCOLS = ("1.0", "1.0 keep-alive", "1.1", "1.1 close")
SHAPES = ("list", "generator", "write", "file", "empty")


def shaped(environ: dict[str, Any], start_response: Any) -> Any:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    shape = environ["QUERY_STRING"]
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if shape == "generator":
        return (piece for piece in (b"got:", body) if piece)
    if shape == "write":
        write(b"got:" + body)
        return []
    if shape == "file":
        return environ["wsgi.file_wrapper"](io.BytesIO(b"got:" + body))
    return [] if shape == "empty" else [b"got:", body]


def request_of(method: str, framing: str, protocol: str, shape: str) -> tuple[bytes, bytes]:
    body = {"none": b"", "spilled": b"y" * 2000}.get(framing, b"12345")
    lines = [f"{method} /p?{shape} HTTP/{protocol[:3]}", "Host: a"]
    if " " in protocol:
        lines.append("Connection: " + protocol.partition(" ")[2])
    sent = body
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif framing != "none":
        lines.append(f"Content-Length: {len(body)}")
    expected = b"" if shape == "empty" or method == "HEAD" else b"got:" + body
    return "\r\n".join([*lines, "", ""]).encode() + sent, expected


MATRIX = [
    case
    for case in itertools.product(FRAMINGS, PROTOCOLS, SHAPES)
    if not (case[0] == "chunked" and case[1].startswith("1.0"))  # HTTP/1.0 has no chunks
]


@pytest.mark.parametrize(("framing", "protocol", "shape"), MATRIX)
def test_the_validator_has_nothing_to_say(
    new_site: NewSite, framing: str, protocol: str, shape: str, caplog: Any
) -> None:
    """Every method, body, protocol and shape of application passes wsgiref's validator."""
    site = new_site(validator(shaped), post_buffering=1000)
    # without a length there is nothing but the end to end a body with in HTTP/1.0
    is_kept = protocol == "1.1" or (protocol == "1.0 keep-alive" and shape == "empty")
    client = site.connect()
    for method in METHODS:
        request, expected = request_of(method, framing, protocol, shape)
        answer = client.ask(request, method)
        assert (answer.status, answer.body) == (200, expected), (method, caplog.text)
        if not is_kept:
            client = site.connect()
    assert caplog.text == ""
