"""What a wrong configuration gets: one line that names place and way out, and no server.

Runs in: the test process; starts the real command, which ends by itself.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

APP = "def application(environ, start_response):\n    return []\n"
SERVE = "http-socket = 127.0.0.1:0\n"


def refusal(folder: Path, *argv: str, ini: str | None = None) -> tuple[int, str]:
    """Return exit code and output of a start that is expected to fail."""
    (folder / "shop.py").write_text(APP)
    if ini is not None:
        (folder / "app.ini").write_text(f"[uwsgi]\n{ini}")
        argv = ("app.ini", *argv)
    ended = subprocess.run(
        [sys.executable, "-m", "muleteer", *argv],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("ini", "code", "line"),
    [
        ("processes = four\n", 1, "app.ini:2: processes = 'four': expected an integer"),
        ("strict = true\nproceses = 4\n", 1, "app.ini:3: proceses: there is no such option"),
        ("ini = nope.ini\n", 1, "app.ini:2: ini = 'nope.ini': 'nope.ini' cannot be read"),
        ("module = shop\n", 1, "there is nothing to do: "),
        (SERVE + "module = nope\n", 22, "app.ini:3: module = 'nope': there is no module 'nope'"),
        (SERVE + "module = shop2:x\n", 22, "app.ini:3: module = 'shop2:x': there is no module"),
        (SERVE + "wsgi-file = nope.py\n", 22, "app.ini:3: wsgi-file = 'nope.py': there is no such"),
        (SERVE + "import = nope\n", 22, "app.ini:3: import = 'nope': there is no module 'nope'"),
        (SERVE, 22, "no application is named; set `module` or `wsgi-file`"),
        (SERVE + "chdir = nope\n", 1, "app.ini:3: chdir = 'nope': No such file or directory"),
        (SERVE + "wsgi-file = shop.py\nchdir2 = no\n", 22, "app.ini:4: chdir2 = 'no': No such"),
        (SERVE + "spooler = no/pe\n", 1, "app.ini:3: spooler = 'no/pe': the directory is not"),
        (SERVE + "pidfile = no/pe\n", 1, "app.ini:3: pidfile = 'no/pe': No such file"),
        (SERVE + "logto = no/pe\n", 1, "app.ini:3: logto = 'no/pe': No such file"),
        (SERVE + "virtualenv = nope\n", 22, "app.ini:3: virtualenv = 'nope': no nope/lib/python"),
        (SERVE + "uid = nosuch\n", 1, "app.ini:3: uid = 'nosuch': there is no user 'nosuch'"),
        (SERVE + "gid = nosuch\n", 1, "app.ini:3: gid = 'nosuch': there is no group 'nosuch'"),
        (SERVE + "processes = 2\ncheaper = 2\n", 1, "app.ini:4: cheaper = '2': there is no room"),
        ("socket = :0\nallow-packets = :1 rpc\n", 1, "app.ini:3: allow-packets = ':1 rpc': there"),
        ("socket = :0\nallow-packets = :0\n", 1, "app.ini:3: allow-packets = ':0': expected an"),
        ("socket = no/pe.sock\n", 1, "app.ini:2: socket = 'no/pe.sock': cannot listen on"),
    ],
)
def test_a_wrong_ini_is_refused_with_its_line(
    tmp_path: Path, ini: str, code: int, line: str
) -> None:
    """File, line, option and reason stand in one line; the exit code is not 0; no traceback."""
    returned, said = refusal(tmp_path, ini=ini)
    assert (returned, said.count(line)) == (code, 1), said
    assert "Traceback" not in said


def test_a_port_in_use_is_named_with_its_option(tmp_path: Path) -> None:
    """The address that is taken is named, and the option that asked for it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = refusal(tmp_path, ini=f"http-socket = 127.0.0.1:{port}\n")
    assert code == 1
    assert f"app.ini:2: http-socket = '127.0.0.1:{port}': cannot listen" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("nope.ini", "muleteer: command line: 'nope.ini': 'nope.ini' cannot be read"),
        ("--procesess=4", "muleteer: command line: --procesess: there is no such option; did you"),
        ("shop.py", "an application file is given with --wsgi-file shop.py"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(tmp_path: Path, word: str, line: str) -> None:
    """The command line's mistakes are answered without starting anything."""
    code, said = refusal(tmp_path, word)
    assert code == 1
    assert line in said
    assert len(said.splitlines()) == 1


def test_help_and_version_are_answered(tmp_path: Path) -> None:
    """`--help` and `--version` print and end with 0."""
    code, said = refusal(tmp_path, "--help")
    assert (code, said.startswith("usage: muleteer")) == (0, True)
    code, said = refusal(tmp_path, "--version")
    assert (code, len(said.split())) == (0, 1)


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_a_reader_that_leaves_is_no_error(words: list[str]) -> None:
    """`muleteer --help | head -1` ends without a traceback, as other commands do."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "muleteer", *words],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (128 + 13, "")


def test_the_configuration_is_shown_on_request(tmp_path: Path) -> None:
    """`show-config` prints what was understood, placeholders filled in."""
    ini = "name = x\nchdir = /no/%(name)\nshow-config = true\n" + SERVE
    _, said = refusal(tmp_path, ini=ini)
    assert "[uwsgi]\nname = x\nchdir = /no/x\nshow-config = true\n" in said
