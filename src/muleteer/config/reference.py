"""The table, written out: `--help`, docs/options.md, and the configuration as it was understood.

Nothing here is said twice: every word comes from options.py. To write the page anew:
`python -m muleteer.config.reference > docs/options.md`.

Runs in: anywhere.
"""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Iterable, Iterator

from muleteer.config.collect import ACTING
from muleteer.config.option import Option
from muleteer.config.options import BY_NAME, TABLE, Settings
from muleteer.config.uwsgi_names import NAMES

__all__ = ["help_text", "page", "shown"]

_USAGE = """\
usage: muleteer app.ini
       muleteer --ini app.ini [--option value | --option=value | -o value] ...
       muleteer --http-socket :8000 --module app:application -p 4
       muleteer ping ADDRESS                  is a server there?
       muleteer signal ADDRESS NUMBER         raise a signal there
       muleteer rpc ADDRESS FUNCTION ARG ...  call a function, print its result
       muleteer status | top SERVER           who does what, once or live
       muleteer reload SERVER                 load the new code; 1 if it fails
       muleteer cron ls SERVER                cron jobs, next and last runs
       muleteer spool COMMAND DIRECTORY ...   see and steer spooled tasks

A Python application server with background tasks. Options are written alike
on the command line, in an ini file (option = value) and as environment
variables (UWSGI_OPTION=value); the command line wins over the file, the file
over the environment. The whole reference is docs/options.md.
"""

_ACTING = ACTING | {"help", "usage", "version"}


# -- --help ------------------------------------------------------------------------------


def help_text() -> str:
    """Return what `--help` prints: grouped, and under 80 columns."""
    parts = [_USAGE]
    for group, rows in _groups(row for row in TABLE if not row.accepted and not row.not_yet):
        parts.append(f"{group}:")
        parts += [_help_row(row) for row in rows]
        parts.append("")
    parts += [
        "Other:",
        *_help_lines("  -h, --help", "Print this."),
        *_help_lines("  --version", "Print the version."),
        *_help_lines("  --ini FILE[:SECTION]", "Read an ini file."),
        *_help_lines("  --set-placeholder NAME=VALUE", "Set what %(NAME) stands for."),
    ]
    return "\n".join(parts)


def _help_row(row: Option) -> str:
    names = [f"-{row.short}"] if row.short else []
    names += [f"--{name}" for name in row.names[:2] if len(row.names) <= 2 or name == row.name]
    head = "  " + ", ".join(names)
    if not row.flag:
        head += f" {_placeholder(row)}"
    default = _written(row.default)
    words = row.help + (f" [{default}]" if default not in ("", "false", "0") else "")
    return "\n".join(_help_lines(head, words))


def _help_lines(head: str, words: str) -> list[str]:
    wrapped = textwrap.wrap(words, 78 - 32)
    if len(head) > 30:
        return [head, *(" " * 32 + line for line in wrapped)]
    first, *rest = wrapped
    return [f"{head:<32}{first}", *(" " * 32 + line for line in rest)]


def _placeholder(row: Option) -> str:
    if row.path or row.name in ("wsgi-file", "virtualenv", "pythonpath"):
        return "PATH"
    number = isinstance(row.default, int | float) or row.example.isdigit()
    return "N" if number else "ADDRESS" if row.group.startswith("Sockets") else "VALUE"


def _groups(rows: Iterable[Option]) -> Iterator[tuple[str, Iterator[Option]]]:
    return itertools.groupby(rows, key=lambda row: row.group)


def _written(default: object) -> str:
    """Return a default as a person writes it."""
    if default is None or default == () or default == "":
        return ""
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"{default:g}" if isinstance(default, float) else str(default)


# -- docs/options.md -----------------------------------------------------------------------

_HEAD = """\
# Options

<!-- Written by `python -m muleteer.config.reference` from the option table; change that. -->

Options are written alike in an ini file (`processes = 4`), on the command line (`--processes 4`,
`--processes=4`, `-p 4`, `-p4`) and in the environment (`UWSGI_PROCESSES=4`).
The command line wins over files wherever it stands, and files win over the environment.
An option marked *repeatable* takes every value it is given; of any other the last one counts.
In `uwsgi.opt` each name stands as it was written, with its value in bytes, `True` for a flag on the
command line, and a list for what was repeated.

An unknown name in a file is kept: it is a placeholder, `%(name)`, and an entry of `uwsgi.opt`.
The start says so with the nearest known name, unless the placeholder is used.
An unknown name on the command line is an error, and with `strict = true` it is one everywhere.
So it is with options that uWSGI has and muleteer does not have yet: a warning, with `strict` an
error.
"""

_DIALECT = """\
## The ini dialect

| what | uWSGI | because |
| --- | --- | --- |
| `[uwsgi]`, `file.ini:section`, `ini = file`, `ini = :other` | same | |
| key without `=`, or without a value | same | it is a switch that is on |
| line that begins with `;` or `#` | same | a comment |
| `;` or `#` after a blank, behind a value | differs: there it belongs to the value | people write \
comments there. To keep the character: put the word in quotes (`"a ; b"`), or a backslash in front \
(`\\;`). No blank before it, no comment: `http://host/#top` is whole. The values of `cron`, \
`attach-daemon`, `exec-…`, `hook-…`, `touch-exec` and `log-format` are command lines or formats \
and are never cut |
| `%p`, `%d`, `%n` and the other magic variables | same | `%x` is also set in the default section, \
`%V` is muleteer's version |
| unknown `%z` | differs: dropped there | it stays as it is, and the start says so |
| `$(NAME)`, `@(file)`, `%(option)`, `%(n + 1)` | same | command line before file before \
environment, else the first value; `@(file)` reads files only; a name may hold blanks, a number in \
a sum may be negative, and a sum of nothing known stays as it is |
| placeholders that lead back to themselves | differs: expanded once or a crash there | an error \
that shows the circle |
| `for`, `for-times`, `for-glob`, `for-readline`, `if-env`, `if-opt`, `if-exists`, `if-file`, \
`if-dir`, `if-hostname`, `if-reload`, `if-plugin` and their `if-not-` | same | one left open is an \
error here |
| `else` | ours | as in uWSGI's unreleased 2.1 |
| `inherit = file` | differs: read after everything there | the same as `include` |
| section that is not there | same | a warning that names those that are |
| files that include each other | differs: a crash there | an error that shows the circle |
| xml, yaml, json, and files from `http://`, `exec://` and so on | not yet | write an ini file |
| number that is none (`processes = abc`) | differs: counts as 0 there | an error that names file \
and line |
| `uwsgi.opt` of repeated options | differs: only the last on Python 3 | a list, as documented |
"""


def page() -> str:
    """Return the text of docs/options.md."""
    parts = [_HEAD, _differences()]
    for group, rows in _groups(TABLE):
        parts.append(f"## {group}\n")
        parts.append("| option | default | what it does | uWSGI |\n| --- | --- | --- | --- |")
        parts += [_page_row(row) for row in rows]
        parts.append("")
    parts.append(_DIALECT)
    parts.append("## Options of uWSGI that are not there yet\n")
    parts.append(_listed(name for name in NAMES if name not in BY_NAME and name not in _ACTING))
    parts.append("\n## Names that act while the configuration is read\n")
    parts.append(_listed(_ACTING))
    return "\n".join(parts) + "\n"


def _differences() -> str:
    """Return the table of what differs from uWSGI without anything being written."""
    lines = [
        "## Same or different, because\n",
        "| option | here | because |",
        "| --- | --- | --- |",
    ]
    for row in TABLE:
        verdict, _, reason = row.uwsgi.partition(": ")
        always = verdict == "accepted" and row.default is True
        if verdict == "differs" or always:
            here = "always on" if always else f"`{_written(row.default) or 'not set'}` by default"
            lines.append(f"| `{row.name}` | {here} | {reason} |")
    lines.append("\nWhat the tables below call *same* is the same.\n")
    return "\n".join(lines)


def _listed(names: Iterable[str]) -> str:
    words = ", ".join(f"`{name}`" for name in sorted(names))
    return "\n".join(textwrap.wrap(words, 100, break_on_hyphens=False))


def _page_row(row: Option) -> str:
    names = ", ".join(f"`{name}`" for name in row.names) + (
        f", `-{row.short}`" if row.short else ""
    )
    words = row.help + (" *Repeatable.*" if row.many else "")
    default = f"`{_written(row.default)}`" if _written(row.default) else ""
    return f"| {names} | {default} | {words} | {row.uwsgi} |"


# -- show-config -----------------------------------------------------------------------------


def shown(settings: Settings) -> str:
    """Return the configuration as an ini file that would give the same settings."""
    lines = ["[uwsgi]"]
    for name, values in settings.opt.items():
        for value in values if isinstance(values, list) else [values]:
            text = "true" if value is True else _text(value)
            lines.append(f"{name} = {text}".rstrip())
    return "\n".join(lines)


def _text(value: bytes | bool) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value).lower()


if __name__ == "__main__":
    sys.stdout.write(page())
