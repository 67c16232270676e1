"""Every row of the compatibility table, observed on both servers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.differential.claims import Claim, Side
from tests.differential.rows import IN_ORDER


@pytest.mark.parametrize("claim", IN_ORDER, ids=str)
def test_the_claim_holds(claim: Claim, observed: Mapping[Side, object]) -> None:
    """Both do the same; or each does what the row says, which gives the reason."""
    if claim.differs is None:
        reference = observed[Side.THEIRS]
        assert observed == dict.fromkeys(observed, reference)
    else:
        assert claim.ours != claim.theirs, "the row is stale: it says the same twice"
        assert observed == {side: claim.expected(side) for side in observed}
