"""Where options come from: environment, ini files and the command line, in rising order of weight.

All become pairs that know their place; what they mean is decided in assemble.py.

Runs in: the process that becomes the master, and again at a reload.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from muleteer import __version__
from muleteer.config.assemble import assemble, unknown_option
from muleteer.config.collect import ACTING, Collector
from muleteer.config.host import Disk, Host
from muleteer.config.ini import DEFAULT_SECTION
from muleteer.config.option import ARGUMENTS, ENVIRONMENT, Origin, Pair
from muleteer.config.options import BY_NAME, Settings
from muleteer.config.placeholders import substitute
from muleteer.config.reference import help_text
from muleteer.config.uwsgi_names import FLAGS, NAMES, OPTIONAL, SHORTS
from muleteer.errors import BadValue, ConfigError, ExitCode

__all__ = ["InfoRequested", "load", "load_from"]

_PREFIX = "UWSGI_"
_FORMATS = re.compile(r"\.(xml|yaml|yml|json|js)(:[^/]*)?$")
_APPLICATION = re.compile(r"[A-Za-z_][\w.]*(:[\w.]+(\(\))?)?")


class InfoRequested(ConfigError):
    """The command line asked for text and not for a server; print it and end with 0."""

    exit_code = ExitCode.OK


def load(
    argv: Sequence[str], environ: Mapping[str, str], cwd: str, *, reloading: bool = False
) -> Settings:
    """Return the settings that command line, files and environment describe.

    Raises ConfigError with place and way out, and InfoRequested for `--help` and `--version`.
    Relative paths start at `cwd`, which may no longer be the process's own directory.
    """
    return load_from(argv, Disk(cwd, environ), reloading=reloading)


def load_from(argv: Sequence[str], host: Host, *, reloading: bool = False) -> Settings:
    """Do the same with a machine that is handed in."""
    collector = Collector(host, reloading=reloading)
    for name in sorted(host.environ):
        if name.startswith(_PREFIX) and len(name) > len(_PREFIX):
            option = name.removeprefix(_PREFIX).lower().replace("_", "-")
            collector.add(Pair(Origin(ENVIRONMENT), option, host.environ[name]))
    files = []
    for pair in arguments(argv):
        if pair.name:
            collector.add(pair)
        else:
            files.append(pair)
    for pair in files:
        _read_positional(pair, collector)
    collector.finish()
    pairs, used = substitute(collector.pairs, host)
    return assemble(pairs, used, collector.notices, host.cwd)


def _read_positional(pair: Pair, collector: Collector) -> None:
    word = pair.text or ""
    path, _, section = word.partition(".ini")
    if word.endswith(".ini") or section.startswith(":"):
        collector.read_file(f"{path}.ini", section[1:] or DEFAULT_SECTION, pair)
        return
    if _FORMATS.search(word):
        raise ConfigError(f"command line: {word}: only ini files are read; write it as an ini file")
    if word.endswith((".py", ".wsgi")):
        way_out = f"an application file is given with --wsgi-file {word}"
    elif _APPLICATION.fullmatch(word):
        way_out = f"an application is given with --module {word}, a configuration ends in .ini"
    else:
        way_out = "a configuration file ends in .ini; all else needs the name of its option"
    raise ConfigError(f"command line: {word!r} is not a configuration file; {way_out}")


# -- the command line --------------------------------------------------------------------


def arguments(argv: Sequence[str]) -> list[Pair]:
    """Return the pairs of a command line; a positional word has an empty name."""
    words = list(reversed(argv))
    pairs: list[Pair] = []
    while words:
        word = words.pop()
        if word == "--":
            pairs += [_pair("", rest) for rest in reversed(words)]
            break
        if word.startswith("--"):
            pairs.append(_long(word[2:], words))
        elif word.startswith("-") and word != "-":
            pairs += _short(word, words)
        else:
            pairs.append(_pair("", word))
    return pairs


def _pair(name: str, text: str | None) -> Pair:
    return Pair(Origin(ARGUMENTS), name, text)


def _long(word: str, words: list[str]) -> Pair:
    name, equals, value = word.partition("=")
    _answer_requests(name)
    if name not in BY_NAME and name not in NAMES and name not in ACTING:
        raise unknown_option(_pair(name, value if equals else None))
    if equals:
        return _pair(name, value)
    return _pair(name, _next(name, f"--{name}", words) if _needs_value(name) else None)


def _short(word: str, words: list[str]) -> list[Pair]:
    """Read one-letter options, bundled or with their value glued on, as getopt does."""
    pairs: list[Pair] = []
    for index, letter in enumerate(word[1:], start=1):
        name = SHORTS.get(letter)
        if name is None:
            raise unknown_option(_pair(letter, None))
        _answer_requests(name)
        glued = word[index + 1 :]
        if _stands_alone(name):
            pairs.append(_pair(name, None))
        elif _needs_value(name):
            return [*pairs, _pair(name, glued or _next(name, f"-{letter}", words))]
        else:
            return [*pairs, _pair(name, glued or None)]
    return pairs


def _stands_alone(name: str) -> bool:
    row = BY_NAME.get(name)
    return row.flag if row is not None else name in FLAGS


def _needs_value(name: str) -> bool:
    row = BY_NAME.get(name)
    if row is not None:
        return not row.flag and row.bare is None
    return name not in FLAGS and name not in OPTIONAL


def _next(name: str, shown: str, words: list[str]) -> str:
    if not words:
        row = BY_NAME.get(name)
        example = row.example if row is not None else "VALUE"
        raise BadValue(f"command line: {shown} needs a value; write for example {shown} {example}")
    return words.pop()


_COMMANDS = {
    "stop": "send SIGINT: kill -INT $(cat PIDFILE)",
    "reload": "send SIGHUP: kill -HUP $(cat PIDFILE)",
    "ping": "it is a command: muleteer ping ADDRESS",
    "signal": "it is a command: muleteer signal ADDRESS NUMBER",
    **dict.fromkeys(
        ("pause", "suspend", "resume", "connect-and-read", "extract", "get"),
        "it is not there yet",
    ),
}
"""What asks uWSGI for something else than a server, and what to do instead."""


def _answer_requests(name: str) -> None:
    if name in _COMMANDS:
        raise ConfigError(f"command line: --{name} is no option of a server; {_COMMANDS[name]}")
    if name in ("help", "usage"):
        raise InfoRequested(help_text())
    if name == "version":
        raise InfoRequested(__version__)
    if name == "dump-options":
        raise InfoRequested("\n".join(BY_NAME))
