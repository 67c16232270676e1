"""The compatibility table itself; its rows are proven in tests/differential."""

from __future__ import annotations

from tests.differential.page import PAGE, page
from tests.differential.rows import CLAIMS


def test_the_page_is_written_from_the_rows() -> None:
    """docs/compatibility.md is what `python -m tests.differential.page` writes."""
    assert PAGE.read_text() == page()


def test_a_row_that_differs_says_what_each_does() -> None:
    """Else it could not fail; and a row that is the same names no outcome."""
    for claim in CLAIMS:
        assert (claim.ours != claim.theirs) == (claim.differs is not None), str(claim)


def test_no_row_is_there_twice() -> None:
    """One claim, one row, one test."""
    assert len({str(claim) for claim in CLAIMS}) == len(CLAIMS)
