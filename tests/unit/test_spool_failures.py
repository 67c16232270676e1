"""What the decorators tell a server of a task that fails: policy, exceptions, deaths."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.fake_uwsgi import Server, load

import muleteer
from muleteer.errors import Drop, Retry

OPENED: list[str] = []


class Loud:
    """Its pickle tells when it is opened."""

    def __reduce__(self) -> Any:
        return _opened, ()


def _opened() -> None:
    OPENED.append("opened")


@pytest.fixture(params=[True, False], ids=["ours", "uwsgi"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server in memory: ours, or one with uWSGI's strictness."""
    return Server(ours=request.param)


@pytest.fixture
def d(monkeypatch: pytest.MonkeyPatch, server: Server) -> Any:
    """The decorators on that server."""
    return load(monkeypatch, server.uwsgi)


@pytest.fixture
def here() -> Server:
    """Our own server."""
    return Server(ours=True)


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, here: Server) -> Any:
    """The decorators on our own server."""
    return load(monkeypatch, here.uwsgi)


@pytest.fixture
def there() -> Server:
    """A server as strict as uWSGI."""
    return Server(ours=False)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch, there: Server) -> Any:
    """The decorators on uWSGI."""
    return load(monkeypatch, there.uwsgi)


def failing(error: Exception) -> Any:
    """A function that raises."""

    def work(task: dict[str, Any]) -> None:
        raise error

    return work


# -- muleteer.Retry, muleteer.Drop ---------------------------------------------------------------


def test_retry_and_drop_are_public() -> None:
    """`from muleteer import Retry, Drop` is all a task needs."""
    assert (muleteer.Retry, muleteer.Drop) == (Retry, Drop)


@pytest.mark.parametrize(
    ("after", "seconds"), [(None, None), (0, 0), (1.5, 1.5), (timedelta(minutes=1), 60.0)]
)
def test_retry_knows_its_wait(after: Any, seconds: float | None) -> None:
    """In seconds, as a number or a timedelta; without one the policy's."""
    assert Retry("later", after=after).spool_after == seconds


@pytest.mark.parametrize("after", [-1, timedelta(-1), float("nan"), float("inf"), 1e12])
def test_retry_refuses_a_wait_that_is_none(after: Any) -> None:
    """The error is raised where it is written, not somewhere in the spooler."""
    with pytest.raises(ValueError, match=r"Retry\(after="):
        Retry(after=after)


def test_retry_and_drop_are_words_under_uwsgi(theirs: Any, there: Server) -> None:
    """There they become SPOOL_RETRY and SPOOL_OK; any other exception stays one."""
    for kind, error, word in [
        ("spool", Retry(after=5), -1),
        ("spool", Drop("no more"), -2),
        ("spoolforever", Drop(), -2),
        ("spoolraw", Retry(), -1),
    ]:
        getattr(theirs, kind)(failing(error)).spool(a="1")
        assert there.run() == [word]
    theirs.spool(failing(ValueError("no"))).spool(a="1")
    with pytest.raises(ValueError, match="no"):
        there.run()


def test_retry_and_drop_reach_our_own_spooler(ours: Any, here: Server) -> None:
    """It knows what they say: the wait, the reason."""
    ours.spool(failing(Retry("later", after=5))).spool(a="1")
    with pytest.raises(Retry, match="later"):
        here.run()
    ours.spool(failing(Drop("no more"))).spool(a="1")
    with pytest.raises(Drop, match="no more"):
        here.run()


# -- the policy ----------------------------------------------------------------------------------


def policy_of(server: Server) -> Any:
    """What the installed hook says of the one task that waits."""
    (task,) = server.tasks
    return server.runtime.registry.hooks["spooler"].policy_of(task)  # type: ignore[attr-defined]


def test_the_hook_knows_what_a_function_asked_for(ours: Any, here: Server) -> None:
    """By the task alone: times in seconds, and only what was said."""

    @ours.spool(retries=3, max_delay=timedelta(hours=2), timeout=9, backoff="linear")
    def work(task: dict[str, Any]) -> None: ...

    work.spool(a="1")
    assert policy_of(here) == {
        "retries": 3,
        "max_delay": 7200.0,
        "timeout": 9,
        "backoff": "linear",
    }


@pytest.mark.parametrize("kind", ["spool", "spoolraw", "spoolforever"])
def test_a_function_that_asks_for_nothing_has_the_options(
    ours: Any, here: Server, kind: str
) -> None:
    """Every decorator alike."""

    def work(task: dict[str, Any]) -> int:
        return -2

    getattr(ours, kind)(work).spool(a="1")
    assert policy_of(here) == {}


@pytest.mark.parametrize(
    ("wishes", "counts"),
    [({"retries": 3}, True), ({"give_up_after": 60}, True), ({"timeout": 3}, False)],
)
def test_a_raw_word_counts_where_an_end_was_asked_for(
    ours: Any, here: Server, wishes: dict[str, Any], counts: bool
) -> None:
    """SPOOL_RETRY of @spoolraw is a failure only where a number or a time bounds it."""

    def work(task: dict[str, Any]) -> int:
        return -1

    ours.spoolraw(**wishes)(work).spool(a="1")
    assert policy_of(here).get("counts_words", False) is counts


def test_a_task_of_nobody_has_no_policy(ours: Any, here: Server) -> None:
    """Neither one of an unknown function, nor one of plain uwsgi.spool()."""
    here.uwsgi.spool({"ud_spool_func": "gone"})
    assert policy_of(here) == {}
    with pytest.raises(LookupError):
        here.run()
    here.uwsgi.spool({"a": "1"})
    assert policy_of(here) == {}


def test_uwsgi_cannot_keep_a_policy_and_says_so(theirs: Any) -> None:
    """An error where it is written is better than a promise nobody keeps."""
    with pytest.raises(RuntimeError, match=r"@spool: retries = is muleteer's own"):
        theirs.spool(retries=3)


# -- tasks that cannot run -------------------------------------------------------------------------


def test_an_unknown_function_deserves_a_few_tries(d: Any, server: Server) -> None:
    """Its code may be on its way; the error names it and what there is."""
    server.uwsgi.spool({b"ud_spool_func": b"gone"})
    with pytest.raises(LookupError, match="the task is for gone") as caught:
        server.run()
    assert caught.value.spool_retries == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("pickled", "tries"),
    [
        (b"no pickle", 0),
        (b"", 0),
        (pickle.dumps((1, 2))[:-1], 0),
        (b"cnowhere\nNothing\n.", 3),
        (b"cos\nno_such_thing\n.", 3),
    ],
)
def test_a_pickle_that_cannot_be_opened_says_what_it_deserves(
    d: Any, server: Server, pickled: bytes, tries: int
) -> None:
    """Broken: no try more. Of a class that is not here: a few, as for an unknown function."""

    @d.spool(pass_arguments=True)
    def call(*args: Any, **kwargs: Any) -> None: ...

    server.uwsgi.spool({b"ud_spool_func": b"call", b"args": pickled, b"kwargs": b"}."})
    with pytest.raises((LookupError, ValueError), match="call: ") as caught:
        server.run()
    assert caught.value.spool_retries == tries  # type: ignore[union-attr]


def test_no_pickle_is_opened_that_nobody_asked_for(d: Any, server: Server) -> None:
    """A plain function gets `args` and `kwargs` as bytes; an unknown one opens nothing."""
    got = []

    @d.spool
    def plain(task: dict[str, Any]) -> None:
        got.append(type(task["args"]))

    loud = pickle.dumps(Loud())
    plain_one = {b"ud_spool_func": b"plain", b"ud_spool_ret": b"-2"}
    server.uwsgi.spool({**plain_one, b"args": loud, b"kwargs": loud})
    server.run()
    server.uwsgi.spool({b"ud_spool_func": b"gone", b"args": loud, b"kwargs": loud})
    with pytest.raises(LookupError):
        server.run()
    assert got in ([bytes], [str])
    assert OPENED == []
    pickle.loads(loud)
    assert OPENED.pop() == "opened", "the test could not fail"


def test_the_hook_that_was_there_before_has_its_own_word(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A task without a function is its; what it returns is passed on as it is, None too."""
    server.uwsgi.spooler = lambda task: {b"1": -2, b"2": None}[task[b"a"]]
    load(monkeypatch, server.uwsgi)
    server.uwsgi.spool({b"a": b"1"})
    server.uwsgi.spool({b"a": b"2"})
    assert server.run() == [-2, None]


# -- on_dead -------------------------------------------------------------------------------


def test_on_dead_gets_what_the_function_would_have_had(ours: Any, here: Server) -> None:
    """Text for a plain task, the arguments themselves for a call; both with the reason."""
    told: list[Any] = []

    @ours.spool(on_dead=lambda *of: told.append(of))
    def plain(task: dict[str, Any]) -> None: ...

    @ours.spool(pass_arguments=True, on_dead=lambda *of: told.append(of))
    def call(*args: Any, **kwargs: Any) -> None: ...

    plain.spool(a="é", body=b"\xff")
    call.spool(1, ["two"], key=None)
    for task in here.tasks:
        policy = here.runtime.registry.hooks["spooler"].policy_of(task)  # type: ignore[attr-defined]
        policy["on_dead"](task, "because")
    (plain_task, why), (call_task, _) = told
    assert why == "because"
    assert (plain_task["a"], plain_task["body"]) == ("é", b"\xff")
    assert (call_task["args"], call_task["kwargs"]) == ((1, ["two"]), {"key": None})


def test_on_dead_may_be_a_coroutine_function(ours: Any, here: Server) -> None:
    """As the task itself may be one; it is run to its end."""
    told = []

    async def tell(task: dict[str, Any], reason: str) -> None:
        told.append(reason)

    @ours.spool(on_dead=tell)
    def plain(task: dict[str, Any]) -> None: ...

    plain.spool(a="1")
    policy_of(here)["on_dead"](here.tasks[0], "because")
    assert told == ["because"]


def test_on_dead_of_a_broken_pickle_gets_the_bytes(ours: Any, here: Server) -> None:
    """What cannot be opened is handed over as it lies in the task."""
    told = []

    @ours.spool(pass_arguments=True, on_dead=lambda task, reason: told.append(task["args"]))
    def call(*args: Any) -> None: ...

    here.uwsgi.spool({"ud_spool_func": "call", "args": b"\xff", "kwargs": b"no pickle"})
    policy_of(here)["on_dead"](here.tasks[0], "because")
    assert told == [b"\xff"]
