"""One spool directory, two servers: files and locks of real uWSGI and of ours, both ways."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.contract.spooling import claimed
from tests.harness import Reference, Server, eventually

from muleteer.spool.directory import DirectoryStore
from muleteer.spool.slots import Slots
from muleteer.spool.store import UNIQUE, Outcome, Result
from muleteer.wire.spoolfile import decode_task, encode_task

StartReference = Callable[..., Reference]

PRODUCER = """
import ast, urllib.parse, uwsgi

def application(environ, start_response):
    task = ast.literal_eval(urllib.parse.unquote(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [uwsgi.spool(task)]
"""

CONSUMER = """
import os, time, uwsgi

HERE = os.environ["RESULTS"]

def spooler(env):
    name = env["spooler_task_name"].decode()
    with open(os.path.join(HERE, name + ".part"), "w") as file:
        file.write(repr(env))
    os.rename(file.name, os.path.join(HERE, name))
    while env.get(b"wait") and not os.path.exists(env[b"wait"]):
        time.sleep(0.01)
    return uwsgi.SPOOL_OK

uwsgi.spooler = spooler
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [uwsgi.spool({b"n": b"wake"})]
"""

INI = """
master = true
processes = 1
http-socket = 127.0.0.1:0
wsgi-file = app.py
"""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory both work on."""
    folder = tmp_path.resolve() / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Where uWSGI's handler writes what it was given, a file per task."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.fixture
def store(spool: Path) -> Iterator[DirectoryStore]:
    """Our side of the directory."""
    opened = DirectoryStore(bytes(spool))
    yield opened
    opened.close()


@pytest.fixture
def start_spooler(
    start_reference: StartReference, spool: Path, results: Path
) -> Callable[..., Reference]:
    """Start real uWSGI with a spooler on the directory."""

    def start(options: str = "") -> Reference:
        ini = f"{INI}spooler = {spool}\nspooler-frequency = 1\n{options}"
        env = {"RESULTS": str(results)}
        return start_reference(ini=ini, files={"app.py": CONSUMER}, env=env)

    return start


def _produce(reference: Reference, task: dict[bytes, object]) -> bytes:
    """Have real uWSGI spool a task; the path it returned."""
    response = reference.get("/?" + quote(repr(task)))
    assert response.status == 200
    return bytes(response.body)


def _seen(results: Path, path: bytes) -> dict[object, object] | None:
    """What uWSGI's handler was given for the task at `path`."""
    file = results / os.fsdecode(os.path.basename(path))
    answer: dict[object, object] | None = None
    if file.exists():
        answer = ast.literal_eval(file.read_text())
    return answer


THEIRS: dict[str, dict[bytes, object]] = {
    "plain": {b"a": b"b", b"empty": b""},
    "nothing": {},
    "body": {b"a": b"b", b"body": b"raw \x00\xff" * 1000},
    "empty-body": {b"a": b"b", b"body": b""},
    "at": {b"at": b"4000000000", b"a": b"b"},
    "at-with-a-fraction": {b"at": b"4000000000.75"},
    "past": {b"at": b"1000000000"},
    "priority": {b"priority": b"5", b"a": b"b"},
    "all": {b"priority": b"12", b"at": b"4000000000", b"body": b"BB", b"ud_spool_func": b"f"},
}


def test_what_uwsgi_spools_we_claim(
    start_reference: StartReference, spool: Path, store: DirectoryStore
) -> None:
    """Vars, body, due time and priority of every task that real uWSGI writes come out whole."""
    ini = f"{INI}spooler-external = {spool}\nbuffer-size = 65535\n"
    reference = start_reference(ini=ini, files={"app.py": PRODUCER})
    for kind, given in THEIRS.items():
        path = _produce(reference, given)
        due = int(str(given.get(b"at", b"0"), "ascii").split(".")[0])  # type: ignore[call-overload]
        if due > time.time():
            assert store.claim(due - 1) is None, kind
            assert store.next_due() == due, kind
        task = claimed(store, max(due, time.time() + 1))
        wanted = {key: value for key, value in given.items() if key != b"body"}
        assert (task.path, dict(task.vars)) == (path, wanted), kind
        assert task.body == given.get(b"body", b""), kind
        assert abs(task.queued_at - time.time()) < 60, kind
        assert Path(os.fsdecode(path)).read_bytes() == encode_task(task.vars, task.body), kind
        store.settle(task, Outcome.OK)
    assert [file for file in spool.rglob("*") if file.is_file()] == []


def test_what_we_spool_uwsgi_runs(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path
) -> None:
    """Real uWSGI's handler is given the vars and the body we put, in either place."""
    ours = [
        ({b"a": b"b", b"empty": b""}, b"", None, None),
        ({}, b"", None, None),
        ({b"a": b"b"}, b"raw \x00\xff" * 1000, None, None),
        ({b"a": b"b"}, b"", 1_000_000_000.5, None),
        ({b"a": b"b"}, b"body", None, b"7"),
        ({b"k": b"v" * 65530}, b"", None, None),
    ]
    paths = [store.put(given, body, at=at, priority=p) for given, body, at, p in ours]
    later = store.put({b"a": b"b"}, at=4_000_000_000)
    reference = start_spooler("spooler-ordered = true\n")
    for path, (given, body, at, priority) in zip(paths, ours, strict=True):
        seen = eventually(
            lambda path=path: _seen(results, path),  # type: ignore[misc]
            within=15,
            what=f"{path!r} of {given.keys()} ran; log:\n{reference.log}",
        )
        assert seen is not None
        assert seen.pop("spooler_task_name") == os.path.basename(path)
        assert seen.pop("body", b"") == body
        assert seen.pop(b"at", None) == (b"1000000000" if at else None)
        assert seen.pop(b"priority", None) == priority
        assert seen == given
    eventually(lambda: store.jobs() == [later], within=10, what="only the delayed task is left")
    assert _seen(results, later) is None


def test_a_value_beyond_64k_is_whole_for_us_and_harmless_for_uwsgi(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path
) -> None:
    """uWSGI runs such a task with its small vars, the large ones in front of the body."""
    path = store.put({b"small": b"s", b"big": b"v" * 70_000}, b"the body")
    data = Path(os.fsdecode(path)).read_bytes()
    start_spooler()
    seen = eventually(lambda: _seen(results, path), within=15, what="uWSGI ran the task")
    assert seen is not None
    body = seen["body"]
    assert isinstance(body, bytes)
    assert seen[b"small"] == b"s"
    assert len(body) == int(seen[b"ud_spool_overflow"]) + 8  # type: ignore[call-overload]
    assert body.endswith(b"the body")
    assert decode_task(data).vars == {b"small": b"s", b"big": b"v" * 70_000}


def test_uwsgi_passes_over_what_we_have_claimed(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path
) -> None:
    """While we hold a task real uWSGI runs the others; given back, it runs that one, too."""
    held_path = store.put({b"n": b"held"})
    held = claimed(store)
    other = store.put({b"n": b"other"})
    reference = start_spooler()
    eventually(lambda: _seen(results, other), within=15, what=f"other ran; log:\n{reference.log}")
    reference.get("/")  # another whole round, which began while we held it
    eventually(lambda: len(list(results.iterdir())) == 2, within=15, what="a second round")
    assert _seen(results, held_path) is None
    store.settle(held, Outcome.IGNORE)
    reference.get("/")
    eventually(lambda: _seen(results, held_path), within=15, what="uWSGI ran what we gave back")


def test_what_failed_here_runs_there(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path
) -> None:
    """A file that counts attempts is a task for real uWSGI; our notes are vars like others."""
    path = store.put({b"a": b"b"}, b"body", priority=b"3")
    for error in ("first", "second"):
        store.settle(claimed(store), Outcome.RETRY, error=error)
    start_spooler("spooler-ordered = true\n")
    seen = eventually(lambda: _seen(results, path), within=15, what="uWSGI ran the task")
    assert seen is not None
    queued_at = seen.pop(b"muleteer_queued_at")
    assert abs(float(queued_at) - time.time()) < 60  # type: ignore[arg-type]
    assert seen == {
        "spooler_task_name": os.path.basename(path),
        "body": b"body",
        b"a": b"b",
        b"priority": b"3",
        b"muleteer_attempts": b"2",
        b"muleteer_last_error": b"second",
    }


def test_uwsgi_leaves_our_dead_alone(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path, spool: Path
) -> None:
    """Neither its plain nor its ordered look goes into dead/."""
    path = store.put({b"a": b"b"})
    store.bury(claimed(store), "it failed")
    reference = start_spooler("spooler-ordered = true\n")
    for _ in range(2):  # the second began after the first look was over
        woken = bytes(reference.get("/").body)
        eventually(lambda woken=woken: _seen(results, woken), within=15)  # type: ignore[misc]
    name = os.fsdecode(os.path.basename(path))
    assert {file.name for file in (spool / "dead").iterdir()} == {name, f"{name}.reason"}
    assert _seen(results, path) is None


def test_we_pass_over_what_uwsgi_runs(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path, tmp_path: Path
) -> None:
    """While real uWSGI runs a task we neither claim nor read it; at its end it is gone."""
    go_on = tmp_path / "go-on"
    path = store.put({b"wait": bytes(go_on)})
    start_spooler()
    eventually(lambda: _seen(results, path), within=15, what="uWSGI began the task")
    for wait in range(5):
        assert store.claim(time.time() + wait) is None
    assert store.get_task(path) is None
    assert store.jobs() == [path]
    go_on.touch()
    eventually(lambda: store.jobs() == [], within=15, what="uWSGI ended the task")


def test_both_work_on_one_directory(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path
) -> None:
    """Of many tasks each runs once, here or there."""
    reference = start_spooler("spooler-processes = 2\n")
    paths, ours = set(), set()
    for n in range(300):
        paths.add(store.put({b"n": b"%d" % n}))
        # uWSGI may have taken all there are
        if n % 3 == 0 and (task := store.claim(time.time() + 1)) is not None:
            ours.add(task.path)
            store.settle(task, Outcome.OK)
    paths.add(bytes(reference.get("/").body))  # it wakes uWSGI's spoolers
    eventually(lambda: not store.jobs(), within=30, what=f"all ran; log:\n{reference.log}")
    our_names = {os.path.basename(path) for path in ours}
    their_names = {bytes(file.name, "ascii") for file in results.iterdir()}
    assert our_names
    assert their_names
    assert not our_names & their_names
    assert {os.path.basename(path) for path in paths} == our_names | their_names


def test_our_folders_and_notes_are_nothing_to_uwsgi(
    start_spooler: Callable[..., Reference], store: DirectoryStore, results: Path, spool: Path
) -> None:
    """Keys, slots, results and the dead: it runs the task beside them, and touches none of them."""
    slots = Slots(bytes(spool))
    slot = slots.take("f", 1)
    assert slot is not None
    for n in range(2):
        store.put({b"n": b"%d" % n})
    store.settle(claimed(store), Outcome.OK, result=Result(keep_until=4e9))
    store.bury(claimed(store), "why")
    path = store.put({b"a": b"b", UNIQUE: b"key"})
    before = {file for file in spool.rglob("*") if bytes(file) != path}
    start_spooler("spooler-ordered = true\n")
    seen = eventually(lambda: _seen(results, path), within=15, what="uWSGI ran the task")
    assert seen is not None
    assert (seen[b"a"], seen[UNIQUE]) == (b"b", b"key")
    eventually(lambda: store.jobs() == [], within=10)
    assert set(spool.rglob("*")) == before
    assert store.put({UNIQUE: b"key"}) != path, "its key is free again"
    slots.give_back(slot)
    slots.close()


FIFTY = 'b" ".join(uwsgi.spool({b"n": b"%d" % n}) for n in range(50))'


def test_both_servers_on_one_directory(
    start_server: Callable[..., Server],
    start_reference: StartReference,
    spool: Path,
    results: Path,
) -> None:
    """Each enqueues two hundred tasks; all of them run once, some of either's at the other."""
    ini = f"{INI}spooler = {spool}\nspooler-frequency = 1\nspooler-processes = 2\n"
    counted = results.parent / "counted"
    app = CONSUMER.replace('uwsgi.spool({b"n": b"wake"})', FIFTY).replace(
        'with open(os.path.join(HERE, name + ".part"), "w") as file:',
        f'with open({str(counted)!r}, "a") as counted:\n'
        '        counted.write(f"{name} {type(uwsgi).__name__}\\n")\n'
        "    time.sleep(0.005)  # long enough for the other one to take part\n"
        '    with open(os.path.join(HERE, name + ".part"), "w") as file:',
    )
    env = {"RESULTS": str(results)}
    ours = start_server(ini=ini, files={"app.py": app}, env=env)
    theirs = start_reference(ini=ini, files={"app.py": app}, env=env)
    names: set[str] = set()
    for _ in range(4):
        for server in (ours, theirs):
            paths = server.get("/").body.split()
            names |= {os.path.basename(path).decode() for path in paths}
    assert len(names) == 400
    eventually(
        lambda: not [p for p in spool.iterdir() if p.is_file()],
        within=60,
        what=f"all ran; logs:\n{ours.log}\n{theirs.log}",
    )
    lines = counted.read_text().split("\n")[:-1]
    assert sorted(line.split()[0] for line in lines) == sorted(names)
    assert len({line.split()[1] for line in lines}) == 2, "both took part"
