"""The same ini read by real uWSGI and by ours: `uwsgi.opt` compared name by name.

The cases are tests/data/ini: each file, and beside it what ours reads; where uWSGI reads something
else, `differs` has its value (null: no such name) and `because` the reason. Both are held to it.

Runs in: the test process; starts real uWSGI.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Reference

from muleteer.config.sources import load
from muleteer.config.uwsgi_names import FLAGS, NAMES, OPTIONAL, SHORTS
from muleteer.errors import ConfigError

DATA = Path(__file__).resolve().parents[1] / "data" / "ini"
CASES = [
    path.stem
    for path in sorted(DATA.glob("*.json"))
    if json.loads(path.read_text()).get("reference", True)
]
DUMP = """\
import json, os, uwsgi

def plain(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value

with open("opt.json", "w") as file:
    json.dump({plain(name): plain(value) for name, value in uwsgi.opt.items()}, file)
os._exit(0)
"""
ENVIRON = {"FRUIT": "banana"}
Opt = dict[str, Any]


def uwsgis_opt(folder: Path, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Opt:
    """Return what an app sees as `uwsgi.opt` under real uWSGI; the app ends the server."""
    (folder / "dump.py").write_text(DUMP)
    binary = Reference.find_binary()
    added = ["--socket", "own.sock", "--wsgi-file", "dump.py", "--virtualenv", _home(binary)]
    ended = subprocess.run(
        [binary, *added, *argv],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **ENVIRON, **(environ or {})},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    result = folder / "opt.json"
    assert result.exists(), ended.stderr.decode(errors="replace")
    return _without(json.loads(result.read_text()), "socket", "wsgi-file", "virtualenv")


def our_opt(folder: Path, argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Opt:
    """Return ours, as text, read from the same folder with the same words."""
    settings = load(["--socket", "own.sock", *argv], {**ENVIRON, **(environ or {})}, str(folder))
    return _without({name: _plain(value) for name, value in settings.opt.items()}, "socket")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _home(binary: Path) -> str:
    return str(binary.parent.parent)


def _without(opt: Opt, *names: str) -> Opt:
    return {name: value for name, value in opt.items() if name not in names}


def _case(name: str, folder: Path) -> dict[str, Any]:
    """Lay a case's files into a folder and return its expectations."""
    case: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text())
    (folder / f"{name}.ini").write_bytes((DATA / f"{name}.ini").read_bytes())
    for path, text in case.get("files", {}).items():
        (folder / path).write_text(text)
    return case


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_each_ini_reads_as_under_uwsgi(name: str, tmp_path: Path) -> None:
    """Name by name both agree, or differ exactly as the case says and for its reason."""
    case = _case(name, tmp_path)
    argv = ["--ini", f"{name}.ini"]
    hidden = ("ini", *case.get("ignore", ()))
    theirs = _without(uwsgis_opt(tmp_path, argv), *hidden)
    ours = _without(our_opt(tmp_path, argv), *hidden)
    differs = {key: value for key, value in case.get("differs", {}).items() if key != "ini"}
    assert case["because"] or not differs
    expected = {**ours, **differs}
    assert theirs == {key: value for key, value in expected.items() if value is not None}
    for key, value in differs.items():
        assert ours.get(key) != value, f"{key} is the same on both sides"


# -- values made at random -----------------------------------------------------------------------

NAMES_SET = {"alpha": "3", "beta": "word", "gamma": "%(alpha)1", "delta": "-20"}
PIECES = [
    "x",
    "7",
    "-3",
    " ",
    "  ",
    "/",
    "a=b",
    "%%",
    "$(FRUIT)",
    "$(NOPE)",
    "$(",
    "$()",
    "%(",
    "(",
    ")",
    "%( )",
    "@",
    "$",
    "[s]",
    '"q"',
    "it's",
    "é",
    "%%d",
    "%s",
    "%n",
]


def _made_up_value(chance: random.Random) -> str:
    """Return a value of placeholders, sums and whatever else stands in one."""
    pieces = []
    for _ in range(chance.randrange(1, 5)):
        if chance.random() < 0.5:
            pieces.append(chance.choice(PIECES))
            continue
        tokens = [chance.choice([*NAMES_SET, "10", "0"])]
        for _ in range(chance.randrange(4)):
            tokens.append(chance.choice(["+", "-", "*", "/", "++", "--"]))
            if chance.random() < 0.8:
                tokens.append(chance.choice([*NAMES_SET, "2", "5"]))
        pieces.append(f"%({' '.join(tokens)})")
    return "".join(pieces)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_made_up_values_read_as_under_uwsgi(seed: int, tmp_path: Path) -> None:
    """Placeholders, sums, magic variables and `$(ENV)` in any mixture give the same value."""
    chance = random.Random(seed)
    values = {**NAMES_SET, **{f"k{n}": _made_up_value(chance) for n in range(80)}}
    lines = [f"{name} = {value}" for name, value in values.items()]
    (tmp_path / "app.ini").write_text("\n".join(["[uwsgi]", *lines, ""]))
    argv = ["--ini", "app.ini"]
    assert uwsgis_opt(tmp_path, argv) == our_opt(tmp_path, argv)


# -- the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ["-M", "-L", "-p", "2"],
        ["-MLp2"],
        ["--processes=2", "--master", "--disable-logging"],
        ["--set-placeholder", "a=1", "--set", "b=2"],
        ["-C", "--chmod-socket=660"],
        ["--pidfile", "a.pid", "-R", "100"],
        ["--need-app", "--http-keepalive", "--stats", ":0"],
        ["values.ini"],
        ["--", "values.ini"],
    ],
    ids=" ".join,
)
def test_each_command_line_reads_as_under_uwsgi(argv: list[str], tmp_path: Path) -> None:
    """Flags are True, values bytes, under the names that uWSGI gives them."""
    differs = _case("values", tmp_path)["differs"] if "values.ini" in argv else {}
    if "-C" in argv:
        differs = {"chmod-socket": "660"}
    assert uwsgis_opt(tmp_path, argv) == {**our_opt(tmp_path, argv), **differs}


def test_the_environment_reads_as_under_uwsgi(tmp_path: Path) -> None:
    """`UWSGI_SOME_NAME` is the option some-name, known or not."""
    environ = {"UWSGI_THREADS": "2", "UWSGI_FOO_BAR": "x"}
    assert uwsgis_opt(tmp_path, [], environ) == our_opt(tmp_path, [], environ)


def test_the_command_line_wins_here_and_not_under_uwsgi(tmp_path: Path) -> None:
    """uWSGI reads a positional file last, so the file wins; ours lets the command line win."""
    (tmp_path / "app.ini").write_text("[uwsgi]\nprocesses = 3\n")
    argv = ["--processes=2", "app.ini"]
    assert uwsgis_opt(tmp_path, argv)["processes"] == "3"
    assert our_opt(tmp_path, argv)["processes"] == "2"


# -- what ends the start ------------------------------------------------------------------------

BROKEN = {
    "no such file": ("[uwsgi]\nini = nope.ini\n", []),
    "no such positional file": ("", ["nope.ini"]),
    "no such content": ("[uwsgi]\nx = @(nope.txt)\n", []),
    "nested conditions": ("[uwsgi]\nfor = a\nif-env = PATH\nendif\nendfor\n", []),
    "unknown option": ("", ["--no-such-option"]),
    "unknown letter": ("", ["-Z"]),
    "no value": ("", ["--processes"]),
    "python file": ("", ["dump.py"]),
    "application": ("", ["app:application"]),
    "unknown name under strict": ("[uwsgi]\nstrict = true\nmisspelt = 1\n", []),
    "file that includes itself": ("[uwsgi]\nini = app.ini\n", []),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_ends_the_start_there_ends_it_here(name: str, tmp_path: Path) -> None:
    """Both refuse the same mistakes; ours with one sentence, and without a crash."""
    text, argv = BROKEN[name]
    (tmp_path / "app.ini").write_text(text or "[uwsgi]\n")
    with pytest.raises(AssertionError):
        uwsgis_opt(tmp_path, ["--ini", "app.ini", *argv])
    with pytest.raises(ConfigError) as caught:
        our_opt(tmp_path, ["--ini", "app.ini", *argv])
    assert "\n" not in str(caught.value)


# -- names ----------------------------------------------------------------------------------------


def test_the_names_of_uwsgi_are_all_known() -> None:
    """Every option that uWSGI lists is in our list of names, and every letter."""
    listed = _run("--dump-options").split()
    assert len(listed) > 800  # built without OpenSSL and PCRE, uWSGI has some fewer
    assert set(listed) <= NAMES
    letters = {
        (words[0].strip(), words[1].strip())
        for line in _run("--help").splitlines()
        if (words := line.split("|--", 1)) and len(words) == 2
    }
    assert {letter.lstrip("-") for letter, _ in letters} == set(SHORTS)


@pytest.mark.parametrize("name", ["processes", "mules", "stats", "cron", "master", "vacuum"])
def test_a_name_takes_a_value_exactly_if_it_does_there(name: str) -> None:
    """A sample of the list, asked of uWSGI's own command line."""
    complaint = _run(f"--{name}")
    assert ("requires an argument" in complaint) == (name not in FLAGS and name not in OPTIONAL)


def _run(word: str) -> str:
    ended = subprocess.run(
        [Reference.find_binary(), word],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    return (ended.stdout + ended.stderr).decode(errors="replace")
