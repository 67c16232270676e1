"""Several applications under one roof: which one is asked, and with what path."""

from __future__ import annotations

from typing import Any

import pytest

from muleteer.serve.mounts import Mounts


def app(name: str) -> Any:
    return lambda environ, _: [f"{name} {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}"]


APPS = {"/one": app("one"), "/one/deep": app("deep"), "two/": app("two")}


def ask(mounts: Mounts, path: str, script: str = "") -> str:
    (answer,) = mounts({"SCRIPT_NAME": script, "PATH_INFO": path}, lambda *_: None)
    return str(answer)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "main |/"),
        ("/one", "one /one|"),
        ("/one/", "one /one|/"),
        ("/one/x", "one /one|/x"),
        ("/onetwo", "main |/onetwo"),
        ("/one/deep", "deep /one/deep|"),
        ("/one/deep/x", "deep /one/deep|/x"),
        ("/one/deeper", "one /one|/deeper"),
        ("/two/x", "two /two|/x"),
    ],
)
def test_the_path_says_who_is_asked(path: str, answer: str) -> None:
    """The longest mount that is the path or ends at a slash of it; it becomes SCRIPT_NAME."""
    assert ask(Mounts(APPS, app("main"), manages=True), path) == answer


@pytest.mark.parametrize(
    ("script", "answer"),
    [("", "main |/one/x"), ("/one", "one /one|/one/x"), ("/nope", "main /nope|/one/x")],
)
def test_script_name_says_who_is_asked(script: str, answer: str) -> None:
    """Without `manage-script-name` the web server has parted the path."""
    assert ask(Mounts(APPS, app("main"), manages=False), "/one/x", script) == answer


def test_an_application_at_the_root_answers_the_rest() -> None:
    """`mount = /=app` takes the place of `module`."""
    assert ask(Mounts({"/": app("root")}, app("main"), manages=True), "/x") == "root |/x"
