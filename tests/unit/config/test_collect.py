"""Includes, loops and conditions that are not well formed. What works stands in tests/data/ini.

Runs in: the test process.
"""

from __future__ import annotations

import pytest
from tests.unit.config.machine import SOMETHING_TO_DO, Machine, settings_of

from muleteer.config.sources import load_from
from muleteer.errors import ConfigError


def complaint(text: str, **files: str) -> str:
    """Return what is said about an app.ini; other files are given as name=text."""
    machine = Machine({"app.ini": text} | {f"{name}.ini": body for name, body in files.items()})
    with pytest.raises(ConfigError) as caught:
        load_from([SOMETHING_TO_DO, "app.ini"], machine)
    return str(caught.value)


def test_a_missing_file_is_one_line_with_the_way_out() -> None:
    """A file that is not there names who asked for it and where paths start."""
    assert complaint("[uwsgi]\nini = nope.ini\n") == (
        "app.ini:2: ini = 'nope.ini': 'nope.ini' cannot be read: No such file or directory;"
        " paths start at /srv/app, correct it or create the file"
    )


def test_a_missing_positional_file_names_the_command_line() -> None:
    """`muleteer nope.ini` says the same of the command line."""
    with pytest.raises(ConfigError, match=r"command line: 'nope\.ini': .*No such file"):
        load_from(["nope.ini"], Machine())


def test_files_that_include_each_other_are_an_error() -> None:
    """A circle of includes is shown, not followed."""
    said = complaint("[uwsgi]\nini = b.ini\n", b="[uwsgi]\nini = app.ini\n")
    assert said == (
        "b.ini:2: ini = 'app.ini': the files include each other (/srv/app/app.ini:uwsgi ->"
        " /srv/app/b.ini:uwsgi -> /srv/app/app.ini:uwsgi); remove one"
    )


def test_the_same_file_may_be_read_twice_in_a_row() -> None:
    """Including one section twice is no circle."""
    settings = settings_of("[uwsgi]\nini = :x\nini = :x\n[x]\na = 1\n")
    assert settings.opt["a"] == [b"1", b"1"]


def test_a_section_alone_needs_a_file_before_it() -> None:
    """`--ini :other` without any file says what is missing."""
    with pytest.raises(ConfigError, match="no file was read before, so it needs one: FILE:other"):
        load_from(["--ini", ":other"], Machine())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("for = a b\nx = 1\n", "app.ini:2: for = 'a b': there is no endfor before the end"),
        ("if-env = HOME\n", "app.ini:2: if-env = 'HOME': there is no endif before the end"),
        ("endif =\n", "app.ini:2: endif = '': there is no open `for` or `if-` above it"),
        ("else =\n", "app.ini:2: else = '': there is no open `if-` above it"),
        ("for = a\nelse =\nendfor =\n", "app.ini:3: else = ''"),
        ("for = a\nif-env = X\n", "app.ini:3: if-env = 'X': it stands inside app.ini:2: for = 'a'"),
        ("for-times = many\nendfor\n", "app.ini:2: for-times = 'many': expected a number of turns"),
        ("for-readline = no.txt\n", "app.ini:2: for-readline = 'no.txt': 'no.txt' cannot be read"),
        ("set-placeholder = =1\n", "app.ini:2: set-placeholder = '=1': expected name=value"),
        ("yaml = a.yaml\n", "app.ini:2: yaml = 'a.yaml': only ini files are read"),
    ],
)
def test_broken_logic_names_its_line(text: str, said: str) -> None:
    """What is left open, nested, stray or not understood is an error with file and line."""
    assert complaint("[uwsgi]\n" + text).startswith(said)


def test_else_takes_the_other_way() -> None:
    """What follows `else` holds exactly when the condition does not."""
    text = "[uwsgi]\nif-env = X\nway = one\nelse\nway = two\nendif\n"
    assert settings_of(text, environ={"X": "1"}).opt["way"] == b"one"
    assert settings_of(text).opt["way"] == b"two"


def test_conditions_see_placeholders_and_the_environment() -> None:
    """What acts while reading sees `$(ENV)` and what was set above it."""
    text = "[uwsgi]\nstage = live\nif-env = $(KIND)_%(stage)\nyes = 1\nendif\n"
    settings = settings_of(text, environ={"KIND": "RUN", "RUN_live": "x"})
    assert settings.opt["yes"] == b"1"


def test_logic_works_on_the_command_line() -> None:
    """`--if-exists … --endif` guards the options between them."""
    argv = [SOMETHING_TO_DO, "--if-exists", "a.txt", "--processes=3", "--endif"]
    assert load_from(argv, Machine({"a.txt": ""})).processes == 3
    assert load_from(argv, Machine()).processes == 1


def test_a_reload_is_seen() -> None:
    """`if-reload` holds only when the configuration is read again."""
    machine = Machine({"app.ini": "[uwsgi]\nif-reload\nprocesses = 3\nendif\n"})
    argv = [SOMETHING_TO_DO, "app.ini"]
    assert load_from(argv, machine).processes == 1
    assert load_from(argv, machine, reloading=True).processes == 3
