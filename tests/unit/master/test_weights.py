"""Which child is too large, and how often the master looks."""

from __future__ import annotations

from muleteer.config.options import Settings
from muleteer.ipc.memory import Memory
from muleteer.ipc.scoreboard import Seat
from muleteer.master.roster import ChildHandle, Phase
from muleteer.master.weights import Weights

MB = 1 << 20


def child(kind: str, pid: int, phase: Phase = Phase.READY) -> ChildHandle:
    return ChildHandle(Seat(kind, pid), pid, 1, 1, 0, 0, pid, phase)


def weights(of: dict[int, int]) -> Weights:
    return Weights(lambda pid: Memory(of[pid] * MB, 10 * of[pid] * MB))


def too_large(scales: Weights, chosen: Settings, children: list[ChildHandle], now: float) -> object:
    return [(o.child.pid, o.what) for o in scales.overweight(chosen, children, now)]


def test_nobody_is_weighed_while_no_option_asks() -> None:
    """No look, no wake-up."""
    scales = weights({})
    assert scales.next_check(Settings()) is None
    assert too_large(scales, Settings(), [child("worker", 1)], 0) == []


def test_each_kind_has_its_own_limit() -> None:
    """A mule may be heavier than a worker, and a watcher has no limit."""
    chosen = Settings(evil_reload_on_rss=10, mule_evil_reload_on_rss=30)
    children = [child("worker", 1), child("worker", 2), child("mule", 3), child("watcher", 4)]
    scales = weights({1: 9, 2: 10, 3: 29, 4: 99})
    assert too_large(scales, chosen, children, 0) == [(2, "10 MB resident")]


def test_address_space_is_weighed_apart() -> None:
    """`evil-reload-on-as` looks at the other number."""
    chosen = Settings(evil_reload_on_as=100)
    found = too_large(weights({1: 10}), chosen, [child("worker", 1)], 0)
    assert found == [(1, "100 MB of address space")]


def test_a_child_that_is_dying_or_not_there_yet_is_left_alone() -> None:
    """Only a child that may be at work is weighed."""
    chosen = Settings(evil_reload_on_rss=1)
    children = [child("worker", 1, Phase.KILLED), child("worker", 0), child("worker", 2)]
    assert too_large(weights({1: 5, 2: 5}), chosen, children, 0) == [(2, "5 MB resident")]


def test_it_looks_every_mem_collector_freq_seconds() -> None:
    """Between two looks nothing is read."""
    chosen = Settings(evil_reload_on_rss=1, mem_collector_freq=3)
    scales = weights({1: 5})
    children = [child("worker", 1)]
    assert scales.next_check(chosen) == 0
    assert too_large(scales, chosen, children, 100)
    assert scales.next_check(chosen) == 103
    assert too_large(scales, chosen, children, 102.9) == []
    assert too_large(scales, chosen, children, 103)
