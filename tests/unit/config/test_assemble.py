"""Values, unknown names, `uwsgi.opt`, and options that contradict each other.

Runs in: the test process.
"""

from __future__ import annotations

import pytest
from tests.unit.config.machine import SOMETHING_TO_DO, said, settings_from, settings_of

from muleteer.errors import BadValue, Contradiction, UnknownOption


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "processes = 'four'",
            "expected an integer; write for example processes = 4",
        ),
        ("processes = four", "expected an integer; write for example processes = 4"),
        ("processes = 4x", "expected an integer; write for example processes = 4"),
        ("processes =", "expected an integer; write for example processes = 4"),
        ("processes = -1", "expected a number from 0 to 4096; write for example processes = 4"),
        ("threads = 0", "expected a number from 1 to 1024; write for example threads = 4"),
        ("harakiri = -5", "expected seconds, or 0 for no limit; write for example harakiri = 30"),
        ("harakiri = soon", "expected seconds, or 0 for no limit; write for example harakiri = 30"),
        ("vacuum = perhaps", "expected true or false; write for example vacuum = true"),
        ("chmod-socket = 99", "expected three octal digits; write for example chmod-socket = 660"),
        ("pidfile =", "expected a value; write for example pidfile = /run/app.pid"),
        ("env = NOVALUE", "expected NAME=VALUE; write for example env = DJANGO_SETTINGS_MODULE="),
        ("module = app.py", "expected a module, as package.module:callable; a file goes to"),
        ("spooler-frequency = 0", "expected a number above 0; write for example spooler-frequency"),
        (
            "spooler-processes = 0",
            "expected a number above 0, or one for each directory, as in 4 1",
        ),
        ("spooler-processes = 1 x", "expected a number above 0, or one for each directory"),
        ("spooler-processes = 9999", "expected numbers from 1 to 1024"),
        ("http-keepalive = long", "expected seconds, or true or false"),
        ("listen = 0", "expected a number above 0"),
        ("limit-post = -1", "expected 0 or a number above it"),
        ("spooler = a\0b", "expected text without a NUL byte"),
    ],
)
def test_a_bad_value_names_line_value_and_way_out(line: str, complaint: str) -> None:
    """Every bad value is one line: file, line, option, value, what was expected, an example."""
    with pytest.raises(BadValue) as caught:
        settings_of(f"[uwsgi]\n\n{line}\n")
    name, _, value = line.partition(" =")
    assert str(caught.value).startswith(f"app.ini:3: {name} = {value.strip()!r}: {complaint}")


def test_a_bad_value_of_the_command_line_and_the_environment_is_named_so() -> None:
    """The error spells the option as it is written at its place."""
    with pytest.raises(BadValue, match=r"^command line: --threads 'x': .* --threads 4$"):
        settings_from("--threads=x")
    with pytest.raises(BadValue, match=r"^environment: UWSGI_THREADS='x': .* UWSGI_THREADS=4$"):
        settings_from(SOMETHING_TO_DO, environ={"UWSGI_THREADS": "x"})


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("8000", "a port is written with a colon, as in :8000"),
        (":http", "expected a port from 0 to 65535 after the colon, not 'http'"),
        ("localhost:99999", "expected a port from 0 to 65535 after the colon, not '99999'"),
        ("localhost:", "not ''"),
        ("::1:80", "expected an IPv6 host in brackets"),
        ("http://localhost:80", "expected an address without a scheme"),
        (":80,:81", "expected one address; repeat the option"),
        ("=0", "shared sockets"),
        ("", "expected an address: host:port, :port or the path of a unix socket"),
    ],
)
def test_what_is_no_address_is_refused(address: str, complaint: str) -> None:
    """Each mistake people make with addresses has its own answer."""
    with pytest.raises(BadValue) as caught:
        settings_of(f"[uwsgi]\nhttp-socket = {address}\n")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        ":3031",
        "127.0.0.1:0",
        "localhost:80",
        "[::1]:80",
        "/run/a.sock",
        "a.sock",
        "./a:b",
        "@abs",
        "/run/a:80.sock",
        "run/app:x",
    ],
)
def test_every_form_of_address_is_taken(address: str) -> None:
    """host:port, :port, paths and abstract names are taken as they are."""
    assert settings_of(f"[uwsgi]\nsocket = {address}\n").socket == (address,)


@pytest.mark.parametrize("word", ["true", "ON", "Yes", "1", ""])
def test_each_way_to_say_yes(word: str) -> None:
    """A switch is on with true, on, yes, 1, in any case, and without a value."""
    assert settings_of(f"[uwsgi]\nneed-app = {word}\n").need_app is True


@pytest.mark.parametrize("word", ["false", "OFF", "No", "0"])
def test_each_way_to_say_no(word: str) -> None:
    """A switch is off with false, off, no and 0, in any case."""
    assert settings_of(f"[uwsgi]\nvacuum = {word}\n").vacuum is False


def test_paths_are_made_absolute_against_the_start() -> None:
    """Spool directories, pidfile, logto and chdir start where the server was started."""
    text = "[uwsgi]\nchdir = site\nspooler = spool\npidfile = run/../a.pid\nlogto = /l\n"
    settings = settings_of(text + "spooler-external = ../x\n")
    assert settings.chdir == "/srv/app/site"
    assert settings.spooler == ("/srv/app/spool",)
    assert settings.spooler_external == ("/srv/x",)
    assert (settings.pidfile, settings.logto) == ("/srv/app/a.pid", "/l")


def test_zero_switches_a_deadline_off() -> None:
    """`harakiri = 0` is no deadline, as in uWSGI."""
    assert settings_of("[uwsgi]\nharakiri = 0\n").harakiri is None
    assert settings_of("[uwsgi]\nharakiri = 1.5\n").harakiri == 1.5


@pytest.mark.parametrize(
    ("word", "seconds"), [("true", 60.0), ("1", 60.0), ("false", 0.0), ("0", 0.0), ("5", 5.0)]
)
def test_keepalive_is_a_switch_or_seconds(word: str, seconds: float) -> None:
    """`http-keepalive` takes uWSGI's switch and a number of seconds."""
    assert settings_of(f"[uwsgi]\nhttp-keepalive = {word}\n").http_keepalive == seconds


# -- names -------------------------------------------------------------------------------


def test_an_unknown_name_is_kept_and_said_with_the_nearest_one() -> None:
    """A misspelt option is a placeholder, and the start says which name is near."""
    settings = settings_of("[uwsgi]\nproceses = 4\n")
    assert settings.opt["proceses"] == b"4"
    assert said(settings) == [
        "app.ini:2: proceses: there is no such option, kept as a placeholder;"
        " did you mean 'processes'?"
    ]


def test_the_value_of_an_unknown_name_is_not_shown() -> None:
    """A placeholder may be a secret, so what the start says holds its name only."""
    environ = {"UWSGI_DB_PASSWORD": "hunter2", "UWSGI_CARBON": "hunter2"}
    notices = said(settings_of("[uwsgi]\npassword = hunter2\n", environ=environ))
    assert len(notices) == 3
    assert not any("hunter2" in notice for notice in notices)


def test_a_placeholder_that_is_used_is_not_complained_about() -> None:
    """A name that some value asks for is plainly meant as a placeholder."""
    assert said(settings_of("[uwsgi]\nproject = shop\nchdir = /srv/%(project)\n")) == []
    assert len(said(settings_of("[uwsgi]\nproject = shop\n"))) == 1


def test_an_option_that_is_not_there_yet_is_said() -> None:
    """An option of uWSGI without effect here is named, with its line."""
    assert said(settings_of("[uwsgi]\ncarbon = :9\n")) == [
        "app.ini:2: carbon: muleteer does not have uWSGI's option 'carbon' yet; it has no effect"
    ]


def test_a_switch_that_is_not_there_and_off_is_no_news() -> None:
    """`memory-report = false` is what happens anyway."""
    assert said(settings_of("[uwsgi]\nmemory-report = false\n")) == []


def test_what_is_accepted_says_why_it_has_no_effect() -> None:
    """An accepted option that changes nothing gives its reason; what always holds is quiet."""
    quiet = "[uwsgi]\nmaster = true\ndie-on-term = true\nenable-threads\nthunder-lock = true\n"
    assert said(settings_of(quiet)) == []
    assert said(settings_of("[uwsgi]\nmaster = false\n")) == [
        "app.ini:2: master = 'false': accepted, without effect:"
        " muleteer always has a master process"
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("proceses = 4", "there is no such option; did you mean processes?"),
        ("qqqqqq = 4", "there is no such option; to keep it as a placeholder, write set-plac"),
        ("carbon = :9", "muleteer does not have uWSGI's option 'carbon' yet; remove it, or remove"),
    ],
)
@pytest.mark.parametrize("place", ["strict = true\n{}\n", "{}\nstrict = true\n"])
def test_strict_makes_them_errors(line: str, complaint: str, place: str) -> None:
    """With `strict` a name without effect ends the start, wherever `strict` stands."""
    with pytest.raises(UnknownOption) as caught:
        settings_of("[uwsgi]\n" + place.format(line))
    assert complaint in str(caught.value)


def test_strict_takes_declared_placeholders() -> None:
    """`set-placeholder` is the way to have one's own names under `strict`."""
    text = "[uwsgi]\nstrict = true\nset-placeholder = project=shop\nchdir = /srv/%(project)\n"
    assert settings_of(text).chdir == "/srv/shop"


# -- uwsgi.opt ------------------------------------------------------------------------------


def test_opt_holds_bytes_flags_and_lists() -> None:
    """Keys are str; values bytes, True for a bare flag of the command line, lists if repeated."""
    opt = settings_of("[uwsgi]\nmaster = true\nenv = A=1\nenv = B=2\nmine = x\n", "-L").opt
    assert opt["master"] == b"true"
    assert opt["disable-logging"] is True
    assert opt["env"] == [b"A=1", b"B=2"]
    assert opt["mine"] == b"x"


def test_opt_shows_the_value_that_counts_under_each_name() -> None:
    """Of a single-valued option every name that was written shows what won."""
    opt = settings_of("[uwsgi]\nprocesses = 4\nprocesses = 6\n", "--workers=2").opt
    assert (opt["processes"], opt["workers"]) == (b"2", b"2")


# -- contradictions ---------------------------------------------------------------------------


def test_nothing_to_do_is_an_error_with_an_example() -> None:
    """Without a socket and a spooler there is nothing to start."""
    with pytest.raises(Contradiction, match=r"there is nothing to do: .* --http-socket :8000"):
        settings_from("--module", "app")
    assert settings_from("--spooler", "/srv/spool").processes == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "socket = :1\njson-logs = true\nlog-format = X\n",
            "app.ini:4: log-format = 'X': with app.ini:3: json-logs = 'true' the lines of requests"
            " are JSON objects; remove one of them",
        ),
        (
            "http-socket = :1\nstats = :1\n",
            "app.ini:3: stats = ':1': the address is already taken by"
            " app.ini:2: http-socket = ':1'; remove one",
        ),
        (
            "socket = :3031\nhttp-socket = :3031\n",
            "app.ini:2: socket = ':3031': the address is already taken by"
            " app.ini:3: http-socket = ':3031'; remove one",
        ),
        (
            "processes = 0\n",
            "app.ini:2: processes = '0': no worker would answer on :8000;"
            " write processes = 1, or remove the sockets",
        ),
        (
            "module = app\nwsgi-file = app.py\n",
            "app.ini:3: wsgi-file = 'app.py': the app is already named by"
            " app.ini:2: module = 'app'; remove one of them",
        ),
        (
            "spooler = a\nspooler = ./a\n",
            "app.ini:3: spooler = './a': the directory already has spoolers by"
            " app.ini:2: spooler = 'a'; for more of them set spooler-processes",
        ),
        (
            "spooler = a\nspooler = b\nspooler-processes = 1 2 3\n",
            "app.ini:4: spooler-processes = '1 2 3': 3 numbers for 2 spooler directories;"
            " write one for all, or one for each",
        ),
    ],
)
def test_what_contradicts_itself_names_both_lines(text: str, complaint: str) -> None:
    """A contradiction names both options with their places and says what to remove."""
    with pytest.raises(Contradiction) as caught:
        settings_of("[uwsgi]\n" + text)
    assert str(caught.value) == complaint


def test_two_free_ports_do_not_contradict() -> None:
    """Port 0 is another port each time."""
    assert settings_of("[uwsgi]\nsocket = 127.0.0.1:0\nsocket = 127.0.0.1:0\n").socket


@pytest.mark.parametrize(
    ("numbers", "seats"),
    [("", "ab"), ("2", "aabb"), ("3 1", "aaab"), ("1,2", "abb"), (" 2 , 1 ", "aab")],
)
def test_spooler_processes_are_for_all_directories_or_for_each(numbers: str, seats: str) -> None:
    """One number, or as many as there are directories, in their order."""
    line = f"spooler-processes = {numbers}\n" if numbers else ""
    settings = settings_of(f"[uwsgi]\n{line}spooler = /a\nspooler = /b\n")
    assert settings.spooler_seats == tuple(f"/{letter}" for letter in seats)


def test_last_spooler_processes_counts() -> None:
    """As in uWSGI, where it is one number."""
    text = "[uwsgi]\nspooler = /a\nspooler-processes = 2\nspooler-processes = 3\n"
    assert settings_of(text).spooler_seats == ("/a",) * 3


def test_an_error_elsewhere_can_ask_where_an_option_was_written() -> None:
    """`where` gives place and words, for each value of a repeated option too."""
    settings = settings_of("[uwsgi]\nspooler = /a\nspooler = /b\n")
    assert settings.where("spooler", 0) == "app.ini:2: spooler = '/a'"
    assert settings.where("spooler") == "app.ini:3: spooler = '/b'"
    assert settings.where("locks") == "locks = 0"


def test_process_names_follow_the_procname_options() -> None:
    """Prefix, append and a name of one's own are put together as in uWSGI."""
    assert settings_from(SOMETHING_TO_DO).titled("muleteer worker 1") == "muleteer worker 1"
    prefixed = settings_from(SOMETHING_TO_DO, "--procname-prefix-spaced=shop")
    assert prefixed.titled("muleteer worker 1") == "shop muleteer worker 1"
    own = settings_from(SOMETHING_TO_DO, "--procname=x", "--procname-append=-y")
    assert own.titled("muleteer worker 1") == "x-y"
    master = settings_from(SOMETHING_TO_DO, "--procname-master=boss")
    assert master.titled("muleteer master", master=True) == "boss"
