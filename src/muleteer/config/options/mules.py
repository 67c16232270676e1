"""Options: the mules.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    not_negative,
    option,
    within,
)
from muleteer.config.values import (
    read_any,
    read_farm,
)

__all__ = ["MuleOptions"]


@dataclass(frozen=True, kw_only=True)
class MuleOptions:
    """The mules and their farms."""

    mule: tuple[str, ...] = option(
        (),
        "A mule; with a value it runs that script (`.py`) or module:callable.",
        read=read_any,
        bare="",
        example="background.py",
    )
    mules: int = option(
        0,
        "That many mules that wait for messages and signals.",
        check=within(0, 1024),
    )
    farm: tuple[str, ...] = option(
        (),
        "Name of a group of mules and their numbers.",
        read=read_farm,
        example="video:1,2",
    )
    mule_max_messages: int = option(
        0,
        "Messages after which a mule is replaced; 0 for never.",
        uwsgi="ours",
        check=not_negative,
        example="1000",
    )
    mule_max_lifetime: float = option(
        0.0,
        "Seconds after which a mule is replaced, between two messages; 0 for never.",
        uwsgi="ours",
        check=not_negative,
        example="3600",
    )
    mule_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a mule is replaced after its message.",
        uwsgi="ours",
        check=not_negative,
        example="512",
    )
    mule_evil_reload_on_rss: int = option(
        0,
        "Megabytes of resident memory with which a mule is killed in the middle of a message.",
        uwsgi="ours",
        check=not_negative,
        example="1024",
    )
