"""The decorators: spool, timer, cron, signal, postfork, lock, harakiri, thread and their kin.

They know nothing but the public `uwsgi` module, so they run on muleteer and on uWSGI 2.0 alike.
Not here: the server; without one the decorators import, and a decorated function is a function.

Runs in: anywhere the application is imported.

Rules
1. Importing this package, or a module that uses it, never fails for want of a server.
2. Nothing of the rest of the house is imported: uWSGI runs this package, too.
3. A decorated function keeps its name, its docstring and its signature, and its name stays bound.
"""

from __future__ import annotations

from muleteer.decorators.calls import harakiri, thread
from muleteer.decorators.forks import postfork, postfork_chain
from muleteer.decorators.locking import Lock, lock
from muleteer.decorators.mules import farm, mule, mule_functions, mulefunc, muleloop, mulemsg
from muleteer.decorators.signals import (
    cron,
    erlang,
    filemon,
    get_free_signal,
    mstimer,
    rbtimer,
    rpc,
    signal,
    timer,
)
from muleteer.decorators.spooled import (
    Spooled,
    SpooledCall,
    manage_spool_request,
    spool,
    spooler_functions,
    spoolforever,
    spoolraw,
)
from muleteer.decorators.wishes import Wishes

__all__ = [
    "Lock",
    "Spooled",
    "SpooledCall",
    "Wishes",
    "cron",
    "erlang",
    "farm",
    "filemon",
    "get_free_signal",
    "harakiri",
    "lock",
    "manage_spool_request",
    "mstimer",
    "mule",
    "mule_functions",
    "mulefunc",
    "mulemsg",
    "muleloop",
    "postfork",
    "postfork_chain",
    "rbtimer",
    "rpc",
    "signal",
    "spool",
    "spooler_functions",
    "spoolforever",
    "spoolraw",
    "thread",
    "timer",
]
