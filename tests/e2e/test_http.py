"""One application behind one route: a page, fetch, an event stream, WebSockets, socket.io and SignalR, sticky over two servers."""

import os
import subprocess
from pathlib import Path

import pytest

from gateway import BASE
from ports import free_port
from servers import serving

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def gateway(start_gateway):
    one, two = free_port(), free_port()
    program = HERE / "backend_http.mjs"
    with serving(["node", program, one, "one"], one), serving(["node", program, two, "two"], two):
        yield start_gateway(BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["http://127.0.0.1:{one}", "http://127.0.0.1:{two}"]
sticky = {{ cookie = "home" }}
""", workers=2)


def run(gateway, script, **environment):
    done = subprocess.run(["node", script], cwd=HERE, capture_output=True, text=True, timeout=200,
                          env=dict(os.environ, NODE_EXTRA_CA_CERTS=str(gateway.authority.path), **environment))
    assert done.returncode == 0 and "ok " in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_socket_io_signalr_and_fetch(gateway, listener):
    scheme = "https" if listener == "tls" else "http"
    run(gateway, "client_http.mjs", SLUICE_URL=f"{scheme}://localhost:{gateway.port(listener)}")


def test_a_browser_on_one_origin(gateway):
    run(gateway, "browser_http.mjs", SLUICE_URL=f"https://localhost:{gateway.port('tls')}",
        SLUICE_CERTIFICATE=str(gateway.folder / "server.crt"))
