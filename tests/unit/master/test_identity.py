"""Whose the server is: names in, numbers out, errors that say what to do."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from muleteer.config.options import Settings
from muleteer.errors import StartError
from muleteer.ipc.sockets import Owner
from muleteer.master.identity import Identity, identity_of, owner_of_sockets

ROOT = pwd.getpwuid(0).pw_name
ME = pwd.getpwuid(os.getuid())
SOMEBODY = next(one for one in pwd.getpwall() if one.pw_uid not in (0, os.getuid()))
GROUP = next(one for one in grp.getgrall() if one.gr_gid not in (0, SOMEBODY.pw_gid))
NOBODYS = 2_000_000_123


def test_without_options_all_stays_as_it_is() -> None:
    """No user, no group, no groups."""
    assert identity_of(Settings()) == Identity()
    assert owner_of_sockets(Settings(), Identity()) is None


def test_a_user_brings_his_own_group() -> None:
    """Without `gid` nobody stays in root's group, as uWSGI lets him."""
    found = identity_of(Settings(uid=SOMEBODY.pw_name))
    assert (found.uid, found.gid) == (SOMEBODY.pw_uid, SOMEBODY.pw_gid)
    assert SOMEBODY.pw_gid in found.groups
    assert set(found.groups) == set(os.getgrouplist(SOMEBODY.pw_name, SOMEBODY.pw_gid))


def test_numbers_need_no_name() -> None:
    """A container's user may have no line in /etc/passwd."""
    found = identity_of(Settings(uid=str(NOBODYS), gid="77"))
    assert found == Identity(NOBODYS, 77, (77,))


def test_more_groups_are_added() -> None:
    """`add-gid` comes on top, each once."""
    found = identity_of(Settings(uid=SOMEBODY.pw_name, add_gid=(GROUP.gr_name, GROUP.gr_name)))
    assert found.groups.count(GROUP.gr_gid) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"uid": "no-such-user"}, "there is no user 'no-such-user'"),
        ({"gid": "no-such-group"}, "there is no group 'no-such-group'"),
        ({"add_gid": ("no-such-group",)}, "add_gid"),
        ({"uid": str(NOBODYS)}, "set gid, too"),
    ],
)
def test_what_is_not_there_ends_the_start(options: dict[str, object], says: str) -> None:
    """With the option that names it."""
    with pytest.raises(StartError, match=says):
        identity_of(Settings(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        (SOMEBODY.pw_name, Owner(SOMEBODY.pw_uid, None)),
        (f"{SOMEBODY.pw_name}:", Owner(SOMEBODY.pw_uid, None)),
        (f":{GROUP.gr_name}", Owner(None, GROUP.gr_gid)),
        (f"{ROOT}:77", Owner(0, 77)),
    ],
)
def test_sockets_may_be_somebody_elses(text: str, owner: Owner) -> None:
    """`chown-socket = user:group`, either of them alone, names or numbers."""
    assert owner_of_sockets(Settings(chown_socket=text), Identity(5, 6, ())) == owner


def test_sockets_are_the_servers_own_unless_told_otherwise() -> None:
    """They are bound by root, and must be the user's."""
    assert owner_of_sockets(Settings(), Identity(5, 6, (6,))) == Owner(5, 6)
