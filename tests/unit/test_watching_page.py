"""docs/watching.md names what there is."""

from __future__ import annotations

from pathlib import Path

from muleteer.master.fifo import LETTERS
from muleteer.serve.logformat import VARIABLES
from muleteer.wire.exposition import FAMILIES, PREFIX

PAGE = Path(__file__).resolve().parents[2] / "docs" / "watching.md"


def test_every_metric_is_in_the_docs() -> None:
    """By its full name."""
    page = PAGE.read_text()
    assert [f.name for f in FAMILIES if f"`{PREFIX}{f.name}" not in page] == []


def test_every_log_variable_is_in_the_docs() -> None:
    """As it is written in a format."""
    page = PAGE.read_text()
    assert [name for name in VARIABLES if f"`%({name})`" not in page] == []


def test_every_letter_of_the_fifo_is_in_the_docs() -> None:
    """Those that do something and those that say what to do."""
    page = PAGE.read_text()
    assert [letter for letter in LETTERS if f"`{letter}`" not in page] == []
