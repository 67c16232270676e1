"""What `make bench` has measured, put where people read it: docs/performance.md and its picture.

Every benchmark leaves NAME.md (its table) and NAME.json in a folder; a table replaces the one
between `<!-- bench NAME -->` and `<!-- end -->` in the page.

Runs in: a process of its own, at the end of `make bench`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run by its path, and then this folder's http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.chart import Bar, Group, svg
from benchmarks.harness import ROOT, Spread

PAGE, PICTURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
TITLE = "muleteer by uWSGI: to the right of the line muleteer is ahead"


def with_tables(page: str, tables: Mapping[str, str]) -> str:
    """The page with new tables; ValueError for a table that it has no place for."""
    for name, table in tables.items():
        place = re.compile(f"(<!-- bench {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(page):
            raise ValueError(f"{PAGE.name} has no place for {name}: <!-- bench {name} -->")
        page = place.sub(lambda found, new=table: found[1] + new.strip() + "\n" + found[2], page)
    return page


def groups_of(found: Mapping[str, Any]) -> list[Group]:
    """The bars of one benchmark's JSON: of each heading those rows that have a ratio."""
    return [
        Group(heading, [Bar(title, Spread(**ratio)) for title, ratio in ratios.items() if ratio])
        for heading, ratios in found["charts"].items()
    ]


def main(names: Sequence[str], folder: Path) -> int:
    """Write the page and the picture, from the benchmarks that ran, in this order."""
    tables = {name: (folder / f"{name}.md").read_text() for name in names}
    PAGE.write_text(with_tables(PAGE.read_text(), tables))
    found = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    PICTURE.write_text(svg(TITLE, [group for each in found for group in groups_of(each)]))
    print(f"written: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
