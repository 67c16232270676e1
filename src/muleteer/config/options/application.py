"""Options: the application, and the files served beside it.

One field is one option; config/options/table.py joins them.

Runs in: anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from muleteer.config.option import (
    option,
)
from muleteer.config.values import (
    read_assignment,
    read_module,
    read_mount,
    read_pattern_and_seconds,
)

__all__ = ["ApplicationOptions", "StaticOptions"]


@dataclass(frozen=True, kw_only=True)
class ApplicationOptions:
    """The application, and the environment that it is loaded in."""

    module: str | None = option(
        None,
        "Module of the WSGI app, as module, module:callable or module:factory().",
        aliases=("wsgi",),
        short="w",
        read=read_module,
        example="app:application",
    )
    wsgi_file: str | None = option(
        None,
        "Python file of the WSGI app.",
        aliases=("file",),
        example="app.py",
    )
    callable: str = option(
        "application",
        "Name of the app in its module or file.",
        example="app",
    )
    need_app: bool = option(
        False,
        "End with exit code 22 also when no app is named, only modules to import.",
        uwsgi="differs: an app that is named and does not load ends the start in any case;"
        " there a server without an app goes on and answers 500",
    )
    mount: tuple[str, ...] = option(
        (),
        "Another application and the path it answers, as /path=module:callable or /path=file.py.",
        uwsgi="differs: all are in one interpreter, there each has its own",
        read=read_mount,
        example="/admin=admin:application",
    )
    manage_script_name: bool = option(
        False,
        "Find the mounted application by the path of the request, not by SCRIPT_NAME.",
    )
    no_default_app: bool = option(
        False,
        "Answer 500 where no mounted application fits; else the first one answers.",
    )
    import_: tuple[str, ...] = option(
        (),
        "Module or file to import beside the app, in every process.",
        aliases=("pyimport", "py-import", "python-import"),
        uwsgi="differs: loaded once before the fork, so mules and spoolers have it too",
        example="tasks",
    )
    shared_import: tuple[str, ...] = option(
        (),
        "Module or file to import before the app.",
        aliases=("shared-pyimport", "shared-py-import", "shared-python-import"),
        example="tasks",
    )
    spooler_import: tuple[str, ...] = option(
        (),
        "Module or file for the spoolers; imported everywhere, before the fork.",
        aliases=("spooler-pyimport", "spooler-py-import", "spooler-python-import"),
        uwsgi="differs: loaded once before the fork, as `import`",
        example="tasks",
    )
    pythonpath: tuple[str, ...] = option(
        (),
        "Directory to put in front of sys.path.",
        aliases=("python-path", "pp"),
        example="/srv/app",
    )
    virtualenv: str | None = option(
        None,
        "Virtual environment whose packages the app uses.",
        aliases=("home", "venv", "pyhome"),
        short="H",
        example="/srv/venv",
    )
    chdir: str | None = option(
        None,
        "Directory to change to before the app is loaded.",
        path=True,
        example="/srv/app",
    )
    chdir2: str | None = option(
        None,
        "Directory to change to after the app is loaded.",
        example="/srv/app",
    )
    env: tuple[str, ...] = option(
        (),
        "Environment variable for the app, as NAME=VALUE.",
        read=read_assignment,
        example="DJANGO_SETTINGS_MODULE=site.settings",
    )
    unenv: tuple[str, ...] = option(
        (),
        "Environment variable to take away from the app.",
        example="NAME",
    )
    single_interpreter: bool = option(
        True,
        "Run the app in the main interpreter; it always does.",
        short="i",
        uwsgi="accepted: there are no sub-interpreters, which many packages do not survive",
    )


@dataclass(frozen=True, kw_only=True)
class StaticOptions:
    """Files that are served without the application."""

    static_map: tuple[str, ...] = option(
        (),
        "Path and the directory whose files answer it, as /path=directory.",
        uwsgi="differs: with an ETag, parts of a file where one asks for them; /static is no prefix"
        " of /staticky",
        read=read_mount,
        example="/static=/srv/app/static",
    )
    static_map2: tuple[str, ...] = option(
        (),
        "The same; the path goes on in the directory: /path=dir has dir/path/file.",
        uwsgi="differs: in the same as static-map",
        read=read_mount,
        example="/static=/srv/app",
    )
    check_static: tuple[str, ...] = option(
        (),
        "Directory that is looked into for every path before the application is asked.",
        uwsgi="differs: in the same as static-map",
        path=True,
        example="/srv/app/public",
    )
    static_index: tuple[str, ...] = option(
        (),
        "File that answers for its directory.",
        example="index.html",
    )
    static_safe: tuple[str, ...] = option(
        (),
        "Directory that links of served directories may lead to.",
        path=True,
        example="/srv/media",
    )
    static_skip_ext: tuple[str, ...] = option(
        (),
        "Ending of names that are never served as files.",
        example=".php",
    )
    static_expires: tuple[str, ...] = option(
        (),
        "Pattern of file names and the seconds for which they may be kept.",
        uwsgi="differs: Cache-Control is sent, too; patterns are Python's",
        read=read_pattern_and_seconds,
        example=".*\\.css 3600",
    )
    static_expires_uri: tuple[str, ...] = option(
        (),
        "The same by a pattern of the URI.",
        uwsgi="differs: in the same as static-expires",
        read=read_pattern_and_seconds,
        example="/static/.* 3600",
    )
    mimefile: str | None = option(
        None,
        "File of media types and their endings, beside the system's.",
        aliases=("mime-file",),
        example="/etc/mime.types",
    )
    honour_range: bool = option(
        True,
        "Send parts of files.",
        uwsgi="accepted: always, where a client asks for one part",
    )
