"""Signal targets: which pipes a name reaches."""

from __future__ import annotations

import pytest

from muleteer.errors import UnknownTarget
from muleteer.ipc.targets import Farm, Population, TargetTable, resolve

POPULATION = Population(
    workers=3,
    spoolers=1,
    spooler_dirs=("/var/spool/a",),
    mules=2,
    farms=(Farm("video", (1,)), Farm("mail", (1, 2))),
)


TARGETS = ("", "workers", "spooler", "worker2", "mule", "mules", "farm_mail", "/var/spool/a")


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
        ("/var/spool/a", ["spooler /var/spool/a"]),
        ("mule", ["mule"]),
        ("mule0", ["mule"]),
        ("mule2", ["mule2"]),
        ("mules", ["mule1", "mule2"]),
        ("farm_mail", ["farm_mail"]),
        ("farm1", ["farm_video"]),
        ("farm2", ["farm_mail"]),
    ],
)
def test_target_reaches_its_pipes(target: str, pipes: list[str]) -> None:
    """Each of uWSGI's words for workers and spoolers reaches the processes it names."""
    assert resolve(target, POPULATION) == pipes


@pytest.mark.parametrize(
    "target",
    [
        "worker4",
        "worker-1",
        "workers ",
        "mule3",
        "mule-1",
        "farm0",
        "farm3",
        "farm_x",
        "/var/spool/b",
        "subscribed",
        "cluster",
        "x",
    ],
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
    reached = {p for t in TARGETS for p in resolve(t, POPULATION)}
    assert reached <= set(POPULATION.pipes)


def test_mule_targets_need_mules() -> None:
    """Without a mule the error says which option makes one."""
    with pytest.raises(UnknownTarget, match="mules = N"):
        resolve("mule", Population(workers=1))


def test_farms_of_a_mule() -> None:
    """A mule may be in several farms."""
    assert [farm.name for farm in POPULATION.farms_of(1)] == ["video", "mail"]
    assert [farm.name for farm in POPULATION.farms_of(2)] == ["mail"]


def test_target_table_remembers_what_it_was_told() -> None:
    """A target stands for its number alone, and a shorter one replaces a longer one."""
    table = TargetTable(1000)
    table.set(7, "farm_with_a_long_name")
    table.set(7, "mule2")
    table.set(8, "x" * 63)
    assert (table.get(6), table.get(7), table.get(8), table.get(9)) == ("", "mule2", "x" * 63, "")
