"""The compatibility table itself; its rows are proven in tests/differential."""

from __future__ import annotations

import pytest
from tests.differential.defects import DEFECTS
from tests.differential.page import PAGE, page
from tests.differential.rows import CLAIMS
from tests.differential.rows.module import LATER
from tests.unit.facade.conftest import make_runtime

from muleteer.facade.surface import Surface


def test_the_page_is_written_from_the_rows() -> None:
    """docs/compatibility.md is what `python -m tests.differential.page` writes."""
    assert PAGE.read_text() == page()


def test_a_row_that_differs_says_what_each_does() -> None:
    """Else it could not fail; and a row that is the same names no outcome."""
    for claim in CLAIMS:
        assert (claim.ours != claim.theirs) == (claim.differs is not None), str(claim)


@pytest.mark.parametrize("number", DEFECTS)
def test_each_mended_defect_of_uwsgi_s_has_a_row(number: int) -> None:
    """A row that differs, and so fails on real uWSGI were it held to what we do."""
    rows = [claim for claim in CLAIMS if claim.defect == number]
    assert rows, f"no row names defect {number}: {DEFECTS[number]}"
    assert all(claim.differs for claim in rows)


def test_a_row_names_a_defect_that_is_known() -> None:
    """defects.py says what it is."""
    assert {claim.defect for claim in CLAIMS} <= {None, *DEFECTS}


def test_what_is_not_there_yet_is_not_there() -> None:
    """A name that came is a row of its own, not one of the missing."""
    uwsgi = Surface(make_runtime(spooler=("/spool",)))
    missing = " ".join(LATER.values()).split()
    assert [name for name in missing if hasattr(uwsgi, name)] == []


def test_no_row_is_there_twice() -> None:
    """One claim, one row, one test."""
    assert len({str(claim) for claim in CLAIMS}) == len(CLAIMS)
