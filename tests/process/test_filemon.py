"""Promises about watched files: every way to change them is a signal, and none is missed."""

from __future__ import annotations

import os
import signal as unix_signals
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server, eventually

StartServer = Callable[..., Server]

INI = """
http-socket = 127.0.0.1:0
module = app
processes = 1
"""

APP = """
import os
import uwsgi
from muleteer.decorators import filemon

def note(name):
    def fired(signum):
        print(f"<{name} fired>", flush=True)
    fired.__qualname__ = name
    return fired

for line in open("watched.txt"):
    name, path = line.split()
    filemon(path)(note(name))

def application(environ, start_response):
    number, path = environ["QUERY_STRING"].split(",")
    uwsgi.register_signal(int(number), "", note(number))
    uwsgi.add_file_monitor(int(number), path)
    start_response("200 OK", [])
    return [b"ok"]
"""

WAYS: dict[str, Callable[[Path], object]] = {
    "is written to": lambda path: path.write_text("more"),
    "is touched": lambda path: os.utime(path),
    "gets other permissions": lambda path: path.chmod(0o600),
    "is deleted": lambda path: path.unlink(),
    "is renamed": lambda path: path.rename(path.with_name("other")),
    "is replaced by another": lambda path: path.with_name("new").replace(path),
}


def watching(start_server: StartServer, watched: str, **files: str) -> Server:
    """A server that watches already when it is returned."""
    server = start_server(ini=INI, files={"app.py": APP, "watched.txt": watched, **files})
    server.wait_for("watching")
    return server


def fired(server: Server, name: str = "file", *, after: int = 0) -> None:
    server.wait_for(f"<{name} fired>", after=after)


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """It watches a file that is there."""
    return watching(start_server, "file bell\n", bell="", new="")


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_changes_raises_the_signal(server: Server, way: str) -> None:
    """Whatever is done to it; and what comes after that (uWSGI is deaf after a replacement)."""
    bell = server.folder / "bell"
    WAYS[way](bell)
    fired(server)
    mark = server.log.here()
    bell.write_text("again")
    fired(server, after=mark)


def test_a_storm_of_changes_is_one_signal(server: Server) -> None:
    """Many changes at once are one signal, or a few; never one each."""
    for number in range(500):
        (server.folder / "bell").write_text(str(number))
    fired(server)
    mark = server.log.here()
    (server.folder / "bell").write_text("last")
    fired(server, after=mark)
    assert len(server.log.find("<file fired>")) < 10


def test_neighbours_are_not_watched(server: Server) -> None:
    """What happens beside the file is not its change."""
    (server.folder / "neighbour").write_text("x")
    (server.folder / "bell").write_text("x")
    fired(server)
    assert len(server.log.find("<file fired>")) == 1


def test_a_path_that_is_not_there_yet(start_server: StartServer) -> None:
    """It fires when it is created, though even its directories are missing (never under uWSGI)."""
    server = watching(start_server, "file some/where/deep\n")
    (server.folder / "some" / "where").mkdir(parents=True)
    (server.folder / "some" / "where" / "deep").write_text("x")
    fired(server)
    mark = server.log.here()
    (server.folder / "some" / "where" / "deep").write_text("xyz")
    fired(server, after=mark)


def test_a_directory_that_is_replaced_is_still_watched(start_server: StartServer) -> None:
    """A file is found again in another directory of the same name."""
    files = {"config/file": "old", "next/file": "new"}
    server = watching(start_server, "file config/file\n", **files)
    (server.folder / "config").rename(server.folder / "gone")
    (server.folder / "next").rename(server.folder / "config")
    fired(server)
    mark = server.log.here()
    (server.folder / "config" / "file").write_text("newer")
    fired(server, after=mark)


def test_what_a_symbolic_link_leads_to(start_server: StartServer) -> None:
    """Both the file behind it and the link itself are watched, as deployments swap the link."""
    server = watching(start_server, "file link\n", **{"one/a": "", "two/b": ""})
    link = server.folder / "link"
    link.symlink_to("one/a")
    fired(server)
    for change in (
        lambda: (server.folder / "one" / "a").write_text("x"),
        lambda: (
            (server.folder / "next").symlink_to("two/b"),
            (server.folder / "next").replace(link),
        ),
        lambda: (server.folder / "two" / "b").write_text("x"),
    ):
        mark = server.log.here()
        change()
        fired(server, after=mark)


@pytest.mark.parametrize(
    ("way", "change"),
    {
        "a file comes": lambda folder: (folder / "new").write_text("x"),
        "a file goes": lambda folder: (folder / "old").unlink(),
        "a file changes": lambda folder: (folder / "old").write_text("x"),
        "a file is renamed": lambda folder: (folder / "old").rename(folder / "older"),
        "it gets other permissions": lambda folder: folder.chmod(0o700),
    }.items(),
)
def test_a_directory_fires_for_what_is_right_in_it(
    start_server: StartServer, way: str, change: Callable[[Path], object]
) -> None:
    """Files that come, go and change; not what happens further down, as in uWSGI."""
    server = watching(start_server, "folder box\n", **{"box/old": "", "box/sub/": ""})
    (server.folder / "box" / "sub" / "deep").write_text("x")
    change(server.folder / "box")
    fired(server, "folder")
    assert len(server.log.find("<folder fired>")) == 1


def test_several_signals_on_one_path(start_server: StartServer) -> None:
    """All of them are raised (under uWSGI: the last one alone)."""
    server = watching(start_server, "one bell\ntwo bell\n", bell="")
    (server.folder / "bell").write_text("x")
    fired(server, "one")
    fired(server, "two")


def test_a_killed_watcher_is_replaced_and_watches(server: Server) -> None:
    """kill -9 of the watcher costs nothing but the moment."""
    os.kill(server.pids("watcher").pop(), unix_signals.SIGKILL)
    server.wait_for("watching", times=2)
    (server.folder / "bell").write_text("x")
    fired(server)


def test_a_child_may_add_a_monitor(start_server: StartServer) -> None:
    """After the fork the watcher comes into being, and learns of further ones one by one."""
    server = start_server(ini=INI, files={"app.py": APP, "watched.txt": ""})
    assert not server.pids("watcher")
    for count, name in enumerate(("first", "second"), start=1):
        server.get(f"/?{count},{name}")
        server.wait_for(rf"watching {count} paths?:")
        (server.folder / name).write_text("x")
        fired(server, str(count))


def test_a_reload_watches_what_the_new_code_wants(server: Server) -> None:
    """The list of the old generation is gone with it."""
    server.write({"watched.txt": "other horn\n"})
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done")
    server.wait_for("watching 1 path: .*horn")
    (server.folder / "bell").write_text("x")
    (server.folder / "horn").write_text("x")
    fired(server, "other")
    assert "<file fired>" not in server.log


def test_a_reload_that_watches_nothing_ends_the_watcher(server: Server) -> None:
    """A watcher is there while anything is watched."""
    server.write({"watched.txt": ""})
    server.send(unix_signals.SIGHUP)
    server.wait_for("chain reload done")
    eventually(lambda: not server.pids("watcher"))


def test_the_options_watch_too(start_server: StartServer) -> None:
    """`touch-signal` and `fs-signal` name a path and a number of the application's."""
    app = APP + "\nfor n in (17, 18): uwsgi.register_signal(n, '', note(str(n)))\n"
    ini = INI + "touch-signal = bell 17\nfs-signal = box 18\n"
    server = start_server(ini=ini, files={"app.py": app, "watched.txt": "", "box/": ""})
    server.wait_for("watching")
    (server.folder / "bell").write_text("x")
    (server.folder / "box" / "new").write_text("x")
    fired(server, "17")
    fired(server, "18")
