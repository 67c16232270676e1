"""docs/compatibility.md, written from the rows: `python -m tests.differential.page`.

Runs in: the test process, a shell.
"""

from __future__ import annotations

from tests.differential.claims import REPOSITORY, Claim
from tests.differential.defects import DEFECTS
from tests.differential.rows import CLAIMS

PAGE = REPOSITORY / "docs" / "compatibility.md"

HEAD = """\
# Compatibility with uWSGI

<!-- Written by `python -m tests.differential.page` from the rows in tests/differential/rows. -->

Real uWSGI 2.0.31 is the reference.
Each line is a test: it starts both servers with the same app and the same ini, looks at both, and
compares.
Of {rows} lines {same} are the same.
The other {different} differ on purpose, and say why: what uWSGI does there is a mistake that an
application cannot want, or is not in this version.

Options and their defaults have a table of their own, in [options.md](options.md).
"""


DEFECTS_HEAD = """\
## Defects of uWSGI's that are none here

Each of the lines above that shows one is a test that would fail on real uWSGI.
"""


def page() -> str:
    """The page, whole."""
    areas = dict.fromkeys(claim.area for claim in CLAIMS)
    return "\n".join([_head(), *(_table(area) for area in areas), _defects()])


def _head() -> str:
    same = sum(claim.differs is None for claim in CLAIMS)
    return HEAD.format(rows=len(CLAIMS), same=same, different=len(CLAIMS) - same)


def _table(area: str) -> str:
    rows = "\n".join(_row(claim) for claim in CLAIMS if claim.area == area)
    return f"## {area}\n\n| | |\n| --- | --- |\n{rows}\n"


def _row(claim: Claim) -> str:
    says = claim.says[0].upper() + claim.says[1:]
    verdict = "same" if claim.differs is None else f"differs: {claim.differs}"
    return f"| {says} | {verdict} |".replace("\n", " ")


def _defects() -> str:
    rows = "\n".join(_defect(number) for number in DEFECTS)
    return f"{DEFECTS_HEAD}\n| What uWSGI 2.0.31 does | Shown by |\n| --- | --- |\n{rows}\n"


def _defect(number: int) -> str:
    says = DEFECTS[number][0].upper() + DEFECTS[number][1:]
    shown = [f"{claim.area}: {claim.says}" for claim in CLAIMS if claim.defect == number]
    return f"| {says} | {'; '.join(shown)} |"


if __name__ == "__main__":
    PAGE.write_text(page())
