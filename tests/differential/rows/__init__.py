"""The rows of the compatibility table, a theme a file.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Claim
from tests.differential.rows import (
    answers,
    decorators,
    environ,
    files,
    life,
    limits,
    loading,
    module,
    monitors,
    mules,
    operating,
    programs,
    protocol,
    rpc,
    signals,
    spool_defects,
    spooling,
    watching,
)

CLAIMS: list[Claim] = [
    *loading.CLAIMS,
    *environ.CLAIMS,
    *files.CLAIMS,
    *answers.CLAIMS,
    *protocol.CLAIMS,
    *module.CLAIMS,
    *spooling.CLAIMS,
    *spool_defects.CLAIMS,
    *signals.CLAIMS,
    *monitors.CLAIMS,
    *mules.CLAIMS,
    *rpc.CLAIMS,
    *decorators.CLAIMS,
    *limits.CLAIMS,
    *life.CLAIMS,
    *operating.CLAIMS,
    *programs.CLAIMS,
    *watching.CLAIMS,
]

_SETUPS = list(dict.fromkeys(claim.setup for claim in CLAIMS))

IN_ORDER = sorted(CLAIMS, key=lambda claim: _SETUPS.index(claim.setup))
"""The rows, those with one setup together."""
