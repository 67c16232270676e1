"""The app with every decorator, started as its README says: each fired, and where it should.

The events come from the endpoint that the page polls; the buttons are pressed over HTTP.
What the page makes of them is test_everything_page.py's.
"""

from __future__ import annotations

import itertools
import json
import re
import signal as unix_signals
import time
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import isfunction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.harness import Client, Server, eventually
from tests.harness.examples import everything
from tests.harness.otp import Epmd, running

from muleteer import decorators

NODE = "everything@127.0.0.1"
COOKIE = "an-example-has-no-secrets"
WORKERS = {"worker 1", "worker 2", "worker 3", "worker 4"}
HERD = {"mule 5", "mule 6"}

NO_DECORATORS = {"get_free_signal", "manage_spool_request"}


@dataclass(frozen=True)
class Event:
    """One line of the example's table."""

    id: int
    at: float
    decorator: str
    nth: int
    kind: str
    number: int
    pid: int
    what: str
    seconds: float

    @property
    def where(self) -> str:
        """The process it happened in: 'worker 1'."""
        return f"{self.kind} {self.number}"


class Site:
    """The example, its events and its buttons."""

    def __init__(self, server: Server, epmd: Epmd) -> None:
        self.server = server
        self.epmd = epmd

    def events(self, decorator: str = "", after: int = 0) -> list[Event]:
        """What has happened since event `after`, of one decorator or of all."""
        answer = json.loads(self.server.get(f"/events/{after}").body)
        events = [Event(**event) for event in answer["events"]]
        return [event for event in events if decorator in ("", event.decorator)]

    def last(self) -> int:
        """The number of the last event."""
        return max((event.id for event in self.events()), default=0)

    def press(self, decorator: str, label: str) -> str:
        """Press a button; returns what the page would show."""
        with Client(self.server.http) as client:
            response = client.request("POST", f"/do/{decorator}/{quote(label)}", body=b"")
        assert response.status == 200, response.text
        return str(json.loads(response.body)["answer"])

    def fired(self, decorator: str, after: int = 0, *, times: int = 1, within: float = 15.0) -> Any:
        """Wait until it has fired that often; returns its events."""
        what = f"@{decorator} fired {times} times"

        def look() -> list[Event] | None:
            events = self.events(decorator, after)
            return events if len(events) >= times else None

        return eventually(look, within=within, what=what)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests here: each looks at what comes after its own click."""
    folder = tmp_path_factory.mktemp("examples")
    epmd = Epmd().start()
    try:
        env = {"ERL_EPMD_PORT": str(epmd.port), "HOME": str(folder)}
        with everything(folder, env=env) as server:
            server.wait_for(f"Erlang node {NODE} listens")
            yield Site(server, epmd)
    finally:
        epmd.stop()


def test_no_decorator_is_missing(site: Site) -> None:
    """The page has a card for every decorator there is, with its code and its docstring."""
    page = site.server.get("/").text
    cards = re.findall(r'<article class="card" id="(\w+)">', page)
    functions = {name for name in decorators.__all__ if isfunction(getattr(decorators, name))}
    assert sorted(cards) == sorted(functions - NO_DECORATORS)
    codes = re.findall(r"<pre><code>.*?</code></pre>", page, re.DOTALL)
    for name, code in zip(cards, codes, strict=True):
        assert f"@{name}" in code
        assert f"note(&#34;{name}&#34;" in code
    assert '<p class="words"></p>' not in page


@pytest.mark.parametrize(
    ("decorator", "places"),
    [
        ("timer", WORKERS),
        ("mstimer", {"mule 1"}),
        ("rbtimer", {"spooler 1"}),
        ("mule", {"mule 2"}),
        ("muleloop", {"mule 3"}),
        ("thread", {"worker 1"}),
    ],
)
def test_what_repeats_by_itself(site: Site, decorator: str, places: set[str]) -> None:
    """Timers, the mules' own programs and the thread go on without a click, in their process."""
    events = site.fired(decorator, times=3)
    assert {event.where for event in events} <= places


def test_postfork_runs_in_every_process(site: Site) -> None:
    """Each worker, mule, spooler and gateway was born once, under the pid that it has."""
    born = {(event.kind, event.number, event.pid) for event in site.fired("postfork", times=12)}
    kinds = ("worker", "mule", "spooler", "gateway")
    living = {(kind, one.id, one.pid) for kind in kinds for one in site.server.children(kind)}
    assert len(living) == 4 + 6 + 1 + 1
    assert living <= born


@pytest.mark.parametrize(
    ("decorator", "label", "places"),
    [
        ("signal", "A worker", WORKERS),
        ("signal", "Mule 1", {"mule 1"}),
        ("signal", "The farm", HERD),
        ("signal", "The spooler", {"spooler 1"}),
        ("filemon", "Touch the file", {"mule 1"}),
        ("spool", "Enqueue", {"spooler 1"}),
        ("mulefunc", "Call", {"mule 1"}),
        ("mulemsg", "Send", {"mule 4"}),
        ("farm", "Send", HERD),
        ("rpc", "Call over the socket", WORKERS),
        ("erlang", "Send a message", {"gateway 1"}),
    ],
)
def test_what_a_button_sets_off(site: Site, decorator: str, label: str, places: set[str]) -> None:
    """One click is one call, in a process that may make it, whoever took the click."""
    before = site.last()
    if decorator == "erlang":
        eventually(lambda: "does not run" not in site.press(decorator, label), within=15)
    else:
        site.press(decorator, label)
    (event,) = site.fired(decorator, before)
    assert event.where in places


def test_signal_to_all_workers(site: Site) -> None:
    """A signal with target 'workers' runs in each of them once."""
    before = site.last()
    site.press("signal", "All workers")
    events = site.fired("signal", before, times=4)
    assert sorted(event.where for event in events) == sorted(WORKERS)


def test_rpc_answers_the_caller(site: Site) -> None:
    """The result comes back over the socket, as a number."""
    assert site.press("rpc", "Call over the socket") == "2 + 40 = 42"


def test_spoolraw_is_run_until_its_time_has_come(site: Site) -> None:
    """SPOOL_RETRY brings the task back, SPOOL_OK ends it, and its file is gone."""
    before = site.last()
    site.press("spoolraw", "Enqueue")
    last = "done: SPOOL_OK"
    eventually(lambda: site.fired("spoolraw", before)[-1].what == last, within=25)
    *retried, _ = [event.what for event in site.fired("spoolraw", before)]
    assert retried
    assert set(retried) == {"not yet: SPOOL_RETRY"}


def test_spoolforever_comes_back_until_its_file_is_removed(site: Site) -> None:
    """Enqueued twice it is there once; removed, its file is gone."""
    before = site.last()
    assert "every five seconds" in site.press("spoolforever", "Enqueue")
    site.fired("spoolforever", before, times=3)
    eventually(lambda: "there already" in site.press("spoolforever", "Enqueue"))
    eventually(lambda: _remove(site), what="nothing waits in the spool directory")


def _remove(site: Site) -> bool:
    """Press the button, also when the task was just running: then it is no file to be removed."""
    site.press("spoolforever", "Remove")
    return not list((site.server.folder / "spool").glob("uwsgi_spoolfile_on_*"))


def test_lock_is_held_by_one_worker_at_a_time(site: Site) -> None:
    """All workers pass the section, and no two of them are in it at once."""
    before = site.last()
    site.press("lock", "All workers at once")
    events = site.fired("lock", before, times=4)
    assert sorted(event.where for event in events) == sorted(WORKERS)
    sections = sorted((event.at - event.seconds, event.at) for event in events)
    for (_, end), (begin, _) in itertools.pairwise(sections):
        assert end <= begin


def test_harakiri_ends_one_worker_only(site: Site) -> None:
    """The worker that ran into it is replaced, the log has its stack, and the others live on."""
    before, line = site.last(), site.server.log.here()
    pids = site.server.pids("worker")
    site.press("harakiri", "Run into it")
    (event,) = site.fired("harakiri", before)
    assert event.kind == "worker"
    assert event.pid in pids
    (born,) = site.fired("postfork", before)
    assert (born.where, born.pid not in pids) == (event.where, True)
    assert site.server.pids("worker") == pids - {event.pid} | {born.pid}
    name = event.where.upper()
    site.server.wait_for(rf"HARAKIRI ON {name} .*signal 7 \(decorated.too_slow\)", after=line)
    site.server.wait_for(r"decorated\.py.* in too_slow", after=line)


def test_erlang_node_is_heard(site: Site, tmp_path: Path) -> None:
    """A real OTP node sends a message and makes a call, as the README shows."""
    before = site.last()
    with running("me@127.0.0.1", site.epmd, tmp_path, cookie=COOKIE) as otp:
        pong = f"net_adm:ping('{NODE}')"
        eventually(lambda: otp.eval(pong) == "pong", within=15)
        otp.eval(f"{{echo, '{NODE}'}} ! {{hello, 42}}")
        assert otp.eval(f"rpc:call('{NODE}', any, add, [2, 40])") == "42"
        (message,) = site.fired("erlang", before)
        (call,) = site.fired("rpc", before)
    assert (message.where, call.where) == ("gateway 1", "gateway 1")
    assert "hello" in message.what
    assert call.what == "2 + 40 = 42"


def test_cron_fires_when_the_minute_is_full(site: Site) -> None:
    """`@cron(-1, -1, -1, -1, -1)` runs in mule 1, and its handler's clock shows the new minute."""
    event = site.fired("cron", within=75)[0]
    assert event.where == "mule 1"
    assert event.what == time.strftime("it is %H:%M", time.localtime(event.at))


def test_unknown_button_is_not_found(site: Site) -> None:
    """Only what has a button can be set off."""
    with Client(site.server.http) as client:
        assert client.request("POST", "/do/signal/Nobody", body=b"").status == 404


def test_a_reload_replaces_every_process(site: Site) -> None:
    """SIGHUP, as the README says: all are born anew, while each request is answered."""
    kinds = ("worker", "mule", "spooler", "gateway")
    old = {one.pid for kind in kinds for one in site.server.children(kind)}
    site.server.send(unix_signals.SIGHUP)
    site.server.wait_for("chain reload done", within=30)
    born = site.fired("postfork", times=12)
    assert not old & {event.pid for event in born}
    site.fired("timer", site.last())


def test_nothing_goes_wrong_in_the_log(site: Site) -> None:
    """Beside the harakiri, which is asked for, the log has no complaint and no traceback."""
    asked_for = r"HARAKIRI|worker \d \(pid: \d+\) (is killed|died)|running as root"
    wrong = site.server.log.find(rf"Traceback|(ERROR|WARNING|CRITICAL): (?!{asked_for})")
    assert [found.string for found in wrong] == []


def test_without_epmd_the_rest_is_there(tmp_path: Path) -> None:
    """On a machine without Erlang there is no node and no button, and the card says why."""
    with everything(tmp_path, env={}, has_epmd=False) as server:
        page = server.get("/").text
        assert server.children("gateway") == []
        card = page[page.index('id="erlang"') :].partition("</article>")[0]
        assert "<button" not in card
        assert "Off: no epmd on this machine" in card
