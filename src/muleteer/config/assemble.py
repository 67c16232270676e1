"""Pairs become `Settings`: read, checked one by one and together, unknown names dealt with.

Not where pairs come from (sources.py) and not what options there are (options.py).

Runs in: anywhere; touches nothing outside memory.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from muleteer.config.collect import ACTING
from muleteer.config.option import ARGUMENTS, ENVIRONMENT, Notice, Option, Pair, nearest, read_truth
from muleteer.config.options import BY_NAME, TABLE, OptView, Settings
from muleteer.config.uwsgi_names import FLAGS, NAMES
from muleteer.errors import Contradiction, UnknownOption

__all__ = ["assemble", "unknown_option"]

_UWSGIS_OWN_ENVIRONMENT = frozenset({"reloads", "original-proc-name", "emperor-fd", "vassal-name"})


def assemble(
    pairs: Sequence[Pair], used: Collection[str], notices: Sequence[Notice], cwd: str
) -> Settings:
    """Return the settings that the pairs, in the order of their weight, describe."""
    ordered = sorted(_without_blanks(pairs), key=lambda pair: pair.origin.rank)
    by_field: dict[str, list[Pair]] = {}
    for pair in ordered:
        if pair.name in BY_NAME:
            by_field.setdefault(BY_NAME[pair.name].field, []).append(pair)
    said = [*notices, *_ignored_blanks(pairs)]
    values: dict[str, Any] = {}
    origins: dict[str, tuple[str, ...]] = {}
    for row in TABLE:
        written = by_field.get(row.field)
        if written:
            written = written if row.many else written[-1:]
            values[row.field] = _value(row, written, cwd)
            origins[row.field] = tuple(str(pair) for pair in written)
    strict = values.get("strict", False)
    said += _without_effect(values, by_field, strict)
    said += _unknown(ordered, used, strict)
    settings = Settings(
        **values,
        opt=_opt(ordered),
        notices=tuple(dict.fromkeys(said)),
        origins=MappingProxyType(origins),
    )
    refuse_contradictions(settings)
    return settings


def _is_blank(pair: Pair) -> bool:
    """Say whether an environment variable is there but empty, which compose files like to do."""
    return pair.origin.rank == ENVIRONMENT and not pair.text


def _without_blanks(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if not _is_blank(pair)]


def _ignored_blanks(pairs: Sequence[Pair]) -> list[Notice]:
    return [
        Notice(f"{pair.origin}: {pair.spelled()} is empty and counts as not set")
        for pair in pairs
        if _is_blank(pair)
    ]


def _value(row: Option, written: Sequence[Pair], cwd: str) -> Any:
    values = [row.read(pair) for pair in written]
    if row.path:
        values = [os.path.normpath(os.path.join(cwd, value)) for value in values]
    return tuple(values) if row.many else values[-1]


# -- names without effect, and names nobody knows ------------------------------------------


def _without_effect(
    values: Mapping[str, Any], by_field: Mapping[str, Sequence[Pair]], strict: bool
) -> list[Notice]:
    """Say what is accepted but changes nothing, and what is not there yet."""
    said: list[Notice] = []
    for row in TABLE:
        if row.field not in values or values[row.field] == row.default:
            continue
        pair = by_field[row.field][-1]
        if row.accepted:
            said.append(Notice(f"{pair}: accepted, without effect: {row.accepted}"))
        elif row.not_yet:
            reason = row.uwsgi.partition(": ")[2]
            said.append(_not_yet(pair, strict, f": {reason}" if reason else ""))
    return said


def _not_yet(pair: Pair, strict: bool, reason: str = "") -> Notice:
    words = f"{pair.named()}: muleteer does not have uWSGI's option {pair.name!r} yet{reason}"
    if strict:
        raise UnknownOption(f"{words}; remove it, or remove `strict`")
    return Notice(f"{words}; it has no effect")


def _unknown(pairs: Sequence[Pair], used: Collection[str], strict: bool) -> list[Notice]:
    said: list[Notice] = []
    for pair in pairs:
        if pair.name in BY_NAME or pair.name in ACTING or pair.placeholder:
            continue
        if pair.name in NAMES:
            if not _switched_off(pair):
                said.append(_not_yet(pair, strict))
        elif strict:
            raise unknown_option(pair, "to keep it as a placeholder, write set-placeholder")
        elif pair.name not in used and not _set_by_uwsgi(pair):
            said.append(_kept(pair))
    return said


def _switched_off(pair: Pair) -> bool:
    """Say whether a switch we do not have is set to false, which is what we do anyway."""
    try:
        return pair.name in FLAGS and not read_truth(pair.text or "true")
    except ValueError:
        return False


def _set_by_uwsgi(pair: Pair) -> bool:
    return pair.origin.rank == ENVIRONMENT and pair.name in _UWSGIS_OWN_ENVIRONMENT


def _kept(pair: Pair) -> Notice:
    near = nearest(pair.name, (*BY_NAME, *NAMES))
    hint = f"did you mean {near!r}?" if near else f"%({pair.name}) stands for its value"
    return Notice(f"{pair.named()}: there is no such option, kept as a placeholder; {hint}")


def unknown_option(pair: Pair, way_out: str = "see muleteer --help") -> UnknownOption:
    """Return the error for a name nobody knows, with the nearest one that is known."""
    near = nearest(pair.name, (*BY_NAME, *NAMES))
    dashes = "--" if pair.origin.rank == ARGUMENTS else ""
    hint = f"did you mean {dashes}{near}?" if near else way_out
    return UnknownOption(f"{pair.named()}: there is no such option; {hint}")


# -- uwsgi.opt -----------------------------------------------------------------------------


def _opt(pairs: Sequence[Pair]) -> OptView:
    """Return `uwsgi.opt`: a list when repeated; a single-valued option has only what won."""
    seen: dict[str, list[bytes | bool]] = {}
    won: dict[str, bytes | bool] = {}
    for pair in pairs:
        value = True if pair.text is None else pair.text.encode("utf-8", "surrogateescape")
        seen.setdefault(pair.name, []).append(value)
        row = BY_NAME.get(pair.name)
        if row is not None and not row.many:
            won[row.field] = value
    view: OptView = {}
    for name, values in seen.items():
        row = BY_NAME.get(name)
        if row is not None and not row.many:
            view[name] = won[row.field]
        else:
            view[name] = values[0] if len(values) == 1 else list(values)
    return view


# -- contradictions ------------------------------------------------------------------------


def refuse_contradictions(settings: Settings) -> None:
    """Raise Contradiction for options that cannot stand together, in the order of the table."""
    addresses: dict[str, str] = {}
    for name in ("http_socket", "http", "http11_socket", "socket"):
        for index, address in enumerate(getattr(settings, name)):
            place = settings.where(name, index)
            _refuse_twice(addresses.setdefault(address, place), place, address)
    for index, line in enumerate(settings.allow_packets):
        _refuse_unknown_address(settings, settings.where("allow_packets", index), line)
    windows = dict(addresses)
    something = (settings.spooler, settings.mule, settings.mules, settings.erlang)
    if not (addresses or any(something)):
        raise Contradiction(
            "there is nothing to do: no socket, no spooler and no mule is set;"
            " try: muleteer --http-socket :8000 --module app:application"
        )
    for name in ("stats", "metrics"):
        if address := getattr(settings, name):
            place = settings.where(name)
            _refuse_twice(windows.setdefault(address, place), place, address)
    if addresses and settings.processes == 0:
        raise Contradiction(
            f"{settings.where('processes')}: no worker would answer on"
            f" {next(iter(addresses))}; write processes = 1, or remove the sockets"
        )
    if settings.json_logs and settings.log_format:
        raise Contradiction(
            f"{settings.where('log_format')}: with {settings.where('json_logs')} the lines of"
            " requests are JSON objects; remove one of them"
        )
    if settings.module and settings.wsgi_file:
        raise Contradiction(
            f"{settings.where('wsgi_file')}: the app is already named by"
            f" {settings.where('module')}; remove one of them"
        )
    _refuse_strange_crews(settings)
    _refuse_shared_spoolers(settings)
    _refuse_strange_mules(settings)


def _refuse_strange_crews(settings: Settings) -> None:
    """Refuse a least number of workers that leaves no room for more."""
    least, most, first = settings.cheaper, settings.processes, settings.cheaper_initial
    if least and least >= most:
        raise Contradiction(
            f"{settings.where('cheaper')}: there is no room between that and processes = {most};"
            f" write processes = {least + 1} or more, or remove cheaper"
        )
    if least and first and not least <= first <= most:
        raise Contradiction(
            f"{settings.where('cheaper_initial')}: expected a number from {least} (cheaper)"
            f" to {most} (processes)"
        )


def _refuse_twice(first: str, second: str, address: str) -> None:
    if first != second and not address.endswith(":0"):
        raise Contradiction(f"{second}: the address is already taken by {first}; remove one")


def _refuse_unknown_address(settings: Settings, place: str, line: str) -> None:
    """Refuse to allow packets where nobody listens for them: it would be a mistake in a name."""
    address = line.split()[0]
    if address not in settings.socket:
        there = ", ".join(settings.socket) or "none"
        raise Contradiction(
            f"{place}: there is no `socket = {address}`; write one of them as it is: {there}"
        )


def _refuse_strange_mules(settings: Settings) -> None:
    """Refuse a farm with a mule that is not there, and two farms of one name."""
    there = len(settings.mule) + settings.mules
    names: dict[str, str] = {}
    for index, text in enumerate(settings.farm):
        place = settings.where("farm", index)
        name, _, numbers = text.partition(":")
        highest = max(int(number) for number in numbers.split(","))
        if highest > there:
            raise Contradiction(f"{place}: there are {there} mules; add `mules = {highest}`")
        if names.setdefault(name, place) != place:
            raise Contradiction(f"{place}: {names[name]} has that name already; choose another")


def _refuse_shared_spoolers(settings: Settings) -> None:
    numbers = len(settings.spooler_processes.split())
    if numbers not in (1, len(settings.spooler)):
        raise Contradiction(
            f"{settings.where('spooler_processes')}: {numbers} numbers for"
            f" {len(settings.spooler)} spooler directories; write one for all, or one for each"
        )
    for index, path in enumerate(settings.spooler):
        before = settings.spooler.index(path)
        if before != index:
            raise Contradiction(
                f"{settings.where('spooler', index)}: the directory already has spoolers by"
                f" {settings.where('spooler', before)}; for more of them set spooler-processes"
            )
