"""Every exception and every exit code of the house.

    MuleteerError
      ConfigError            knows origin, option, value   UnknownOption, BadValue, Contradiction
      StartError             ends the server               AppNotLoaded, CannotBind
      WireError              knows a status hint           Malformed (Truncated), TooLarge
      BadTerm                (+ ValueError)                a value that Erlang has no term for
      SignalError            (+ ValueError)                UnknownTarget
      ChannelFull            knows which channel and how long it was waited for
      SpoolError             (+ ValueError)                StoreUnavailable, BadTask
      LockError              (+ ValueError)                LockTimeout (+ TimeoutError)
      MuleError              (+ ValueError)
      RpcError               (+ ValueError)                UnknownFunction, CallFailed,
                             NodeUnreachable (+ OSError)   NodeTimeout (+ TimeoutError)
      ErlangError            (+ ValueError)                NodeDown, NodeRefused, NodeLost,
                             NoAnswer (+ TimeoutError)
      Retry, Drop            raised by a task: later again, or not at all
      DeadlinePassed         (+ TimeoutError) raised in what is over its harakiri
    Retire, Leave            BaseException: the two ways a child's loop ends
    Postponed                BaseException: a signal's handler found its lock taken

A class's docstring is its default message and ends with what to do.
Inside, raise these; at the doors (facade, connection, cli) they are translated once.

Runs in: anywhere.
"""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum

__all__ = [
    "AppNotLoaded",
    "BadTask",
    "BadTerm",
    "BadValue",
    "CallFailed",
    "CannotBind",
    "ChannelFull",
    "ConfigError",
    "Contradiction",
    "DeadlinePassed",
    "Drop",
    "ErlangError",
    "ExitCode",
    "Leave",
    "LockError",
    "LockTimeout",
    "Malformed",
    "MuleError",
    "MuleteerError",
    "NoAnswer",
    "NodeDown",
    "NodeLost",
    "NodeRefused",
    "NodeUnreachable",
    "Postponed",
    "Retire",
    "Retry",
    "SignalError",
    "SpoolError",
    "StartError",
    "StoreUnavailable",
    "TooLarge",
    "Truncated",
    "UnknownFunction",
    "UnknownOption",
    "UnknownTarget",
    "WireError",
]

_LONGEST_WAIT_S = 100 * 365 * 86400


class ExitCode(IntEnum):
    """How a process of ours ends; the numbers are uWSGI's (`core/uwsgi.h`) where it has one."""

    OK = 0
    START_FAILED = 1
    """The server could not start: an option, a directory, a port."""
    DE_HIJACKED = 173
    EXCEPTION = 5
    CHEAP = 15
    RELOAD = 17
    """A child left because it was asked to, and a new one is expected."""
    NO_APP = 22
    """The application could not be loaded; starting it again would not help."""
    QUIET = 29
    END = 30
    """A child left because the server stops."""


class MuleteerError(Exception):
    """Something in muleteer went wrong; the log says what."""

    exit_code = ExitCode.START_FAILED

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigError(MuleteerError):
    """The configuration has an error; correct the named line and start again."""


class UnknownOption(ConfigError):
    """There is no option of that name; see `muleteer --help`."""


class BadValue(ConfigError):
    """An option has a value it cannot take; the message names the values it can."""


class Contradiction(ConfigError):
    """Two options contradict each other; remove one of them."""


class StartError(MuleteerError):
    """The server cannot start; the message names what is missing."""


class AppNotLoaded(StartError):
    """The application could not be loaded; correct `module =` or the code it names."""

    exit_code = ExitCode.NO_APP


class CannotBind(StartError):
    """A listening socket could not be bound; free the address or choose another."""


class WireError(MuleteerError):
    """Bytes from outside break their format."""

    status = 400


class Malformed(WireError):
    """Bytes from outside break their format; the sender must be corrected."""


class Truncated(Malformed):
    """Bytes end before what they promise; the writer died, or it is still writing."""


class TooLarge(WireError):
    """A message is larger than the limit; raise the option named or send less."""

    status = 413

    def __init__(self, message: str | None = None, *, status: int = 413) -> None:
        super().__init__(message)
        self.status = status


class BadTerm(MuleteerError, ValueError):
    """A value has no Erlang term, or one that no node would accept; nothing of it was sent."""


class SignalError(MuleteerError, ValueError):
    """A uWSGI signal could not be registered or raised."""


class UnknownTarget(SignalError):
    """A signal target names no process of this server; see the list of targets."""


class ChannelFull(MuleteerError):
    """A queue stayed full for as long as a sender may wait; its readers are too slow or stuck."""


class SpoolError(MuleteerError, ValueError):
    """A task could not be spooled; nothing of it was kept."""


class StoreUnavailable(SpoolError):
    """The spool directory cannot be used; check that it exists and is writable."""


class BadTask(SpoolError):
    """A task holds something that cannot be stored; the message names the key."""


class Retry(MuleteerError):
    """The task cannot be done now; it is tried again."""

    spool_answer = "SPOOL_RETRY"
    """The word it becomes on a server that does not know it (uWSGI)."""

    def __init__(
        self, message: str | None = None, *, after: float | timedelta | None = None
    ) -> None:
        """`after`: the wait, in seconds or as a timedelta; None: as the task's policy has it.

        It counts as a failure: after the last of its retries the task is dead.
        """
        super().__init__(message)
        wait_s = after.total_seconds() if isinstance(after, timedelta) else after
        if wait_s is not None and not 0 <= wait_s < _LONGEST_WAIT_S:
            raise ValueError(f"Retry(after={after!r}): a task waits 0 seconds to 100 years")
        self.spool_after = wait_s


class Drop(MuleteerError):
    """The task is given up for good: it goes away, and nothing of it is kept."""

    spool_answer = "SPOOL_OK"


class DeadlinePassed(MuleteerError, TimeoutError):
    """This takes longer than its harakiri allows; what goes on in spite of it is killed."""


class LockError(MuleteerError, ValueError):
    """There is no lock of that number; raise `locks = N` or use a smaller one."""


class LockTimeout(LockError, TimeoutError):
    """The lock was not free in the time given; do without what it guards, or try again."""


class MuleError(MuleteerError, ValueError):
    """There is no such mule or farm, or this process is none; see `mules = N` and `farm`."""


class ErlangError(MuleteerError, ValueError):
    """Something between this node and an Erlang node went wrong."""


class NodeDown(ErlangError):
    """No such node answers; check its name, that it runs, and that its epmd is reachable."""


class NodeRefused(ErlangError):
    """A node refused the handshake, or we refused it; check the cookie on both sides."""

    farewell = b""
    """What to send before the connection is closed."""
    status = ""
    """What the other node answered, if it answered."""


class NodeLost(ErlangError):
    """The connection to a node ended; connect again."""


class NoAnswer(ErlangError, TimeoutError):
    """A node did not answer in time; it may still do what it was asked."""


class RpcError(MuleteerError, ValueError):
    """A function could not be called by its name; the message says why."""


class UnknownFunction(RpcError):
    """There is no RPC function of that name; register it with @rpc or uwsgi.register_rpc."""


class CallFailed(RpcError):
    """The called function failed; the log of its server has the traceback."""


class NodeUnreachable(RpcError, OSError):
    """A node cannot be reached; check its address, and that its server runs."""


class NodeTimeout(NodeUnreachable, TimeoutError):
    """A node did not answer in time; raise the timeout, or look whether its workers are busy."""


class Retire(BaseException):
    """A child was asked to leave: it finishes what it does and goes."""


class Leave(BaseException):
    """A child must go now; what it does is given up."""


class Postponed(BaseException):
    """A signal's handler found its lock taken; the signal waits, and its process does not."""

    def __init__(self, number: int) -> None:
        super().__init__(f"lock {number} is taken")
        self.number = number
