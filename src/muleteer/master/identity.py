"""Whose the server is: from the names of user and groups to numbers, and the step down to them.

Rules:
1. The sockets are bound, the log and the pidfile opened before; everything else comes after.
2. Nobody keeps root's groups: without `gid` it is the user's own group, and only its groups.
3. The step is taken once, before the first fork, and there is no way back.

Runs in: the master, before the fork.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from muleteer import journal
from muleteer.config.options import Settings
from muleteer.errors import StartError
from muleteer.ipc.sockets import Owner

__all__ = ["Identity", "identity_of", "owner_of_sockets", "step_down"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Numbers of user and group, and of all groups; None: as it is."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()


def identity_of(settings: Settings) -> Identity:
    """Read `uid`, `gid` and `add-gid`; StartError for a name that is not there."""
    uid = _user(settings.uid, settings.where("uid")) if settings.uid else None
    gid = _group(settings.gid, settings.where("gid")) if settings.gid else None
    if uid is not None and gid is None:
        gid = _own_group(uid, settings)
    more = [
        _group(name, settings.where("add_gid", index))
        for index, name in enumerate(settings.add_gid)
    ]
    return Identity(uid, gid, tuple(dict.fromkeys((*_groups_of(uid, gid), *more))))


def owner_of_sockets(settings: Settings, identity: Identity) -> Owner | None:
    """Whose the unix sockets are: `chown-socket = user:group`, else the server's own."""
    if settings.chown_socket is None:
        return None if identity.uid is None else Owner(identity.uid, identity.gid)
    user, _, group = settings.chown_socket.partition(":")
    where = settings.where("chown_socket")
    return Owner(
        _user(user, where) if user else None,
        _group(group, where) if group else None,
    )


def step_down(identity: Identity) -> None:
    """Become that user; somebody who is not root stays who he is, and is told so."""
    if os.geteuid() != 0:
        if identity.uid not in (None, os.geteuid()) or identity.gid not in (None, os.getegid()):
            journal.cannot_step_down(os.geteuid())
        return
    if identity.gid is not None:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
    elif identity.groups:  # only `add-gid`: root stays root, and is in these, too
        os.setgroups([*os.getgroups(), *identity.groups])
    if identity.uid is None:
        journal.runs_as_root()
        return
    os.setresuid(identity.uid, identity.uid, identity.uid)
    journal.stepped_down(identity.uid, os.getegid())


def _user(name: str, where: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise StartError(f"{where}: there is no user {name!r}; create it: useradd {name}") from None


def _group(name: str, where: str) -> int:
    if name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StartError(
            f"{where}: there is no group {name!r}; create it: groupadd {name}"
        ) from None


def _own_group(uid: int, settings: Settings) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        raise StartError(
            f"{settings.where('uid')}: that user has no group of its own; set gid, too"
        ) from None


def _groups_of(uid: int | None, gid: int | None) -> tuple[int, ...]:
    """The groups a user is in; a number without a name is in the one group it is given."""
    if gid is None:
        return ()
    try:
        return tuple(os.getgrouplist(pwd.getpwuid(uid or 0).pw_name, gid)) if uid else (gid,)
    except KeyError:
        return (gid,)
