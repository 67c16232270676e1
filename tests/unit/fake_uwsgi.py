"""Servers in memory for the decorators: one as strict as uWSGI 2.0.31, and our own facade.

Both keep tasks and registrations, and run tasks when asked to.
Runs in: the test process.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.unit.facade.conftest import make_runtime

from muleteer.facade.surface import Surface
from muleteer.spool.store import Outcome

SPOOL = "/spool/a"


def load(monkeypatch: pytest.MonkeyPatch, uwsgi: Any) -> Any:
    """Import the decorators anew on top of a `uwsgi` (None: there is none)."""
    monkeypatch.setitem(sys.modules, "uwsgi", uwsgi)
    for name in [name for name in sys.modules if name.startswith("muleteer.decorators")]:
        monkeypatch.delitem(sys.modules, name)
    module = importlib.import_module("muleteer.decorators")
    monkeypatch.setitem(sys.modules, "muleteer.decorators", module)
    return module


class FakeUwsgi(ModuleType):
    """uWSGI's module, where it is strict strictly so: bytes to bytes, ints, 256 signals."""

    SPOOL_OK = -2
    SPOOL_RETRY = -1
    SPOOL_IGNORE = 0

    def __init__(self) -> None:
        super().__init__("uwsgi")
        self.opt = {"spooler": SPOOL.encode()}
        self.tasks: list[dict[Any, bytes]] = []
        self.handlers: dict[int, tuple[str, Callable[..., Any]]] = {}
        self.sources: list[tuple[Any, ...]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.id = 0

    # -- spooler
    def spool(self, task: dict[bytes, bytes]) -> bytes:
        for key, value in task.items():
            assert (type(key), type(value)) == (bytes, bytes), (key, value)
        body = task.pop(b"body", None)
        name = b"task%d" % len(self.tasks)
        seen: dict[Any, bytes] = {"spooler_task_name": name, **task}
        self.tasks.append(seen if body is None else {**seen, "body": body})
        return b"/spool/" + name

    # -- signals
    def register_signal(self, number: int, target: str, handler: Callable[..., Any]) -> None:
        assert 0 <= number < 256
        self.handlers[number] = (target, handler)

    def signal_registered(self, number: int) -> bool | None:
        return number in self.handlers or None

    def add_timer(self, *numbers: int) -> None:
        assert all(type(number) is int for number in numbers)
        self.sources.append(("timer", *numbers))

    def add_rb_timer(self, *numbers: int) -> None:
        assert all(type(number) is int for number in numbers)
        self.sources.append(("rbtimer", *numbers))

    def add_cron(self, *numbers: int) -> bool:
        assert all(type(number) is int for number in numbers)
        self.sources.append(("cron", *numbers))
        return True

    # -- the process
    def lock(self, number: int = 0) -> None:
        self.calls.append(("lock", number))

    def unlock(self, number: int = 0) -> None:
        self.calls.append(("unlock", number))

    def set_user_harakiri(self, seconds: int) -> None:
        self.calls.append(("harakiri", seconds))

    def worker_id(self) -> int:
        return self.id

    def mule_id(self) -> int:
        return 0


class Server:
    """What the behavioural tests know of either."""

    def __init__(self, ours: bool) -> None:
        self.ours = ours
        self.runtime = make_runtime(spooler=(SPOOL,))
        self.uwsgi: Any = Surface(self.runtime) if ours else FakeUwsgi()

    @property
    def tasks(self) -> list[dict[Any, bytes]]:
        """The tasks that wait, as a handler would get them."""
        if not self.ours:
            return list(self.uwsgi.tasks)
        store = self.runtime.stores[SPOOL]
        tasks = [store.get_task(path) for path in store.jobs()]
        return [task.seen() for task in tasks if task]

    def run(self) -> list[int]:
        """Run every task once; what the hook said of each. Its exceptions are not caught."""
        if not self.ours:
            return [self.uwsgi.spooler(self.uwsgi.tasks.pop(0)) for _ in self.tasks]
        said = []
        store = self.runtime.stores[SPOOL]
        while task := store.claim(2e9):
            store.settle(task, Outcome.OK)
            said.append(self.runtime.registry.hooks["spooler"](task.seen()))
        return said

    @property
    def handlers(self) -> dict[int, tuple[str, Callable[..., Any]]]:
        """Signal number to target and handler."""
        if not self.ours:
            return dict(self.uwsgi.handlers)
        found = self.runtime.registry.signals.items()
        return {number: (entry.target, entry.handler) for number, entry in found}

    @property
    def sources(self) -> list[tuple[Any, ...]]:
        """Kind, signal number, numbers."""
        if not self.ours:
            return list(self.uwsgi.sources)
        sources = self.runtime.registry.sources
        return [(source.kind, source.signum, *source.arguments) for source in sources]

    def fork(self, worker: int = 0) -> None:
        """Run the post-fork hook as worker `worker`, or as a spooler."""
        if self.ours:
            from tests.unit.facade.conftest import seat

            seat(self.runtime, "worker" if worker else "spooler", worker or 1)
        else:
            self.uwsgi.id = worker
        self.uwsgi.post_fork_hook()
