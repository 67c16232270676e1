"""The object an application gets by `import uwsgi`: a module bound to one process's runtime.

The functions stand in the other files of this room, one concept each; here they become one module.
Runs in: the zygote, at import; every child.

Types are uWSGI's own: what it returns as bytes is bytes, "no" is often None. Where we take more
(str beside bytes, keywords) or refuse what uWSGI gets wrong, the docstring says so.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import muleteer
from muleteer.erlang.identity import full_name
from muleteer.facade.erlang import Erlang
from muleteer.facade.mules import Mules
from muleteer.facade.process import Process
from muleteer.facade.requestlog import RequestLog
from muleteer.facade.rpc import Rpc
from muleteer.facade.signals import Signals
from muleteer.facade.sources import Sources
from muleteer.facade.spool import Spool, SpoolFiles
from muleteer.facade.workers import Workers
from muleteer.registry import HOOKS
from muleteer.runtime import Runtime

__all__ = ["Surface"]

UWSGI_VERSION = (2, 0, 31)
"""The uWSGI whose API this is; libraries compare `uwsgi.version` with it. Ours has its own name."""

_NOT_YET = """
    accepting add_var alarm async_connect async_sleep
    cache_clear cache_dec cache_del cache_div cache_exists cache_get cache_inc cache_keys cache_mul
    cache_num cache_set cache_update chunked_read chunked_read_nb cl close connect
    connection_fd disconnect embedded_data env extract
    green_schedule i_am_the_lord is_connected
    lord_scroll magic_table metric_dec metric_div metric_get metric_inc metric_mul metric_set
    metric_set_max metric_set_min offload queue_get queue_last queue_pop
    queue_pull queue_pull_slot queue_push queue_set queue_slot ready_fd recv
    request_context route scrolls send sendfile set_warning_message
    snmp_set_community start_response suspend wait_fd_read
    wait_fd_write websocket_handshake websocket_recv websocket_recv_nb websocket_send
    websocket_send_binary
"""
"""What uWSGI 2.0 has (or, of Erlang, had) and this version has not."""

_ONLY_WITH = {
    **dict.fromkeys(
        (name for name in vars(Spool) if name.islower() and not name.startswith("_")),
        "spooler = DIR",
    ),
    "pidfile": "pidfile = FILE",
    "mode": "mode = NAME",
}
"""What is there only when an option is set, as in uWSGI."""


class Surface(ModuleType):
    """`uwsgi`, bound to one process's runtime.

    Assigning to `spooler`, `post_fork_hook`, `mule_msg_hook`, `atexit` or `after_req_hook` hands
    the server a hook; None or `del` takes it back. Other assignments are as on any module.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__("uwsgi", "The server this code runs in: muleteer, with uWSGI's API.")
        names = {**_functions(runtime), **_facts(runtime)}
        self.__dict__.update(names)
        self.__dict__["_hooks"] = runtime.registry.hooks
        self.__dict__["__file__"] = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in HOOKS:
            _set_hook(self._hooks, name, value)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._hooks.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        """Say why a name of uWSGI is not here; asked only when it is not."""
        if name in _ONLY_WITH:
            raise AttributeError(f"uwsgi.{name} is there only with `{_ONLY_WITH[name]}`; set it")
        if name in _NOT_YET.split() or name.startswith(("sharedarea_", "snmp_")):
            raise AttributeError(
                f"uwsgi.{name}: muleteer {muleteer.__version__} does not have it yet"
            )
        raise AttributeError(f"module 'uwsgi' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted(name for name in self.__dict__ if not name.startswith("_"))


def _set_hook(hooks: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        hooks.pop(name, None)
    elif callable(value):
        hooks[name] = value
    else:
        raise TypeError(f"uwsgi.{name} takes a function, not {value!r}")


def _functions(runtime: Runtime) -> dict[str, Any]:
    """Every function there is under this configuration, by its name."""
    parts: list[Any] = [
        Signals(runtime),
        Sources(runtime),
        Workers(runtime),
        Process(runtime),
        RequestLog(runtime),
        SpoolFiles(runtime),
    ]
    parts += [Mules(runtime), Rpc(runtime), Erlang(runtime)]
    if runtime.stores:
        parts.append(Spool(runtime))
    names = ((part, name) for part in parts for name in dir(part) if not name.startswith("_"))
    return {name: getattr(part, name) for part, name in names}


def _facts(runtime: Runtime) -> dict[str, Any]:
    """Every value that stays the same while the process lives."""
    settings = runtime.settings
    facts: dict[str, Any] = {
        "version": ".".join(map(str, UWSGI_VERSION)).encode(),
        "version_info": (*UWSGI_VERSION, 0, b""),
        "muleteer_version": muleteer.__version__,
        "hostname": os.fsencode(os.uname().nodename),
        "opt": settings.opt,
        "numproc": settings.processes,
        "cores": settings.threads,
        "buffer_size": settings.buffer_size,
        "has_threads": 1,
        "started_on": runtime.scoreboard.started_on,
        "is_a_reload": runtime.generation > 1,
        "sockets": [sock.fileno() for sock in runtime.listeners],
        "loop": None,
        "unbit": None,
        "applications": None,
        "SPOOL_OK": Spool.SPOOL_OK,
        "SPOOL_RETRY": Spool.SPOOL_RETRY,
        "SPOOL_IGNORE": Spool.SPOOL_IGNORE,
    }
    if settings.erlang:
        facts["erlang_node"] = full_name(settings.erlang).encode()
    for name in ("pidfile", "mode"):
        if value := settings.opt.get(name):
            facts[name] = value
    return facts
