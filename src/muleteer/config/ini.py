"""uWSGI's ini dialect: the lines of one section, with comments gone and magic variables filled in.

Not what keys mean: includes and conditions are collect.py's, placeholders are placeholders.py's.

Rules:
1. A line is `key = value`; the first `=` divides; blanks around both are taken off.
2. A line that begins with `;` or `#` is a comment.
3. A `;` or `#` after a blank begins a comment too (uWSGI takes it into the value), unless it stands
   in quotes that open a word and are closed, or has a backslash in front, which is taken off,
   or the option's value is a command line, where both are the shell's.
4. No other quoting, no continuation lines, no folding of case.
5. `%x` is filled in while reading; an unknown one stays as it is written (uWSGI drops it).

Runs in: anywhere, and touches nothing outside memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["File", "Line", "lines_of", "magic", "path_hash", "sections_of", "split_comment"]

DEFAULT_SECTION = "uwsgi"
_BLANKS = " \t\r"


@dataclass(frozen=True, slots=True)
class File:
    """One configuration file that is being read."""

    given: str
    path: str
    section: str
    inode: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Line:
    """One key of the section; `text` is empty when nothing followed it."""

    number: int
    key: str
    text: str
    comment: str = ""


def sections_of(text: str) -> list[str]:
    """Return the names of all sections, in their order."""
    return [
        name for line in text.split("\n") if (name := _section(line.strip(_BLANKS))) is not None
    ]


def lines_of(
    text: str, section: str, fill: Callable[[str, int], str], is_shell: Callable[[str], bool]
) -> Iterator[Line]:
    """Yield the lines of one section; `fill(text, line)` fills in the magic variables."""
    current: str | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(_BLANKS)
        if not line or line[0] in ";#":
            continue
        name = _section(line)
        if name is not None:
            current = name
        elif current == section:
            key, value, comment = _divide(line, is_shell)
            if key:
                yield Line(number, fill(key, number), fill(value, number), comment)


def _section(line: str) -> str | None:
    if not line.startswith("["):
        return None
    return line[1:].partition("]")[0]


def _divide(line: str, is_shell: Callable[[str], bool]) -> tuple[str, str, str]:
    """Return key, value and the comment behind them."""
    key, equals, value = line.partition("=")
    kept, comment = split_comment(key)
    if comment or not equals:  # the `=`, if any, stands in the comment
        return kept, "", comment
    if not is_shell(kept):
        value, comment = split_comment(value)
    return kept, value.strip(_BLANKS), comment


_WORD_OR_COMMENT = re.compile(
    r"""
    (?P<quoted> (?<![^\s=(,]) (?P<quote>["']) .*? (?P=quote) )
    | (?P<escaped> (?<!\S) \\ (?P<mark>[;#]) )
    | (?P<comment> (?<=[ \t]) [;#] .* )
    """,
    re.VERBOSE,
)


def split_comment(text: str) -> tuple[str, str]:
    """Return the text without the blanks behind it, and the comment that follows them."""
    pieces: list[str] = []
    end = 0
    for found in _WORD_OR_COMMENT.finditer(text):
        if found["comment"]:
            pieces.append(text[end : found.start()])
            return "".join(pieces).rstrip(_BLANKS), found["comment"]
        if found["escaped"]:
            pieces += (text[end : found.start()], found["mark"])
            end = found.end()
    return "".join([*pieces, text[end:]]).rstrip(_BLANKS), ""


# -- magic variables ---------------------------------------------------------------------

_MAGIC = re.compile(r"%([^(])", re.DOTALL)
_FILE_LETTERS = "opsdencxij"


def magic(
    text: str, file: File, first: File, fact: Callable[[str], str], unknown: Callable[[str], None]
) -> str:
    """Fill in `%x`; capitals of the file's letters speak of the first file; `%%` is one `%`."""

    def replace(found: re.Match[str]) -> str:
        letter = found[1]
        if letter == "%":
            return "%"
        if letter in _FILE_LETTERS or (letter.isascii() and letter.isdigit()):
            return _of_file(letter, file)
        if letter.lower() in _FILE_LETTERS:
            return _of_file(letter.lower(), first)
        if letter == "[":
            return "\033"
        if letter in "vVhkuUgGbtT":
            return fact(letter)
        if letter.isalnum():
            unknown(letter)
        return found[0]

    return _MAGIC.sub(replace, text) if "%" in text else text


def _of_file(letter: str, file: File) -> str:
    directory, _, base = file.path.rpartition("/")
    stem, _, extension = base.rpartition(".")
    match letter:
        case "o":
            return file.given
        case "p":
            return file.path
        case "s":
            return base
        case "d":
            return f"{directory}/"
        case "e":
            return extension if stem else ""
        case "n":
            return stem or base
        case "c":
            return directory.rpartition("/")[2]
        case "x":
            return file.section
        case "i":
            return str(file.inode())
        case "j":
            return path_hash(file.path)
    parts = directory.split("/")[1:]
    return parts[int(letter)] if int(letter) < len(parts) else ""


def path_hash(path: str) -> str:
    """Return Bernstein's hash in its xor form, in hex, lowest byte first, as uWSGI has it."""
    value = 5381
    for byte in path.encode("utf-8", "surrogateescape"):
        value = (value * 33 ^ byte) & 0xFFFFFFFF
    return value.to_bytes(4, "little").hex().upper()
