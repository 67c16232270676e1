"""The example site, run end to end as `make demo` runs it: over HTTP and through nginx.

The site is copied into the test's folder, so its spool directory and its database are its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.harness import Client, Nginx, Response, Server, eventually
from tests.harness.clients import Address
from tests.harness.examples import videos

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "videos"

DOCUMENTED_TASKS = r"""import os
from django.contrib.sessions.models import Session
from django_uwsgi.decorators import cron, spool

@cron(40, 2, -1, -1, -1)
def clear_django_session(num):
    print("it's 2:40 in the morning: clearing django sessions")
    Session.objects.all().delete()

@spool
def encode_video(arguments):
    os.system("ffmpeg -i \"%s\" image%%d.jpg" % arguments['filename'])
"""

DOCUMENTED_INI = """\
[uwsgi]
; a couple of placeholder
django_projects_dir = /var/www/apps
my_project = foobar
; chdir to app project dir and set pythonpath
chdir = %(django_projects_dir)/%(my_project)
pythonpath = %(django_projects_dir)
; load django
module = django.core.handlers.wsgi:WSGIHandler()
env = DJANGO_SETTINGS_MODULE=%(my_project).settings
; enable master
master = true
; 4 processes should be enough
processes = 4
; enable the spooler (the mytasks dir must exist!)
spooler = %(chdir)/mytasks
; load the task.py module
import = tasks
; bind on a tcp socket
socket = 127.0.0.1:3031
"""


class Browser:
    """What a browser does with a site: keeps cookies, sends the form's token, follows."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}

    def get(self, path: str = "/") -> Response:
        """Fetch one page."""
        return self._send("GET", path)

    def post(self, path: str, **fields: str) -> Response:
        """Send a form, with the token the last page had."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get("/").text)
        assert token, "the form has no token"
        return self.post_raw(path, csrfmiddlewaretoken=token.group(1), **fields)

    def post_raw(self, path: str, **fields: str) -> Response:
        """Send a form with these fields and no others."""
        return self._send("POST", path, urlencode(fields).encode())

    def state(self) -> str:
        """The state of the newest task in the visitor's list."""
        found = re.search(r'<span class="state">(\w+)</span>', self.get("/tasks").text)
        return found.group(1) if found else "nothing"

    def pictures(self) -> list[str]:
        """The addresses of the pictures in the visitor's list."""
        return re.findall(r'<img src="([^"]+)"', self.get("/tasks").text)

    def _send(self, method: str, path: str, body: bytes | None = None) -> Response:
        headers = [("Cookie", "; ".join(f"{key}={value}" for key, value in self.cookies.items()))]
        if body is not None:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        with Client(self.address, timeout=20) as client:
            response = client.request(method, path, headers=headers, body=body)
        for cookie in response.header_list("Set-Cookie"):
            key, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[key] = value
        return response


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example, prepared as `make demo` does, on free ports."""
    with videos(tmp_path_factory.mktemp("projects")) as server:
        yield server


@pytest.fixture(params=["http", "nginx"])
def browser(request: pytest.FixtureRequest, site: Server, tmp_path: Path) -> Iterator[Browser]:
    """A new visitor, once directly over HTTP and once through nginx and the uwsgi socket."""
    if request.param == "http":
        yield Browser(site.http)
    else:
        with Nginx(tmp_path, site.uwsgi) as nginx:
            yield Browser(nginx.http)


def test_tasks_and_ini_are_the_documented_ones() -> None:
    """tasks.py is the documentation's letter by letter; the ini but for its first two values."""
    assert (EXAMPLE / "tasks.py").read_text() == DOCUMENTED_TASKS
    ours = (EXAMPLE / "videos.ini").read_text().splitlines()
    theirs = DOCUMENTED_INI.splitlines()
    differing = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert differing == [
        ("django_projects_dir = %d..", "django_projects_dir = /var/www/apps"),
        ("my_project = videos", "my_project = foobar"),
    ]


def test_the_site_runs_as_configured(site: Server) -> None:
    """Four workers and a spooler serve, on the uwsgi socket and over HTTP."""
    assert [one.id for one in site.children("worker")] == [1, 2, 3, 4]
    assert len(site.children("spooler")) == 1
    assert site.uwsgi != site.http


def test_the_cron_job_is_on_the_clock(site: Server) -> None:
    """`@cron(40, 2, -1, -1, -1)` is registered: the log names it among the clock's entries."""
    site.wait_for(r"the clock has: .*cron.*\b40 2 -1 -1 -1\b")


def test_a_posted_name_comes_back_as_pictures(browser: Browser, site: Server) -> None:
    """The post answers at once; the spooler runs ffmpeg; the page then has the pictures."""
    before = site.log.here()
    answer = browser.post("/encode", video_filename="sunrise.avi")
    assert (answer.status, answer.header("Location")) == (302, "/")
    assert browser.state() in {"enqueued", "running", "done"}

    site.wait_for(r"\bspooler\b.*uwsgi_spoolfile_on_", after=before)
    eventually(lambda: browser.state() == "done", within=20, what="the task is done")
    site.wait_for("done with task uwsgi_spoolfile_on_", after=before)

    pictures = [browser.get(address) for address in browser.pictures()]
    assert len(pictures) == 4
    for picture in pictures:
        assert (picture.status, picture.header("Content-Type")) == (200, "image/jpeg")
        assert picture.body[:3] == b"\xff\xd8\xff"
        assert picture.body[-2:] == b"\xff\xd9"


def test_a_name_that_is_no_clip_is_refused(browser: Browser, site: Server) -> None:
    """A name from outside the list never reaches the shell: 400, and no task."""
    answer = browser.post("/encode", video_filename='x"; touch pwned; "')
    assert answer.status == 400
    assert "no clip of that name" in answer.text
    assert browser.state() == "nothing"
    assert not (site.folder / "mytasks" / "pwned").exists()


def test_a_post_without_the_token_is_refused(browser: Browser) -> None:
    """Cross-site request forgery is not possible: no token, no task."""
    browser.get("/")
    assert browser.post_raw("/encode", video_filename="sunrise.avi").status == 403


def test_nothing_but_pictures_can_be_fetched(browser: Browser) -> None:
    """The address of the pictures does not open the rest of the spool directory."""
    for name in ("sunrise.avi", "..%2Fsettings.py", ".gitignore", "image999.jpg"):
        assert browser.get(f"/pictures/{name}").status == 404


def test_the_page_needs_nothing_from_elsewhere(browser: Browser) -> None:
    """The page is whole by itself: no stylesheet, script or font of another host."""
    page = browser.get("/")
    assert page.status == 200
    assert page.header("Content-Type") == "text/html; charset=utf-8"
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)
    assert 'name="viewport"' in page.text
    assert "prefers-color-scheme: dark" in page.text


def test_the_stand_in_writes_the_frames_of_a_clip(tmp_path: Path) -> None:
    """`ffmpeg -i CLIP image%d.jpg` of the stand-in: one JPEG of the clip's size for each frame."""
    make = (
        "import sys; sys.path.insert(0, sys.argv[1]); import clips, pathlib; clips.make_clips({})"
    )
    there = "pathlib.Path('.')"
    subprocess.run(
        [sys.executable, "-c", make.format(there), EXAMPLE], cwd=tmp_path, check=True, timeout=60
    )
    command = [EXAMPLE / "standin" / "ffmpeg", "-i", "comet.avi", "image%d.jpg"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    pictures = sorted(path.name for path in tmp_path.glob("*.jpg"))
    assert pictures == [f"image{n}.jpg" for n in (1, 2, 3, 4)]
    head = (tmp_path / "image1.jpg").read_bytes()
    size = head.index(b"\xff\xc0") + 5
    assert head[size : size + 4] == bytes([0, 176, 320 // 256, 320 % 256])


def test_the_stand_in_says_what_it_cannot_do(tmp_path: Path) -> None:
    """A clip that is missing, or any other use, is one line on stderr and a failing exit code."""
    command = [EXAMPLE / "standin" / "ffmpeg", "-i", "gone.avi", "image%d.jpg"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "gone.avi" in done.stderr
