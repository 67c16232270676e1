"""The machine that configuration sees: the real one and the tests' one answer alike.

Runs in: the test process, in a folder of its own.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.unit.config.machine import Machine

from muleteer.config.host import Disk, Host
from muleteer.config.sources import load
from muleteer.errors import ConfigError

FILES = {"a.ini": "[uwsgi]\n", "part1.txt": "1", "part2.txt": "2", "sub/b.ini": "x"}


@pytest.fixture(params=["disk", "memory"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """A machine with the same files, once on disk and once in memory."""
    if request.param == "memory":
        return Machine(FILES)
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Disk(str(tmp_path), {})


def test_relative_paths_start_where_the_server_was_started(host: Host) -> None:
    """A relative path and the absolute one it stands for are the same file."""
    assert host.read("a.ini") == host.read(f"{host.cwd}/a.ini") == b"[uwsgi]\n"
    assert host.absolute("sub/../a.ini") == host.absolute("a.ini")


def test_files_and_directories_are_told_apart(host: Host) -> None:
    """exists, is_file and is_dir answer for a file, a directory and nothing."""
    answers = [
        (host.exists(path), host.is_file(path), host.is_dir(path))
        for path in ("a.ini", "sub", "nope")
    ]
    assert answers == [(True, True, False), (True, False, True), (False, False, False)]


def test_a_pattern_finds_paths_in_order(host: Host) -> None:
    """glob gives sorted paths, relative as the pattern is."""
    assert host.glob("part*.txt") == ["part1.txt", "part2.txt"]
    assert host.glob("none*") == []


@pytest.mark.parametrize("path", ["nope", "sub", "a\0b"])
def test_what_cannot_be_read_raises_an_error_that_is_expected(host: Host, path: str) -> None:
    """A missing file, a directory and an impossible name raise OSError or ValueError."""
    with pytest.raises((OSError, ValueError)):
        host.read(path)
    assert host.is_file(path) is False


# -- only the real one --------------------------------------------------------------------------


def test_facts_are_the_machines() -> None:
    """Host name, ids and clock are the real ones."""
    disk = Disk("/", {})
    assert disk.fact("h") == socket.gethostname()
    assert (disk.fact("u"), disk.fact("g")) == (str(os.getuid()), str(os.getgid()))
    assert disk.fact("U")
    assert disk.fact("G")
    assert disk.fact("k") == str(os.cpu_count())
    assert disk.fact("T")[:7] == disk.fact("t")[:7]


def test_a_configuration_is_read_from_disk(tmp_path: Path) -> None:
    """`load` reads relative to the directory it is told, not to the process's own."""
    (tmp_path / "app.ini").write_text("[uwsgi]\nhttp-socket = :8000\nchdir = %d\ninode = %i\n")
    settings = load(["app.ini"], {}, str(tmp_path))
    assert settings.chdir == str(tmp_path)
    assert settings.opt["inode"] == str((tmp_path / "app.ini").stat().st_ino).encode()


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    """Naming a directory is one sentence, as naming nothing is."""
    (tmp_path / "app.ini").mkdir()
    with pytest.raises(ConfigError, match=r"'app\.ini' cannot be read: Is a directory"):
        load(["app.ini"], {}, str(tmp_path))
