"""THE table: one field is one option, and everything that reads or explains options reads this.

Not the reading itself (option.py, sources.py), not uWSGI's other names (uwsgi_names.py).

Runs in: anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from muleteer.config.option import (
    Notice,
    Option,
    table_of,
)
from muleteer.config.options.accepted import AcceptedOptions
from muleteer.config.options.application import ApplicationOptions, StaticOptions
from muleteer.config.options.events import ErlangOptions, ReloadingOptions, SignalOptions
from muleteer.config.options.logs import ConfigurationOptions, LogOptions
from muleteer.config.options.mules import MuleOptions
from muleteer.config.options.processes import ProcessOptions
from muleteer.config.options.sockets import SocketOptions
from muleteer.config.options.spooler import SpoolerOptions
from muleteer.config.options.watching import ProgramOptions, WatchingOptions
from muleteer.config.programs import (
    CronCommand,
    Daemon,
)

__all__ = ["BY_NAME", "FIXED", "GROUPS", "TABLE", "OptView", "Settings"]

OptView = dict[str, bytes | bool | list[bytes | bool]]


@dataclass(frozen=True, kw_only=True)
class Settings(
    AcceptedOptions,
    ConfigurationOptions,
    LogOptions,
    ProgramOptions,
    WatchingOptions,
    ErlangOptions,
    SignalOptions,
    ReloadingOptions,
    MuleOptions,
    SpoolerOptions,
    StaticOptions,
    ApplicationOptions,
    ProcessOptions,
    SocketOptions,
):
    """What the server was told, read, checked and complete.

    The bases stand in reverse: dataclass puts the fields of the last one first.
    """

    opt: OptView = field(default_factory=dict)
    """What the app sees as `uwsgi.opt`: each name as written; a list when it was repeated."""
    notices: tuple[Notice, ...] = ()
    """What to say once at the start."""
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """For each field that was set: place and words, one for each value."""

    @property
    def counts_spools(self) -> bool:
        """Does anybody want to know how many tasks lie in the spool directories?"""
        return bool(self.spooler and (self.stats or self.metrics))

    @property
    def log_path(self) -> str | None:
        """The file that everything is logged to; None when it is stderr."""
        return self.logto2 or self.logto or self.daemonize or self.daemonize2

    def where(self, name: str, index: int = -1) -> str:
        """Return place and words of an option, for an error: `app.ini:3: chdir = '/srv'`."""
        written = self.origins.get(name)
        return written[index] if written else f"{name} = {getattr(self, name)}"

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """All programs that run beside the server."""
        smart = (*self.smart_attach_daemon, *self.smart_attach_daemon2)
        return (*self.attach_daemon, *self.attach_control_daemon, *self.attach_daemon2, *smart)

    @property
    def cron_commands(self) -> tuple[CronCommand, ...]:
        """All command lines that run at certain minutes."""
        return (*self.cron, *self.unique_cron, *self.cron2)

    @property
    def mule_programs(self) -> tuple[str, ...]:
        """What each mule runs, in the order of their numbers; '' is a mule that waits."""
        waiting = ("",) * self.mules
        first = next((name for name in self.opt if name in ("mule", "mules")), "mule")
        return (*waiting, *self.mule) if first == "mules" else (*self.mule, *waiting)

    @property
    def spooler_seats(self) -> tuple[str, ...]:
        """The directory of each spooler process, in the order of their numbers."""
        counts = [int(count) for count in self.spooler_processes.split()]
        counts = counts if len(counts) > 1 else counts * len(self.spooler)
        return tuple(d for d, count in zip(self.spooler, counts, strict=True) for _ in range(count))

    @property
    def farms(self) -> Mapping[str, tuple[int, ...]]:
        """The numbers of each farm's mules, in the order of the options."""
        parted = (text.partition(":") for text in self.farm)
        return {name: tuple(map(int, numbers.split(","))) for name, _, numbers in parted}

    def titled(self, words: str, *, master: bool = False) -> str:
        """Return the name a process shows, from its telling name and the procname options."""
        spaced = f"{self.procname_prefix_spaced} " if self.procname_prefix_spaced else ""
        name = (self.procname_master if master else "") or self.procname or words
        return f"{self.procname_prefix}{spaced}{name}{self.procname_append}"


FIXED = ("threads", "locks", "spooler", "spooler_processes", "mule", "mules", "farm")
"""What is made of these stands before the first fork: a reload keeps their values."""

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "http_socket": "Sockets and HTTP",
        "master": "Processes",
        "module": "Application",
        "static_map": "Static files",
        "spooler": "Spooler",
        "mule": "Mules",
        "touch_reload": "Reloading",
        "signal_timer": "Signals",
        "erlang": "Erlang",
        "stats": "Watching",
        "attach_daemon": "Programs beside the server",
        "disable_logging": "Log, names and files",
        "strict": "Configuration",
        "thunder_lock": "Taken, without effect",
    }
)
"""The first field of each group, and the group's title."""

TABLE: tuple[Option, ...] = table_of(Settings, GROUPS)
BY_NAME: Mapping[str, Option] = MappingProxyType({name: row for row in TABLE for name in row.names})
