"""The ini dialect, case by case and with whatever bytes there are.

Runs in: the test process.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.config.machine import CWD, DATA, SOMETHING_TO_DO, Machine, said, settings_of

from muleteer.config import ini
from muleteer.config.sources import load_from
from muleteer.errors import ConfigError

CASES = sorted(path.stem for path in DATA.glob("*.json"))


def expected_of(name: str) -> dict[str, Any]:
    return json.loads((DATA / f"{name}.json").read_text())


def filled(value: Any, path: str) -> Any:
    """Return an expectation with `{cwd}` and `{hash}` filled in, in bytes."""
    if isinstance(value, list):
        return [filled(item, path) for item in value]
    folder = str(Path(path).parent)
    text = value.replace("{cwd}", folder).replace("{hash}", ini.path_hash(path))
    return text.encode()


@pytest.mark.parametrize("name", CASES)
def test_each_case_reads_as_its_expectation_says(name: str) -> None:
    """Every file of tests/data/ini gives exactly the `uwsgi.opt` beside it."""
    expected = expected_of(name)
    files = {f"{name}.ini": (DATA / f"{name}.ini").read_bytes(), **expected.get("files", {})}
    machine = Machine(files, {"FRUIT": "banana"})
    opt = load_from([SOMETHING_TO_DO, f"{name}.ini"], machine).opt
    hidden = {"http-socket", *expected.get("ignore", ())}
    path = f"{CWD}/{name}.ini"
    wanted = {key: filled(value, path) for key, value in expected["opt"].items()}
    assert {key: value for key, value in opt.items() if key not in hidden} == wanted


def test_the_classic_django_ini_loads_as_it_stands() -> None:
    """The example of the decorators' documentation gives its settings and no complaint."""
    machine = Machine({"app.ini": (DATA / "django.ini").read_bytes()})
    settings = load_from(["app.ini"], machine)
    assert settings.chdir == "/var/www/apps/foobar"
    assert settings.spooler == ("/var/www/apps/foobar/mytasks",)
    assert settings.env == ("DJANGO_SETTINGS_MODULE=foobar.settings",)
    assert settings.socket == ("127.0.0.1:3031",)
    assert (settings.processes, settings.import_) == (4, ("tasks",))
    assert said(settings) == []


def test_a_file_with_windows_line_ends_and_a_mark_reads_the_same() -> None:
    """CRLF and a byte order mark change nothing."""
    text = (DATA / "values.ini").read_bytes()
    odd = Machine({"app.ini": b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")})
    plain = Machine({"app.ini": text})
    argv = [SOMETHING_TO_DO, "app.ini"]
    assert load_from(argv, odd).opt == load_from(argv, plain).opt


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("4 ; four", "4"),
        ("4\t#four", "4"),
        ("4;four", "4;four"),
        ("a#b # c", "a#b"),
        ('"a ; b"', '"a ; b"'),
        ("x='a # b' # c", "x='a # b'"),
        ("'open ; closed nowhere", "'open"),
        (r"a \; b ; c", "a ; b"),
        (r"C:\;x", r"C:\;x"),
        ("", ""),
    ],
)
def test_a_comment_begins_at_a_mark_after_a_blank(text: str, kept: str) -> None:
    """`;` and `#` begin a comment after a blank, outside quoted words, without a backslash."""
    assert ini.split_comment(text)[0] == kept


def test_an_unknown_magic_variable_is_said_once() -> None:
    """`%z` stays as it is written and the start says so, naming the line."""
    settings = settings_of("[uwsgi]\nset-placeholder = a=%z\n")
    assert settings.opt["a"] == b"%z"
    assert said(settings) == [
        "app.ini:2: %z is no magic variable and stays as it is; write %%z to say so"
    ]


def test_a_missing_section_is_said_with_those_that_are_there() -> None:
    """A section that is not there is a warning that names the others."""
    settings = settings_of("[uwsgi]\nini = :production\n[staging]\na = 1\n")
    assert said(settings) == [
        "app.ini:2: ini = ':production': app.ini has no section [production];"
        " its sections: [uwsgi], [staging]"
    ]


def test_a_comment_that_may_be_none_is_said() -> None:
    """`password = abc #1` is cut like any comment, but not in silence; the value is not shown."""
    settings = settings_of("[uwsgi]\nset-ph = a=%(b) ; plain\nb = abc #1\nprocesses = 4 ;four\n")
    assert settings.opt["b"] == b"abc"
    assert said(settings) == [
        "app.ini:3: b: what stands behind ` #` is read as a comment;"
        " write `# ` to say so, or `\\#` to keep it"
    ]


# -- whatever comes ------------------------------------------------------------------------


def complaint_about(content: bytes) -> str | None:
    """Return what is said about a file of these bytes; None when it is right."""
    try:
        load_from([SOMETHING_TO_DO, "app.ini"], Machine({"app.ini": content}))
    except ConfigError as error:
        return str(error)
    return None


_WORDS = """[uwsgi] = %( ) $( @( % for endfor if-env endif ; # " a b ini set processes socket : 9 *
else + end harakiri spooler env strict chmod-socket \\"""
_PIECES = st.sampled_from(
    [*_WORDS.split(), " ", "\n", "\0", "x = %(y)\n", "y = %(x)\n"],
)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.lists(_PIECES, max_size=30).map("".join))
@example("[uwsgi]\na = %(a)")
@example("[uwsgi]\nini = app.ini")
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    """Whatever a file holds, it gives settings or a ConfigError."""
    complaint_about(("[uwsgi]\n" + text).encode())


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_config_error(content: bytes) -> None:
    """Bytes that are no text at all give settings or a ConfigError too."""
    complaint_about(b"[uwsgi]\n" + content)


def test_the_cases_survive_random_cuts() -> None:
    """Every prefix of every case gives settings or a ConfigError that names the file's line."""
    chosen = random.Random(11)
    for name in CASES:
        content = (DATA / f"{name}.ini").read_bytes()
        for _ in range(20):
            complaint = complaint_about(content[: chosen.randrange(len(content))])
            assert complaint is None or "app.ini" in complaint
