"""Fixtures of the end-to-end tests: backends and clients that were written elsewhere, with the gateway between them."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import websockets

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

import tokens  # noqa: E402
from certs import Authority, server_context  # noqa: E402
from gateway import AUTH, BASE, Gateway, wait_for  # noqa: E402
from ports import free_port  # noqa: E402


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def start_gateway(tmp_path_factory, authority):
    running = []

    def start(config, **how):
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), config, authority=authority, **how)
        running.append(gateway)
        return gateway

    yield start
    for gateway in running:
        gateway.stop()


def _listening(port, process=None):
    import socket

    def check():
        assert process is None or process.poll() is None, "the server exited"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False
    wait_for(check, 10, f"a server on port {port}")


@pytest.fixture(scope="session")
def node_backend():
    """Echo by npm ws."""
    port = free_port()
    process = subprocess.Popen(["node", str(HERE / "backend_ws.mjs"), str(port)], stdout=subprocess.DEVNULL)
    _listening(port, process)
    yield port
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def python_backend():
    """Echo by python3-websockets."""
    port, loop, ready = free_port(), asyncio.new_event_loop(), threading.Event()
    logging.getLogger("websockets").setLevel(logging.CRITICAL)

    async def serve():
        async def handler(socket, path=None):
            async for message in socket:
                if isinstance(message, str) and message.startswith("close "):
                    await socket.close(int(message.split()[1]), "as you wish")
                    return
                await socket.send(message)
        async with websockets.serve(handler, "127.0.0.1", port, max_size=64 << 20, subprotocols=["chat.v2"]):
            ready.set()
            await asyncio.Future()

    threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True).start()
    assert ready.wait(5)
    return port


@pytest.fixture(scope="session")
def nginx_backend(node_backend, authority, tmp_path_factory):
    """nginx in front of the npm ws echo: a plain port and a TLS port, both WebSocket proxies."""
    folder = tmp_path_factory.mktemp("nginx")
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    plain, tls = free_port(), free_port()
    authority.issue("nginx", ["backend.test", "127.0.0.1"], folder=folder)
    (folder / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {folder}/nginx.crt;
    ssl_certificate_key {folder}/nginx.key;
    location = /denied {{ return 403; }}
    location / {{
      proxy_pass http://127.0.0.1:{node_backend};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_read_timeout 60s;
    }}
  }}
}}
""")
    process = subprocess.Popen([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")],
                               stdout=subprocess.DEVNULL, stderr=open(folder / "stderr.log", "wb"))
    _listening(plain, process)
    yield plain, tls
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="session")
def gateway(start_gateway, node_backend, python_backend, nginx_backend, authority):
    plain, tls = nginx_backend
    return start_gateway(BASE + AUTH + f"""
[[route]]
path = "/chat"
auth = "users"
backend = "node"
websocket = {{ max_message = "32MiB" }}
[[route]]
path = "/validated"
auth = "users"
backend = "node"
websocket = {{ validate_utf8 = true }}
[[route]]
path = "/small"
auth = "users"
backend = "node"
websocket = {{ max_message = "1KiB" }}
[[route]]
path = "/soft"
auth = "users"
backend = "node"
reject = "close"
[[route]]
path = "/origin"
backend = "node"
websocket = {{ origins = ["https://chat.example.com"] }}
[[route]]
path = "/python"
auth = "users"
backend = "python"
websocket = {{ max_message = "32MiB" }}
[[route]]
path = "/nginx"
backend = "nginx"
websocket = {{ max_message = "32MiB" }}
[[route]]
path = "/nginx-tls"
backend = "nginx-tls"
websocket = {{ max_message = "32MiB" }}
[[route]]
path = "/denied"
backend = "nginx"
[[route]]
path = "/down"
backend = "down"
[backend.node]
servers = ["ws://127.0.0.1:{node_backend}"]
[backend.python]
servers = ["ws://127.0.0.1:{python_backend}"]
[backend.nginx]
servers = ["ws://127.0.0.1:{plain}"]
[backend.nginx-tls]
servers = ["wss://127.0.0.1:{tls}"]
tls = {{ ca = "{authority.path}", server_name = "backend.test" }}
[backend.down]
servers = ["ws://127.0.0.1:{free_port()}"]
""", workers=2)


@pytest.fixture
def client_environment(gateway):
    return dict(os.environ, SLUICE_URL=f"wss://localhost:{gateway.port('tls')}", SLUICE_CA=str(gateway.authority.path),
                SLUICE_TOKEN=tokens.mint())
