"""Rows where less is better, told as how many times less ours is than uWSGI's.

What is measured, and how the rounds go, is the benchmark's own; here is what becomes of the values.

Runs in: the benchmark's process.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks import harness, servers
from benchmarks.harness import Spread

__all__ = ["BASE", "OURS", "SERVERS", "Figures", "Result", "Row", "as_json", "render"]

OURS, BASE = "muleteer", "uwsgi"
SERVERS = {OURS: servers.muleteer_program, BASE: servers.uwsgi_program}

Figures = Mapping[str, float]
"""What a probe found; empty where the server cannot do it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a probe, and which of its figures."""

    name: str
    title: str
    probe: Callable[[Any], Figures]
    figure: str = "median"
    unit: Callable[[float], str] = harness.duration


@dataclass(slots=True)
class Result:
    """A row and, by server, the values of its rounds; none where a server cannot do it."""

    row: Row
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, server: str, figures: Figures) -> None:
        """Note a round."""
        if self.row.figure in figures:
            self.values.setdefault(server, []).append(figures[self.row.figure])

    def ratio(self, base: str = BASE) -> Spread | None:
        """How many times less ours is: the base's value by ours, round by round."""
        ours, others = self.values.get(OURS), self.values.get(base)
        return Spread.of(harness.ratios(others, ours)) if ours and others else None

    def cells(self, names: Sequence[str]) -> list[str]:
        """The ratio, and the middle of each server's values."""
        ratio = self.ratio()
        found = [self.values.get(name) for name in names]
        words = [self.row.unit(Spread.of(each).median) if each else "-" for each in found]
        return [self.row.title, str(ratio) if ratio else "-", *words]


def render(results: Sequence[Result]) -> str:
    """The table: a line per row, a column per server that was there."""
    names = list(dict.fromkeys([*SERVERS, *(name for each in results for name in each.values)]))
    head = ["", "times less than uWSGI", *names]
    return harness.table(head, [result.cells(names) for result in results])


def as_json(results: Sequence[Result], heading: str) -> dict[str, Any]:
    """All rounds of all rows, for a machine to read, and the ratios under a chart's heading."""
    rows = {
        result.row.name: {
            "title": result.row.title,
            "values": result.values,
            "ratio": asdict(ratio) if (ratio := result.ratio()) else None,
        }
        for result in results
    }
    chart = {row["title"]: row["ratio"] for row in rows.values()}
    return {"python": platform.python_version(), "rows": rows, "charts": {heading: chart}}
