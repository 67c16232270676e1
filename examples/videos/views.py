"""The page: a form that spools a task, the list of what became of it, and the pictures.

Runs in: a worker.
"""

from __future__ import annotations

import re
import time

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe
from tasks import encode_video

from videos import history

PICTURE = re.compile(r"image\d+\.jpg")


@require_safe
@never_cache
@ensure_csrf_cookie
def index(request: HttpRequest) -> HttpResponse:
    """The whole page."""
    return render(request, "index.html", _context(request))


@require_safe
@never_cache
def task_list(request: HttpRequest) -> HttpResponse:
    """The list alone: the page asks for it again while a task is not done."""
    return render(request, "tasks.html", _context(request))


@require_POST
def encode(request: HttpRequest) -> HttpResponse:
    """Spool one encoding and come back at once: the work is the spooler's."""
    # The name ends up in a shell's command line: so it must be one of ours, to the letter.
    if request.POST.get("video_filename") not in history.clips(settings.SPOOL):
        problem = "There is no clip of that name: choose one of the list."
        return render(request, "index.html", _context(request) | {"problem": problem}, status=400)
    at = time.time()
    path = encode_video.spool(filename=request.POST["video_filename"])
    task = path.decode() if isinstance(path, bytes) else path
    history.remember(request.session, task, request.POST["video_filename"], at)
    return redirect("index")


@require_safe
@never_cache
def picture(request: HttpRequest, name: str) -> FileResponse:
    """One picture, from where the task left it."""
    path = settings.SPOOL / name
    if not PICTURE.fullmatch(name) or not path.is_file():
        raise Http404("no such picture")
    return FileResponse(path.open("rb"), content_type="image/jpeg")


def _context(request: HttpRequest) -> dict[str, object]:
    encodings = history.encodings(request.session, settings.SPOOL)
    return {
        "clips": history.clips(settings.SPOOL),
        "encodings": encodings,
        "is_pending": any(not one.is_done for one in encodings),
    }
