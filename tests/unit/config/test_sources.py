"""The command line and the environment: every form, and which source wins.

Runs in: the test process.
"""

from __future__ import annotations

import pytest
from tests.unit.config.machine import SOMETHING_TO_DO, Machine, said, settings_from, settings_of

from muleteer import __version__
from muleteer.config.sources import InfoRequested, load_from
from muleteer.errors import BadValue, ConfigError, UnknownOption


@pytest.mark.parametrize(
    "argv",
    [
        ["--http-socket", ":8000", "--module", "app:application", "-p", "4", "-M", "-L"],
        ["--http-socket=:8000", "--module=app:application", "--processes=4", "-ML"],
        ["--http-socket=:8000", "-wapp:application", "-p4", "-LM"],
        ["--http-socket=:8000", "-w", "app:application", "-MLp4"],
        ["--http-socket=:8000", "-w", "app:application", "-MLp", "4"],
        ["--http-socket=:8000", "--wsgi", "app:application", "--workers", "4", "-L"],
    ],
)
def test_every_form_of_the_command_line_means_the_same(argv: list[str]) -> None:
    """Separate, joined by `=`, short, bundled and glued values are one language."""
    settings = settings_from(*argv)
    assert settings.http_socket == (":8000",)
    assert settings.module == "app:application"
    assert (settings.processes, settings.disable_logging) == (4, True)


@pytest.mark.parametrize(
    "argv",
    [["app.ini"], ["--ini", "app.ini"], ["--ini=app.ini"], ["--", "app.ini"], ["app.ini:uwsgi"]],
)
def test_a_file_is_given_in_each_of_uwsgis_ways(argv: list[str]) -> None:
    """A positional file, `--ini` and a section behind a colon all read it."""
    machine = Machine({"app.ini": "[uwsgi]\nhttp-socket = :8000\nprocesses = 3\n"})
    assert load_from(argv, machine).processes == 3


def test_the_command_line_wins_wherever_it_stands() -> None:
    """Before or behind the file, the command line's value counts."""
    machine = Machine({"app.ini": "[uwsgi]\nhttp-socket = :8000\nprocesses = 3\n"})
    assert load_from(["-p2", "app.ini"], machine).processes == 2
    assert load_from(["app.ini", "-p2"], machine).processes == 2
    assert load_from(["--ini", "app.ini", "--workers=2"], machine).processes == 2
    assert load_from(["--workers=2", "--ini", "app.ini"], machine).processes == 2


def test_a_file_wins_over_the_environment() -> None:
    """`UWSGI_*` variables count least."""
    environ = {"UWSGI_PROCESSES": "5", "UWSGI_THREADS": "2"}
    settings = settings_of("[uwsgi]\nprocesses = 3\n", environ=environ)
    assert (settings.processes, settings.threads) == (3, 2)


def test_the_environment_can_name_the_file() -> None:
    """`UWSGI_INI` reads a file as `--ini` does."""
    machine = Machine({"app.ini": "[uwsgi]\nhttp-socket = :8000\n"}, {"UWSGI_INI": "app.ini"})
    assert load_from([], machine).http_socket == (":8000",)


def test_repeated_options_gather_in_order_of_weight() -> None:
    """A repeatable option has environment, file and command line, in that order."""
    environ = {"UWSGI_ENV": "A=1"}
    settings = settings_of("[uwsgi]\nenv = B=2\n", "--env=C=3", environ=environ)
    assert settings.env == ("A=1", "B=2", "C=3")


def test_an_empty_environment_variable_counts_as_not_set() -> None:
    """Compose files set variables to nothing; that is said, and not read as 0."""
    settings = settings_from(SOMETHING_TO_DO, environ={"UWSGI_PROCESSES": ""})
    assert settings.processes == 1
    assert said(settings) == ["environment: UWSGI_PROCESSES= is empty and counts as not set"]


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--usage"], ["-Mh"], ["x.ini", "--help"]])
def test_help_is_a_request_and_no_error(argv: list[str]) -> None:
    """`--help` anywhere hands back the text and exit code 0."""
    with pytest.raises(InfoRequested, match=r"usage: muleteer app\.ini") as asked:
        settings_from(*argv)
    assert asked.value.exit_code == 0


def test_version_is_a_request_and_no_error() -> None:
    """`--version` hands back the version alone."""
    with pytest.raises(InfoRequested) as asked:
        settings_from("--version")
    assert str(asked.value) == __version__


def test_the_names_of_all_options_can_be_asked_for() -> None:
    """`--dump-options` prints one name a line, as uWSGI does."""
    with pytest.raises(InfoRequested) as asked:
        settings_from("--dump-options")
    assert {"processes", "workers", "spooler"} <= set(str(asked.value).split("\n"))


@pytest.mark.parametrize(
    ("word", "way_out"),
    [
        ("--stop", "kill -INT"),
        ("--reload", "kill -HUP"),
        ("--ping", "muleteer ping"),
        ("--extract", "not there"),
    ],
)
def test_a_command_of_uwsgi_does_not_start_a_server(word: str, way_out: str) -> None:
    """What asks uWSGI for something else is refused with what to do instead."""
    with pytest.raises(ConfigError, match=way_out):
        settings_from(SOMETHING_TO_DO, word, "x")


def test_a_flag_can_be_switched_off() -> None:
    """`--vacuum=false` is the way to switch off what is on here."""
    assert settings_from(SOMETHING_TO_DO, "--vacuum").vacuum is True
    assert settings_from(SOMETHING_TO_DO, "--vacuum=false").vacuum is False


def test_an_optional_value_is_not_taken_from_the_next_word() -> None:
    """`-C` and `--chmod-socket` stand alone; a value has to be glued on, as in uWSGI."""
    assert settings_from("-C", SOMETHING_TO_DO).chmod_socket == 0o666
    assert settings_from("-C660", SOMETHING_TO_DO).chmod_socket == 0o660
    assert settings_from("--chmod-socket", SOMETHING_TO_DO).chmod_socket == 0o666
    assert settings_from("--chmod-socket=600", SOMETHING_TO_DO).chmod_socket == 0o600


def test_an_option_of_uwsgi_takes_its_value_along() -> None:
    """An option that is not there yet swallows its value, so the rest is read rightly."""
    settings = settings_from("--carbon", ":9", "--memory-report", SOMETHING_TO_DO, "-m")
    assert settings.http_socket == (":8000",)
    assert [line.split(": muleteer")[0] for line in said(settings)] == [
        "command line: --carbon",
        "command line: --memory-report",
    ]


@pytest.mark.parametrize(
    ("word", "way_out"),
    [
        ("app.py", "an application file is given with --wsgi-file app.py"),
        ("app.wsgi", "--wsgi-file app.wsgi"),
        ("site.wsgi:application", "an application is given with --module site.wsgi:application"),
        ("app:create()", r"--module app:create\(\)"),
        ("app.yaml", "only ini files are read; write it as an ini file"),
        ("app.xml:section", "only ini files are read"),
        ("/srv/app", "a configuration file ends in .ini"),
        ("-", "a configuration file ends in .ini"),
    ],
)
def test_a_word_that_is_no_file_of_ours_gets_the_way_out(word: str, way_out: str) -> None:
    """What people put where the file belongs is answered with the option they mean."""
    with pytest.raises(ConfigError, match=way_out):
        settings_from(word)


@pytest.mark.parametrize("argv", [["--processes"], ["-p"], ["--module"], ["--carbon"], ["-d"]])
def test_a_value_that_is_missing_is_asked_for(argv: list[str]) -> None:
    """An option at the end of the line that needs a value says so."""
    with pytest.raises(BadValue, match=r"needs a value; write for example"):
        settings_from(*argv)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--procesess=4", "did you mean --processes?"),
        ("--http-sockt=:1", "did you mean --http-socket?"),
        ("--qqqqqq", "see muleteer --help"),
        ("-Z", "see muleteer --help"),
    ],
)
def test_an_unknown_option_on_the_command_line_is_an_error(word: str, hint: str) -> None:
    """As in uWSGI it ends the start; here with the nearest known name."""
    with pytest.raises(UnknownOption) as caught:
        settings_from(word)
    assert str(caught.value).startswith("command line: -")
    assert str(caught.value).endswith(f"there is no such option; {hint}")
