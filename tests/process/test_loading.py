"""How the application is loaded: once, whatever names it is asked for by."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness import Server

StartServer = Callable[..., Server]

APP = """
import os, uwsgi
print("app is imported as", __name__, "from", os.path.basename(__file__), flush=True)
uwsgi.register_signal(17, "", lambda n: None)
def run():
    print("mule has", __name__, flush=True)
    while True:
        uwsgi.mule_get_msg()
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [__name__.encode()]
"""

INI = """
http-socket = 127.0.0.1:0
wsgi-file = app.py
"""


def test_file_that_is_imported_by_name_too_is_loaded_once(start_server: StartServer) -> None:
    """`wsgi-file = app.py`, `mule = app:run` and `import app` share one module (uWSGI: three)."""
    server = start_server(
        ini=INI + "mule = app:run\nimport = tasks\n",
        files={"app.py": APP, "tasks.py": "import app\n"},
    )
    server.wait_for("mule has")
    assert len(server.log.find("app is imported as")) == 1


def test_file_keeps_uwsgis_module_name(start_server: StartServer) -> None:
    """The module of `wsgi-file = app.py` is called `uwsgi_file_app`, as there."""
    server = start_server(ini=INI, files={"app.py": APP})
    assert server.get("/").text == "uwsgi_file_app"


def test_another_module_of_the_same_name_stays_itself(start_server: StartServer) -> None:
    """A file elsewhere does not take the name of a module that `import` finds."""
    ini = INI.replace("app.py", "web/app.py") + "import = tasks\n"
    tasks = "import app\nprint('other', app.OTHER, flush=True)\n"
    server = start_server(
        ini=ini, files={"web/app.py": APP, "app.py": "OTHER = 1\n", "tasks.py": tasks}
    )
    server.wait_for("other 1")
    assert server.get("/").text == "uwsgi_file_web_app"
