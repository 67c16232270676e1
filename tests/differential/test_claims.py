"""Every row of the compatibility table, observed on both servers."""

from __future__ import annotations

import pytest
from tests.differential import claims
from tests.differential.claims import CLAIMS, Claim, Pair


@pytest.mark.parametrize("claim", CLAIMS, ids=str)
def test_the_claim_holds(claim: Claim, both: Pair) -> None:
    """Both do the same; or they differ, as the row says and for its reason."""
    if claim.differs is None:
        assert both.ours == both.theirs
    else:
        assert both.ours != both.theirs, "the row is stale: they are the same now"


def test_the_page_is_written_from_the_rows() -> None:
    """docs/compatibility.md is what `python -m tests.differential.claims` writes."""
    assert claims.PAGE.read_text() == claims.page()


def test_the_rows_of_an_area_stand_together() -> None:
    """An area has one table on the page."""
    areas = [claim.area for claim in CLAIMS]
    assert len(set(areas)) == sum(a != b for a, b in zip(areas, ["", *areas], strict=False))
