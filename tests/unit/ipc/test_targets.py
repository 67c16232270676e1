"""Signal targets: which pipes a name reaches."""

from __future__ import annotations

import pytest

from muleteer.errors import UnknownTarget
from muleteer.ipc.targets import Population, resolve

POPULATION = Population(workers=3, spoolers=1)


@pytest.mark.parametrize(
    ("target", "pipes"),
    [
        ("", ["worker"]),
        ("worker", ["worker"]),
        ("worker0", ["worker"]),
        ("worker1", ["worker1"]),
        ("worker3", ["worker3"]),
        ("workers", ["worker1", "worker2", "worker3"]),
        ("active-workers", ["worker1", "worker2", "worker3"]),
        ("spooler", ["spooler"]),
    ],
)
def test_target_reaches_its_pipes(target: str, pipes: list[str]) -> None:
    """Each of uWSGI's words for workers and spoolers reaches the processes it names."""
    assert resolve(target, POPULATION) == pipes


@pytest.mark.parametrize(
    "target", ["worker4", "worker-1", "workers ", "subscribed", "cluster", "x"]
)
def test_unknown_target_is_an_error_that_names_the_known_ones(target: str) -> None:
    """A target that reaches nobody is refused, with the targets that there are."""
    with pytest.raises(UnknownTarget, match="worker1 to worker3"):
        resolve(target, POPULATION)


def test_spooler_target_needs_a_spooler() -> None:
    """Without a spooler the error says which option makes one."""
    with pytest.raises(UnknownTarget, match="spooler = DIR"):
        resolve("spooler", Population(workers=1))


def test_every_reachable_pipe_is_made() -> None:
    """What `resolve` names is among the pipes that the switchboard makes."""
    reached = {p for t in ("", "workers", "spooler", "worker2") for p in resolve(t, POPULATION)}
    assert reached <= set(POPULATION.pipes)
