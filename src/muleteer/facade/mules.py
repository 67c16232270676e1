"""`uwsgi`'s mule functions: mule_msg, mule_get_msg, farm_msg, farm_get_msg, in_farm ...

Not here: the queues (`ipc.channels`), and a mule's own loop (`roles.mule`).
Runs in: every child; the functions that take messages only in a mule.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from muleteer.errors import MuleError, Retire
from muleteer.ipc.channels import Mailbox, SignalPipe, describe_message
from muleteer.ipc.targets import ANY_MULE
from muleteer.runtime import Life, Runtime

__all__ = ["Mules"]


class Mules:
    """The functions that are there in every server; without mules they say so when called."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._in_hand: set[int] = set()  # the threads that have a message

    # -- sending -------------------------------------------------------------------------------

    def mule_msg(
        self, message: str | bytes | bytearray | memoryview, mule: int | str | bytes = 0, /
    ) -> bool:
        """Send a message of any size to a mule: a number, the name of a farm, 0 for any mule.

        Returns True. Blocks up to five seconds while the queue is full and then raises ChannelFull
        (uWSGI drops the message and returns False). ValueError for a mule or farm that is not
        there.
        Each message is taken by one mule, once.
        """
        self._box(self._queue_of(mule)).send(_as_bytes(message, "mule_msg"))
        return True

    def farm_msg(self, farm: str | bytes, message: str | bytes | bytearray | memoryview, /) -> None:
        """Send a message to the first idle mule of a farm; blocks and raises as `mule_msg`."""
        self._box(_farm_queue(farm)).send(_as_bytes(message, "farm_msg"))

    # -- taking --------------------------------------------------------------------------------

    def mule_get_msg(
        self,
        signals: bool = True,
        farms: bool = True,
        buffer_size: int | None = None,
        timeout: float = -1,
    ) -> bytes | None:
        """Wait for this mule's next message: its own, one for any mule, one of its farms.

        Signals that arrive meanwhile are handled, unless `signals` is False (uWSGI has it the
        wrong way round). With `timeout` (seconds, 0 looks and does not wait) None is returned when
        nothing came (uWSGI: b'', as for an empty message). `buffer_size` is taken for uWSGI's sake:
        messages are never cut. ValueError outside a mule.
        """
        life = self._life("mule_get_msg")
        names = [*life.mail_names, *(life.farm_names if farms else ())]
        return self._take(life, names, life.signal_names if signals else (), timeout)

    def farm_get_msg(self) -> bytes | None:
        """Wait for the next message of this mule's farms; signals are handled meanwhile.

        ValueError outside a mule, and in one that is in no farm.
        """
        life = self._life("farm_get_msg")
        if not life.farm_names:
            raise MuleError("farm_get_msg: this mule is in no farm; set `farm = name:number`")
        return self._take(life, life.farm_names, life.signal_names, -1)

    def _take(
        self, life: Life, names: Sequence[str], signals: Sequence[str], timeout: float
    ) -> bytes | None:
        self._put_down()
        try:
            with life.undisturbed():  # between taking a message and having it in hand
                return self._wait_for_message(life, names, signals, timeout)
        except Retire:
            if threading.current_thread() is threading.main_thread():
                raise
            raise SystemExit from None  # ends this thread; the main thread is asked, too

    def _wait_for_message(
        self, life: Life, names: Sequence[str], signals: Sequence[str], timeout: float
    ) -> bytes | None:
        end = None if timeout < 0 else time.monotonic() + timeout
        boxes = {self._box(name).fileno(): self._box(name) for name in names}
        pipes = {self._pipe(name).read_fd: self._pipe(name) for name in signals}
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            ready = life.wait([*boxes, *pipes], left)
            for fd in ready:
                if fd in pipes and (signum := pipes[fd].take()) is not None:
                    life.handle_signal(signum)
            for box in (boxes[fd] for fd in boxes if fd in ready):
                if (message := box.take()) is not None:
                    self._pick_up(message)
                    return message
            if end is not None and time.monotonic() >= end:
                return None

    def _pick_up(self, message: bytes) -> None:
        """From here to the next call the mule is busy with this message, under its deadline.

        Of several threads' messages the latest counts.
        """
        self._runtime.begin(self._runtime.settings.mule_harakiri, doing=describe_message(message))
        self._in_hand.add(threading.get_ident())

    def _put_down(self) -> None:
        if threading.get_ident() in self._in_hand:
            self._in_hand.discard(threading.get_ident())
            if not self._in_hand:
                self._runtime.end()

    def leave_if_asked(self) -> None:
        """End this mule here, in good order, if it was asked to leave; else return at once.

        muleteer's own, for a loop that does not wait for messages: call it between two rounds, of
        which none is cut off then. Elsewhere, and while a message is in hand, it does nothing.
        """
        if self._runtime.id_as("mule") and self._runtime.life is not None and not self._in_hand:
            self._runtime.life.leave_if_asked()

    # -- who is where ----------------------------------------------------------------------------

    def in_farm(self, farm: str | bytes | None = None, /) -> bool | None:
        """Return True in a mule of that farm (without a name: of any farm), else None, as uWSGI."""
        names = self._own_farms()
        if farm is None:
            return bool(names) or None
        return _text(farm) in names or None

    def install_mule_msg_hook(self, hook: Callable[[bytes], Any], /) -> None:
        """Let `hook(message)` see every mule message, beside `uwsgi.mule_msg_hook` (uWSGI 2.1)."""
        if not callable(hook):
            raise TypeError(f"install_mule_msg_hook takes a function, not {hook!r}")
        self._runtime.registry.mule_hooks.append(hook)

    def _own_farms(self) -> list[str]:
        number = self._runtime.id_as("mule")
        farms = self._runtime.switchboard.population.farms_of(number) if number else []
        return [farm.name for farm in farms]

    # -- queues ----------------------------------------------------------------------------------

    def _queue_of(self, mule: int | str | bytes) -> str:
        if isinstance(mule, int) and not isinstance(mule, bool):
            return f"mule{mule}" if mule else ANY_MULE
        if isinstance(mule, str | bytes):
            return _farm_queue(mule)
        raise MuleError(f"mule_msg: {mule!r} is neither the number of a mule nor a farm's name")

    def _box(self, name: str) -> Mailbox:
        try:
            return self._runtime.switchboard.mail[name]
        except KeyError:
            raise MuleError(self._nobody(name)) from None

    def _pipe(self, name: str) -> SignalPipe:
        return self._runtime.switchboard.signals[name]

    def _nobody(self, name: str) -> str:
        population = self._runtime.switchboard.population
        if not population.mules:
            return "there are no mules; set `mules = N` or `mule = …`"
        if name.startswith("farm_"):
            there = ", ".join(farm.name for farm in population.farms) or "none"
            return f"there is no farm {name[5:]!r} (there is: {there}); set `farm = name:1,2`"
        return f"there is no {name!r}: the mules are 1 to {population.mules}"

    def _life(self, function: str) -> Life:
        if not self._runtime.id_as("mule") or self._runtime.life is None:
            raise MuleError(f"{function}: only a mule gets messages; this is another process")
        return self._runtime.life


def _farm_queue(farm: str | bytes) -> str:
    return f"farm_{_text(farm)}"


def _text(name: str | bytes) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def _as_bytes(message: Any, function: str) -> bytes:
    if isinstance(message, str):
        return message.encode()
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    raise TypeError(f"{function}: a message is str or bytes, not {message!r}")
