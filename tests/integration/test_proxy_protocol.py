"""PROXY protocol on listeners: who is believed, what is refused, and what the address that a header names is used for."""

import json
import shutil
import socket
import time

import pytest

import proxyproto
from evil import Backend, head_teller
from gateway import BASE, SLOWER, wait_for
from proxyproto import addresses, raw_v2, tlv, v1, v2
from ports import free_port
from rawws import RawClient, check_101, upgrade_request
from servers import serving

V4 = addresses("192.0.2.7", "198.51.100.1", 40000, 443)


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(head_teller))


@pytest.fixture(scope="module")
def gateway(start_gateway, backend):
    return start_gateway(f"""
version = 1
[server]
workers = @workers@
drain_timeout = "2s"
[log]
access = "access.log"
[admin]
bind = "127.0.0.1:@admin@"
[[listener]]
name = "tls"
bind = "127.0.0.1:@tls@"
tls = {{ cert = "server.crt", key = "server.key" }}
proxy_protocol = "required"
proxy_protocol_from = ["127.0.0.1"]
[[listener]]
name = "plain"
bind = "127.0.0.1:@plain@"
proxy_protocol = "required"
proxy_protocol_from = ["127.0.0.0/30"]
[[listener]]
name = "limited"
bind = "127.0.0.1:@limited@"
proxy_protocol = "required"
proxy_protocol_from = ["127.0.0.1"]
rate_limit = ["one"]
[[listener]]
name = "off"
bind = "127.0.0.1:@off@"
[rate_limit.one]
key = "ip"
unit = "connections"
limit = 1
[[route]]
path = "/*"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


def begin(port, header, *, pieces=0, source="", tls=None):
    """A connection through which `header` has gone ahead of everything."""
    client = RawClient(port, source=source)
    client.send(header, pieces)
    if tls:
        client.sock = tls.wrap_socket(client.sock, server_hostname="localhost", suppress_ragged_eofs=False)
    return client


def told(client):
    head = json.loads(client.recv_text())
    return {name.lower(): value for name, value in head}


@pytest.mark.parametrize("listener", ["tls", "plain"])
@pytest.mark.parametrize("header, client_ip, port", [
    (v1("192.0.2.7", "198.51.100.1", 40000, 443), "192.0.2.7", 40000),
    (v1("2001:db8::7", "2001:db8::1", 40001, 8443), "2001:db8::7", 40001),
    (v2("192.0.2.8", "198.51.100.1", 40002, 443), "192.0.2.8", 40002),
    (v2("2001:db8::8", "2001:db8::1", 40003, 443), "2001:db8::8", 40003),
    (v2("192.0.2.9", "198.51.100.1", 40004, 443, tlv(proxyproto.ALPN, b"h2") + tlv(proxyproto.AUTHORITY, b"evil.test")
        + tlv(proxyproto.SSL, b"\x07\0\0\0\0" + tlv(proxyproto.SSL_CN, b"admin")) + tlv(0xEA, b"x")), "192.0.2.9", 40004),
])
def test_the_address_that_is_named_is_the_clients(gateway, listener, header, client_ip, port):
    with begin(gateway.port(listener), header, tls=gateway.tls() if listener == "tls" else None) as client:
        check_101(client.upgrade("/"))
        fields = told(client)
        assert fields["x-forwarded-for"] == client_ip
        # What its TLVs say of TLS is not believed.
        assert fields["x-forwarded-proto"] == ("https" if listener == "tls" else "http")
        assert "client-cert" not in fields and fields["host"] == "localhost"
    line = gateway.wait_access(event="ws_open", client_ip=client_ip, client_port=port, listener=listener)
    assert line["peer_ip"] == "127.0.0.1"
    assert line.get("tls_client_subject") is None
    gateway.wait_access(event="ws_close", client_ip=client_ip)


@pytest.mark.parametrize("listener", ["tls", "plain"])
@pytest.mark.parametrize("header", [v1("192.0.2.20", "198.51.100.1", 1, 443), v2("192.0.2.20", "198.51.100.1", 1, 443)])
def test_octet_by_octet(gateway, listener, header):
    with begin(gateway.port(listener), header, pieces=1, tls=gateway.tls() if listener == "tls" else None) as client:
        check_101(client.upgrade("/"))
        assert told(client)["x-forwarded-for"] == "192.0.2.20"


def test_the_request_may_come_in_the_same_segment(gateway):
    with begin(gateway.port("plain"), v2("192.0.2.21", "198.51.100.1", 1, 443) + upgrade_request("/")) as client:
        check_101(client.read_head())
        assert told(client)["x-forwarded-for"] == "192.0.2.21"


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n", raw_v2(0x20, 0x00, b""),
                                    raw_v2(0x20, 0x11, V4), raw_v2(0x21, 0x00, b""), raw_v2(0x21, 0x31, bytes(216))])
def test_a_header_that_names_nobody_leaves_the_sockets_address(gateway, header):
    with begin(gateway.port("plain"), header, source="127.0.0.2") as client:
        check_101(client.upgrade("/"))
        assert told(client)["x-forwarded-for"] == "127.0.0.2"


def test_the_destination_that_is_named_gives_the_forwarded_port(gateway):
    with begin(gateway.port("plain"), v2("192.0.2.22", "198.51.100.1", 1, 12345)) as client:
        check_101(client.upgrade("/"))
        assert told(client)["x-forwarded-port"] == "12345"


BAD = {
    "v2 length 0xFFFF": proxyproto.SIGNATURE + b"\x21\x11\xff\xff",
    "v2 family 0x4F": raw_v2(0x21, 0x4F, V4),
    "v2 command 0x22": raw_v2(0x22, 0x11, V4),
    "v2 version 1": raw_v2(0x11, 0x11, V4),
    "v2 datagram": raw_v2(0x21, 0x12, V4),
    "v2 12 octets for AF_INET6": raw_v2(0x21, 0x21, V4),
    "v2 TLV beyond the end": raw_v2(0x21, 0x11, V4 + b"\x04\x00\x09abc"),
    "v2 half a TLV": raw_v2(0x21, 0x11, V4 + b"\x04\x00"),
    "v2 wrong CRC32C": raw_v2(0x21, 0x11, V4 + tlv(proxyproto.CRC32C, b"abcd")),
    "v2 513 octets": raw_v2(0x21, 0x11, V4 + tlv(proxyproto.NOOP, bytes(482))),
    "v1 leading zero": b"PROXY TCP4 01.2.3.4 198.51.100.1 1 443\r\n",
    "v1 port": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
    "v1 family": b"PROXY TCP6 192.0.2.7 198.51.100.1 1 443\r\n",
    "v1 bare LF": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 443\n",
    "v1 108 octets": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "a request": upgrade_request("/"),
    "a ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


def rejects(gateway, reason):
    return gateway.metric("sluice_rejects_total", stage="proxy_hdr", reason=reason)


def refused(gateway, **wanted):
    wanted["event"] = "proxy_refused"
    wait_for(lambda: any(all(event.get(k) == v for k, v in wanted.items()) for event in gateway.events()), 5, str(wanted))


@pytest.mark.parametrize("listener", ["tls", "plain"])
@pytest.mark.parametrize("octets", BAD.values(), ids=BAD.keys())
def test_what_is_no_header_is_closed_without_a_word(gateway, backend, listener, octets):
    before, dialled = rejects(gateway, "proxy_hdr"), backend.count
    with begin(gateway.port(listener), octets) as client:
        assert client.read_until_end(10) == b""
    wait_for(lambda: rejects(gateway, "proxy_hdr") == before + 1, 5, "counted")
    assert backend.count == dialled
    refused(gateway, reason="proxy_hdr", listener=listener)


@pytest.mark.parametrize("octets", [b"", b"PROXY TCP4 192.0.2.7", proxyproto.SIGNATURE])
def test_no_whole_header_is_closed_within_three_seconds(gateway, octets):
    before = rejects(gateway, "proxy_timeout")
    began = time.monotonic()
    with begin(gateway.port("tls"), octets) as client:
        assert client.read_until_end(20) == b""
    assert 2 < time.monotonic() - began < 3 + 5 * SLOWER
    assert rejects(gateway, "proxy_timeout") == before + 1


def test_a_connection_that_ends_before_its_header_is_whole(gateway):
    before = rejects(gateway, "proxy_hdr")
    with begin(gateway.port("plain"), b"PROXY TCP4 192.0.2.7") as client:
        client.sock.shutdown(socket.SHUT_WR)
        assert client.read_until_end(10) == b""
    wait_for(lambda: rejects(gateway, "proxy_hdr") == before + 1, 5, "counted")


@pytest.mark.parametrize("listener", ["tls", "plain"])
def test_others_than_the_named_proxies_are_reset(gateway, listener):
    before = rejects(gateway, "proxy_untrusted")
    with socket.socket() as sock:
        sock.settimeout(10)
        sock.bind(("127.0.0.9", 0))
        # The reset may overtake the end of connect(), or what is sent.
        with pytest.raises(ConnectionError):
            sock.connect(("127.0.0.1", gateway.port(listener)))
            sock.sendall(v2("192.0.2.7", "198.51.100.1", 1, 443))
            assert sock.recv(1) != b"", "an orderly end"
    wait_for(lambda: rejects(gateway, "proxy_untrusted") == before + 1, 5, "counted")
    refused(gateway, reason="proxy_untrusted", listener=listener, peer_ip="127.0.0.9")


def test_limits_count_by_the_address_that_is_named(gateway):
    def client(ip):
        return begin(gateway.port("limited"), v1(ip, "198.51.100.1", 1, 443))
    with client("192.0.2.30") as first, client("192.0.2.31") as other, client("192.0.2.30") as second:
        check_101(first.upgrade("/"))
        check_101(other.upgrade("/"))
        assert second.upgrade("/").status == 429


def test_a_listener_without_it_takes_no_header(gateway):
    with begin(gateway.port("off"), v1("192.0.2.7", "198.51.100.1", 1, 443)) as client:
        head = client.upgrade("/")
        assert head is not None and head.status == 400


def test_a_proxy_is_believed_in_X_Forwarded_For_only_where_it_is_named_for_that(gateway):
    with begin(gateway.port("plain"), v1("192.0.2.40", "198.51.100.1", 1, 443)) as client:
        check_101(client.upgrade("/", [("X-Forwarded-For", "9.9.9.9")]))
        assert told(client)["x-forwarded-for"] == "192.0.2.40"


@pytest.mark.parametrize("how, listener", [("send-proxy-v2", "plain"), ("send-proxy", "plain"), ("send-proxy-v2", "tls"),
                                           ("send-proxy-v2 proxy-v2-options unique-id,crc32c", "plain")])
def test_behind_haproxy(gateway, tmp_path, how, listener):
    haproxy = shutil.which("haproxy")
    assert haproxy, "haproxy is not installed"
    port = free_port()
    (tmp_path / "haproxy.cfg").write_text(f"""
global
  log /dev/null local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:{port}
  unique-id-format %Ts-%rt
  default_backend sluice
backend sluice
  server one 127.0.0.1:{gateway.port(listener)} {how}
""")
    with serving([haproxy, "-db", "-f", tmp_path / "haproxy.cfg"], port):
        with RawClient(port, source="127.0.0.77", tls=gateway.tls() if listener == "tls" else None) as client:
            check_101(client.upgrade("/"))
            assert told(client)["x-forwarded-for"] == "127.0.0.77"
    line = gateway.wait_access(event="ws_open", client_ip="127.0.0.77", listener=listener)
    assert line["peer_ip"] == "127.0.0.1"
