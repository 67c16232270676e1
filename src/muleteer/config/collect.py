"""The collector: takes options one by one, follows includes and conditions, keeps the pairs.

Not substitution, which comes when all is collected (placeholders.py); not what values mean.

Rules, all uWSGI's unless said otherwise:
1. `ini = file:section` reads in place; `ini = :other` reads another section of the last file.
2. `for` and `if-` reach to the next `endfor`/`endif`, line by line, and are not nested.
3. What acts while reading sees magic variables; here also `$(ENV)` and the placeholders so far.

Runs in: the process that becomes the master, and again at a reload.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from muleteer import __version__
from muleteer.config import ini
from muleteer.config.host import Host
from muleteer.config.option import FILE, Notice, Origin, Pair
from muleteer.config.options import BY_NAME
from muleteer.config.placeholders import Placeholders, fill_environment
from muleteer.errors import BadValue, ConfigError

__all__ = ["ACTING", "SHELL_NAMES", "Collector", "is_shell"]

_INCLUDES = frozenset({"ini", "include", "config", "inherit"})
_OTHER_FORMATS = frozenset({"xml", "xmlconfig", "yaml", "yml", "json", "js"})
_ENDS = frozenset({"endif", "end-if", "end", "endfor", "end-for"})
_SETS = frozenset({"set-placeholder", "set-ph", "set"})
_LOOPS = frozenset({"for", "for-times", "for-glob", "for-readline"})
_CONDITIONS = frozenset(
    f"if{negation}-{kind}"
    for kind in ("env", "opt", "exists", "file", "dir", "hostname", "reload", "plugin")
    for negation in ("", "-not")
) | {"ifenv", "ifexists", "ifdir", "if-directory", "ifplugin"}
_BUILT_IN = frozenset(
    {"python", "python3", "http", "spooler", "cron", "signal", "rpc", "corerouter"}
)

ACTING = _INCLUDES | _ENDS | _SETS | _LOOPS | _CONDITIONS | {"else"}
"""Options that act while they are read and are not in the table."""

SHELL_NAMES = re.compile(
    r"(unique-)?(legion-)?cron2?|(legion-)?(smart-)?attach-(control-)?daemon2?|exec-.*|hook-.*"
    r"|touch-exec|worker-exec2?|alarm|log(-)?format|.*-hook|mule-?exec"
)
"""Options whose value is a command line or a format: `;` and `#` in it are not ours."""


@dataclass(frozen=True, slots=True)
class _Logic:
    """An open `for` or `if-`: what `%(_)` stands for, once for each turn."""

    opened_by: Pair
    turns: tuple[str, ...]
    has_else: bool = False


class Collector:
    """Collects pairs in the order in which they take effect."""

    def __init__(self, host: Host, *, reloading: bool) -> None:
        self.pairs: list[Pair] = []
        self.notices: list[Notice] = []
        self._host = host
        self._reloading = reloading
        self._open: list[tuple[str, str]] = []
        self._first: ini.File | None = None
        self._last_file: str | None = None
        self._logic: _Logic | None = None

    def add(self, pair: Pair) -> None:
        """Take one option: act on it at once, or keep it."""
        if self._logic is None and pair.name in ("end", "else") and pair.text:
            self._take(pair)  # a placeholder that happens to have that name, as in uWSGI
        elif pair.name in _ENDS:
            self._end(pair)
        elif pair.name == "else":
            self._else(pair)
        elif pair.name in _LOOPS or pair.name in _CONDITIONS:
            self._begin(pair)
        else:
            for turn in self._turns(pair):
                self._take(turn)

    def finish(self) -> None:
        """Complain about a `for` or `if-` that is still open."""
        self._refuse_open_logic(None)

    # -- options that act --------------------------------------------------------------------

    def _take(self, pair: Pair) -> None:
        self.pairs.append(pair)
        if pair.name in _OTHER_FORMATS:
            raise BadValue(f"{pair}: only ini files are read; write it as an ini file")
        if pair.name in _INCLUDES:
            self._include(pair)
        elif pair.name in _SETS:
            self._set(pair)

    def _set(self, pair: Pair) -> None:
        name, equals, value = (pair.text or "").partition("=")
        if not name:
            raise BadValue(f"{pair}: expected name=value; write for example {pair.spelled('a=1')}")
        text = value if equals else ""
        declared = pair.name != "set"
        self._take(dataclasses.replace(pair, name=name, text=text, placeholder=declared))

    def _include(self, pair: Pair) -> None:
        path, section = self._split(pair, self._filled(pair))
        self.read_file(path, section, pair)

    def _split(self, pair: Pair, text: str) -> tuple[str, str]:
        path, colon, section = text.rpartition(":")
        if not colon or "/" in section or self._host.is_file(text):
            path, section = text, ""
        if colon and not path:
            if self._last_file is None:
                raise BadValue(f"{pair}: no file was read before, so it needs one: FILE:{section}")
            path = self._last_file
        return path, section or ini.DEFAULT_SECTION

    def _filled(self, pair: Pair) -> str:
        """Return the text of an option that acts at once, with what is known so far."""
        text = fill_environment(pair.text or "", self._host)
        if "%(" in text:
            text = Placeholders(self.pairs).fill(text, lambda words: BadValue(f"{pair}: {words}"))
        return text

    # -- files -------------------------------------------------------------------------------

    def read_file(self, path: str, section: str, asked_by: Pair) -> None:
        """Read one section of a file in place."""
        text = self._text_of(path, asked_by)
        absolute = self._host.absolute(path)
        file = ini.File(path, absolute, section, lambda: self._host.inode(path))
        self._first = self._first or file
        self._last_file = path
        self._enter(absolute, section, asked_by)
        known = ini.sections_of(text)
        if section not in known:
            self._missing_section(asked_by, path, section, known)
        logic_outside, self._logic = self._logic, None
        for line in ini.lines_of(text, section, self._filler(file), is_shell):
            pair = Pair(Origin(FILE, path, line.number), line.key, line.text)
            self._say_doubtful_comment(pair, line.comment)
            self.add(pair)
        self._refuse_open_logic(path)
        self._logic = logic_outside
        self._open.pop()

    def _text_of(self, path: str, asked_by: Pair) -> str:
        try:
            return self._host.read(path).decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"{asked_by}: {path!r} cannot be read: {reason};"
                f" paths start at {self._host.cwd}, correct it or create the file"
            ) from None

    def _enter(self, path: str, section: str, asked_by: Pair) -> None:
        if (path, section) in self._open:
            chain = " -> ".join(f"{name}:{part}" for name, part in [*self._open, (path, section)])
            raise ConfigError(f"{asked_by}: the files include each other ({chain}); remove one")
        if len(self._open) > 50:
            raise ConfigError(f"{asked_by}: files include each other more than 50 deep")
        self._open.append((path, section))

    def _missing_section(
        self, asked_by: Pair, path: str, section: str, known: Iterable[str]
    ) -> None:
        there = ", ".join(f"[{name}]" for name in known) or "none"
        self.notices.append(
            Notice(f"{asked_by}: {path} has no section [{section}]; its sections: {there}")
        )

    def _say_doubtful_comment(self, pair: Pair, comment: str) -> None:
        """Say that `#1` in `password = abc #1` was read as a comment: it may not be meant as one.

        A blank behind the mark makes it plain, and so does an option whose value is no text.
        """
        row = BY_NAME.get(pair.name)
        plain = row is not None and not isinstance(row.default, str | tuple | None)
        if pair.text and comment[1:2].strip() and not plain:
            self.notices.append(
                Notice(
                    f"{pair.named()}: what stands behind ` {comment[0]}` is read as a comment;"
                    f" write `{comment[0]} ` to say so, or `\\{comment[0]}` to keep it"
                )
            )

    def _filler(self, file: ini.File) -> Callable[[str, int], str]:
        first = self._first or file

        def fill(text: str, number: int) -> str:
            def unknown(letter: str) -> None:
                self.notices.append(
                    Notice(
                        f"{file.given}:{number}: %{letter} is no magic variable and stays as it is;"
                        f" write %%{letter} to say so"
                    )
                )

            return ini.magic(text, file, first, self._fact, unknown)

        return fill

    def _fact(self, letter: str) -> str:
        if letter == "v":
            return self._host.cwd
        return __version__ if letter == "V" else self._host.fact(letter)

    # -- conditions and loops ----------------------------------------------------------------

    def _turns(self, pair: Pair) -> Iterator[Pair]:
        """Yield the option once, or as often as an open `for` or `if-` says."""
        if self._logic is None:
            yield pair
            return
        for value in self._logic.turns:
            text = None if pair.text is None else pair.text.replace("%(_)", value)
            yield dataclasses.replace(pair, text=text)

    def _begin(self, pair: Pair) -> None:
        if self._logic is not None:
            raise ConfigError(
                f"{pair}: it stands inside {self._logic.opened_by}; they cannot be nested,"
                " write the inner one into a file or section of its own and include that"
            )
        self.pairs.append(pair)
        text = self._filled(pair)
        if pair.name in _LOOPS:
            self._logic = _Logic(pair, tuple(self._items(pair, text)))
        else:
            self._logic = _Logic(pair, self._met(pair, text))

    def _end(self, pair: Pair) -> None:
        if self._logic is None:
            raise ConfigError(f"{pair}: there is no open `for` or `if-` above it; remove the line")
        self.pairs.append(pair)
        self._logic = None

    def _else(self, pair: Pair) -> None:
        logic = self._logic
        if logic is None or logic.opened_by.name in _LOOPS or logic.has_else:
            raise ConfigError(f"{pair}: there is no open `if-` above it; remove the line")
        self.pairs.append(pair)
        turns = () if logic.turns else ("",)
        self._logic = dataclasses.replace(logic, turns=turns, has_else=True)

    def _refuse_open_logic(self, path: str | None) -> None:
        if self._logic is not None:
            opened_by = self._logic.opened_by
            end = "endfor" if opened_by.name in _LOOPS else "endif"
            where = f"before the end of {path}" if path else "behind it"
            raise ConfigError(f"{opened_by}: there is no {end} {where}; add `{end} =`")

    def _items(self, pair: Pair, text: str) -> Iterable[str]:
        match pair.name:
            case "for-times":
                if not re.fullmatch("[0-9]{1,5}", text):
                    raise BadValue(f"{pair}: expected a number of turns; write {pair.spelled('4')}")
                return (str(turn) for turn in range(1, int(text) + 1))
            case "for-glob":
                return self._host.glob(text)
            case "for-readline":
                return (line.strip() for line in self._text_of(text, pair).splitlines())
        return text.split()

    def _met(self, pair: Pair, text: str) -> tuple[str, ...]:
        """Return one turn with `%(_)`'s value if the condition holds, else none."""
        kind = pair.name.replace("if-not-", "if-").removeprefix("if-").removeprefix("if")
        value = self._tested(kind, text)
        if pair.name.startswith("if-not-"):
            value = None if value is not None else ""
        return () if value is None else (value,)

    def _tested(self, kind: str, text: str) -> str | None:
        host = self._host
        holds = False
        match kind:
            case "env":
                return _equal(text, host.environ.get)
            case "opt":
                return _equal(text, self._first_value)
            case "exists":
                holds = host.exists(text)
            case "file":
                holds = host.is_file(text)
            case "dir" | "directory":
                holds = host.is_dir(text)
            case "hostname":
                holds = host.fact("h") == text
            case "reload":
                holds = self._reloading
            case "plugin":
                holds = text in _BUILT_IN
        return text if holds else None

    def _first_value(self, name: str) -> str | None:
        for pair in self.pairs:
            if pair.name == name:
                return "" if pair.text is None else pair.text
        return None


def _equal(text: str, lookup: Callable[[str], str | None]) -> str | None:
    """Return the value of `NAME` or, in `NAME=VALUE`, only if it is that one."""
    name, equals, wanted = text.partition("=")
    value = lookup(name)
    return None if value is None or (equals and value != wanted) else value


def is_shell(name: str) -> bool:
    """Say whether an option's value is a command line or a format."""
    row = BY_NAME.get(name)
    return row.shell if row is not None else SHELL_NAMES.fullmatch(name) is not None
