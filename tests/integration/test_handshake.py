"""Handshakes: what the gateway accepts, what it refuses with which status, and what a backend gets to see of it."""

import json
import re
import socket
import ssl
import struct
import threading
import time

import pytest

import tokens
from evil import Backend, after_101, answer, echo, head_teller, silent
from gateway import AUTH, BASE, wait_for
from rawws import RawClient, check_101, upgrade_request
from wire import PONG, TEXT, Timeout, accept_key, frame

SMUGGLED = b"GET /internal HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(head_teller, name="teller"))


@pytest.fixture(scope="module")
def gateway(start_gateway, backend):
    return start_gateway(BASE + AUTH + f"""
[[route]]
path = "/ws"
backend = "teller"
[[route]]
path = "/public/*"
backend = "teller"
[[route]]
path = "/admin"
auth = "users"
backend = "teller"
[[route]]
path = "/origin"
backend = "teller"
websocket = {{ origins = ["https://example.com", "https://*.wild.example"] }}
[[route]]
path = "/sub"
backend = "teller"
websocket = {{ subprotocols = ["chat.v2", "chat.v1"] }}
[[route]]
host = "only.example"
path = "/host"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


def send_raw(gateway, data, timeout=5.0):
    with gateway.client(timeout=timeout) as client:
        return client.request(data, timeout)


def told(client):
    """The head that the backend was sent, as (request line, fields)."""
    opcode, payload = client.recv_message()
    assert opcode == TEXT
    fields = json.loads(payload)
    return fields[0][1], fields[1:]


def values(fields, name):
    fold = lambda text: text.lower().replace("_", "-").replace(".", "-")
    return [value for key, value in fields if fold(key) == fold(name)]


def untouched(backend, act):
    """Runs act(); the backend must not have been sent a single octet by it."""
    # What other tests left behind may still be closing.
    wait_for(lambda: all(peer.done.is_set() for peer in backend.snapshot()), what="the backend is at rest")
    before, peers = len(backend.octets()), backend.count
    out = act()
    assert backend.count == peers and len(backend.octets()) == before, "the backend was reached"
    return out


# ---- RFC 6455 §4.2.1, well done
def test_sample_handshake(gateway):
    with gateway.client() as client:
        head = check_101(client.upgrade("/ws", host="gw.test"))
        assert head.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert head.get("Sec-WebSocket-Protocol") is None and head.get("Sec-WebSocket-Extensions") is None


def test_backend_gets_a_fresh_key_and_the_host(gateway):
    keys = set()
    for _ in range(3):
        with gateway.connect("/ws", host="gw.test") as client:
            line, fields = told(client)
            assert line == "GET /ws HTTP/1.1"
            assert values(fields, "Host") == ["gw.test"]
            assert values(fields, "Sec-WebSocket-Version") == ["13"]
            keys.add(values(fields, "Sec-WebSocket-Key")[0])
    assert len(keys) == 3 and "dGhlIHNhbXBsZSBub25jZQ==" not in keys


@pytest.mark.parametrize("pieces", [1, 7])
def test_head_in_small_pieces(gateway, pieces):
    with gateway.client() as client:
        client.send(upgrade_request("/ws"), pieces)
        check_101(client.read_head())


@pytest.mark.parametrize("how", [dict(upgrade="WebSocket"), dict(connection="keep-alive, Upgrade"), dict(connection="UPGRADE")])
def test_tokens_are_case_insensitive_and_listed(gateway, how):
    gateway.connect("/ws", **how).close()


def test_content_length_zero_is_harmless(gateway):
    gateway.connect("/ws", [("Content-Length", "0")]).close()


def test_query_reaches_the_backend_unchanged(gateway):
    with gateway.connect("/ws?a=1&b=%20x&a=2") as client:
        assert told(client)[0] == "GET /ws?a=1&b=%20x&a=2 HTTP/1.1"


def test_over_tls_with_frames_in_the_segment_of_the_head(gateway):
    with gateway.client("tls") as client:
        client.send(upgrade_request("/ws") + frame(TEXT, b"early"))
        check_101(client.read_head())
        told(client)
        assert client.recv_text() == "early"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(gateway, version):
    context = gateway.tls(minimum=version, maximum=version, alpn=["h2", "http/1.1"])
    with gateway.connect("/ws", listener="tls", tls=context) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        assert client.sock.compression() is None
        told(client)


def test_old_tls_is_refused(gateway):
    context = ssl.create_default_context(cafile=str(gateway.authority.path))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        gateway.client("tls", tls=context)


# ---- refused, with the backend untouched
BASE_LINES = ["GET /ws HTTP/1.1", "Host: gw.test", "Connection: Upgrade", "Upgrade: websocket",
              "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


def head(*more, drop=None, first=None):
    lines = [line for line in BASE_LINES if not (drop and line.lower().startswith(drop.lower() + ":"))]
    if first:
        lines[0] = first
    return ("\r\n".join(lines + list(more)) + "\r\n\r\n").encode("latin-1")


REFUSED = {
    # A03, T02: key and version
    "key of 15 octets": (head("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", drop="Sec-WebSocket-Key"), {400}),
    "key of 17 octets": (head("Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NTY=", drop="Sec-WebSocket-Key"), {400}),
    "key no base64": (head("Sec-WebSocket-Key: !!!!", drop="Sec-WebSocket-Key"), {400}),
    "key a": (head("Sec-WebSocket-Key: a", drop="Sec-WebSocket-Key"), {400}),
    "key missing": (head(drop="Sec-WebSocket-Key"), {400}),
    "key twice": (head("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), {400}),
    "version 7": (head("Sec-WebSocket-Version: 7", drop="Sec-WebSocket-Version"), {426}),
    "version 14": (head("Sec-WebSocket-Version: 14", drop="Sec-WebSocket-Version"), {426}),
    "version 25": (head("Sec-WebSocket-Version: 25", drop="Sec-WebSocket-Version"), {426}),
    "version missing": (head(drop="Sec-WebSocket-Version"), {400}),
    "version twice": (head("Sec-WebSocket-Version: 13"), {400}),
    "POST with Upgrade": (head(first="POST /ws HTTP/1.1"), {400, 405}),
    # A04, A05, T01: framing of a body
    "body announced": (head("Content-Length: 1") + b"x", {400}),
    "chunked": (head("Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED, {400}),
    "length and chunked": (head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", {400}),
    "length +5": (head("Content-Length: +5"), {400}),
    "length 5,5": (head("Content-Length: 5,5"), {400}),
    "length 0x5": (head("Content-Length: 0x5"), {400}),
    "length empty": (head("Content-Length:"), {400}),
    "length overflow": (head("Content-Length: 18446744073709551621"), {400, 413}),
    "length twice": (head("Content-Length: 0", "Content-Length: 0"), {400}),
    "space before colon": (head("Transfer-Encoding : chunked"), {400}),
    "vertical tab": (head("Transfer-Encoding:\x0bchunked"), {400, 501}),
    "xchunked": (head("tRANSFER-eNCODING: xchunked"), {400, 501}),
    "gzip": (head("Transfer-Encoding: gzip, chunked"), {400, 501}),
    # A10, A11, T01, T10: lines and Host
    "bare line feeds": (b"GET /ws HTTP/1.1\nHost: gw.test\n\n", {400}),
    "one bare line feed": (head().replace(b"gw.test\r\n", b"gw.test\n"), {400}),
    "bare carriage return": (head("X-A: a\rb"), {400}),
    "obs-fold": (head("X-A: a", " b"), {400}),
    "nul in a value": (head("X-A: a\0b"), {400}),
    "empty name": (head(": empty"), {400}),
    "name with a space": (head("X A: b"), {400}),
    "no colon": (head("nonsense"), {400}),
    "Host with a space before the colon": (head("Host : gw.test", drop="Host"), {400}),
    "Host twice": (head("Host: gw.test"), {400}),
    "Host missing": (head(drop="Host"), {400}),
    "Host with userinfo": (head("Host: a@b", drop="Host"), {400}),
    "Host with a path": (head("Host: a/b", drop="Host"), {400}),
    "Host with percent": (head("Host: a%62", drop="Host"), {400}),
    "Host with a bad port": (head("Host: a:99999", drop="Host"), {400}),
    "authority differs": (head(first="GET http://other.test/ws HTTP/1.1"), {400}),
    "authority form": (head(first="GET gw.test:80 HTTP/1.1"), {400}),
    "asterisk": (head(first="GET * HTTP/1.1"), {400, 404, 405}),
    "HTTP/1.2": (head(first="GET /ws HTTP/1.2"), {400, 505}),
    "HTTP/2.0": (head(first="GET /ws HTTP/2.0"), {505}),
    "HTTP/0.9": (b"GET /ws\r\n\r\n", {400, 505}),
    "HTTP/1.0": (head(first="GET /ws HTTP/1.0"), {400, 426, 505}),
    "h2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 405, 505, None}),
    "TLS on the plain listener": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), {400, None}),
    # T07, T08: hop-by-hop and single-valued fields
    "Connection lists Host": (head("Connection: Upgrade, Host", drop="Connection"), {400}),
    "Connection lists the key": (head("Connection: Upgrade, Sec-WebSocket-Key", drop="Connection"), {400}),
    "Connection lists Authorization": (head("Connection: Upgrade, Authorization", drop="Connection"), {400}),
    "Authorization twice": (head("Authorization: Bearer a", "Authorization: Bearer b"), {400}),
    # limits
    "request line too long": (head(first="GET /ws?" + "a" * 9000 + " HTTP/1.1"), {414}),
    "head too long": (head(*[f"X-{i}: " + "a" * 4000 for i in range(10)]), {431}),
    "too many fields": (head(*[f"X-{i}: a" for i in range(120)]), {431}),
    # no upgrade
    "plain GET on a WebSocket route": (b"GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n", {426}),
    "plain GET elsewhere": (b"GET /nowhere HTTP/1.1\r\nHost: gw.test\r\n\r\n", {404}),
    "Upgrade without Connection": (head(drop="Connection"), {400, 426}),
    "upgrade to h2c": (head("Upgrade: h2c", drop="Upgrade"), {400, 426}),
    "unknown path": (head(first="GET /nowhere HTTP/1.1"), {404}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(gateway, backend, name):
    data, statuses = REFUSED[name]
    with gateway.client() as client:
        answered = untouched(backend, lambda: client.request(data))
        status = answered.status if answered else None
        assert status in statuses, f"{status}: {answered and answered.body}"
        if answered:
            assert re.fullmatch(rb"[ -~\r\n]{0,256}", answered.body), answered.body
            assert "sluice/" not in (answered.get("Server") or "").lower()
            # RFC 9110 §7.8: who sends Upgrade names it in Connection, too.
            assert answered.get("Connection", "").lower() in ("close", "upgrade, close", "close, upgrade", "upgrade")
            client.expect_end()
        if status == 426:
            assert "upgrade" in answered.get("Connection").lower()
            assert answered.get("Sec-WebSocket-Version") == "13" or name.startswith(("plain", "Upgrade", "upgrade", "HTTP"))
            assert answered.get("Upgrade", "").lower() == "websocket"
        if status == 405:
            assert answered.get("Allow") == "GET"


def test_refusals_are_counted_and_logged(gateway):
    before = gateway.metric("sluice_rejects_total", stage="head")
    assert send_raw(gateway, head(drop="Sec-WebSocket-Key")).status == 400
    wait_for(lambda: gateway.metric("sluice_rejects_total", stage="head") > before, 3, "reject counted")


# ---- T02: nothing passes before a verified 101
def gateway_before(fresh_gateway, backend, more=""):
    return fresh_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "evil"
[backend.evil]
servers = ["ws://127.0.0.1:{backend.port}"]
{more}
""")


OK_HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPT = "Sec-WebSocket-Accept: @ACCEPT@\r\n"
BAD_101 = {
    "no Accept": OK_HEAD + "\r\n",
    "wrong Accept": OK_HEAD + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "Accept twice": OK_HEAD + ACCEPT + ACCEPT + "\r\n",
    "no Upgrade": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + ACCEPT + "\r\n",
    "no Connection": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" + ACCEPT + "\r\n",
    "other Upgrade": OK_HEAD.replace("websocket", "h2c") + ACCEPT + "\r\n",
    "HTTP/1.0": OK_HEAD.replace("HTTP/1.1", "HTTP/1.0") + ACCEPT + "\r\n",
    "unasked extension": OK_HEAD + ACCEPT + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    "unasked subprotocol": OK_HEAD + ACCEPT + "Sec-WebSocket-Protocol: chat\r\n\r\n",
    "bare line feed": (OK_HEAD + ACCEPT).replace("\r\n", "\n") + "\n",
    "obs-fold": OK_HEAD + ACCEPT + "X-A: a\r\n b\r\n\r\n",
    "nul": OK_HEAD + ACCEPT + "X-A: a\0b\r\n\r\n",
    "no HTTP": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "endless 1xx": "HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + OK_HEAD + ACCEPT + "\r\n",
    "empty": "\r\n\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_101)
def test_bad_answer_of_the_backend_is_a_502(fresh_gateway, name):
    with Backend(answer(BAD_101[name].encode())) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            answered = client.request(upgrade_request("/ws") + SMUGGLED)
            assert answered is not None and answered.status == 502, answered
            client.expect_end()
        backend.wait_peer().done.wait(5)
        assert b"/internal" not in backend.octets()
        assert backend.wait_peer().ended, "the backend's socket stays open"


@pytest.mark.parametrize("status", [401, 403, 404, 426, 429, 503])
def test_final_answer_of_the_backend_is_relayed_then_closed(fresh_gateway, status):
    body = b"the backend says no"
    data = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\nRetry-After: 7\r\n\r\n".encode() + body
    with Backend(answer(data)) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            answered = client.request(upgrade_request("/ws") + SMUGGLED)
            assert answered.status == status and answered.body == body
            client.expect_end()
        assert b"/internal" not in backend.octets()
        assert backend.wait_peer().ended or backend.wait_peer().done.wait(3)


def test_200_of_the_backend_never_opens_a_tunnel(fresh_gateway):
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"
    with Backend(answer(data)) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            answered = client.upgrade("/ws")
            assert answered.status in (200, 502)
            try:
                client.send(SMUGGLED)
            except OSError:
                pass
            rest = client.read_until_end(5)
            assert b"HTTP/1.1" not in rest
        assert b"/internal" not in backend.octets()


def test_early_hints_before_101_are_fine(fresh_gateway):
    data = ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK_HEAD + ACCEPT + "\r\n").encode()
    with Backend(answer(data)) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        gateway.connect("/ws").close()


def test_backend_that_never_answers_is_a_504(fresh_gateway):
    with Backend(silent) as backend:
        gateway = gateway_before(fresh_gateway, backend, 'handshake_timeout = "1s"\nretries = 0')
        with gateway.client() as client:
            client.send(upgrade_request("/ws") + frame(TEXT, b"early"))
            answered = client.read_head(8)
            assert answered.status == 504
        peer = backend.wait_peer()
        assert peer.received.count(b"\r\n\r\n") == 1 and b"early" not in bytes(peer.received)
        assert bytes(peer.received).endswith(b"\r\n\r\n"), "octets of the client before the 101"


def test_http_after_the_101_is_a_protocol_error(fresh_gateway):
    with Backend(echo) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            client.send(upgrade_request("/ws") + SMUGGLED)
            check_101(client.read_head())
            client.expect_close(1002)
        assert b"GET /internal" not in backend.octets()


def test_frames_of_the_backend_in_the_segment_of_its_101(fresh_gateway):
    def quick(peer):
        head = peer.read_head()
        peer.send((OK_HEAD + f"Sec-WebSocket-Accept: {accept_key(head.get('Sec-WebSocket-Key'))}\r\n\r\n").encode() +
                  frame(TEXT, b"at once", mask=None))
        peer.next_message()
    with Backend(quick) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            assert client.recv_text() == "at once"


# ---- T06, T07: headers that the gateway owns
def test_spoofed_forwarded_headers_are_replaced(gateway):
    spoofed = [("X-Forwarded-For", "1.2.3.4"), ("x_forwarded_for", "5.6.7.8"), ("X.Forwarded.For", "9.9.9.9"),
               ("X-Forwarded-Proto", "https"), ("Forwarded", "for=1.2.3.4"), ("X-Real-IP", "1.2.3.4")]
    with gateway.connect("/ws", spoofed) as client:
        _, fields = told(client)
        assert values(fields, "X-Forwarded-For") == ["127.0.0.1"]
        assert values(fields, "X-Forwarded-Proto") == ["http"]
        assert "1.2.3.4" not in json.dumps(fields) and "5.6.7.8" not in json.dumps(fields)
        assert len(values(fields, "X-Request-Id")) == 1


def test_forwarded_proto_and_port_over_tls(gateway):
    with gateway.connect("/ws", listener="tls") as client:
        _, fields = told(client)
        assert values(fields, "X-Forwarded-Proto") == ["https"]


def test_forged_identity_headers_never_arrive(gateway):
    forged = [("X-User-Id", "root"), ("x_user_id", "root"), ("X.User.Id", "root"), ("X-USER-ID", "root")]
    token = tokens.mint()
    with gateway.connect("/admin", forged + [("Authorization", f"Bearer {token}")]) as client:
        _, fields = told(client)
        assert values(fields, "X-User-Id") == ["alice"]
    with gateway.connect("/ws", forged) as client:
        assert values(told(client)[1], "X-User-Id") == []


def test_connection_cannot_remove_our_headers(gateway):
    token = tokens.mint()
    with gateway.connect("/admin", [("Authorization", f"Bearer {token}"), ("X-Mine", "listed")],
                         connection="Upgrade, X-User-Id, x-forwarded-for, X-Real-IP, X-Mine") as client:
        _, fields = told(client)
        assert values(fields, "X-User-Id") == ["alice"]
        assert values(fields, "X-Forwarded-For") == ["127.0.0.1"]
        assert values(fields, "X-Mine") == []


def test_hop_by_hop_headers_stop_here(gateway):
    hop = [("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"), ("TE", "trailers"),
           ("Proxy-Authorization", "Basic eDp5"), ("HTTP2-Settings", "AAMAAABk"), ("X-Kept", "yes"), ("Cookie", "a=b")]
    with gateway.connect("/ws", hop) as client:
        _, fields = told(client)
        for name, _ in hop[:5]:
            assert values(fields, name) == [], name
        assert values(fields, "X-Kept") == ["yes"] and values(fields, "Cookie") == ["a=b"]


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_trace_of_a_client_is_not_continued_but_logged(gateway):
    with gateway.connect("/ws", [("traceparent", TRACE), ("tracestate", "a=1")]) as client:
        _, fields = told(client)
        sent = values(fields, "traceparent")
        assert len(sent) == 1 and "0af7651916cd43dd8448eb211c80319c" not in sent[0]
        assert values(fields, "tracestate") == []
        assert gateway.wait_access(event="ws_open", trace_id=sent[0][3:35])


@pytest.mark.parametrize("style", ["rfc7239", "both"])
def test_forwarded_of_rfc_7239_and_the_trace_of_a_trusted_proxy(fresh_gateway, backend, style):
    gateway = fresh_gateway(BASE + f"""
trusted_proxies = ["127.0.0.0/8"]
forwarded = "{style}"
[[route]]
path = "/ws"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")
    theirs = [("Forwarded", 'for="[2001:db8::1]:47011";proto=https'), ("traceparent", TRACE), ("tracestate", "a=1")]
    with gateway.connect("/ws", theirs, host="gw.test") as client:
        _, fields = told(client)
        assert values(fields, "Forwarded") == ['for="[2001:db8::1]", for=127.0.0.1;proto=http;host="gw.test"']
        assert values(fields, "X-Forwarded-For") == (["2001:db8::1, 127.0.0.1"] if style == "both" else [])
        assert values(fields, "traceparent") == [TRACE] and values(fields, "tracestate") == ["a=1"]
    assert gateway.wait_access(client_ip="2001:db8::1", trace_id=TRACE[3:35])


def test_trusted_proxies_may_speak_for_a_client(fresh_gateway, backend):
    gateway = fresh_gateway(BASE + f"""
trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]
[[route]]
path = "/ws"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")
    with gateway.connect("/ws", [("X-Forwarded-For", "1.1.1.1, 9.9.9.9, 10.0.0.1")]) as client:
        _, fields = told(client)
        forwarded = ", ".join(values(fields, "X-Forwarded-For"))
        assert forwarded.endswith("9.9.9.9, 10.0.0.1, 127.0.0.1"), forwarded
    assert gateway.wait_access(client_ip="9.9.9.9")
    with gateway.connect("/ws", [("X-Forwarded-For", "garbage")]) as client:
        told(client)
    assert gateway.wait_access(client_ip="127.0.0.1")


# ---- T05: Origin
ORIGINS = {
    "https://example.com": 101, "HTTPS://EXAMPLE.COM": 101, "https://example.com:443": 101, None: 101,
    "https://a.wild.example": 101, "https://evil.com": 403, "https://example.com.evil.com": 403,
    "https://evilexample.com": 403, "http://example.com": 403, "https://example.com:8443": 403, "null": 403,
    "https://wild.example.evil.com": 403, "https://evilwild.example": 403, "not a url": 403, "https://": 403,
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_origin(gateway, backend, origin):
    fields = [] if origin is None else [("Origin", origin)]
    with gateway.client() as client:
        if ORIGINS[origin] == 101:
            check_101(client.upgrade("/origin", fields))
        else:
            answered = untouched(backend, lambda: client.upgrade("/origin", fields))
            assert answered.status == 403
            assert origin.encode() not in answered.body or len(origin) < 8


def test_two_origins(gateway, backend):
    with gateway.client() as client:
        answered = untouched(backend, lambda: client.upgrade("/origin", [("Origin", "https://example.com")] * 2))
        assert answered.status == 400 or answered.status == 403


def test_origin_refusals_are_counted(gateway):
    before = gateway.metric("sluice_rejects_total", stage="origin")
    with gateway.client() as client:
        assert client.upgrade("/origin", [("Origin", "https://evil.com")]).status == 403
    wait_for(lambda: gateway.metric("sluice_rejects_total", stage="origin") == before + 1, 3, "origin reject counted")


# ---- T09: one path for router, policy and backend
PATHS = {
    "/public/../admin": 401, "/public/%2e%2e/admin": 401, "/%61dmin": 401, "//admin": 401, "/./admin": 401,
    "/%2e/admin": 401, "/admin": 401, "/public/x/../../admin": 401,
    "/public%2f..%2fadmin": 400, "/public/%2e%2e%2fadmin": 400, "/public/..;/admin": 400, "/admin;x=1": 400,
    "/admin%3bx": 400, "/admin%00": 400, "/admin%23": 400, "/admin%3f": 400, "/admin\\": 400, "/admin%5c": 400,
    "/admin#x": 400, "/admin%": 400, "/admin%zz": 400, "/admin%2": 400, "/..": 400, "/../admin": 400,
    "/public/%c0%af": 400, "/public/%ff": 400, "/public/\x01": 400, "/ADMIN": 404, "/admin/": 404, "/adminx": 404,
}


@pytest.mark.parametrize("path", PATHS)
def test_path(gateway, backend, path):
    with gateway.client() as client:
        answered = untouched(backend, lambda: client.upgrade(path))
        assert answered is not None and answered.status == PATHS[path], (answered.status, answered.body)


@pytest.mark.parametrize("path, seen", [("/public/a/./b", "/public/a/b"), ("/public//x", "/public/x"),
                                        ("/public/%7euser", "/public/~user"), ("/public/%c3%a9", "/public/%C3%A9")])
def test_backend_sees_the_canonical_path(gateway, path, seen):
    with gateway.connect(path) as client:
        assert told(client)[0] == f"GET {seen} HTTP/1.1"


# ---- hosts
def test_route_by_host(gateway):
    gateway.connect("/host", host="only.example").close()
    gateway.connect("/host", host="ONLY.example:8080").close()
    with gateway.client() as client:
        assert client.upgrade("/host", host="other.example").status == 404


# ---- subprotocols and extensions
def test_subprotocol_of_the_backend_is_answered(fresh_gateway):
    def second(peer):
        peer.accept(subprotocol="b")
        peer.next_message()
    with Backend(second) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            head = check_101(client.upgrade("/ws", [("Sec-WebSocket-Protocol", "a, b")]))
            assert head.all("Sec-WebSocket-Protocol") == ["b"]


def test_subprotocol_none_chosen_none_answered(fresh_gateway):
    with Backend(after_101(lambda peer: peer.next_message())) as backend:
        backend.handler = lambda peer: (peer.accept(), peer.next_message())
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            head = check_101(client.upgrade("/ws", [("Sec-WebSocket-Protocol", "a, b")]))
            assert head.get("Sec-WebSocket-Protocol") is None


def test_subprotocols_of_a_route_filter_the_offer(gateway):
    with gateway.client() as client:
        head = check_101(client.upgrade("/sub", [("Sec-WebSocket-Protocol", "other, chat.v1, chat.v2")]))
        assert head.all("Sec-WebSocket-Protocol") == ["chat.v1"]
        assert values(told(client)[1], "Sec-WebSocket-Protocol") == ["chat.v1, chat.v2"]
    with gateway.client() as client:
        assert client.upgrade("/sub", [("Sec-WebSocket-Protocol", "other")]).status == 400
    with gateway.client() as client:
        assert check_101(client.upgrade("/sub")).get("Sec-WebSocket-Protocol") is None


def test_deflate_passes_through_when_both_ends_agree(fresh_gateway):
    offer = "permessage-deflate; client_max_window_bits"
    def deflating(peer):
        peer.accept(extra="Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n")
        got = peer.next_frame()
        peer.put(got.opcode, got.payload, rsv=got.rsv)
        peer.next_message()
    with Backend(deflating) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        with gateway.client() as client:
            head = check_101(client.upgrade("/ws", [("Sec-WebSocket-Extensions", offer)]))
            assert head.get("Sec-WebSocket-Extensions") == "permessage-deflate; server_no_context_takeover"
            assert backend.wait_peer().head.get("Sec-WebSocket-Extensions") == offer
            client.send(frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4))
            got = client.recv_frame()
            assert (got.rsv, got.payload) == (4, b"\xf2\x48\xcd\xc9\xc9\x07\x00")


# ---- deadlines in every phase (T26)
@pytest.fixture(scope="module")
def impatient(start_gateway, backends):
    slow = backends(Backend(silent))
    return start_gateway(BASE.replace('name = "tls"', 'name = "tls"\nlimits = { tls_timeout = "1s", head_timeout = "1s" }')
                         .replace('name = "plain"', 'name = "plain"\nlimits = { head_timeout = "1s" }') + f"""
[[route]]
path = "/slow"
backend = "slow"
[backend.slow]
servers = ["ws://127.0.0.1:{slow.port}"]
handshake_timeout = "1s"
retries = 0
""")


def drip(client, data, seconds, pause=0.05):
    """Sends octet by octet until the other end has had enough; how long that took."""
    begin = time.monotonic()
    try:
        for octet in data:
            client.send(bytes([octet]))
            if client.drain(pause) or time.monotonic() - begin > seconds:
                break
    except OSError:
        pass
    return time.monotonic() - begin


def ended_within(client, seconds):
    start = time.monotonic()
    data = client.read_until_end(seconds)
    return data, time.monotonic() - start


def test_deadline_of_a_silent_client(impatient):
    with impatient.client() as client:
        assert ended_within(client, 4)[0] == b""


def test_deadline_of_a_head_is_absolute(impatient):
    with impatient.client() as client:
        start = time.monotonic()
        try:
            for octet in upgrade_request("/slow")[:60]:
                client.send(bytes([octet]))
                time.sleep(0.1)
                if time.monotonic() - start > 4:
                    break
                if client.drain(0.001):
                    break
        except OSError:
            pass
        client.drain(1)
        assert time.monotonic() - start < 4, "each octet re-arms the deadline"
        assert client.buffer.startswith(b"HTTP/1.1 408"), client.buffer[:80]


def test_deadline_of_a_tls_handshake(impatient):
    with RawClient(impatient.port("tls")) as client:
        client.send(b"\x16\x03\x01")
        assert ended_within(client, 4)[1] < 4


def client_hello():
    arrives, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(arrives, leaves, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return leaves.read()


def test_deadline_of_a_tls_handshake_is_absolute(impatient):
    rejects = impatient.metric("sluice_rejects_total", stage="tls", reason="tls_timeout")
    with RawClient(impatient.port("tls")) as client:
        assert drip(client, client_hello(), 4) < 3, "each octet re-arms the deadline"
    wait_for(lambda: impatient.metric("sluice_rejects_total", stage="tls", reason="tls_timeout") == rejects + 1, 3,
             "the timeout counted")


def test_deadline_of_a_backends_answer_is_absolute(fresh_gateway):
    def dripping(peer):
        peer.read_head()
        for octet in OK_HEAD.encode() * 10:
            peer.send(bytes([octet]))
            time.sleep(0.05)
    with Backend(dripping) as backend:
        gateway = gateway_before(fresh_gateway, backend, 'handshake_timeout = "1s"\nretries = 0')
        begin = time.monotonic()
        with gateway.client() as client:
            assert client.upgrade("/ws").status == 504
        assert time.monotonic() - begin < 3


def test_one_deadline_for_all_servers(fresh_gateway):
    full = [socket.socket() for _ in range(6)]  # they never accept: their queues are full, and the next SYN is dropped
    waiting = []
    try:
        for server in full:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            for _ in range(3):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(server.getsockname())
                waiting.append(one)
        servers = ", ".join(f'"ws://127.0.0.1:{server.getsockname()[1]}"' for server in full)
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "full"
[backend.full]
servers = [{servers}]
connect_timeout = "500ms"
retries = 5
open_timeout = "1200ms"
""")
        begin = time.monotonic()
        with gateway.client() as client:
            assert client.upgrade("/ws").status == 504
        assert time.monotonic() - begin < 2.5, "each of them had its own time"
        assert gateway.metric("sluice_backend_retries_total") == 2
    finally:
        for one in full + waiting:
            one.close()


def test_a_client_that_leaves_before_its_101_has_both_lines(fresh_gateway):
    accept = threading.Event()
    def late(peer):
        head = peer.read_head()
        accept.wait(5)
        peer.send((OK_HEAD + f"Sec-WebSocket-Accept: {accept_key(head.get('Sec-WebSocket-Key'))}\r\n\r\n").encode())
        peer.next_message()
    with Backend(late) as backend:
        gateway = gateway_before(fresh_gateway, backend)
        client = gateway.client()
        client.send(upgrade_request("/ws"))
        backend.wait_peer()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # a reset
        time.sleep(0.1)
        accept.set()
        opened = gateway.wait_access(event="ws_open")
        closed = gateway.wait_access(event="ws_close")
        assert opened["id"] == closed["id"] and opened["status"] == 101
        assert (closed["close_code"], closed["close_initiator"], closed["reason"]) == (1006, "client", "client_lost")
        assert gateway.metric("sluice_closes_total", code="1006") == 1


def test_deadline_after_a_tls_handshake(impatient):
    with impatient.client("tls") as client:
        assert ended_within(client, 4)[1] < 4


def test_deadline_of_a_backend(impatient):
    with impatient.client() as client:
        assert client.upgrade("/slow").status == 504


def test_descriptors_are_given_back(impatient):
    wait_for(lambda: impatient.metric("sluice_connections") == 0, 5, "no connection left")
    before = impatient.open_files()
    accepted = impatient.metric("sluice_connections_total")
    clients = [impatient.client() for _ in range(50)]
    wait_for(lambda: impatient.metric("sluice_connections_total") >= accepted + 50, 3, "all accepted")
    wait_for(lambda: impatient.open_files() <= before + 1, 5, "descriptors given back after the deadline")
    for client in clients:
        client.close()


# ---- certificates
def test_sni_picks_the_certificate(fresh_gateway, backend, authority, tmp_path):
    authority.issue("first", ["first.example"], folder=tmp_path)
    authority.issue("wild", ["*.wild.example"], folder=tmp_path)
    gateway = fresh_gateway(BASE.replace('[[listener]]\nname = "plain"', f"""[[listener.tls.certificate]]
cert = "{tmp_path}/first.crt"
key = "{tmp_path}/first.key"
[[listener.tls.certificate]]
cert = "{tmp_path}/wild.crt"
key = "{tmp_path}/wild.key"
[[listener]]
name = "plain\"""") + f"""
[[route]]
path = "/ws"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")
    for name in ("first.example", "any.wild.example", "localhost"):
        client = gateway.client("tls", server_name=name)  # verifies the name
        check_101(client.upgrade("/ws", host=name))
        client.close()


def test_tickets_resume(gateway):
    context = gateway.tls()
    first = gateway.connect("/ws", listener="tls", tls=context)
    told(first)
    session = first.sock.session
    first.close()
    sock = RawClient(gateway.port("tls"))
    raw = socket.create_connection(("127.0.0.1", gateway.port("tls")), 5)
    resumed = context.wrap_socket(raw, server_hostname="localhost", session=session)
    assert resumed.session_reused
    resumed.close()
    sock.close()
