"""Starts that fail, each for a person's mistake: one clear line, an exit code, nothing left.

What a wrong ini or command line is answered with is in test_refusals.py; here it is the
application's code, what is on the machine already, and the moment of the start.
"""

from __future__ import annotations

import os
import signal as unix_signals
from pathlib import Path

import pytest
from tests.harness import Server, apps
from tests.process.playground import StartServer

INI = "http-socket = 127.0.0.1:0\nspooler = spool\n"
FACTORY = "def make():\n    raise RuntimeError('no database')\ndef other():\n    return 5\n"


def fail(folder: Path, ini: str = "", *, files: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and words of a start that ends by itself; proven to leave nothing."""
    server = Server(folder, ini=INI + ini, files={"spool/": "", **(files or {})})
    try:
        code = server.run()
        said = str(server.log)
    finally:
        server.close()
    assert not [line for line in said.splitlines() if "/muleteer/" in line and "File " in line]
    return code, said


def one_line(said: str, words: str) -> bool:
    """Do the words stand in exactly one line that says why the server cannot start?"""
    lines = [line for line in said.splitlines() if words in line]
    return len(lines) == 1 and "cannot start" in lines[0]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("shopp", "server.ini:4: module = 'shopp': there is no module 'shopp'"),
        ("shopp", "did you mean shop?"),
        ("shop:aplication", "server.ini:4: module = 'shop:aplication': shop has no aplication"),
        ("shop:aplication", "did you mean application?"),
        ("shop:number", "number is of type int and cannot be called"),
        ("factory:other()", "other() is of type int and cannot be called"),
        ("package:application", "write package.wsgi:application"),
        ("django.core.handlers:WSGIHandler()", "server.ini:4: module = 'django.core.handlers:"),
        ("django.core.handlers:WSGIHandler()", "add `env = DJANGO_SETTINGS_MODULE="),
    ],
)
def test_wrong_module_is_named_with_the_right_one(tmp_path: Path, module: str, words: str) -> None:
    """File, line, option, what is wrong and what may be meant; exit code 22; no traceback."""
    files = {
        "shop.py": apps.HELLO + "number = 5\n",
        "factory.py": FACTORY,
        "package/__init__.py": "",
        "package/wsgi.py": apps.HELLO,
    }
    code, said = fail(tmp_path, f"module = {module}\n", files=files)
    assert code == 22
    assert one_line(said, words), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raises", "ZeroDivisionError: division by zero"),
        ("syntax", "SyntaxError"),
        ("missing", "No module named 'nothing_of_that_name'"),
        ("factory:make()", "RuntimeError: no database"),
    ],
)
def test_code_that_raises_is_shown_by_its_own_traceback(
    tmp_path: Path, module: str, words: str
) -> None:
    """The app's traceback begins in the app's file; the reason is repeated; exit code 22."""
    files = {
        "raises.py": "def deep():\n    1 / 0\ndeep()\n",
        "syntax.py": "def broken(:\n    pass\n",
        "missing.py": "import nothing_of_that_name\n",
        "factory.py": FACTORY,
    }
    code, said = fail(tmp_path, f"module = {module}\n", files=files)
    assert code == 22
    assert ("Traceback (most recent call last)" in said) == (module != "syntax")
    assert f"{module.partition(':')[0]}.py" in said
    assert words in said.partition("cannot start")[2].splitlines()[0]


def test_old_path_of_djangos_handler_is_answered_with_the_new(tmp_path: Path) -> None:
    """The old documentation's `django.core.handlers:WSGIHandler()` gets the one that works."""
    ini = "module = django.core.handlers:WSGIHandler()\nenv = DJANGO_SETTINGS_MODULE=conf\n"
    code, said = fail(tmp_path, ini, files={"conf.py": "SECRET_KEY = 'x'\n"})
    assert code == 22
    assert one_line(said, "write django.core.handlers.wsgi:WSGIHandler()"), said
    assert "server.ini:4" in said


@pytest.mark.parametrize("argument", ["0", "3", "'bye'", ""])
def test_exit_while_importing_is_told(tmp_path: Path, argument: str) -> None:
    """`sys.exit()` in the app's module ends no server silently with success."""
    code, said = fail(
        tmp_path, "module = app\n", files={"app.py": f"import sys\nsys.exit({argument})\n"}
    )
    assert code == 22
    assert "sys.exit(" in said
    assert "Traceback" not in said


def test_crash_while_importing_is_told(tmp_path: Path) -> None:
    """A segmentation fault in the app's import is named as one, and it is not tried for ever."""
    code, said = fail(
        tmp_path, "module = app\n", files={"app.py": "import os\nos.kill(os.getpid(), 11)\n"}
    )
    assert code == 22
    assert "SIGSEGV" in said


@pytest.mark.parametrize("number", [unix_signals.SIGINT, unix_signals.SIGTERM])
def test_stop_in_the_middle_of_the_import_is_obeyed(tmp_path: Path, number: int) -> None:
    """Ctrl-C while the app still loads ends everything at once, without a traceback."""
    code = "print('import begins', flush=True)\nimport time\ntime.sleep(60)\n"
    server = Server(tmp_path, ini=INI + "module = app\n", files={"app.py": code, "spool/": ""})
    server.launch()
    try:
        server.wait_for("import begins")
        server.send(number)
        server.wait(within=10)
        assert "Traceback" not in server.log
    finally:
        server.close()


@pytest.mark.parametrize(
    ("ini", "words"),
    [
        ("spooler = file\nmodule = app\n", "server.ini:4: spooler = 'file'"),
        ("spooler = file/below\nmodule = app\n", "server.ini:4: spooler = 'file/below'"),
        ("pidfile = spool\nmodule = app\n", "server.ini:4: pidfile = 'spool'"),
        ("logto = spool\nmodule = app\n", "server.ini:4: logto = 'spool'"),
        ("chdir = file\nmodule = app\n", "server.ini:4: chdir = 'file'"),
        ("ini = spool\nmodule = app\n", "server.ini:4: ini = 'spool'"),
        ("listen = many\nmodule = app\n", "server.ini:4: listen = 'many'"),
        ("processes = 0\nmodule = app\n", "server.ini:4: processes = '0'"),
        ("harakiri = -1\nmodule = app\n", "server.ini:4: harakiri = '-1'"),
        ("http-socket = 127.0.0.1:99999\nmodule = app\n", "http-socket = '127.0.0.1:99999'"),
        ("http-socket = nowhere.invalid:80\nmodule = app\n", "'nowhere.invalid:80'"),
    ],
)
def test_what_is_in_the_way_is_named(tmp_path: Path, ini: str, words: str) -> None:
    """A file where a directory is needed, a directory where a file is, values out of range."""
    code, said = fail(tmp_path, ini, files={"app.py": apps.HELLO, "file": "in the way"})
    assert code == 1
    assert len([line for line in said.splitlines() if words in line]) == 1, said
    assert "Traceback" not in said


def test_second_start_on_a_served_port_fails_and_disturbs_nobody(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The address is named; the first server goes on serving. TCP and unix alike."""
    unix = tmp_path / "first.sock"
    ini = f"http-socket = 127.0.0.1:0\nsocket = {unix}\nmodule = app\n"
    first = start_server(ini=ini, files={"app.py": apps.HELLO})
    host, port = first.http
    for option in (f"http-socket = {host}:{port}", f"socket = {unix}"):
        folder = tmp_path / option.split()[0]
        folder.mkdir()
        code, said = fail(folder, f"{option}\nmodule = app\n", files={"app.py": apps.HELLO})
        assert code == 1
        name, _, value = option.partition(" = ")
        assert f"server.ini:4: {name} = {value!r}: cannot listen" in said, said
        assert "Traceback" not in said
        assert first.get("/").text == "hello"
        assert first.ask("/").text == "hello"
    assert os.path.exists(unix)


def test_failed_start_takes_its_files_back(tmp_path: Path) -> None:
    """Neither the socket nor the pid file of a server that never served stays."""
    ini = "socket = app.sock\npidfile = app.pid\nmodule = nothing\n"
    code, _said = fail(tmp_path, ini)
    assert code == 22
    assert not (tmp_path / "app.sock").exists()
    assert not (tmp_path / "app.pid").exists()
