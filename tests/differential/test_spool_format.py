"""The format of a spool file, by properties: whatever a task holds, real uWSGI and we agree."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness import Reference
from tests.harness.clients import Client

from muleteer.spool.directory import DirectoryStore
from muleteer.wire.spoolfile import SpoolTask, decode_task, encode_task

APP = """
import ast, uwsgi

def application(environ, start_response):
    asked = ast.literal_eval(environ["wsgi.input"].read().decode())
    answer = [uwsgi.parsefile(one) if isinstance(one, str) else uwsgi.spool(one) for one in asked]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(answer).encode()]
"""

INI = """
master = true
processes = 1
http-socket = 127.0.0.1:0
wsgi-file = app.py
spooler-external = %s
"""

SPECIAL = (b"spooler", b"priority", b"at", b"body", b"ud_spool_overflow")
BLOCK_LIMIT = 0xFFFF

keys = st.binary(min_size=1, max_size=300).filter(lambda key: key not in SPECIAL)
values = st.one_of(st.binary(max_size=50), st.binary(max_size=5000), st.just(b"v" * 30_000))
task_vars = st.dictionaries(keys, values, max_size=8).filter(
    lambda pairs: sum(4 + len(key) + len(value) for key, value in pairs.items()) <= BLOCK_LIMIT
)
tasks = st.lists(st.tuples(task_vars, st.binary(max_size=3000)), min_size=1, max_size=6)


def test_whatever_a_task_holds_both_write_and_read_the_same_file(
    start_reference: Callable[..., Reference], tmp_path: Path
) -> None:
    """Byte for byte what real uWSGI writes is what we write; each reads the other's."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
    reference = start_reference(ini=INI % theirs, files={"app.py": APP})
    store = DirectoryStore(bytes(ours))

    def ask(what: list[object]) -> list[object]:
        with Client(reference.http, timeout=30) as client:
            answer: list[object] = ast.literal_eval(
                client.request("POST", "/", body=repr(what).encode()).text
            )
        return answer

    @settings(max_examples=60)
    @given(tasks)
    def agree(batch: list[tuple[dict[bytes, bytes], bytes]]) -> None:
        written = ask([{**pairs, **({b"body": body} if body else {})} for pairs, body in batch])
        for (pairs, body), path in zip(batch, written, strict=True):
            assert isinstance(path, bytes)
            data = Path(os.fsdecode(path)).read_bytes()
            assert data == encode_task(pairs, body)
            assert decode_task(data) == SpoolTask(pairs, body)
        paths = [os.fsdecode(store.put(pairs, body)) for pairs, body in batch]
        assert ask([*paths]) == [pairs for pairs, _ in batch]

    agree()
