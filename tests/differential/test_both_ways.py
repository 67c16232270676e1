"""The decorators both ways round: each house's own, unmodified, on top of either server.

uWSGI's uwsgidecorators.py, PyPI's `uwsgidecorators` and django-uwsgi-ng's `django_uwsgi.decorators`
run on muleteer, and `muleteer.decorators` on real uWSGI. All pass one table (behaviours.py), which
each house's own decorators at home pass, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.differential.behaviours import APPS, BEHAVIOURS, FILES, INI, Behaviour
from tests.differential.claims import REPOSITORY, full_ini, their_decorators
from tests.differential.looks import evaluate
from tests.harness import Reference, Server
from tests.harness.otp import Epmd

Place = Callable[[Path], Path]


def _copied_from_uwsgi(folder: Path) -> Path:
    """uWSGI's own file, taken from where real uWSGI is installed."""
    place = folder / "theirs"
    place.mkdir()
    (place / "uwsgidecorators.py").write_bytes(their_decorators())
    return place


def _from_pypi(_folder: Path) -> Path:
    """Where `make reference` puts other people's decorators."""
    place = REPOSITORY / ".venv-decorators"
    assert place.exists(), "no decorators of PyPI: run `make reference`"
    return place.resolve()


def _ours(_folder: Path) -> Path:
    return REPOSITORY / "src"


@dataclass(frozen=True)
class Way:
    """Whose decorators, under which name, on which server."""

    says: str
    module: str
    place: Place
    server: type[Server]

    def __str__(self) -> str:
        return self.says


WAYS = [
    Way("muleteer's on muleteer", "muleteer.decorators", _ours, Server),
    Way("uWSGI's on muleteer", "uwsgidecorators", _copied_from_uwsgi, Server),
    Way("PyPI's on muleteer", "uwsgidecorators", _from_pypi, Server),
    Way("django-uwsgi-ng's on muleteer", "django_uwsgi.decorators", _from_pypi, Server),
    Way("muleteer's on uWSGI", "muleteer.decorators", _ours, Reference),
    Way("uWSGI's on uWSGI", "uwsgidecorators", _copied_from_uwsgi, Reference),
]

CASES = [
    pytest.param(way, behaviour, id=f"{way}: {behaviour}")
    for setup in INI
    for way in WAYS
    for behaviour in BEHAVIOURS
    if behaviour.setup == setup
    and not (setup == "erlang" and way.server is Reference)  # which has none since 1.9.20
]


class Town:
    """The servers of one setup, all the ways at once: what ticks in one ticks in all meanwhile."""

    def __init__(self, folder: Path, epmd: Epmd) -> None:
        self._folder = folder
        self._epmd = epmd
        self._setup = ""
        self._servers: Mapping[Way, Server] = {}
        self._places: dict[Way, Path] = {}
        self._open = ExitStack()

    def server(self, way: Way, setup: str) -> Server:
        """The server of a way, ready."""
        if setup != self._setup:
            self.close()
            self._setup = setup
            self._servers = {case: self._launched(case, setup) for case in self._ways(setup)}
            for each in self._servers:
                self._check(each)
        return self._servers[way]

    def close(self) -> None:
        """Stop them all; raises LeftBehind when muleteer left anything."""
        self._open.close()

    def _check(self, way: Way) -> None:
        """It serves, and the decorators are the file that is meant: no shim, no namesake."""
        self._servers[way].wait_until_ready(within=40)
        found = evaluate(self._servers[way], "[d.__name__, os.path.realpath(d.__file__)]")
        stem = self._places[way] / way.module.replace(".", "/")
        assert found in ([way.module, f"{stem}.py"], [way.module, f"{stem}/__init__.py"])

    def _ways(self, setup: str) -> list[Way]:
        return [way for way in WAYS if setup != "erlang" or way.server is not Reference]

    def _launched(self, way: Way, setup: str) -> Server:
        folder = self._folder / f"{setup}-{WAYS.index(way)}"
        folder.mkdir()
        place = self._places[way] = way.place(folder)
        ini = INI[setup]
        if setup == "erlang":  # one name each
            ini = ini.replace("both@", f"both{WAYS.index(way)}@")
        server = way.server(
            folder,
            ini=full_ini(f"{ini}pythonpath = {place}\n"),
            files={**FILES, "app.py": APPS[setup]},
            env={"PROBED_DECORATORS": way.module, "ERL_EPMD_PORT": str(self._epmd.port)},
        )
        self._open.callback(server.close)
        server.launch()
        return server


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Where the servers stand, with an epmd of their own."""
    epmd = Epmd().start()
    town = Town(tmp_path_factory.mktemp("town", numbered=True), epmd)
    try:
        yield town
    finally:
        try:
            town.close()
        finally:
            epmd.stop()


@pytest.mark.parametrize(("way", "behaviour"), CASES)
def test_the_decorators_behave(way: Way, behaviour: Behaviour, town: Town) -> None:
    """What is seen is what the table says, whoever wrote the decorators, whatever serves."""
    assert behaviour.observe(town.server(way, behaviour.setup)) == behaviour.expected
