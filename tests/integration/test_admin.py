"""The admin listener and its guards, the metrics, and the access log."""

import json
import re
import socket
import time

import pytest

import tokens
from evil import Backend, after_101, frame_echo, silent, unpaced_flood
from gateway import AUTH, BASE, wait_for
from ports import free_port
from rawws import RawClient, check_101
from wire import BINARY, TEXT, Timeout, frame


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(frame_echo))


def config(backend, base=BASE):
    return base + AUTH + f"""
[[route]]
path = "/ws"
backend = "echo"
[[route]]
name = "members"
path = "/members"
auth = "users"
backend = "echo"
[[route]]
path = "/down"
backend = "down"
[backend.echo]
servers = ["ws://127.0.0.1:{backend.port}"]
[backend.down]
servers = ["ws://127.0.0.1:{free_port()}"]
"""


@pytest.fixture(scope="module")
def gateway(start_gateway, backend):
    return start_gateway(config(backend))


# ---- endpoints
def test_health(gateway):
    assert gateway.admin("/livez")[0] == 200
    wait_for(lambda: gateway.admin("/readyz")[0] == 200, 5, "ready")
    assert gateway.admin("/nowhere")[0] == 404


def test_status(gateway):
    with gateway.connect("/ws"):
        status = gateway.admin_json("/api/v1/status")
        assert isinstance(status, dict) and "version" in json.dumps(status)
        assert gateway.admin_headers["Content-Type"].startswith("application/json")
        assert gateway.admin_headers["X-Content-Type-Options"] == "nosniff"
        assert gateway.admin_headers["Access-Control-Allow-Origin"] is None


def test_backends(gateway, backend):
    text = json.dumps(gateway.admin_json("/api/v1/backends"))
    assert f"127.0.0.1:{backend.port}" in text and "echo" in text and "down" in text


def test_connections(gateway):
    token = tokens.mint(tokens.claims(sub="dora"))
    with gateway.connect("/members", [("Authorization", f"Bearer {token}")]) as client:
        client.send_text("x")
        client.recv_text()
        listed = gateway.admin_json("/api/v1/connections")
        text = json.dumps(listed)
        assert "members" in text and "127.0.0.1" in text and token not in text
        connections = listed["connections"] if isinstance(listed, dict) else listed
        assert len(connections) == 1
    wait_for(lambda: "members" not in gateway.admin("/api/v1/connections")[1].decode(), 5, "gone from the list")


def test_the_token_check_is_timed(gateway):
    family = "sluice_auth_duration_seconds_count"
    before = gateway.metric(family)
    bearer = ("Authorization", f"Bearer {tokens.mint(tokens.claims(sub='timed'))}")
    gateway.connect("/members", [bearer]).close()
    with gateway.client() as client:
        assert client.upgrade("/members", [("Authorization", "Bearer a.b.c")]).status == 401
    gateway.connect("/ws").close()
    assert gateway.metric(family) == before + 2
    assert gateway.wait_access(event="ws_open", subject="timed")["auth_ms"] >= 0
    assert "auth_ms" in gateway.wait_access(event="http", status=401, reason="bad_token")
    assert "auth_ms" not in gateway.wait_access(event="ws_open", path="/ws")


@pytest.mark.parametrize("workers", [3])
def test_connections_of_all_workers(fresh_gateway, backend, workers):
    gateway = fresh_gateway(config(backend), workers=workers)
    clients = [gateway.connect("/ws") for _ in range(30)]
    listed = gateway.admin_json("/api/v1/connections")
    connections = listed["connections"] if isinstance(listed, dict) else listed
    assert len(connections) == 30
    ids = [connection["id"] for connection in connections]
    assert len(set(ids)) == 30
    some = gateway.admin_json("/api/v1/connections?limit=7")["connections"]
    assert len({connection["id"] for connection in some}) == 7, "the limit is that of all workers together"
    for client in clients:
        client.close()


# ---- guards (T34)
def test_foreign_host(gateway):
    assert gateway.admin("/api/v1/status", headers={"Host": "evil.example"})[0] == 421


@pytest.mark.parametrize("host", ["localhost:{}", "127.0.0.1:{}", "[::1]:{}", "localhost"])
def test_own_hosts(gateway, host):
    assert gateway.admin("/livez", headers={"Host": host.format(gateway.port("admin"))})[0] == 200


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_others(gateway, headers):
    assert gateway.admin("/api/v1/status", headers=headers)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_mutation_of_what_is_only_read(gateway, method):
    assert gateway.admin("/api/v1/status", method, {"Content-Type": "application/json"}, b"{}")[0] in (401, 403, 405)


def test_large_body(gateway):
    try:
        status = gateway.admin("/api/v1/status", "POST", {"Content-Type": "application/json"}, bytes(10 << 20))[0]
    except OSError:
        return  # cut before it was all sent
    assert status in (401, 403, 405, 413)


def test_token(fresh_gateway, backend, tmp_path):
    (tmp_path / "admin.token").write_text("s3cret-admin-token-0123456789\n")
    (tmp_path / "admin.token").chmod(0o600)
    base = BASE.replace('bind = "127.0.0.1:@admin@"', f'bind = "127.0.0.1:@admin@"\ntoken_file = "{tmp_path}/admin.token"')
    gateway = fresh_gateway(config(backend, base))
    assert gateway.admin("/livez")[0] == 200 and gateway.admin("/readyz")[0] == 200
    assert gateway.admin("/metrics")[0] in (200, 401)
    assert gateway.admin("/api/v1/status")[0] == 401
    assert gateway.admin("/api/v1/status", headers={"Authorization": "Bearer wrong"})[0] == 401
    good = {"Authorization": "Bearer s3cret-admin-token-0123456789"}
    assert gateway.admin("/api/v1/status", headers=good)[0] == 200


def raw_admin(gateway, data):
    with RawClient(gateway.port("admin"), timeout=5) as client:
        client.send(data)
        head = client.read_head()
        return head.status if head else None


@pytest.mark.parametrize("data", [b"GET /livez HTTP/1.1\n\n", b"GET /livez HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n",
                                  b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                                  b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
                                  b"Transfer-Encoding: chunked\r\n\r\n"])
def test_admin_parses_as_strictly(gateway, data):
    status = raw_admin(gateway, data)
    assert status is None or 400 <= status < 500


def test_silent_admin_clients_do_not_block(gateway):
    held = [socket.create_connection(("127.0.0.1", gateway.port("admin")), 5) for _ in range(20)]
    assert gateway.admin("/livez")[0] == 200
    for sock in held:
        sock.close()


def test_admin_is_not_on_the_data_listener(gateway):
    for path in ("/metrics", "/livez", "/api/v1/status"):
        with gateway.client() as client:
            head = client.request(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert head.status == 404


def test_admin_may_be_off(fresh_gateway, backend):
    base = BASE.replace('bind = "127.0.0.1:@admin@"', 'enabled = false')
    gateway = fresh_gateway(config(backend, base), start=False)
    gateway.start(wait=False)
    def up():
        try:
            gateway.connect("/ws").close()
            return True
        except OSError:
            return False
    wait_for(up, 8, "gateway without admin")


def test_not_ready_while_starting_or_without_anything(fresh_gateway, backend):
    """A backend that is down does not make the gateway unready: no route is required."""
    gateway = fresh_gateway(config(backend))
    assert gateway.admin("/readyz")[0] == 200


# ---- metrics
FAMILIES = ["sluice_build_info", "sluice_start_time_seconds", "sluice_workers", "sluice_config_last_reload_successful",
            "sluice_config_last_reload_success_timestamp_seconds", "sluice_connections", "sluice_connections_limit",
            "sluice_connections_total", "sluice_tls_handshakes_total", "sluice_handshakes_total",
            "sluice_handshake_duration_seconds_bucket", "sluice_http_requests_total",
            "sluice_http_request_duration_seconds_bucket", "sluice_http_response_bytes_total", "sluice_backend_server_state",
            "sluice_message_size_bytes_bucket", "sluice_connection_duration_seconds_bucket", "sluice_backpressure_pauses_total",
            "sluice_backpressure_paused_seconds_total",
            "sluice_auth_duration_seconds_bucket", "sluice_backend_connect_duration_seconds_bucket",
            "sluice_tls_handshake_duration_seconds_bucket", "sluice_tls_certificate_not_after_timestamp_seconds",
            "sluice_event_loop_lag_seconds_bucket", "sluice_drain_remaining_connections", "sluice_config_reloads_total",
            "sluice_slow_consumer_closes_total", "sluice_backend_retries_total", "sluice_buffered_bytes", "sluice_websocket_connections", "sluice_closes_total",
            "sluice_messages_total", "sluice_message_bytes_total", "sluice_auth_total", "sluice_rejects_total",
            "sluice_backend_server_up", "sluice_backend_connections", "sluice_backend_connect_total", "sluice_draining",
            "sluice_log_dropped_total", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
            "process_max_fds", "process_start_time_seconds"]


def exercise(gateway):
    token = tokens.mint()
    with gateway.connect("/members", [("Authorization", f"Bearer {token}")], listener="tls") as client:
        client.send_text("x")
        client.recv_text()
        client.send_close()
        client.expect_close(1000)
    with gateway.client() as client:
        client.upgrade("/members")
    with gateway.client() as client:
        client.upgrade("/down")


def test_families(gateway):
    exercise(gateway)
    gateway.wait_access(event="ws_close", route="members")
    names = {series.partition("{")[0] for series in gateway.metrics()}
    assert [family for family in FAMILIES if family not in names] == []


def test_connections_by_what_they_speak(fresh_gateway, backend):
    gateway = fresh_gateway(config(backend))
    count = lambda listener, protocol: gateway.metric("sluice_connections", listener=listener, protocol=protocol)
    silent_ones = [socket.create_connection(("127.0.0.1", gateway.port(name))) for name in ("plain", "tls", "tls")]
    wait_for(lambda: (count("plain", "http1"), count("tls", "tls")) == (1, 2), 5, "all accepted")
    with gateway.connect("/ws", listener="tls"), gateway.connect("/ws"):
        assert (count("tls", "websocket"), count("plain", "websocket")) == (1, 1)
        assert (count("tls", "http1"), count("tls", "tls"), count("plain", "http1")) == (0, 2, 1)
    for one in silent_ones:
        one.close()
    wait_for(lambda: gateway.metric("sluice_connections") == 0, 5, "all gone")
    assert gateway.metric("sluice_connections_limit", listener="tls") > 0


def test_connects_by_server(fresh_gateway, backend):
    gateway = fresh_gateway(config(backend))
    of_echo = {"backend": "echo", "server": f"ws://127.0.0.1:{backend.port}"}
    for _ in range(3):
        gateway.connect("/ws").close()
    with gateway.client() as client:
        assert client.upgrade("/down").status == 503
    assert gateway.metric("sluice_backend_connect_total", result="ok", **of_echo) == 3
    assert gateway.metric("sluice_backend_connect_total", result="failed", **of_echo) == 0
    assert gateway.metric("sluice_backend_connect_duration_seconds_count", **of_echo) == 3
    assert gateway.metric("sluice_backend_connect_duration_seconds_bucket", le="+Inf", **of_echo) == 3
    assert gateway.metric("sluice_backend_connect_total", backend="down", result="ok") == 0
    assert gateway.metric("sluice_backend_connect_total", backend="down", result="failed") == 1
    assert gateway.metric("sluice_backend_connect_duration_seconds_count", backend="down") == 0
    assert gateway.metric("sluice_backend_retries_total", backend="down") == 0, "there is no other to try"


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_backpressure_is_counted_by_route_and_direction(fresh_gateway, listener):
    with Backend(after_101(unpaced_flood)) as flooding:
        gateway = fresh_gateway(config(flooding))
        count = lambda name, way: gateway.metric(f"sluice_{name}", route="/ws", direction=way)
        client = gateway.client(listener, receive_buffer=8192)
        check_101(client.upgrade("/ws"))
        wait_for(lambda: count("backpressure_pauses_total", "out") >= 1, 5, "the client is full")
        since = time.monotonic()
        time.sleep(1)
        wait_for(lambda: count("buffered_bytes", "out") > 0, 5, "something waits for the client")
        assert count("buffered_bytes", "in") == 0
        client.close()
        wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 10, "it has gone")
        assert 0.9 < count("backpressure_paused_seconds_total", "out") < time.monotonic() - since + 1
        assert count("backpressure_paused_seconds_total", "in") == 0
        assert count("buffered_bytes", "out") == 0


def test_text_format(gateway):
    body = gateway.admin("/metrics")[1].decode()
    assert gateway.admin_headers["Content-Type"].startswith("text/plain")
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", body, re.M))
    helped = set(re.findall(r"^# HELP (\S+) \S", body, re.M))
    for name, kind in kinds.items():
        assert name in helped, f"{name} has no help"
        assert (kind == "counter") == name.endswith("_total") or name.startswith("process_"), (name, kind)
    for line in body.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{[^}]*\})? \S+( \d+)?', line), line


def test_labels_are_bounded(gateway):
    """Nothing that a client chooses becomes a label."""
    def series():
        return {name for name in gateway.metrics()}
    exercise(gateway)
    with gateway.client() as client:
        client.request(b"BREW /first-0 HTTP/1.1\r\nHost: first\r\n\r\n")
    with gateway.connect("/ws") as client:
        client.send_close(4000)
        client.until_close()
    time.sleep(0.3)
    before = series()
    for n in range(30):
        with gateway.client() as client:
            client.request(f"M{n} /random-{n} HTTP/1.1\r\nHost: host-{n}\r\nUser-Agent: ua-{n}\r\n\r\n".encode())
        with gateway.connect("/ws", [("Sec-WebSocket-Protocol", f"proto-{n}")], host=f"h{n}.example") as client:
            client.send_close(4000 + n * 7)
            client.until_close()
    time.sleep(0.3)
    new = series() - before
    assert len(new) <= 2, sorted(new)
    assert not re.search(r"random-|host-\d|proto-|ua-\d", " ".join(series()))


def test_counts_add_up_over_workers(fresh_gateway, backend):
    gateway = fresh_gateway(config(backend), workers=4)
    clients = [gateway.connect("/ws") for _ in range(40)]
    for client in clients:
        for _ in range(5):
            client.send_text("12345")
            client.recv_text()
    assert gateway.metric("sluice_websocket_connections", route="/ws") == 40
    assert gateway.metric("sluice_handshakes_total", route="/ws", result="accepted") == 40
    assert gateway.metric("sluice_messages_total", route="/ws", opcode="text") == 400
    assert gateway.metric("sluice_backend_connections", backend="echo") == 40
    for client in clients:
        client.send_close()
        client.expect_close(1000)
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 5, "all gone")
    assert gateway.metric("sluice_closes_total", route="/ws", code="1000", initiator="client") == 40
    assert gateway.metric("sluice_connections_total") == 40


# ---- access log
def test_open_and_close_lines(gateway, backend):
    with gateway.connect("/ws?secret=1", [("User-Agent", "probe/1"), ("Origin", "https://a.example"),
                                          ("Sec-WebSocket-Protocol", "p1")], listener="tls", host="gw.test") as client:
        client.send_text("hello")
        client.recv_text()
        opened = gateway.wait_access(event="ws_open", route="/ws", user_agent="probe/1")
        client.send_close(1000, b"bye")
        client.expect_close(1000)
    closed = gateway.wait_access(event="ws_close", id=opened["id"])
    for line in (opened, closed):
        assert line["listener"] == "tls" and line["client_ip"] == "127.0.0.1"
        assert line["path"].startswith("/ws") and "secret=1" not in json.dumps(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line["ts"])
        assert line["route"] == "/ws" and line["backend"] == "echo"
    assert opened["status"] == 101 and opened["method"] == "GET" and opened["host"] == "gw.test"
    assert opened["tls_version"] in ("TLSv1.3", "1.3") and opened["tls_sni"] == "localhost"
    assert opened["origin"] == "https://a.example" and opened["subprotocol"] == "p1"
    assert f"127.0.0.1:{backend.port}" in opened["server"]
    assert closed["messages_in"] == 1 and closed["messages_out"] == 1
    assert closed["bytes_in"] >= 5 and closed["bytes_out"] >= 5
    assert (closed["close_code"], closed["close_initiator"], closed["close_reason"]) == (1000, "client", "bye")
    assert closed["duration_ms"] >= 0


def test_every_field_of_an_opening(fresh_gateway, backend):
    """The whole list, on one connection through a trusted proxy that offers what it can."""
    base = BASE.replace('name = "tls"', 'name = "tls"\ntrusted_proxies = ["127.0.0.1/32"]')
    gateway = fresh_gateway(config(backend, base))
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    fields = [("Authorization", "Bearer " + tokens.mint()), ("X-Forwarded-For", "192.0.2.7"), ("User-Agent", "probe/2"),
              ("Origin", "https://localhost"), ("Sec-WebSocket-Protocol", "p1"), ("X-Request-Id", "from-the-proxy-1"),
              ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")]
    with gateway.connect("/members?a=1&access_token=secret", fields, listener="tls"):
        line = gateway.wait_access(event="ws_open")
    known = {"event": "ws_open", "id": "from-the-proxy-1", "trace_id": trace, "listener": "tls", "client_ip": "192.0.2.7",
             "peer_ip": "127.0.0.1", "tls_version": "TLSv1.3", "tls_sni": "localhost", "method": "GET", "host": "localhost",
             "path": "/members?a=1&access_token=[redacted]", "status": 101, "route": "members", "backend": "echo",
             "server": f"ws://127.0.0.1:{backend.port}", "user_agent": "probe/2", "origin": "https://localhost",
             "subprotocol": "p1", "auth_method": "jwt", "subject": "alice"}
    assert {name: line.get(name) for name in known} == known
    assert line["client_port"] > 0
    assert all(line[name] >= 0 for name in ("duration_ms", "connect_ms", "auth_ms", "tls_ms"))


def test_requests_are_counted_by_method_and_status(gateway):
    count = lambda **labels: gateway.metric("sluice_http_requests_total", route="/ws", **labels)
    before = count(method="HEAD", code="426"), count(method="other", code="426")
    for method in ("HEAD", "BREW", "SPROING"):
        with gateway.client() as client:
            assert client.request(f"{method} /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).status == 426
    wait_for(lambda: (count(method="HEAD", code="426"), count(method="other", code="426")) == (before[0] + 1, before[1] + 2),
             3, "each is counted")


def test_refusals_have_a_line(gateway):
    with gateway.client() as client:
        client.upgrade("/members")
    line = gateway.wait_access(event="http", route="members", status=401)
    assert line["reason"] == "no_token"
    with gateway.client() as client:
        client.upgrade("/down")
    assert gateway.wait_access(event="http", route="/down", status=503)["reason"] in ("no_backend", "be_connect")


def test_bad_heads_have_a_line(gateway):
    with gateway.client() as client:
        client.request(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert gateway.wait_access(event="http", status=400)["reason"] in ("dup_header", "host")


def test_request_id_is_the_same_everywhere(gateway, backend):
    with gateway.connect("/ws") as client:
        sent = backend.wait_peer(-1).head.get("X-Request-Id")
        assert gateway.wait_access(event="ws_open", id=sent)
        assert backend.wait_peer(-1).head.get("traceparent")


def test_log_lines_cannot_be_forged(gateway):
    evil = '","level":"x \x85\xff[2J\\'
    with gateway.connect("/ws", [("User-Agent", evil)]):
        pass
    text = (gateway.folder / "access.log").read_bytes()
    wait_for(lambda: b"[2J" in (gateway.folder / "access.log").read_bytes(), 5, "the line")
    text = (gateway.folder / "access.log").read_bytes()
    for line in text.splitlines():
        json.loads(line)
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", line.decode("utf-8")), line
    assert b"\\u0085\\u00ff[2J" in text
    huge = "u" * 7000
    with gateway.connect("/ws", [("User-Agent", huge)]):
        pass
    time.sleep(0.3)
    assert max(len(line) for line in (gateway.folder / "access.log").read_bytes().splitlines()) <= 8192


def test_access_fields(fresh_gateway, backend):
    base = BASE.replace('access = "access.log"', 'access = "access.log"\naccess_fields = ["event", "id", "close_code"]')
    gateway = fresh_gateway(config(backend, base))
    with gateway.connect("/ws") as client:
        client.send_close()
        client.expect_close(1000)
    line = gateway.wait_access(event="ws_close")
    assert set(line) == {"event", "id", "close_code"}


def test_access_off(fresh_gateway, backend):
    gateway = fresh_gateway(config(backend, BASE.replace('access = "access.log"', 'access = "off"')))
    gateway.connect("/ws").close()
    time.sleep(0.3)
    assert "ws_open" not in gateway.log_text() and not (gateway.folder / "access.log").exists()


def test_log_that_cannot_be_written_blocks_nothing(fresh_gateway, backend, tmp_path):
    """A pipe that nobody reads: lines are dropped and counted, connections go on."""
    import os
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    keep = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        base = BASE.replace('access = "access.log"', f'access = "{pipe}"\nqueue = 64')
        gateway = fresh_gateway(config(backend, base))
        for _ in range(400):
            with gateway.connect("/ws", [("User-Agent", "u" * 900)], timeout=3) as client:
                client.send_text("x")
                client.recv_text()
        assert gateway.metric("sluice_log_dropped_total") > 0
        gateway.connect("/ws").close()
        while True:  # and let it end
            try:
                os.read(keep, 1 << 20)
            except BlockingIOError:
                break
    finally:
        os.close(keep)


# ---- client certificates
def test_client_certificates(fresh_gateway, backend, authority, tmp_path):
    from certs import Authority
    clients = Authority(tmp_path / "clients", "clients")
    good = clients.issue("alice", ["alice.example"], client=True)
    bad = Authority(tmp_path / "others", "others").issue("bob", ["bob.example"], client=True)
    base = BASE.replace("[[listener.tls.certificate]]",
                        f'[listener.tls]\nclient_auth = "required"\nclient_ca = "{clients.path}"\n[[listener.tls.certificate]]')
    gateway = fresh_gateway(config(backend, base))
    gateway.connect("/ws", listener="tls", tls=gateway.tls(certificate=good)).close()
    for context in (gateway.tls(), gateway.tls(certificate=bad)):
        with pytest.raises((OSError, AssertionError, EOFError)):
            gateway.connect("/ws", listener="tls", tls=context)
