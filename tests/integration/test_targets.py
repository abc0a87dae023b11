"""Servers that clients name: by claim, query and path, over real sockets; what is refused is never connected to."""

import socket
import threading

import pytest

import tokens
from evil import Backend, tcp_echo
from gateway import AUTH, BASE, wait_for
from ports import free_port

from wire import BINARY


class Accepts:
    """Listens on every loopback address, and counts who comes."""

    def __init__(self):
        self.count = 0
        self.port = free_port()
        self.sockets = []
        for family, ip in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
            try:
                one = socket.socket(family, socket.SOCK_STREAM)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((ip, self.port))
            except OSError:
                continue  # a machine without IPv6
            one.listen(64)
            self.sockets.append(one)
            threading.Thread(target=self.run, args=(one,), daemon=True).start()

    def run(self, one):
        while True:
            try:
                peer, _ = one.accept()
            except OSError:
                return
            self.count += 1
            peer.close()


@pytest.fixture(scope="module")
def victim():
    accepts = Accepts()
    yield accepts
    for one in accepts.sockets:
        one.close()


@pytest.fixture(scope="module")
def one(backends):
    return backends(Backend(tcp_echo, name="one"))


@pytest.fixture(scope="module")
def two(backends):
    return backends(Backend(tcp_echo, name="two"))


@pytest.fixture(scope="module")
def gateway(start_gateway, one, two, victim):
    gateway = start_gateway(BASE + AUTH + f"""
[[listener]]
name = "any"
bind = "0.0.0.0:@any@"

[[route]]
path = "/open"
backend = "named"
auth = "users"
[route.target]
from = "claim:target"
allow = [
  {{ cidr = "0.0.0.0/0", ports = ["1-65535"] }},
  {{ cidr = "::/0", ports = ["1-65535"] }},
  {{ host = "localhost", ports = ["1-65535"] }},
]
[[route]]
path = "/local"
backend = "named"
auth = "users"
[route.target]
from = "claim:target"
allow = [{{ host = "localhost", cidr = "127.0.0.1", ports = ["1024-65535"] }}, {{ cidr = "127.0.0.0/8", ports = ["1024-65535"] }}]
[[route]]
path = "/query"
backend = "named"
auth = "users"
[route.target]
from = "query:vm"
map = {{ one = "127.0.0.1:{one.port}", two = "localhost:{two.port}", victim = "127.0.0.2:{victim.port}" }}
map_file = "more.txt"
allow = [{{ cidr = "127.0.0.1/32", ports = ["1024-65535"] }}]
[[route]]
path = "/vm/*"
backend = "named"
auth = "users"
[route.target]
from = "path:2"
map = {{ one = "127.0.0.1:{one.port}" }}
allow = [{{ cidr = "127.0.0.1/32", ports = ["1024-65535"] }}]
[backend.named]
servers = ["tcp://*"]
""", start=False)
    (gateway.folder / "more.txt").write_text(f"# as websockify has it\n\nthree: 127.0.0.1:{one.port}\n")
    return gateway.start()


def bearer(**claims):
    return [("Authorization", f"Bearer {tokens.mint(tokens.claims(**claims))}")]


def echoes(gateway, path, fields):
    with gateway.connect(path, fields) as client:
        client.send_binary(b"hello")
        assert client.recv_message() == (BINARY, b"hello")


def status(gateway, path, fields):
    with gateway.client() as client:
        return client.upgrade(path, fields).status


def test_a_token_names_the_server(gateway, one, two):
    before = one.count, two.count
    echoes(gateway, "/local", bearer(target=f"127.0.0.1:{one.port}"))
    echoes(gateway, "/local", bearer(target=f"LOCALHOST:{two.port}"))
    assert (one.count, two.count) == (before[0] + 1, before[1] + 1)
    line = gateway.wait_access(event="ws_open", target=f"localhost:{two.port}")
    assert line["server"] == "tcp://*" and line["backend"] == "named"
    # Whatever clients name, it is one series.
    assert all('server="tcp://*"' in name for name in gateway.metrics()
               if name.startswith("sluice_backend_connections") and 'backend="named"' in name)


@pytest.mark.parametrize("host", ["127.0.0.1", "0", "0x7f.1", "[::ffff:127.0.0.1]", "localhost.", "localhost", "2130706433", "[::1]",
                                  "127.0.0.2", "0.0.0.0", "[::]", "127.1", "0177.0.0.1"])
def test_every_way_to_this_machine_is_refused(gateway, victim, host):
    before = gateway.metric("sluice_rejects_total", reason="target_denied")
    assert status(gateway, "/open", bearer(target=f"{host}:{victim.port}")) == 403
    assert gateway.metric("sluice_rejects_total", reason="target_denied") == before + 1
    assert gateway.wait_access(event="http", status=403, reason="target_denied")
    assert victim.count == 0


@pytest.mark.parametrize("target", ["[::ffff:169.254.169.254]:80", "169.254.169.254:80", "10.0.0.1:80", "[fe80::1]:80", "[64:ff9b::a00:1]:80",
                                    "192.0.2.1:25", "192.0.2.1:6379", "192.0.2.1:10250", "evil.example:80", "192.0.2.1", "",
                                    "192.0.2.1:99999"])
def test_targets_that_nobody_allowed(gateway, target):
    assert status(gateway, "/open", bearer(target=target)) == 403


def test_not_to_the_gateway_itself(gateway):
    for listener in ("admin", "plain", "tls", "any"):
        assert status(gateway, "/local", bearer(target=f"127.0.0.1:{gateway.port(listener)}")) == 403
        assert status(gateway, "/local", bearer(target=f"localhost:{gateway.port(listener)}")) == 403
    assert status(gateway, "/local", bearer(target=f"127.0.0.3:{gateway.port('any')}")) == 403


def test_a_token_comes_first(gateway, one):
    assert status(gateway, "/local", []) == 401
    assert status(gateway, "/query?vm=one", []) == 401
    assert status(gateway, "/local", bearer()) == 403


def test_maps(gateway, one, two, victim):
    echoes(gateway, "/query?vm=one", bearer())
    echoes(gateway, "/query?vm=two", bearer())
    echoes(gateway, "/query?vm=three", bearer())
    echoes(gateway, "/vm/one", bearer())
    for path in ("/query", "/query?vm=", "/query?vm=four", "/query?vm=victim", "/query?vm=one&vm=two", f"/query?vm=127.0.0.1:{one.port}",
                 "/vm/two", "/vm/three", "/vm/"):
        assert status(gateway, path, bearer()) == 403, path
    assert victim.count == 0


def test_the_map_file_reloads(gateway, two):
    assert status(gateway, "/query?vm=late", bearer()) == 403
    (gateway.folder / "more.txt").write_text(f"late: 127.0.0.1:{two.port}\n")
    wait_for(lambda: status(gateway, "/query?vm=late", bearer()) == 101, 10, "the new map")
    assert status(gateway, "/query?vm=three", bearer()) == 403


def test_no_server_there(gateway):
    assert status(gateway, "/local", bearer(target=f"127.0.0.1:{free_port()}")) == 503
    # One client's bad choice takes the server away from nobody.
    for _ in range(5):
        status(gateway, "/local", bearer(target=f"127.0.0.1:{free_port()}"))
    echoes(gateway, "/vm/one", bearer())
