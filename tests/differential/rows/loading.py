"""How an ini becomes a process with the application in it.

Runs in: the test process.
"""

from __future__ import annotations

from tests.differential.claims import Setup, rows_of
from tests.differential.looks import value
from tests.differential.probes import NOTE_IMPORT, PROBE

NOTING = NOTE_IMPORT + PROBE

MODULE = Setup(
    name="loading",
    app=NOTING + "\ndef make():\n    return application\n",
    files={
        "lib/first.py": NOTE_IMPORT,
        "more/second.py": NOTE_IMPORT,
        "shared.py": NOTE_IMPORT,
        "late.py": NOTE_IMPORT,
        "sub/third.py": NOTE_IMPORT,
    },
    ini="""
module = app:make()
import = first
import = second
import = sub/third.py
shared-import = shared
pythonpath = lib
pythonpath = more
env = OWN=value
env = TWO=a=b
unenv = REMOVED
mine = one
mine = two
greeting = hello %(name)
name = me
lonely
names = %n-%s-%%
commented = value ; really
processes = 2
threads = 2
""",
    env={"REMOVED": "there"},
)
FILE = Setup(
    name="wsgi-file",
    app="",
    files={"sub/the.app.py": NOTING + "\nother = application\ndel application\n"},
    ini="module =\nwsgi-file = sub/the.app.py\ncallable = other",
)
PLACE = Setup(
    name="chdir",
    app="",
    files={"site/app.py": NOTING, "site/lib/first.py": NOTE_IMPORT, "tasks/": ""},
    ini="chdir = site\npythonpath = lib\nimport = first\nspooler = tasks",
)

loaded = rows_of("Loading the application", MODULE)
from_file = rows_of("Loading the application", FILE)
placed = rows_of("Loading the application", PLACE)
opt = rows_of("Configuration: what `uwsgi.opt` shows", MODULE)

ORDER = "__import__('builtins').IMPORTED"

CLAIMS = [
    loaded("the order: `shared-import`, `import` in its order, then `module`", value(ORDER)),
    loaded("`module = app:make()` calls the factory", value("__name__")),
    loaded(
        "`import` of a path is a module of its own name",
        value("[name for name in __import__('sys').modules if 'third' in name]"),
    ),
    loaded(
        "`sys.path` begins with the last `pythonpath`, then the others, then `.`",
        value("[os.path.normpath(path) for path in sys.path[:3]]"),
    ),
    loaded("`sys.argv`", value("sys.argv")),
    loaded(
        "the working directory",
        value("os.path.realpath(os.getcwd()) == os.path.dirname(os.path.realpath(__file__))"),
    ),
    loaded("`env = K=V` is in os.environ", value("[os.environ['OWN'], os.environ['TWO']]")),
    loaded("`unenv` takes out", value("'REMOVED' in os.environ")),
    loaded(
        "standard output and error are one, line by line",
        value(
            "[sys.stdout.fileno() in (1, 2), sys.stdout.line_buffering, sys.stderr.line_buffering]"
        ),
    ),
    loaded(
        "`sys.executable` is a Python",
        value("os.path.basename(sys.executable).startswith('python')"),
        differs="a subprocess of `sys.executable` works; there it is the server",
        ours=True,
        theirs=False,
    ),
    loaded(
        "`processes` and `threads` reach `numproc` and `cores`, and the environ",
        value("[uwsgi.numproc, uwsgi.cores, e['wsgi.multiprocess'], e['wsgi.multithread']]"),
    ),
    from_file("`wsgi-file` is a module with the path in its name", value("__name__")),
    from_file(
        "`__file__` of it",
        value("[os.path.isabs(__file__), os.path.basename(__file__)]"),
        differs="it is absolute, so that it names the file also in a spooler's directory",
        ours=[True, "the.app.py"],
        theirs=[False, "the.app.py"],
    ),
    from_file("`callable` names the application", value("'application' in globals()")),
    placed("`chdir` is done before the import", value("os.path.basename(os.getcwd())")),
    placed("`pythonpath` is relative to it", value(ORDER)),
    placed(
        "`spooler` is relative to where the server was started",
        value(
            "os.path.relpath(os.path.realpath(uwsgi.spoolers[0].decode()), os.path.realpath('.'))"
        ),
    ),
    opt("placeholders, replaced", value("uwsgi.opt['greeting']")),
    opt("a key without a value", value("uwsgi.opt['lonely']")),
    opt("%n, %s and %%", value("uwsgi.opt['names']")),
    opt(
        "a repeated key",
        value("uwsgi.opt['mine']"),
        differs="a list, as its documentation says; there only the last",
        ours=[b"one", b"two"],
        theirs=b"two",
    ),
    opt(
        "a repeated option",
        value("uwsgi.opt['import']"),
        differs="a list, as its documentation says; there only the last",
        ours=[b"first", b"second", b"sub/third.py"],
        theirs=b"sub/third.py",
    ),
    opt(
        "a comment after a value",
        value("uwsgi.opt['commented']"),
        differs="it is a comment",
        ours=b"value",
        theirs=b"value ; really",
    ),
]
