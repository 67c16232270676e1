"""The house keeps its rules; and each rule can see its fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.harness import house

SOURCE = Path(__file__).resolve().parents[2] / "src"
Rule = Callable[[Mapping[str, str]], list[str]]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """Every module that the wheel ships."""
    return house.read_sources(SOURCE)


@pytest.mark.parametrize("rule", house.RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule, sources: dict[str, str]) -> None:
    """No module of the wheel breaks the rule."""
    assert rule(sources) == []


def test_the_rules_read_the_real_house(sources: dict[str, str]) -> None:
    """The tree under test is the one that ships, and its imports are seen."""
    assert {"muleteer", "muleteer.errors", "muleteer.wire.packet"} <= sources.keys()
    assert len(house.imports(sources)) > 50


DOC = '"""What it is.\n\nRuns in: anywhere.\n"""\n'

FAULTS: dict[str, tuple[Rule, dict[str, str], str]] = {
    "an import from a higher floor": (
        house.upward,
        {
            "muleteer.ipc.loop": "from muleteer.serve.engine import Engine",
            "muleteer.serve.engine": "",
        },
        "muleteer.ipc.loop:1 imports muleteer.serve.engine: floor 6 from floor 3",
    ),
    "an import between two rooms of one floor": (
        house.upward,
        {"muleteer.wire.packet": "import muleteer.clock.cron", "muleteer.clock.cron": ""},
        "muleteer.wire.packet:1 imports muleteer.clock.cron: floor 1 from floor 1",
    ),
    "a relative import from a higher floor": (
        house.upward,
        {"muleteer.spool.store": "from .. import runtime", "muleteer.runtime": ""},
        "muleteer.spool.store:1 imports muleteer.runtime: floor 5 from floor 4",
    ),
    "an upward import for the type checker": (
        house.upward,
        {
            "muleteer.errors": "if TYPE_CHECKING:\n    import muleteer.cli",
            "muleteer.cli": "",
        },
        "muleteer.errors:2 imports muleteer.cli: floor 9 from floor 0",
    ),
    "an upward import inside a function": (
        house.upward,
        {"muleteer.journal": "def f():\n    from muleteer import cli", "muleteer.cli": ""},
        "muleteer.journal:2 imports muleteer.cli: floor 9 from floor 0",
    ),
    "a room without a floor": (
        house.upward,
        {"muleteer.utils": ""},
        "muleteer.utils: the room has no floor",
    ),
    "a ring of two": (
        house.cycles,
        {
            "muleteer.ipc.a": "from muleteer.ipc import b",
            "muleteer.ipc.b": "from muleteer.ipc.a import x",
        },
        "muleteer.ipc.a -> muleteer.ipc.b -> muleteer.ipc.a",
    ),
    "a ring of three": (
        house.cycles,
        {
            "muleteer.a": "import muleteer.b",
            "muleteer.b": "import muleteer.c",
            "muleteer.c": "import muleteer.a",
        },
        "muleteer.a -> muleteer.b -> muleteer.c -> muleteer.a",
    ),
    "the clock of the machine in a pure room": (
        house.impure,
        {"muleteer.clock.timers": "from time import monotonic"},
        "muleteer.clock.timers:1 imports time: the room is pure",
    ),
    "os.path in the policy": (
        house.impure,
        {"muleteer.master.policy": "import os.path"},
        "muleteer.master.policy:1 imports os.path: the room is pure",
    ),
    "a package through the wrong door": (
        house.wrong_doors,
        {"muleteer.serve.connection": "import httptools"},
        "muleteer.serve.connection:1 imports httptools: "
        "httptools comes in through ('wire.http1',) only",
    ),
    "a package nobody let in": (
        house.wrong_doors,
        {"muleteer.ipc.loop": "import uvloop"},
        "muleteer.ipc.loop:1 imports uvloop: uvloop comes in through no room yet only",
    ),
    "decorators that know the house": (
        house.tied_decorators,
        {"muleteer.decorators": "import uwsgi\nfrom muleteer.errors import SpoolError"},
        "muleteer.decorators:2 imports muleteer.errors: the decorators run on real uWSGI, too",
    ),
    "an import inside a function": (
        house.late,
        {"muleteer.cli": "def main():\n    import json"},
        "muleteer.cli:2 imports json: inside a function",
    ),
    "a sleep": (
        house.sleeps,
        {"muleteer.master.master": "import time\ntime.sleep(1)"},
        "muleteer.master.master:2 sleeps",
    ),
    "a module that does not say what it is": (
        house.undocumented,
        {"muleteer.rpc": "x = 1"},
        "muleteer.rpc: no docstring",
    ),
    "a module that does not say where it runs": (
        house.undocumented,
        {"muleteer.rpc": '"""Calls functions."""\nclass Call: ...'},
        "muleteer.rpc: its docstring does not say `Runs in:`",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_rule_sees_its_fault(fault: str) -> None:
    """The rule names module, line and what is wrong, and nothing else."""
    rule, sources, sentence = FAULTS[fault]
    assert rule(sources) == [sentence]


ALLOWED: dict[str, tuple[Rule, dict[str, str]]] = {
    "a lower floor": (
        house.upward,
        {"muleteer.serve.engine": "from muleteer.ipc.loop import Loop", "muleteer.ipc.loop": ""},
    ),
    "a neighbour in the same room": (
        house.upward,
        {"muleteer.ipc.a": "from . import b", "muleteer.ipc.b": ""},
    ),
    "the version": (house.upward, {"muleteer.ipc.a": "from muleteer import __version__"}),
    "a ring only for the type checker": (
        house.cycles,
        {
            "muleteer.ipc.a": "if typing.TYPE_CHECKING:\n    import muleteer.ipc.b",
            "muleteer.ipc.b": "import muleteer.ipc.a",
        },
    ),
    "an optional package in a function of its own room": (
        house.late,
        {"muleteer.serve.asgi": "def run():\n    import uvicorn"},
    ),
    "a name that ends in sleep": (house.sleeps, {"muleteer.cli": "oversleep()"}),
    "a package and its door": (house.wrong_doors, {"muleteer.wire.http1": "import httptools"}),
    "a documented module": (house.undocumented, {"muleteer.rpc": DOC}),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_a_rule_lets_what_is_meant_pass(case: str) -> None:
    """What the rule is not about is no violation."""
    rule, sources = ALLOWED[case]
    assert rule(sources) == []
