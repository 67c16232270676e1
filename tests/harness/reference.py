"""Real uWSGI behind the verbs of `Server`: the reference of every claim of compatibility.

It is uWSGI's PyPI package in a virtual environment of its own (`make test` builds it), so that
its console script and its uwsgidecorators.py never meet ours.

Runs in: the test process.
"""

from __future__ import annotations

import os
import signal as unix_signals
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.clients import Address
from tests.harness.server import INI, Server

ROOT = Path(__file__).resolve().parents[2]


class Reference(Server):
    """One real uWSGI; SIGTERM would *reload* it, so it is stopped with SIGINT."""

    ready_pattern = r"spawned uWSGI (worker 1 |master process)"
    stop_signal = unix_signals.SIGINT

    def __init__(
        self,
        folder: Path,
        *,
        ini: str | None = None,
        args: Sequence[str] = (),
        files: Mapping[str, str | bytes] | None = None,
        env: Mapping[str, str] | None = None,
        command: Sequence[str | os.PathLike[str]] | None = None,
    ) -> None:
        if command is None:
            binary = self.find_binary()
            command = [str(binary), "--auto-procname", "--virtualenv", str(binary.parent.parent)]
        clean = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": ""}
        super().__init__(
            folder, ini=ini, args=args, files=files, env=clean | dict(env or {}), command=command
        )

    @staticmethod
    def find_binary() -> Path:
        """The uwsgi that MULETEER_UWSGI names, or the one `make test` built."""
        path = Path(os.environ.get("MULETEER_UWSGI") or ROOT / ".venv-reference/bin/uwsgi")
        assert path.exists(), f"no uWSGI at {path}: run `make reference`"
        return path

    def close(self) -> None:
        """End all of it at once: what the reference leaves behind is not ours to prove.

        Asked to stop, it takes a second, and a worker just forked may miss the signal.
        """
        self.was_killed = True  # else a socket it left would count
        if self._process is not None and self._process.poll() is None:
            self._end_by_force()
        super().close()

    def addresses(self, protocol: str) -> list[Address]:
        """The bound addresses; uWSGI does not say which protocol a socket speaks."""
        bound = self.log.find(
            r"uwsgi socket (\d+) (?:inherited|bound to (?:TCP|UNIX) address) (\S+)"
        )
        numbered = {int(match.group(1)): match.group(2) for match in bound}
        return [
            self.parse_address(numbered[number])
            for number, name in enumerate(self._protocols())
            if name == protocol and number in numbered
        ]

    def _protocols(self) -> list[str]:
        """The protocols in the order in which the options name sockets."""
        ini = self.folder / INI
        lines = ini.read_text().splitlines() if ini.exists() else []
        words = [line.partition("=")[0].strip() for line in lines] + self.command
        names = {"socket": "uwsgi", "uwsgi-socket": "uwsgi", "s": "uwsgi"}
        names |= {"http-socket": "http", "http11-socket": "http"}
        keys = [word.partition("=")[0].lstrip("-") for word in words]
        return [names[key] for key in keys if key in names]
