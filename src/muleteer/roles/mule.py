"""The mule: a process that serves no requests.

It takes messages sent to it, to any mule or to its farms, one at a time; with a program it runs
that instead, and the program asks for messages itself. Asked to leave it finishes the message it
has in hand; a program, or a post-fork hook, that has none and never asks ends where it is, as under
uWSGI, but by an exception: its `finally` blocks run.
Signals and deadlines are every role's and live in role.py.

Runs in: a mule, after the fork.  Forked by: zygote/forking.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from muleteer import journal
from muleteer.ipc.channels import Mailbox, describe_message
from muleteer.ipc.scoreboard import Row
from muleteer.ipc.targets import ANY_MULE
from muleteer.roles.role import Role
from muleteer.runtime import Runtime

__all__ = ["Mule"]

Program = Callable[[], object]


class Mule(Role):
    """One mule; its seat's id is what `uwsgi.mule_id()` returns."""

    kind = "mule"
    ready_before_hooks = True  # a post-fork hook of a mule may be its whole life

    def __init__(self, runtime: Runtime, row: Row, program: Program | None) -> None:
        super().__init__(runtime, row)
        self._program = program
        own = f"mule{self.seat.id}"
        farms = [f"farm_{f.name}" for f in self.switchboard.population.farms_of(self.seat.id)]
        self.signal_names = (own, ANY_MULE, *farms)
        self.mail_names = (own, ANY_MULE)
        self.farm_names = tuple(farms)
        self._watched: list[int] = []

    def start(self) -> None:
        """From here on the application's code may keep this process for good."""
        self.on_its_own = True

    def ready(self) -> None:
        """The post-fork hooks came back: run the program, or wait for messages."""
        if self._program is not None:
            self._run_program(self._program)
            return
        self.on_its_own = False
        self._watched = self.listen_for_signals(self.loop, *self.signal_names)
        for name in (*self.mail_names, *self.farm_names):
            mailbox = self.switchboard.mail[name]
            self.loop.watch(mailbox.fileno(), self._taker(mailbox), exclusive=True)
            self._watched.append(mailbox.fileno())

    def retire(self) -> None:
        """Take nothing more: what waits is our successor's."""
        for fd in self._watched:
            self.loop.unwatch(fd)

    @property
    def harakiri(self) -> float | None:
        """Messages and signal handlers alike."""
        return self.settings.mule_harakiri

    def _run_program(self, program: Program) -> None:
        """Run the mule's program; when it returns the mule is forked again, after a while."""
        program()
        journal.mule_returned(self.seat.id)
        self.leave()

    # -- messages --------------------------------------------------------------------------

    def _taker(self, mailbox: Mailbox) -> Callable[[int], None]:
        def on_ready(_events: int) -> None:
            message = mailbox.take()
            if message is not None:  # every idle mule was woken; another one was faster
                self._run_message(message)

        return on_ready

    def _run_message(self, message: bytes) -> None:
        """Hand a message to the application's hooks, under the mule's deadline."""
        hook = self.registry.hooks.get("mule_msg_hook")
        hooks = [*([hook] if hook else []), *self.registry.mule_hooks]
        if not hooks:
            journal.message_without_hook(self.seat.id, len(message))
            return
        self.runtime.begin(self.harakiri, doing=describe_message(message))
        try:
            for take in hooks:
                self.run_hook("mule message hook", partial(self._hand_over, take, message))
        finally:
            self.runtime.end()
        self.after_work()

    def _hand_over(self, take: Callable[[bytes], object], message: bytes) -> None:
        with self.runtime.around():
            take(message)
