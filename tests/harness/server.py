"""The real `muleteer` command, started as a person would start it.

It waits for the server's own words: `listening on …` names the bound addresses (so ports may be
0) and `ready: …` says that the first generation serves.

Runs in: the test process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.clients import Address, Client, Response, uwsgi_request
from tests.harness.running import Running

INI = "server.ini"


class Server(Running):
    """One muleteer server: `with Server(folder, ini=…, files=…) as server: server.get("/")`."""

    ready_pattern = r"ready: generation 1\b"
    listening_pattern = r"listening on (\S+) (\S+)"

    def __init__(
        self,
        folder: Path,
        *,
        ini: str | None = None,
        args: Sequence[str] = (),
        files: Mapping[str, str | bytes] | None = None,
        env: Mapping[str, str] | None = None,
        command: Sequence[str | os.PathLike[str]] | None = None,
        ready: str | None = None,
    ) -> None:
        self.ready_pattern = ready or self.ready_pattern
        files = dict(files or {})
        words = list(command or self.find_command())
        if ini is not None:
            files[INI] = ini if ini.lstrip().startswith("[") else f"[uwsgi]\n{ini}"
            words += self.ini_arguments(INI)
        super().__init__(folder, [*words, *args], files=files, env=env)

    @classmethod
    def find_command(cls) -> list[str]:
        """The installed console script, or the module where the package is not installed."""
        script = Path(sys.executable).parent / "muleteer"
        return [str(script)] if script.exists() else [sys.executable, "-m", "muleteer"]

    @classmethod
    def ini_arguments(cls, name: str) -> list[str]:
        """How the command line names an ini file."""
        return ["--ini", name]

    def start(self, *, within: float = 20.0) -> Server:
        """Start it and wait until it serves; raises Died with the log when it ends before."""
        self.launch()
        try:
            self.wait_until_ready(within=within)
        except BaseException:
            self._end_by_force()
            raise
        return self

    def run(self, *, within: float = 20.0) -> int:
        """Start it, wait until it ends by itself, return its exit code: for starts that fail."""
        self.launch()
        try:
            return self.wait(within=within)
        finally:
            self._end_by_force()
            self.log.join()

    def __enter__(self) -> Server:
        return self.start()

    # -- addresses and requests -------------------------------------------------------------

    def addresses(self, protocol: str) -> list[Address]:
        """The bound addresses of a protocol (`http`, `uwsgi`), in the order of the options."""
        found = self.log.find(self.listening_pattern)
        return [self.parse_address(match.group(2)) for match in found if match.group(1) == protocol]

    @property
    def http(self) -> Address:
        """The first HTTP address."""
        return self._first("http")

    @property
    def uwsgi(self) -> Address:
        """The first uwsgi-protocol address."""
        return self._first("uwsgi")

    def get(self, path: str = "/", *, within: float = 10.0) -> Response:
        """One GET over HTTP, on a connection of its own."""
        with Client(self.http, timeout=within) as client:
            return client.request("GET", path)

    def ask(
        self,
        path: str = "/",
        *,
        body: bytes = b"",
        variables: Mapping[str, str] | None = None,
        within: float = 10.0,
    ) -> Response:
        """One request over the uwsgi protocol, as nginx would send it."""
        return uwsgi_request(self.uwsgi, path, body=body, variables=variables, timeout=within)

    def parse_address(self, words: str) -> Address:
        """'127.0.0.1:80' -> (host, port); anything with a slash or no port is a unix socket."""
        host, colon, port = words.rpartition(":")
        if "/" in words or not colon:
            return str(self.folder / words)
        return (host.strip("[]"), int(port))

    def _first(self, protocol: str) -> Address:
        addresses = self.addresses(protocol)
        assert addresses, f"it listens on no {protocol} address; its log:\n{self.log}"
        return addresses[0]
