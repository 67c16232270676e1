"""The benchmarks run: a figure in every row, on our own server; what they say is theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
