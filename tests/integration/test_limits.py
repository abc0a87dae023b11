"""Rate limits: handshakes, connections, messages and bytes, by every key and with every action."""

import time

import pytest

import tokens
from evil import Backend, echo, label
from gateway import AUTH, BASE, wait_for
from rawws import RawClient, check_101
from wire import BINARY, PING, TEXT, Timeout, frame


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(echo))


def gateway_with(fresh_gateway, backend, limits, *, route="", names=("x",), auth=False, workers=1, base=BASE):
    listed = ", ".join(f'"{name}"' for name in names)
    return fresh_gateway(base + AUTH + limits + f"""
[[route]]
path = "/one"
backend = "echo"
{'auth = "users"' if auth else ''}
rate_limit = [{listed}]
{route}
[[route]]
path = "/two"
backend = "echo"
{'auth = "users"' if auth else ''}
rate_limit = [{listed}]
[[route]]
path = "/open"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{backend.port}"]
""", workers=workers)


def status(gateway, path="/one", fields=()):
    with gateway.client() as client:
        head = client.upgrade(path, fields)
        return head.status, head


def bearer(sub):
    return [("Authorization", "Bearer " + tokens.mint(tokens.claims(sub=sub)))]


# ---- handshakes
def test_handshakes_by_ip(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "ip"
unit = "handshakes"
rate = "1/m"
burst = 3
""")
    assert [status(gateway)[0] for _ in range(3)] == [101] * 3
    code, head = status(gateway)
    assert code == 429 and 1 <= int(head.get("Retry-After")) <= 60
    assert status(gateway, "/two")[0] == 429, "one address, one budget"
    assert status(gateway, "/open")[0] == 101
    assert gateway.metric("sluice_rejects_total", stage="ratelimit", reason="rl_ip") >= 2
    assert gateway.metric("sluice_ratelimit_decisions_total", limit="x", decision="refused") >= 2


def test_handshakes_come_back(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "ip"
unit = "handshakes"
rate = "2/s"
burst = 1
""")
    assert status(gateway)[0] == 101
    assert status(gateway)[0] == 429
    wait_for(lambda: status(gateway)[0] == 101, 5, "a handshake is allowed again")


def test_handshakes_by_claim(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "claim:sub"
unit = "handshakes"
rate = "1/m"
burst = 2
""", auth=True)
    assert [status(gateway, fields=bearer("ann"))[0] for _ in range(3)] == [101, 101, 429]
    assert status(gateway, fields=bearer("bob"))[0] == 101
    assert status(gateway, "/two", bearer("ann"))[0] == 429
    assert status(gateway)[0] == 401


def test_handshakes_by_route(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "route"
unit = "handshakes"
rate = "1/m"
burst = 2
""")
    assert [status(gateway)[0] for _ in range(3)] == [101, 101, 429]
    assert status(gateway, "/two")[0] == 101


def test_handshakes_by_listener(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "listener"
unit = "handshakes"
rate = "1/m"
burst = 2
""")
    assert [status(gateway)[0] for _ in range(3)] == [101, 101, 429]
    with gateway.client("tls") as client:
        assert client.upgrade("/one").status == 101


def test_rejected_by_close(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "ip"
unit = "handshakes"
rate = "1/m"
burst = 1
""", route='reject = "close"')
    gateway.connect("/one").close()
    with gateway.client() as client:
        check_101(client.upgrade("/one"))
        client.expect_close(4429)


# ---- connections
@pytest.mark.parametrize("key, auth", [("ip", False), ("claim:sub", True), ("route", False), ("listener", False)])
def test_connections(fresh_gateway, backend, key, auth):
    gateway = gateway_with(fresh_gateway, backend, f"""
[rate_limit.x]
key = "{key}"
unit = "connections"
limit = 2
""", auth=auth)
    fields = bearer("ann") if auth else []
    first, second = gateway.connect("/one", fields), gateway.connect("/one", fields)
    code, head = status(gateway, fields=fields)
    assert code == 429 and int(head.get("Retry-After", "1")) >= 1
    if auth:
        gateway.connect("/one", bearer("bob")).close()
    if key == "route":
        gateway.connect("/two").close()
    first.send_close()
    first.expect_close(1000)
    first.close()
    def again():
        client = gateway.client()
        if client.upgrade("/one", fields).status == 101:
            return client
        client.close()
    third = wait_for(again, 5, "the unit is given back")
    assert status(gateway, fields=fields)[0] == 429
    third.close()
    second.close()
    wait_for(lambda: status(gateway, fields=fields)[0] == 101, 5, "units are given back when clients vanish")


def test_connections_hold_across_workers(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "claim:sub"
unit = "connections"
limit = 5
""", auth=True, workers=4)
    live = []
    codes = []
    for _ in range(25):
        client = gateway.client()
        codes.append(client.upgrade("/one", bearer("ann")).status)
        live.append(client)
    assert codes.count(101) == 5 and codes.count(429) == 20
    for client in live:
        client.close()


# ---- messages
def limit_messages(action, rate="10/s", burst=5, key="connection", more=""):
    return f"""
[rate_limit.x]
key = "{key}"
unit = "messages"
rate = "{rate}"
burst = {burst}
on_limit = "{action}"
{more}
"""


def test_messages_are_delayed_and_none_is_lost(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, limit_messages("delay", "20/s", 5))
    with gateway.connect("/one") as client:
        start = time.monotonic()
        client.send(b"".join(frame(TEXT, b"%d" % n) for n in range(25)))
        got = [client.recv_text() for _ in range(25)]
        assert got == [str(n) for n in range(25)]
        assert time.monotonic() - start > 0.7, "25 messages at 20/s with a burst of 5"


def test_delay_is_backpressure(fresh_gateway, backend):
    """The sender is stopped by TCP; nothing piles up in the gateway."""
    gateway = gateway_with(fresh_gateway, backend, limit_messages("delay", "1/s", 1))
    with gateway.connect("/one", timeout=2) as client:
        rss = gateway.rss()
        sent = 0
        import socket
        client.sock.settimeout(1.0)
        try:
            for _ in range(400):
                client.sock.sendall(frame(BINARY, bytes(65536)))
                sent += 65536
        except (socket.timeout, TimeoutError):
            pass
        assert sent < 400 * 65536, "26 MB were taken from a client with one message a second"
        assert gateway.rss() - rss < 3 << 20


def test_messages_are_dropped_whole(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, limit_messages("drop", "1/m", 5))
    with gateway.connect("/one") as client:
        for n in range(20):
            client.send(frame(TEXT, b"%d-" % n, fin=False) + frame(0, b"end"))
        got = []
        try:
            while True:
                got.append(client.recv_text(1.0))
        except Timeout:
            pass
        assert got == [f"{n}-end" for n in range(5)]
        client.send_close()
        client.expect_close(1000)
    line = gateway.wait_access(event="ws_close", route="/one")
    assert line["rate_limited"] in (True, 15, "x") or line["rate_limited"] >= 15


@pytest.mark.parametrize("more, code", [("", 1008), ("close_code = 4429", 4429)])
def test_messages_close(fresh_gateway, backend, more, code):
    gateway = gateway_with(fresh_gateway, backend, limit_messages("close", "1/m", 5, more=more))
    with gateway.connect("/one") as client:
        client.send(b"".join(frame(TEXT, b"%d" % n) for n in range(12)))
        before = client.expect_close(code)
        assert [f.payload for f in before] == [b"%d" % n for n in range(len(before))] and len(before) <= 6


def test_messages_by_identity_over_connections_and_workers(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, limit_messages("drop", "1/m", 10, key="claim:sub"), auth=True, workers=4)
    clients = [gateway.connect("/one", bearer("ann")) for _ in range(6)]
    other = gateway.connect("/one", bearer("bob"))
    for client in clients:
        client.send(frame(TEXT, b"x") * 5)
    got = 0
    for client in clients:
        try:
            while True:
                client.recv_text(0.6)
                got += 1
        except Timeout:
            pass
    assert got == 10
    other.send_text("mine")
    assert other.recv_text() == "mine"
    for client in clients + [other]:
        client.close()


def test_control_frames_are_not_messages(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, limit_messages("close", "1/m", 2))
    with gateway.connect("/one") as client:
        for n in range(10):
            client.send(frame(9, b"%d" % n))
            assert client.recv_frame().payload == b"%d" % n
        client.send_text("a")
        assert client.recv_text() == "a"


def test_no_limit_on_messages_unless_a_route_sets_one(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, limit_messages("close", "1/m", 1))
    with gateway.connect("/open") as client:
        import threading
        count = 5000
        threading.Thread(target=lambda: client.sock.sendall(frame(TEXT, b"x") * count), daemon=True).start()
        for _ in range(count):
            assert client.recv_text() == "x"


def test_limit_survives_a_reload(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "ip"
unit = "handshakes"
rate = "1/m"
burst = 2
""")
    assert [status(gateway)[0] for _ in range(3)] == [101, 101, 429]
    gateway.reload()
    assert status(gateway)[0] == 429


# ---- every key with every unit of messages and bytes and every action
# Three units at once and then one in twenty seconds: the fourth is over the limit.
FOUR = {"messages": 'rate = "3/m"\nburst = 3', "bytes": 'rate = "3KiB/m"\nburst = "3KiB"'}
PAIRS = [(unit, action) for unit, action in (("messages", "delay"), ("messages", "drop"), ("messages", "close"),
                                             ("bytes", "delay"), ("bytes", "close"))]
SPOKEN_FOR = BASE.replace('name = "plain"', 'name = "plain"\ntrusted_proxies = ["127.0.0.1/32"]')

# Two parties that the key tells apart: how each of them connects.
PARTIES = {
    "connection": ({}, None),
    "ip": ({"fields": [("X-Forwarded-For", "192.0.2.1")]}, {"fields": [("X-Forwarded-For", "192.0.2.2")]}),
    "claim:sub": ({"sub": "ann"}, {"sub": "bob"}),
    "route": ({"path": "/one"}, {"path": "/two"}),
    "listener": ({"listener": "plain"}, {"listener": "tls"}),
}


def join(gateway, party):
    fields = party.get("fields", []) + bearer(party.get("sub", "ann"))
    return gateway.connect(party.get("path", "/one"), fields, listener=party.get("listener", "plain"))


def say(client, count=1):
    """Sends messages of 1 KiB, one at a time, and takes the answers."""
    for n in range(count):
        body = bytes([n]) * 1024
        client.send(frame(BINARY, body))
        assert client.recv_message(5) == (BINARY, body)


def expect_limited(client, action, unit):
    if (unit, action) == ("bytes", "delay"):  # its first octet may come soon; the message then owes all of them
        say(client)
    client.send(frame(BINARY, b"!" * 1024))
    if action == "close":
        client.expect_close(1008)
        return
    with pytest.raises(Timeout):
        client.recv_message(0.4)
    if action == "drop":  # what is no message still passes
        client.send(frame(PING, b"here"))
        assert client.recv_frame(5).payload == b"here"


@pytest.mark.parametrize("key", PARTIES)
@pytest.mark.parametrize("unit, action", PAIRS)
def test_key_unit_action(fresh_gateway, backend, key, unit, action):
    gateway = gateway_with(fresh_gateway, backend, f"""
[rate_limit.x]
key = "{key}"
unit = "{unit}"
on_limit = "{action}"
{FOUR[unit]}
""", auth=True, workers=2, base=SPOKEN_FOR)
    same, other = PARTIES[key]
    first, second = join(gateway, same), join(gateway, same)
    if key == "connection":
        say(first, 3)
        say(second, 3)
        other = same
    else:
        say(first, 2)
        say(second)
    expect_limited(second, action, unit)
    third = join(gateway, other)
    say(third, 3)
    for client in (first, second, third):
        client.close()


# ---- who is one address
def test_one_network_of_64_bits_is_one_address(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "ip"
unit = "handshakes"
rate = "1/m"
burst = 2
""", base=SPOKEN_FOR)
    def codes(*addresses):
        return [status(gateway, fields=[("X-Forwarded-For", address)])[0] for address in addresses]
    assert codes("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8::2") == [101, 101, 429]
    assert codes("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1") == [101, 101, 101]
    assert codes("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2") == [101, 101, 429, 101]
    assert codes("::ffff:192.0.2.2", "192.0.2.2") == [101, 429], "an IPv4 address in IPv6 is that address"


def test_clients_of_a_dual_stack_listener_are_told_apart(fresh_gateway, backend):
    base = BASE.replace('bind = "127.0.0.1:@plain@"', 'bind = "[::]:@plain@"')
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "ip"
unit = "handshakes"
rate = "1/m"
burst = 1
""", base=base)
    assert [status(gateway)[0] for _ in range(2)] == [101, 429]
    with RawClient(gateway.port("plain"), source="127.0.0.9") as client:
        assert client.upgrade("/one").status == 101
    assert gateway.wait_access(event="ws_open", client_ip="127.0.0.9")


# ---- limits of a listener hold for all its routes
@pytest.mark.parametrize("key", ["ip", "listener"])
@pytest.mark.parametrize("unit, amount", [("handshakes", 'rate = "1/m"\nburst = 2'), ("connections", "limit = 2")])
def test_limits_of_a_listener(fresh_gateway, backend, key, unit, amount):
    base = BASE.replace('name = "plain"', 'name = "plain"\nrate_limit = ["x"]')
    gateway = gateway_with(fresh_gateway, backend, f"""
[rate_limit.x]
key = "{key}"
unit = "{unit}"
{amount}
""", base=base, names=(), workers=2)
    live = [gateway.connect("/one"), gateway.connect("/open")]
    code, head = status(gateway, "/two")
    assert code == 429 and int(head.get("Retry-After")) >= 1
    gateway.connect("/one", listener="tls").close()
    for client in live:
        client.close()


# ---- bytes
def test_bytes_are_delayed(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "connection"
unit = "bytes"
rate = "100KiB/s"
burst = "10KiB"
""")
    with gateway.connect("/one") as client:
        start = time.monotonic()
        client.send(frame(BINARY, bytes(10240)) * 12)
        for _ in range(12):
            assert len(client.recv_message()[1]) == 10240
        assert time.monotonic() - start > 0.6, "120 KiB at 100 KiB/s with a burst of 10 KiB"


def test_bytes_close(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "claim:sub"
unit = "bytes"
rate = "1KiB/m"
burst = "2KiB"
on_limit = "close"
""", auth=True)
    with gateway.connect("/one", bearer("ann")) as client:
        for _ in range(6):
            try:
                client.send(frame(BINARY, bytes(1024)))
            except OSError:
                break
        client.expect_close(1008)


def test_absurdly_high_rates_limit_nothing(fresh_gateway, backend):
    gateway = gateway_with(fresh_gateway, backend, """
[rate_limit.x]
key = "connection"
unit = "messages"
rate = "1000000/s"
[rate_limit.y]
key = "claim:sub"
unit = "bytes"
rate = "100GiB/s"
on_limit = "close"
[rate_limit.z]
key = "ip"
unit = "handshakes"
rate = "50/s"
burst = 100
""", names=("x", "y", "z"), auth=True)
    with gateway.connect("/one", bearer("ann")) as client:
        body = bytes(1 << 20)
        for _ in range(20):
            client.send(frame(BINARY, body))
            assert client.recv_message()[1] == body
