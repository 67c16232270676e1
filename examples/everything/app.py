"""The page, what it polls, and what its buttons do.

Runs in: a worker.
"""

from __future__ import annotations

import time

import events
from cards import ACTIONS, GROUPS, NODE
from flask import Flask, abort, render_template

events.begin()
app = Flask(__name__)


@app.get("/")
def index() -> str:
    """The page."""
    return render_template("index.html", groups=GROUPS, node=NODE)


@app.get("/events/<int:last>")
def new_events(last: int) -> dict[str, object]:
    """What happened after event `last`: the page asks twice a second."""
    return {"now": time.time(), "events": events.after(last)}


@app.post("/do/<decorator>/<label>")
def do(decorator: str, label: str) -> dict[str, object]:
    """What a button does: its answer comes at once, the function runs where it belongs."""
    action = ACTIONS.get((decorator, label)) or abort(404)
    try:
        answer = action()
    except ValueError as error:  # what `uwsgi` raises says what is wrong
        answer = str(error)
    return {"answer": answer if isinstance(answer, str) else ""}
