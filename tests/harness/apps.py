"""Tiny WSGI apps as source text, to be put into a server's folder.

Runs in: the started server; here they are only words.
"""

from __future__ import annotations

HELLO = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""
"""Answers `hello`, whatever is asked."""

ECHO = """\
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream"),
                              ("Content-Length", str(len(body)))])
    return [body]
"""
"""Answers the body it was sent."""

PID = """\
import os

def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
"""Answers the pid of the worker."""

EVALUATE = """\
import os
import uwsgi

def application(environ, start_response):
    expression = environ["wsgi.input"].read() or b"None"
    try:
        answer = repr(eval(expression, {"uwsgi": uwsgi, "os": os, "e": environ}))
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    body = answer.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
"""Answers the repr of the Python expression it was sent, evaluated in the worker."""

SPOOL = """\
import os
from uwsgidecorators import spool

@spool
def note(arguments):
    print("spooled in pid", os.getpid(), arguments["path"].decode()
          if isinstance(arguments["path"], bytes) else arguments["path"], flush=True)

def application(environ, start_response):
    note.spool({b"path": environ["PATH_INFO"].encode()})
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""
"""Spools the path it was asked for; the task prints it."""
