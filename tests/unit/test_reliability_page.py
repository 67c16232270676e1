"""docs/reliability.md says of stops and reloads what the grid is held to."""

from __future__ import annotations

from tests.process import grid


def test_the_page_has_the_grid() -> None:
    """It is what `python -m tests.process.grid` writes."""
    assert grid.PAGE.read_text() == grid.page(grid.PAGE.read_text())
    assert grid.section() in grid.PAGE.read_text()


def test_every_cell_is_declared() -> None:
    """A stop and a reload in every row, and a way to ask for each."""
    for rows in (grid.IN_FLIGHT, grid.OVER_MERCY, grid.WAITING):
        assert all(set(cells) == set(grid.Ends) for cells in rows.values())
    assert {grid.WAYS[way] for way in grid.ONE_EACH} == set(grid.WAYS.values())
