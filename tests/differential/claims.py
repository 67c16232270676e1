"""What a claim of compatibility is: something to observe on both servers, and the verdict.

A row is a setup (an app, an ini) and something to observe on muleteer and on real uWSGI alike. It
says *same*; or *differs*, why, and what each of the two does. A difference that is not listed is a
bug, and a listed one that is none any more is a stale row: both fail. The rows stand in `rows/`.

Runs in: the test process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from tests.differential.probes import PROBE
from tests.harness import Reference, Server

BASE = {
    "master": "true",
    "processes": "1",
    "socket": "127.0.0.1:0",
    "http-socket": "127.0.0.1:0",
    "module": "app",
}
"""What every ini starts with; a setup may replace a key, or leave it out: `key =`."""

REPOSITORY = Path(__file__).resolve().parents[2]

Observe = Callable[[Server], object]


class Side(Enum):
    """A server, and whose decorators the app imports there."""

    OURS = "muleteer"
    THEIRS = "uwsgi"
    THEIR_DECORATORS_HERE = "uwsgi's decorators on muleteer"
    OUR_DECORATORS_THERE = "muleteer's decorators on uwsgi"

    @property
    def is_ours(self) -> bool:
        """Does muleteer serve?"""
        return self in (Side.OURS, Side.THEIR_DECORATORS_HERE)

    @property
    def decorators(self) -> str:
        """The module that the app imports as its decorators."""
        ours = self in (Side.OURS, Side.OUR_DECORATORS_THERE)
        return "muleteer.decorators" if ours else "uwsgidecorators"


BOTH = (Side.OURS, Side.THEIRS)
EVERY_SIDE = tuple(Side)


@dataclass(frozen=True, eq=False, kw_only=True)
class Setup:
    """An app and an ini; rows with one setup share the started servers."""

    name: str
    ini: str = ""
    app: str = PROBE
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    sides: tuple[Side, ...] = BOTH
    starts: bool = True
    """False: it is not waited for; the row observes how the start goes."""
    when: Callable[[], bool] = lambda: True
    """The start waits until this is true."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Claim:
    """One row."""

    area: str
    says: str
    setup: Setup
    observe: Observe
    differs: str | None = None
    """Why ours is different; None: it is the same."""
    ours: object = None
    theirs: object = None
    """What is observed where it differs."""
    crossed: Mapping[Side, object] = field(default_factory=dict)
    """The same for one's decorators on the other; not named, the server decides."""
    defect: int | None = None
    """The number of the defect of uWSGI's (defects.py) that the row shows to be gone here."""

    def __str__(self) -> str:
        return f"{self.area}: {self.says}"

    def expected(self, side: Side) -> object:
        """What a row that differs has on this side."""
        return self.crossed.get(side, self.ours if side.is_ours else self.theirs)


class NewRow(Protocol):
    """Makes a row of one area and one setup."""

    def __call__(
        self,
        says: str,
        observe: Observe,
        *,
        differs: str | None = None,
        ours: object = None,
        theirs: object = None,
        crossed: Mapping[Side, object] = {},
        defect: int | None = None,
    ) -> Claim: ...


def rows_of(area: str, setup: Setup) -> NewRow:
    """The maker of rows that stand under one heading and share one setup."""

    def new_row(
        says: str,
        observe: Observe,
        *,
        differs: str | None = None,
        ours: object = None,
        theirs: object = None,
        crossed: Mapping[Side, object] = {},
        defect: int | None = None,
    ) -> Claim:
        return Claim(
            area=area, says=says, setup=setup, observe=observe,
            differs=differs, ours=ours, theirs=theirs, crossed=crossed, defect=defect,
        )  # fmt: skip

    return new_row


def make_server(setup: Setup, side: Side, folder: Path) -> Server:
    """One server, not started yet, in a folder of its own."""
    files: dict[str, str | bytes] = {"app.py": setup.app, **setup.files}
    env = {**setup.env, "PROBED_DECORATORS": side.decorators}
    if side is Side.THEIR_DECORATORS_HERE:
        files["uwsgidecorators.py"] = their_decorators()
    if side is Side.OUR_DECORATORS_THERE:
        env["PYTHONPATH"] = str(REPOSITORY / "src")
    kind = Server if side.is_ours else Reference
    return kind(folder, ini=full_ini(setup.ini), files=files, env=env, args=setup.args)


def full_ini(lines: str) -> str:
    """The base with a setup's lines; a key without a value takes it out of the base."""
    pairs = [line.partition("=") for line in lines.splitlines()]
    named = {name.strip() for name, _, _ in pairs}
    removed = {name.strip() for name, equals, value in pairs if equals and not value.strip()}
    kept = [f"{key} = {value}" for key, value in BASE.items() if key not in named]
    own = [line for line in lines.splitlines() if line.partition("=")[0].strip() not in removed]
    return "\n".join([*kept, *own, ""])


def their_decorators() -> bytes:
    """uWSGI's own uwsgidecorators.py, as it was installed with the reference."""
    prefix = Reference.find_binary().parent.parent
    (path,) = prefix.glob("lib/python3*/site-packages/uwsgidecorators.py")
    return path.read_bytes()
