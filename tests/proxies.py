"""nginx or Caddy in front of a stack, with the configuration that the documentation has."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.doubles.process import end
from tests.real import CHECKOUT, answers, free_ports
from tests.servers import Unavailable
from tests.waiting import until

HOST = "faces.example.com"
PROXIES = ("nginx", "caddy")
_NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{alive}; return 204; }}
    {server}
}}
"""
_CADDY = """\
{{
    admin off
    auto_https off
    default_bind 127.0.0.1
}}
http://127.0.0.1:{alive} {{
    respond 204
}}
{server}
"""


@contextmanager
def proxied(name: str, folder: Path, api: str, airflow: str, *, path_taken_off: bool = False) -> Iterator[str]:
    """Run a proxy in front of these servers; gives its base URL.

    Args:
        name: one of `PROXIES`.
        folder: for its files.
        api: base URL of the API, whose path is `/faces`.
        airflow: base URL of Airflow.
        path_taken_off: whether the API gets requests without the path.

    Raises:
        Unavailable: the proxy is not installed.
    """
    program = _program(name)
    port, alive = free_ports(2)
    server = _server(name, port, api, airflow)
    if path_taken_off:
        server = _path_taken_off(name, server, api)
    config = folder / f"{name}.conf"
    config.write_text((_NGINX if name == "nginx" else _CADDY).format(folder=folder, alive=alive, server=server))
    arguments = {
        "nginx": ["-p", str(folder), "-c", str(config)],
        "caddy": ["run", "--adapter", "caddyfile", "--config", str(config)],
    }[name]
    process = subprocess.Popen([program, *arguments], env=_environment(folder))
    try:
        until(lambda: answers(f"http://127.0.0.1:{alive}/"))
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


def caddy_adapted(folder: Path) -> dict[str, Any]:
    """What Caddy understands of the documentation's text.

    Raises:
        Unavailable: Caddy is not installed.
    """
    config = folder / "Caddyfile"
    config.write_text(_documented("caddy"))
    command = [_program("caddy"), "adapt", "--adapter", "caddyfile", "--config", str(config)]
    adapted = subprocess.run(command, env=_environment(folder), capture_output=True, check=True)
    return json.loads(adapted.stdout)  # type: ignore[no-any-return]


def _program(name: str) -> str:
    program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise Unavailable(f"no {name}")
    return program


def _environment(folder: Path) -> dict[str, str]:
    """Caddy keeps files in these, whoever runs it."""
    return os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


def _documented(name: str) -> str:
    text = (CHECKOUT / "docs" / "how-to" / "proxy.md").read_text()
    (server,) = re.findall(rf"```{name}\n(.*?)```", text, re.DOTALL)
    return str(server)


def _server(name: str, port: int, api: str, airflow: str) -> str:
    """The documentation's text, on another port and without TLS, in front of these servers."""
    server = re.sub(r"\n +ssl_.*", "", _documented(name))
    replaced = {
        "nginx": {"listen 443 ssl": f"listen 127.0.0.1:{port}"},
        "caddy": {f"{HOST} {{": f"http://{HOST}:{port} {{"},
    }[name]
    replaced |= {"127.0.0.1:8000": api.removeprefix("http://"), "127.0.0.1:8080": airflow.removeprefix("http://")}
    for old, new in replaced.items():
        assert old in server
        server = server.replace(old, new)
    return server


def _path_taken_off(name: str, server: str, api: str) -> str:
    if name == "nginx":
        return server.replace(f"proxy_pass {api};", f"proxy_pass {api}/;")
    without = r"handle_path /faces/* {\n    reverse_proxy \1\n}"
    changed, count = re.subn(r"reverse_proxy /faces/\* (.*?\n    \})", without, server, flags=re.DOTALL)
    assert count == 1
    return changed
