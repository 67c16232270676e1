"""Hundreds of deaths leave the master as it was: its descriptors and its memory are flat."""

from __future__ import annotations

import os
import signal as unix_signals

from tests.harness import Server, apps, eventually
from tests.harness.processes import descriptors
from tests.process.playground import StartServer

WORKERS = 48
ROUNDS = 4  # a seat whose children die young waits ever longer: many seats, few rounds

INI = f"""
http-socket = 127.0.0.1:0
module = app
processes = {WORKERS}
"""


def resident_kb(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def kill_all_workers(server: Server) -> None:
    """kill -9 of every worker at once; returns when all are replaced."""
    victims = eventually(lambda: len(server.pids("worker")) == WORKERS and server.pids("worker"))
    for pid in victims:
        os.kill(pid, unix_signals.SIGKILL)
    eventually(
        lambda: len(server.pids("worker") - victims) == WORKERS,
        within=20,
        what="every killed worker is replaced",
    )


def test_kills_leave_the_master_flat(start_server: StartServer) -> None:
    """Neither master nor zygote grows by the death of workers."""
    server = start_server(ini=INI, files={"app.py": apps.HELLO})
    (zygote,) = server.pids("zygote")
    kill_all_workers(server)
    before = {pid: (descriptors(pid), resident_kb(pid)) for pid in (server.pid, zygote)}
    for _ in range(ROUNDS):
        kill_all_workers(server)
    assert server.get("/").text == "hello"
    for pid, (files, memory) in before.items():
        eventually(lambda pid=pid, files=files: descriptors(pid) <= files)  # type: ignore[misc]
        assert resident_kb(pid) < memory + 1024
