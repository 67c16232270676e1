"""One started command in a folder and a session of its own, and the proof that it left nothing.

Rules:
  1. No wait without a bound, and none that swallows its own failure.
  2. `close` always ends the whole tree, and then says what it had to end.
  3. Two of them in two test runs on one machine never see each other.

Runs in: the test process.
"""

from __future__ import annotations

import os
import re
import signal as unix_signals
import stat
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.harness import processes
from tests.harness.log import Log
from tests.harness.processes import Process
from tests.harness.waiting import TimedOut, eventually

KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "USER")
"""What a started command inherits; nothing else of the machine leaks into a test."""


class Died(AssertionError):
    """The command ended before it said that it was ready."""


class LeftBehind(AssertionError):
    """The command ended and something of it is still there."""


class Running:
    """A command, its log, its processes; the verbs that server, reference and nginx share."""

    ready_pattern = r".*"
    stop_signal = unix_signals.SIGTERM
    patience_s = 15.0
    """How long `close` waits for a command that is still running and was asked to end."""
    straggler_s = 2.0
    """How long a process may outlive the first one before it counts as left behind."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str | os.PathLike[str]],
        *,
        files: Mapping[str, str | bytes] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.command = [os.fspath(word) for word in command]
        self.environment = dict(env or {})
        self.mark = uuid.uuid4().hex
        self.was_killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Log | None = None
        self._shared_pages: set[Path] = set()
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.write(files or {})

    # -- before it runs ---------------------------------------------------------------------

    @property
    def temporary(self) -> Path:
        """The command's TMPDIR: empty again when it has ended well."""
        return self.folder / ".tmp"

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Put files (name -> content; a name that ends in / is a folder) into the folder."""
        for name, content in files.items():
            path = self.folder / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    # -- start, stop ------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the command and come back at once; `start` also waits until it is ready."""
        assert self._process is None, "it was started already"
        self._process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._popen_arguments(),
        )
        assert self._process.stdout is not None
        self._log = Log(self._process.stdout)

    def wait_until_ready(self, *, within: float = 20.0) -> None:
        """Wait until the log says so; raises Died when the command ends before."""
        try:
            self.log.wait_for(self.ready_pattern, within=within)
        except TimedOut as failure:
            if self.log.has_ended:
                raise Died(f"it ended (exit code {self.wait()}):\n{self.log}") from None
            raise failure

    def wait(self, *, within: float = 10.0) -> int:
        """The exit code of the command, once it ends; negative: the Unix signal that ended it.

        Its last words are in the log then.
        """
        try:
            code = self._popen.wait(within)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"still running after {within:g} s; its log:\n{self.log}") from None
        self.log.join()
        return code

    def send(self, signal: int) -> None:
        """Send a Unix signal to the first process."""
        self._popen.send_signal(signal)

    def stop(self, signal: int | None = None, *, within: float = 15.0) -> int:
        """Ask it to end, wait until the whole tree has, and return the exit code."""
        self._remember_shared_pages()
        self.send(self.stop_signal if signal is None else signal)
        code = self.wait(within=within)
        self.wait_until_empty(within=within)
        return code

    def kill(self) -> None:
        """SIGKILL for the first process alone: what it leaves is then the children's to clean."""
        self._remember_shared_pages()
        self.was_killed = True
        self._popen.kill()
        self._popen.wait(10)

    def wait_until_empty(self, *, within: float = 15.0) -> None:
        """Wait until no process of the tree lives."""
        eventually(
            lambda: not self.processes(), within=within, what="every process of the tree ended"
        )

    def close(self) -> None:
        """End everything, whatever state it is in, and raise LeftBehind if it left anything."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._end_politely()
        left = self.left_behind()
        self._end_by_force()
        self.log.join()
        self._process = None
        print(f"---- log of {self.folder.name}: {' '.join(self.command)}\n{self.log}")
        if left:
            raise LeftBehind("left behind:\n  " + "\n  ".join(left) + f"\nits log:\n{self.log}")

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- while it runs ----------------------------------------------------------------------

    @property
    def log(self) -> Log:
        """What it said so far (stdout and stderr, as one)."""
        assert self._log is not None, "it was not started"
        return self._log

    @property
    def pid(self) -> int:
        """The pid of the first process; stable for as long as it runs."""
        return self._popen.pid

    def wait_for(
        self, pattern: str, *, within: float = 10.0, after: int = 0, times: int = 1
    ) -> re.Match[str]:
        """Wait for a line in the log; see `Log.wait_for`."""
        return self.log.wait_for(pattern, within=within, after=after, times=times)

    def processes(self) -> list[Process]:
        """Every living process of the tree, the first one included."""
        return processes.tree(self._popen.pid, self.mark, self.folder)

    def children(self, role: str | None = None) -> list[Process]:
        """The living processes with that role in their title, by id; without a role, all."""
        found = [one for one in self.processes() if one.pid != self.pid]
        if role is not None:
            found = [one for one in found if one.role == role]
        return sorted(found, key=lambda one: (one.role or "", one.id, one.pid))

    def pids(self, role: str) -> set[int]:
        """The pids of the children with that role."""
        return {one.pid for one in self.children(role)}

    # -- afterwards -------------------------------------------------------------------------

    def left_behind(self) -> list[str]:
        """What is still there, in words; the empty list is the promise kept.

        After `kill` of the first process nobody is left who could remove a socket or a
        temporary file, so only processes and shared pages count then.
        """
        left = [f"process {one.pid} ({one.title})" for one in self._stragglers()]
        left += [f"shared memory {path}" for path in sorted(self._shared_pages) if path.exists()]
        if not self.was_killed:
            left += [f"socket {path}" for path in self._sockets()]
            left += [f"temporary file {path}" for path in sorted(self.temporary.rglob("*"))]
        return left

    def _stragglers(self) -> list[Process]:
        """The processes that live on after a short wait: a death takes the kernel a moment."""
        try:
            self.wait_until_empty(within=self.straggler_s)
        except TimedOut:
            pass  # that is the answer, not an error: the caller names them
        return self.processes()

    def _sockets(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]

    def _remember_shared_pages(self) -> None:
        """While it runs, note what it has under /dev/shm: afterwards nobody could tell whose."""
        for one in self.processes():
            self._shared_pages |= processes.shared_pages(one.pid)

    def _end_politely(self) -> None:
        try:
            self.stop(within=self.patience_s)
        except TimedOut:
            pass  # whoever is left is named by `left_behind` and ended by force

    def _end_by_force(self) -> None:
        """SIGKILL for whatever lives, again and again: a tree may fork while it is felled."""
        eventually(lambda: not self._kill_all(), within=10, what="the tree was killed")
        self._popen.wait(10)

    def _kill_all(self) -> list[Process]:
        alive = self.processes()
        for one in alive:
            try:
                os.kill(one.pid, unix_signals.SIGKILL)
            except ProcessLookupError:
                pass  # it was faster
        return alive

    def _environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        ours = {"TMPDIR": str(self.temporary), processes.MARK: self.mark}
        return kept | ours | self.environment

    def _popen_arguments(self) -> dict[str, Any]:
        return {}

    @property
    def _popen(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was not started"
        return self._process
