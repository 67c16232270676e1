"""The page's cards: each decorated function, its own source, and the buttons that set it off.

Runs in: a worker.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import decorated
import uwsgi

Action = Callable[[], object]

NODE = getattr(uwsgi, "erlang_node", b"").decode()
SOCKET = uwsgi.opt["socket"]


@dataclass(frozen=True)
class Card:
    """One decorated function; a button's action may return words for the page."""

    decorator: str
    function: Callable[..., object]
    buttons: dict[str, Action] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The function's docstring."""
        return inspect.getdoc(inspect.unwrap(self.function)) or ""

    @property
    def code(self) -> list[str]:
        """The function as it is written, without its docstring."""
        lines = inspect.getsource(inspect.unwrap(self.function)).splitlines()
        return [line for line in lines if not line.lstrip().startswith('"""')]


def touch() -> None:
    """Write another line into the watched file."""
    decorated.WATCHED.write_text(time.strftime("touched at %H:%M:%S\n"))


def enqueue_for_later() -> None:
    """Enqueue a task that says twice or so that it is not done yet."""
    decorated.when_it_is_time.spool(due=time.time() + 8)


def patrols() -> list[bytes]:
    """The endless tasks that wait in the spool directory, as paths."""
    tasks = {path: uwsgi.spooler_get_task(path) or {} for path in uwsgi.spooler_jobs()}
    return [path for path, task in tasks.items() if task.get(b"ud_spool_func") == b"patrol"]


def start_patrol() -> str:
    """Enqueue the endless task, once."""
    if patrols():
        return "It is there already, as a file in spool/."
    decorated.patrol.spool(what="all is well")
    return "From now on every five seconds, after a restart too."


def end_patrol() -> str:
    """Remove its file: what is not there is not run again."""
    for path in patrols():
        os.remove(path)
    return "Its file is gone, and with it the task."


def add_over_the_socket() -> str:
    """Call the function in whichever worker answers on the uwsgi socket."""
    return f"2 + 40 = {uwsgi.rpc(SOCKET, 'add', 2, 40)}"


def send_erlang_message() -> None:
    """Send a message to our own node, as any Erlang node would."""
    line = uwsgi.erlang_connect(NODE)
    try:
        uwsgi.erlang_send_message(line, "echo", ("good morning", 42))
    finally:
        uwsgi.erlang_close(line)


def erlang_buttons() -> dict[str, Action]:
    """What there is to press where the server has a node."""
    return {"Send a message": send_erlang_message} if NODE else {}


GROUPS: dict[str, list[Card]] = {
    "The clock": [
        Card("timer", decorated.tick),
        Card("mstimer", decorated.quick_tick),
        Card("rbtimer", decorated.twenty_ticks),
        Card("cron", decorated.every_minute),
    ],
    "Signals": [
        Card(
            "signal",
            decorated.hear,
            {
                "A worker": partial(uwsgi.signal, 1),
                "All workers": partial(uwsgi.signal, 2),
                "Mule 1": partial(uwsgi.signal, 3),
                "The farm": partial(uwsgi.signal, 4),
                "The spooler": partial(uwsgi.signal, 5),
            },
        ),
        Card("lock", decorated.one_at_a_time, {"All workers at once": partial(uwsgi.signal, 6)}),
        Card("harakiri", decorated.too_slow, {"Run into it": partial(uwsgi.signal, 7)}),
        Card("filemon", decorated.file_changed, {"Touch the file": touch}),
    ],
    "Work for later": [
        Card("spool", decorated.greet, {"Enqueue": partial(decorated.greet.spool, name="you")}),
        Card("spoolraw", decorated.when_it_is_time, {"Enqueue": enqueue_for_later}),
        Card("spoolforever", decorated.patrol, {"Enqueue": start_patrol, "Remove": end_patrol}),
        Card("mulefunc", decorated.count_digits, {"Call": partial(decorated.count_digits, 1000)}),
    ],
    "Mules": [
        Card("mule", decorated.own_program),
        Card("muleloop", decorated.again_and_again),
        Card("mulemsg", decorated.letter, {"Send": partial(uwsgi.mule_msg, "hello, mule 4", 4)}),
        Card(
            "farm",
            decorated.letter_to_the_herd,
            {"Send": partial(uwsgi.farm_msg, "herd", "hello, whoever is idle")},
        ),
    ],
    "Calls from elsewhere": [
        Card("rpc", decorated.add, {"Call over the socket": add_over_the_socket}),
        Card("erlang", decorated.echo, erlang_buttons()),
    ],
    "From the first moment": [
        Card("postfork", decorated.born),
        Card("thread", decorated.beside_the_requests),
    ],
}
ACTIONS = {
    (card.decorator, label): action
    for cards in GROUPS.values()
    for card in cards
    for label, action in card.buttons.items()
}
