"""Promises of `uid` and `gid`, kept for a server that root starts."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness import Server, eventually

StartServer = Callable[..., Server]

INI = """
socket = app.sock
http-socket = 127.0.0.1:0
module = app
spooler = spool
pidfile = server.pid
gid = 12345
"""

APP = """
import os
import uwsgi

uwsgi.spooler = lambda task: print("task as", os.getresgid()) or uwsgi.SPOOL_OK

def application(environ, start_response):
    uwsgi.spool({b"a": b"b"})
    body = repr((os.getresuid(), os.getresgid(), os.getgroups())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def status(pid: int, what: str) -> list[int]:
    """Numbers of a process from /proc, as the kernel sees them."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next([int(n) for n in line.split()[1:]] for line in lines if line.startswith(what))


def test_everything_runs_in_the_group_it_was_given(start_server: StartServer) -> None:
    """Master, zygote, worker and spooler; the socket's file is its own, the pidfile is root's."""
    server = start_server(ini=INI, files={"app.py": APP})
    assert server.ask("/").text == "((0, 0, 0), (12345, 12345, 12345), [12345])"
    assert {status(one.pid, "Gid:")[0] for one in server.processes()} == {12345}
    server.wait_for(r"task as \(12345, 12345, 12345\)")
    assert (server.folder / "spool").stat().st_gid == 12345
    assert (server.folder / "server.pid").stat().st_gid == 0
    server.wait_for("running as root")


def test_add_gid_alone_adds_to_roots_groups(start_server: StartServer) -> None:
    """Root stays root, and every process is in that group, too."""
    ini = INI.replace("gid = 12345", "add-gid = 23456")
    server = start_server(ini=ini, files={"app.py": APP})
    groups = sorted({*os.getgroups(), 23456})
    assert server.ask("/").text == repr(((0,) * 3, (0,) * 3, groups))


def test_root_is_given_up_once_the_sockets_are_bound(tmp_path: Path) -> None:
    """`uid = nobody`: not one process can become root again, and the socket is nobody's."""
    nobody = pwd.getpwnam("nobody")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    ini = INI.replace("gid = 12345", "uid = nobody\nspooler-processes = 2")
    files = {"app.py": APP, "spool/": ""}
    server = Server(tmp_path / "run", ini=ini, files=files)
    for path in (server.folder, server.folder / "spool", server.temporary):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    with server:
        uid, gid = nobody.pw_uid, nobody.pw_gid
        assert server.ask("/").text == repr(((uid,) * 3, (gid,) * 3, [gid]))
        assert {tuple(status(one.pid, "Uid:")) for one in server.processes()} == {(uid,) * 4}
        assert (server.folder / "app.sock").stat().st_uid == uid
        before = server.pids("worker")
        server.send(1)
        server.wait_for("chain reload done")
        eventually(lambda: not before & server.pids("worker"))
        assert server.ask("/").text == repr(((uid,) * 3, (gid,) * 3, [gid]))


def test_a_socket_may_be_somebody_elses(start_server: StartServer) -> None:
    """`chown-socket` and `chmod-socket` together: the web server's group may write, others not."""
    ini = INI.replace("gid = 12345", "chown-socket = :4711\nchmod-socket = 660")
    server = start_server(ini=ini, files={"app.py": APP})
    seen = (server.folder / "app.sock").stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (0, 4711, 0o660)


def test_limits_are_every_childs(start_server: StartServer) -> None:
    """`max-fd`, `limit-as` and `umask` hold in a worker."""
    app = """
import os, resource
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    mask = os.umask(0); os.umask(mask)
    limits = [resource.getrlimit(r)[0] for r in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)]
    return [repr((mask, limits)).encode()]
"""
    ini = "http-socket = 127.0.0.1:0\nmodule = app\numask = 027\nmax-fd = 333\nlimit-as = 4096\n"
    server = start_server(ini=ini, files={"app.py": app})
    assert server.get("/").text == repr((0o27, [333, 4096 << 20]))
