"""Flask's own first page.

Runs in: every server of a benchmark.
"""

from __future__ import annotations

from flask import Flask

application = Flask(__name__)


@application.route("/")
def hello() -> str:
    """What Flask's quickstart answers."""
    return "<p>Hello, World!</p>"
