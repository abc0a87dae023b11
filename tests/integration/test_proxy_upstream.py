"""PROXY headers to upstreams: what they say, that HAProxy and nginx read it, and what a reload changes of them."""

import shutil

import pytest

import proxyproto
import tokens
from certs import Authority
from evil import Backend, echo
from gateway import AUTH, BASE, wait_for
from ports import free_port
from proxyproto import ALPN, AUTHORITY, CRC32C, IDENTITY, SSL, SSL_CN, SSL_VERSION, UNIQUE_ID, tlvs_of
from rawws import RawClient, check_101
from servers import serving
from wire import BINARY


def after_header(handler):
    """A backend that demands a header, remembers it, and goes on as `handler`."""
    def serve(peer):
        peer.proxy = proxyproto.read_header(peer)
        handler(peer)
    return serve


def tcp_echo(peer):
    peer.send(peer.take(len(peer.buffer)))
    while True:
        peer.send(peer.read_exactly(1, 60))


@pytest.fixture(scope="module")
def tcp(backends):
    return backends(Backend(after_header(tcp_echo), name="tcp"))


@pytest.fixture(scope="module")
def ws(backends):
    return backends(Backend(after_header(echo), name="ws"))


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("clients"), "Client CA")


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("haproxy"), free_port()
    program = shutil.which("haproxy")
    assert program, "haproxy is not installed"
    (folder / "haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]|%[src_port]|%[dst]|%[dst_port]|%[fc_pp_authority]|%[fc_pp_unique_id]|\\n"
""")
    with serving([program, "-db", "-f", folder / "haproxy.cfg"], port):
        yield port


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
  access_log off;
  {temporary}
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    location / {{ return 200 "$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|"; }}
  }}
}}
""")
    with serving([program, "-c", folder / "nginx.conf", "-p", folder], port):
        yield port


TLVS = 'proxy_tlvs = ["alpn", "authority", "unique_id", "tls", "identity"]'


@pytest.fixture(scope="module")
def gateway(start_gateway, tcp, ws, haproxy, nginx, clients):
    def place(name, url, keys):
        return f"""
[[route]]
path = "/{name}"
backend = "{name}"
[backend.{name}]
servers = ["{url}"]
{keys}
"""
    return start_gateway(BASE + """trusted_proxies = ["127.0.0.9"]
""" + f"""
[[listener]]
name = "certified"
bind = "127.0.0.1:@certified@"
[listener.tls]
cert = "server.crt"
key = "server.key"
client_auth = "optional"
client_ca = "{clients.path}"
[[listener]]
name = "raw"
bind = "127.0.0.1:@raw@"
protocol = "tcp"
backend = "full"
tls = {{ cert = "server.crt", key = "server.key" }}
[[route]]
path = "/who"
backend = "full"
auth = "users"
""" + AUTH
        + place("v1", f"tcp://127.0.0.1:{tcp.port}", 'proxy_protocol = "v1"')
        + place("v2", f"tcp://127.0.0.1:{tcp.port}", 'proxy_protocol = "v2"')
        + place("full", f"tcp://127.0.0.1:{tcp.port}", 'proxy_protocol = "v2"\n' + TLVS)
        + place("ws", f"ws://127.0.0.1:{ws.port}", 'proxy_protocol = "v2"\n' + TLVS)
        + place("haproxy1", f"tcp://127.0.0.1:{haproxy}", 'proxy_protocol = "v1"')
        + place("haproxy2", f"tcp://127.0.0.1:{haproxy}", 'proxy_protocol = "v2"\n' + TLVS)
        + place("nginx1", f"tcp://127.0.0.1:{nginx}", 'proxy_protocol = "v1"')
        + place("nginx2", f"tcp://127.0.0.1:{nginx}", 'proxy_protocol = "v2"\n' + TLVS))


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["tcp", "http", "websocket"])
def test_checks_begin_with_a_header_too(fresh_gateway, haproxy, nginx, ws, version, kind):
    """Servers that demand one count as healthy, by each type of check."""
    ports = [ws.port] if kind == "websocket" else [haproxy, nginx]
    servers = ", ".join(f'"ws://127.0.0.1:{port}"' for port in ports)
    gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = [{servers}]
proxy_protocol = "{version}"
health = {{ type = "{kind}", interval = "100ms", fall = 1, rise = 1 }}
""")
    for port in ports:
        count = lambda result: gateway.metric("sluice_backend_health_checks_total", server=f"ws://127.0.0.1:{port}", result=result)
        wait_for(lambda: count("ok") >= 3, 20, "checks that pass")
        assert count("failed") == 0


def said(gateway, backend, path, fields=(), listener="plain", source="", **how):
    """The header that comes with a client, and the address of that client."""
    tls = how.pop("tls", gateway.tls() if listener != "plain" else None)
    with RawClient(gateway.port(listener), source=source, tls=tls) as client:
        check_101(client.upgrade(path, fields))
        client.send_binary(b"x")
        assert client.recv_message() == (BINARY, b"x")
        return backend.wait_peer(-1).proxy, client.sock.getsockname()


@pytest.mark.parametrize("path, version", [("/v1", 1), ("/v2", 2)])
def test_both_ends_are_said(gateway, tcp, path, version):
    header, address = said(gateway, tcp, path, source="127.0.0.5")
    assert header.version == version
    assert header.source == address
    assert header.destination == ("127.0.0.1", gateway.port("plain"))
    assert set(header.tlvs) <= {CRC32C}


def test_a_trusted_proxys_client_is_the_source(gateway, tcp):
    header, _ = said(gateway, tcp, "/v2", [("X-Forwarded-For", "192.0.2.7")], source="127.0.0.9")
    assert header.source[0] == "192.0.2.7"
    header, _ = said(gateway, tcp, "/v2", [("X-Forwarded-For", "192.0.2.7")], source="127.0.0.5")
    assert header.source[0] == "127.0.0.5"


def test_an_ipv6_client_of_an_ipv4_listener(gateway, tcp):
    for path in ("/v1", "/v2"):
        header, _ = said(gateway, tcp, path, [("X-Forwarded-For", "2001:db8::7")], source="127.0.0.9")
        assert header.source[0] == "2001:db8::7"
        assert header.destination == ("::ffff:127.0.0.1", gateway.port("plain")) or \
            header.destination == ("::ffff:7f00:1", gateway.port("plain"))


def test_everything_that_can_be_said(gateway, tcp, clients):
    context = gateway.tls(certificate=clients.issue("laptop", ["laptop-7"], client=True), alpn=["http/1.1"])
    bearer = [("Authorization", f"Bearer {tokens.mint()}")]
    header, _ = said(gateway, tcp, "/who", bearer, listener="certified", tls=context)
    tlvs = header.tlvs
    assert tlvs[ALPN] == b"http/1.1" and tlvs[AUTHORITY] == b"localhost" and tlvs[IDENTITY] == b"alice"
    assert tlvs[UNIQUE_ID].decode() == gateway.wait_access(event="ws_open", route="/who", subject="alice")["id"]
    assert tlvs[SSL][:5] == b"\x07\0\0\0\0"
    inner = tlvs_of(tlvs[SSL][5:])
    assert inner[SSL_VERSION] in (b"TLSv1.2", b"TLSv1.3") and inner[SSL_CN] == b"laptop-7"
    assert CRC32C in tlvs  # and it holds: read_header has checked


def test_what_there_is_not_is_not_said(gateway, tcp):
    header, _ = said(gateway, tcp, "/full", listener="certified")
    assert header.tlvs[SSL][:5] == b"\x01\0\0\0\1", "TLS, and no certificate"
    assert SSL_CN not in tlvs_of(header.tlvs[SSL][5:]) and IDENTITY not in header.tlvs
    header, _ = said(gateway, tcp, "/full")
    assert SSL not in header.tlvs and ALPN not in header.tlvs
    assert header.tlvs[AUTHORITY] == b"localhost", "of the request where there is no TLS"


def test_before_the_head_of_a_websocket(gateway, ws):
    header, address = said(gateway, ws, "/ws", source="127.0.0.5")
    assert header.source == address and UNIQUE_ID in header.tlvs


def test_a_reload_changes_it_for_those_who_come(fresh_gateway, ws, listener):
    with Backend(after_header(echo)) as second:
        def version(number):
            return BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:{ws.port}", "ws://127.0.0.1:{second.port}"]
balance = {{ unit = "message" }}
proxy_protocol = "v{number}"
"""
        def talk(client, count):
            for _ in range(count):
                client.send_binary(b"x")
                assert client.recv_message() == (BINARY, b"x")

        ws.forget()
        gateway = fresh_gateway(version(2))
        with gateway.connect("/", listener=listener) as old:
            assert ws.count + second.count == 1
            gateway.write_config(version(1))
            gateway.reload()
            # Its second leg opens only now, and says the same as the first one.
            talk(old, 4)
            headers = [backend.wait_peer().proxy for backend in (ws, second)]
            assert [header.version for header in headers] == [2, 2]
            assert {header.source for header in headers} == {old.sock.getsockname()}
            with gateway.connect("/", listener=listener) as new:
                talk(new, 4)
                headers = [backend.wait_peer(1).proxy for backend in (ws, second)]
                assert [header.version for header in headers] == [1, 1]
                assert {header.source for header in headers} == {new.sock.getsockname()}
            talk(old, 4)
            assert ws.count == second.count == 2


def test_of_a_plain_tcp_listener(gateway, tcp):
    with RawClient(gateway.port("raw"), tls=gateway.tls(), source="127.0.0.6") as client:
        client.send(b"x")
        assert client.read_exactly(1, 10) == b"x"
        header = tcp.wait_peer(-1).proxy
        assert header.source == client.sock.getsockname()
        assert header.destination == ("127.0.0.1", gateway.port("raw"))
        assert header.tlvs[AUTHORITY] == b"localhost" and header.tlvs[SSL][:5] == b"\x01\0\0\0\1"


@pytest.mark.parametrize("server", ["haproxy1", "haproxy2", "nginx1", "nginx2"])
def test_real_receivers(gateway, server):
    with RawClient(gateway.port("plain"), source="127.0.0.8") as client:
        check_101(client.upgrade(f"/{server}"))
        client.send_binary(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = b""
        while answer.count(b"|") < 4:
            answer += client.recv_message()[1]
        address = client.sock.getsockname()
    words = answer.partition(b"\r\n\r\n")[2].decode().split("|")
    assert answer.startswith(b"HTTP/1.1 200") or answer.startswith(b"HTTP/1.0 200"), answer
    assert (words[0], int(words[1])) == address
    assert (words[2], int(words[3])) == ("127.0.0.1", gateway.port("plain"))
    if server == "haproxy2":
        assert words[4] == "localhost" and len(words[5]) == 32
