"""Plain TCP listeners: TLS or plain in, plain out, a real Redis behind; ends, limits, log, metrics, drain and reload."""

import os
import signal
import socket
import ssl

import pytest

from certs import Authority
from evil import Backend, tcp_echo
from gateway import BASE, wait_for
from ports import free_port
from proxyproto import v2
from rawws import RawClient
from servers import redis_server
from wire import Timeout

HEAD = BASE + """
[[listener]]
name = "raw"
bind = "127.0.0.1:@raw@"
protocol = "tcp"
backend = "echo"
[[listener]]
name = "raw-tls"
bind = "127.0.0.1:@raw_tls@"
protocol = "tcp"
backend = "echo"
tls = { cert = "server.crt", key = "server.key" }
"""


@pytest.fixture(scope="module")
def echo(backends):
    return backends(Backend(tcp_echo))


@pytest.fixture(scope="module")
def greeter(backends):
    """Speaks first, and ends first."""
    def handler(peer):
        peer.send(b"220 ready\r\n")
        peer.sock.shutdown(socket.SHUT_WR)
        peer.tail = peer.read_until_end(30)
    return backends(Backend(handler))


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("clients"), "Client CA")


@pytest.fixture(scope="module")
def gateway(start_gateway, echo, greeter, redis, clients):
    def listener(name, backend, extra=""):
        return f'[[listener]]\nname = "{name}"\nbind = "127.0.0.1:@{name}@"\nprotocol = "tcp"\nbackend = "{backend}"\n{extra}\n'
    tls = 'tls = { cert = "server.crt", key = "server.key" }'
    return start_gateway(HEAD
        + listener("redis", "redis", tls) + listener("greeter", "greeter") + listener("down", "down")
        + listener("idle", "echo", 'idle_timeout = "1s"') + listener("limited", "echo", 'rate_limit = ["one"]')
        + listener("counted", "echo", "max_connections = 1")
        + listener("proxied", "echo", tls + '\nproxy_protocol = "required"\nproxy_protocol_from = ["127.0.0.1"]')
        + listener("certified", "echo", f'[listener.tls]\ncert = "server.crt"\nkey = "server.key"\nclient_auth = "required"\nclient_ca = "{clients.path}"')
        + f"""
[rate_limit.one]
key = "ip"
unit = "connections"
limit = 1
[[route]]
path = "/tcp"
backend = "echo"
[backend.echo]
servers = ["tcp://127.0.0.1:{echo.port}"]
[backend.redis]
servers = ["tcp://127.0.0.1:{redis}"]
[backend.greeter]
servers = ["tcp://127.0.0.1:{greeter.port}"]
[backend.down]
servers = ["tcp://127.0.0.1:{free_port()}"]
""")


def read(client, size):
    return client.read_exactly(size, 30)


@pytest.mark.parametrize("listener", ["raw", "raw_tls"])
def test_octets_both_ways(gateway, listener):
    tls = gateway.tls() if listener == "raw_tls" else None
    body = os.urandom(4 << 20)
    with RawClient(gateway.port(listener), tls=tls) as client:
        client.send(b"\x00GET / HTTP/1.1\r\n\r\n")
        assert read(client, 19) == b"\x00GET / HTTP/1.1\r\n\r\n"
        client.send_while_reading(body, timeout=30)
        assert read(client, len(body)) == body
        port = client.sock.getsockname()[1]
    line = gateway.wait_access(event="tcp_close", client_port=port)
    assert line["listener"] == listener.replace("_", "-") and line["backend"] == "echo"
    assert line["bytes_in"] == line["bytes_out"] == len(body) + 19
    assert line["client_ip"] == "127.0.0.1" and line["server"].startswith("tcp://127.0.0.1:")
    assert ("tls_version" in line) == (listener == "raw_tls")
    assert line.get("tls_sni") == ("localhost" if listener == "raw_tls" else None)
    assert "route" not in line and "path" not in line and "close_code" not in line


def test_redis_behind_tls(gateway):
    with RawClient(gateway.port("redis"), tls=gateway.tls()) as client:
        client.send(b"*1\r\n$4\r\nPING\r\n")
        assert read(client, 7) == b"+PONG\r\n"
        client.send(b"*1\r\n$4\r\nQUIT\r\n")
        assert read(client, 5) == b"+OK\r\n"
        assert client.read_until_end(10) == b""
        assert client.ended == "fin"


def test_the_server_may_speak_and_end_first(gateway, greeter):
    with RawClient(gateway.port("greeter")) as client:
        assert client.read_until_end(10) == b"220 ready\r\n"
        client.send(b"still here")
        client.finish()
        peer = greeter.wait_peer(-1)
        assert peer.done.wait(10)
        assert peer.tail == b"still here"
        port = client.sock.getsockname()[1]
    assert gateway.wait_access(event="tcp_close", client_port=port)["close_initiator"] == "backend"


def test_the_client_may_end_first(gateway):
    with RawClient(gateway.port("raw")) as client:
        client.send(b"last words")
        client.finish()
        assert client.read_until_end(10) == b"last words"
        assert client.ended == "fin"
        port = client.sock.getsockname()[1]
    line = gateway.wait_access(event="tcp_close", client_port=port)
    assert line["close_initiator"] == "client" and "reason" not in line


def test_a_reset_is_passed_on(gateway, echo):
    client = RawClient(gateway.port("raw"))
    client.send(b"x")
    assert read(client, 1) == b"x"
    peer = echo.wait_peer(-1)
    port = client.sock.getsockname()[1]
    client.reset()
    assert peer.done.wait(10)
    assert peer.ended == "reset"
    assert gateway.wait_access(event="tcp_close", client_port=port)["reason"] == "client_lost"


def test_no_server(gateway):
    with RawClient(gateway.port("down")) as client:
        assert client.read_until_end(10) == b""
        port = client.sock.getsockname()[1]
    line = gateway.wait_access(event="tcp_close", client_port=port)
    assert line["reason"] == "be_connect" and line["close_initiator"] == "backend"


def test_idle_connections_end(gateway):
    with RawClient(gateway.port("idle")) as client:
        client.send(b"x")
        assert read(client, 1) == b"x"
        assert client.read_until_end(20) == b""
        port = client.sock.getsockname()[1]
    assert gateway.wait_access(event="tcp_close", client_port=port)["reason"] == "idle"


@pytest.mark.parametrize("listener", ["limited", "counted"])
def test_limits(gateway, listener):
    with RawClient(gateway.port(listener)) as first:
        first.send(b"x")
        assert read(first, 1) == b"x"
        with RawClient(gateway.port(listener)) as second:
            assert second.read_until_end(10) == b""
    def free_again():
        with RawClient(gateway.port(listener)) as third:
            try:
                third.send(b"y")
                return third.read_exactly(1, 5) == b"y"
            except (EOFError, OSError):
                return False
    wait_for(free_again, 10, "a place")
    if listener == "limited":
        assert gateway.wait_access(event="tcp_close", reason="rl_ip")["rate_limited"] is True


def test_a_client_behind_a_proxy_header(gateway):
    client = RawClient(gateway.port("proxied"))
    client.send(v2("192.0.2.7", "198.51.100.1", 40000, 443))
    client.sock = gateway.tls().wrap_socket(client.sock, server_hostname="localhost")
    with client:
        client.send(b"x")
        assert read(client, 1) == b"x"
    line = gateway.wait_access(event="tcp_close", client_ip="192.0.2.7", client_port=40000)
    assert line["peer_ip"] == "127.0.0.1"


def test_client_certificates(gateway, clients):
    with pytest.raises((ssl.SSLError, OSError, EOFError, Timeout)):
        with RawClient(gateway.port("certified"), tls=gateway.tls()) as client:
            client.send(b"x")
            client.read_exactly(1, 10)
    context = gateway.tls(certificate=clients.issue("laptop", ["laptop"], client=True))
    with RawClient(gateway.port("certified"), tls=context) as client:
        client.send(b"x")
        assert read(client, 1) == b"x"
    assert "laptop" in gateway.wait_access(event="tcp_close", listener="certified")["tls_client_subject"]


def test_a_client_that_offers_a_protocol_of_its_own(gateway):
    context = gateway.tls()
    context.set_alpn_protocols(["postgresql", "h2"])
    with RawClient(gateway.port("raw_tls"), tls=context) as client:
        assert client.sock.selected_alpn_protocol() is None
        client.send(b"x")
        assert read(client, 1) == b"x"


def test_metrics_and_the_list_of_connections(gateway):
    before = gateway.metric("sluice_tcp_bytes_total", listener="raw", direction="in")
    with RawClient(gateway.port("raw")) as client:
        client.send(b"12345")
        assert read(client, 5) == b"12345"
        assert gateway.metric("sluice_connections", listener="raw", protocol="tcp") >= 1
        assert gateway.metric("sluice_tcp_bytes_total", listener="raw", direction="in") >= before + 5
        assert gateway.metric("sluice_handshaking_connections") == 0
        mine = [c for c in gateway.admin_json("/api/v1/connections")["connections"] if c["listener"] == "raw"]
        assert any(c["bytes_in"] == 5 and c["bytes_out"] == 5 for c in mine)


def test_drain_and_reload(fresh_gateway, echo):
    config = HEAD.replace('drain_timeout = "2s"', 'drain_timeout = "4s"') + f"""
[[route]]
path = "/tcp"
backend = "echo"
[backend.echo]
servers = ["tcp://127.0.0.1:{echo.port}"]
"""
    gateway = fresh_gateway(config)
    client = RawClient(gateway.port("raw"))
    client.send(b"a")
    assert read(client, 1) == b"a"
    other = Backend(tcp_echo)
    gateway.write_config(config.replace(f"{echo.port}", f"{other.port}"))
    gateway.reload()
    client.send(b"b")
    assert read(client, 1) == b"b", "it keeps the server that it began with"
    with RawClient(gateway.port("raw")) as fresh:
        fresh.send(b"c")
        assert read(fresh, 1) == b"c"
        assert other.count == 1
    gateway.signal(signal.SIGTERM)
    wait_for(lambda: any(e.get("event") == "draining" for e in gateway.events()), 5, "draining")
    client.send(b"d")
    assert read(client, 1) == b"d", "a drain leaves what runs alone"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", gateway.port("raw")), 5).close()
    client.finish()  # echoed to its end, and nothing is left to wait for
    assert client.read_until_end(10) == b""
    assert gateway.wait_exit(10) == 0
    other.stop()


def test_the_drains_deadline_cuts(fresh_gateway, echo):
    gateway = fresh_gateway(HEAD + f"""
[[route]]
path = "/tcp"
backend = "echo"
[backend.echo]
servers = ["tcp://127.0.0.1:{echo.port}"]
""")
    with RawClient(gateway.port("raw")) as client:
        client.send(b"a")
        assert read(client, 1) == b"a"
        gateway.signal(signal.SIGTERM)
        assert client.read_until_end(20) == b""
    assert gateway.wait_exit(10) == 0
    assert gateway.wait_access(event="tcp_close")["reason"] == "draining"
