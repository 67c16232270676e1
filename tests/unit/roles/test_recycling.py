"""When a child has done enough: limits in, a reason or none out."""

from __future__ import annotations

import pytest

from muleteer.config.options import Settings
from muleteer.ipc.memory import Memory
from muleteer.ipc.scoreboard import Seat
from muleteer.roles.recycling import Limits, limits_of, reached

MB = 1 << 20


def small() -> Memory:
    return Memory(10 * MB, 100 * MB)


def never() -> Memory:
    raise AssertionError("weighed, and no limit asks for it")


def settings(**options: object) -> Settings:
    return Settings(**options)  # type: ignore[arg-type]


def test_no_limit_is_never_reached() -> None:
    """Without options nothing is looked at."""
    assert not limits_of(settings(), Seat("worker", 1))
    assert reached(Limits(), 10**9, 10**9, never) is None


@pytest.mark.parametrize(("done", "why"), [(9, None), (10, "10 requests"), (11, "11 requests")])
def test_the_number_of_requests(done: int, why: str | None) -> None:
    """At the limit, not before it; memory is not weighed for it."""
    assert reached(Limits(work=10), done, 100, never) == why


def test_nothing_is_reached_before_the_youngest_age() -> None:
    """An application that is larger than its limit at once is not forked at every request."""
    limits = Limits(work=1, rss=1, youngest_s=10)
    assert reached(limits, 5, 9.9, never) is None
    assert reached(limits, 5, 10.0, never) == "5 requests"


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(rss=10 * MB), "10 MB resident"),
        (Limits(rss=11 * MB), None),
        (Limits(address_space=100 * MB), "100 MB of address space"),
        (Limits(address_space=101 * MB), None),
    ],
)
def test_the_memory(limits: Limits, why: str | None) -> None:
    """Resident memory and address space, each with a limit of its own."""
    assert reached(limits, 0, 0, small) == why


def test_each_kind_has_its_own_limits() -> None:
    """Workers count requests with a delta, mules messages, spoolers tasks; megabytes are bytes."""
    chosen = settings(
        max_requests=100,
        max_requests_delta=10,
        min_worker_lifetime=3,
        reload_on_rss=5,
        mule_max_messages=7,
        mule_reload_on_rss=6,
        spooler_max_tasks=8,
        spooler_reload_on_rss=9,
    )
    assert limits_of(chosen, Seat("worker", 3)) == Limits(120, "requests", 5 * MB, 0, 3)
    assert limits_of(chosen, Seat("mule", 2)) == Limits(7, "messages", 6 * MB)
    assert limits_of(chosen, Seat("spooler", 1)) == Limits(8, "tasks", 9 * MB)
    assert not limits_of(chosen, Seat("watcher", 1))


def test_a_delta_alone_is_no_limit() -> None:
    """`max-requests-delta` without `max-requests` replaces nobody."""
    assert not limits_of(settings(max_requests_delta=10), Seat("worker", 3))
