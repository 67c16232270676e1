"""The benchmarks run: a figure in every row, on our own server; what they say is theirs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks import harness

ROOT = Path(__file__).resolve().parents[2]


def test_the_primitives_can_be_measured(tmp_path: Path) -> None:
    """One round of all that needs no load generator and no long wait."""
    rows = "lock,contended,rpc-local,rpc-unix,rpc-tcp-p99,mule-send,mule-trip,mule-1m,signal"
    found = tmp_path / "figures.json"
    options = ["--servers", "muleteer", "--rounds", "1", "--rows", rows, "--json", str(found)]
    command = [sys.executable, "-m", "benchmarks.primitives", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads(found.read_text())["rows"]
    assert list(measured) == rows.split(",")
    assert all(row["values"]["muleteer"][0] > 0 for row in measured.values())
    assert "| lock and unlock, free | - |" in done.stdout


def test_slow_clients_stay_until_they_are_let_go() -> None:
    """Each has sent half a request; at the end they hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with harness.slow_clients(listener.getsockname()[1], 2):
            taken = [listener.accept()[0] for _ in range(2)]
            assert all(one.recv(100).startswith(b"GET / HTTP/1.1\r\n") for one in taken)
        assert [one.recv(100) for one in taken] == [b"", b""]
        for one in taken:
            one.close()
