"""A private nginx in front of a uwsgi socket: own prefix, own port, own pid file, own log.

Its listening socket is bound here, on port 0, and handed over the way nginx hands its own to a
new binary (the NGINX variable): so no port is guessed and none can be taken in between.

Runs in: the test process.
"""

from __future__ import annotations

import os
import shutil
import signal as unix_signals
import socket
from pathlib import Path
from typing import Any

from tests.harness.clients import Address, Client, Response
from tests.harness.running import Running

CONFIG = """\
daemon off;
{user}
worker_processes 1;
error_log stderr notice;
pid {prefix}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    client_max_body_size 0;
    server {{
        listen {host}:{port};
        {directives}
        location / {{
            uwsgi_pass {upstream};
            {parameters}
        }}
    }}
}}
"""

PARAMETERS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "HTTPS": "$https if_not_empty",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
}
"""Debian's /etc/nginx/uwsgi_params, which a private nginx should not depend on."""

_REQUEST = "\n            ".join(
    f"uwsgi_param {name} {value};" for name, value in PARAMETERS.items()
)

INSTALL = "nginx is not installed: `apt-get install nginx-light` (make test does so as root)"


class Nginx(Running):
    """One nginx that passes everything to one uwsgi address.

    `passing` stands in its location instead of the variables of a request.
    """

    ready_pattern = r"start worker process \d+"
    stop_signal = unix_signals.SIGTERM

    def __init__(
        self, folder: Path, upstream: Address, *, directives: str = "", passing: str | None = None
    ) -> None:
        binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        assert binary, INSTALL
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.http: Address = self._listener.getsockname()
        config = self._config(folder, upstream, directives, passing)
        command: list[str | Path] = [
            binary,
            "-p",
            folder,
            "-c",
            folder / "nginx.conf",
            "-e",
            "stderr",
        ]
        inherited = {"NGINX": f"{self._listener.fileno()};"}
        super().__init__(folder, command, files={"nginx.conf": config}, env=inherited)

    def start(self, *, within: float = 10.0) -> Nginx:
        """Start it and wait until it serves."""
        self.launch()
        self._listener.close()
        self.wait_until_ready(within=within)
        return self

    def __enter__(self) -> Nginx:
        return self.start()

    def close(self) -> None:
        """End it; see `Running.close`."""
        self._listener.close()
        super().close()

    def get(self, path: str = "/", *, within: float = 10.0) -> Response:
        """One GET through it."""
        with Client(self.http, timeout=within) as client:
            return client.request("GET", path)

    def _config(self, folder: Path, upstream: Address, directives: str, passing: str | None) -> str:
        host, port = self._listener.getsockname()
        target = f"unix:{upstream}" if isinstance(upstream, str) else "{}:{}".format(*upstream)
        return CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",
            prefix=folder.resolve(),
            host=host,
            port=port,
            directives=directives,
            upstream=target,
            parameters=_REQUEST if passing is None else passing,
        )

    def _popen_arguments(self) -> dict[str, Any]:
        return {"pass_fds": (self._listener.fileno(),)}
