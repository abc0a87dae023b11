"""Fixtures of the end-to-end tests: backends and clients that were written elsewhere, with the gateway between them."""

import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))

import tokens  # noqa: E402
from fixtures import authority, fresh_gateway, start_gateway  # noqa: E402,F401
from gateway import AUTH, BASE  # noqa: E402
from ports import free_port  # noqa: E402
from servers import redis_server, serving, websockets_server  # noqa: E402


@pytest.fixture(scope="session")
def node_backend():
    """Echo by npm ws."""
    port = free_port()
    with serving(["node", HERE / "backend_ws.mjs", port], port):
        yield port


@pytest.fixture(scope="session")
def python_backend():
    """Echo by python3-websockets."""
    return websockets_server(subprotocols=["chat.v2"])


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


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
    with serving([nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"], plain):
        yield plain, tls


@pytest.fixture(scope="module")
def gateway(start_gateway, node_backend, python_backend, nginx_backend, redis, authority):
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
[[route]]
path = "/redis"
auth = "users"
backend = "redis"
websocket = {{ subprotocols = ["binary"] }}
[backend.redis]
servers = ["tcp://127.0.0.1:{redis}"]
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
