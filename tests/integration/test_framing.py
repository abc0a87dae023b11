"""Frames through the gateway, octet for octet: the vectors of the threat list, sizes, floods, pings and forwarding."""

import os
import time

import pytest

from evil import Backend, after_101, echo, frame_echo, sink
from gateway import BASE, wait_for
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame

M = "00000000"


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(frame_echo))


@pytest.fixture(scope="module")
def gateway(start_gateway, backend):
    return start_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "echo"
websocket = {{ validate_utf8 = true }}
[[route]]
path = "/free"
backend = "echo"
websocket = {{ max_message = "64MiB", max_fragments = 0 }}
[[route]]
path = "/small"
backend = "echo"
websocket = {{ max_message = "1000B" }}
[[route]]
path = "/answer"
backend = "echo"
websocket = {{ ping = "answer" }}
[backend.echo]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


def hexes(text: str) -> bytes:
    return bytes.fromhex(text.replace("M", M))


VECTORS = {
    "A15 unmasked": ("81 05 48 65 6C 6C 6F", 1002),
    "A16 reserved bit": ("C1 80 M", 1002),
    "A17 opcode 3": ("83 80 M", 1002),
    "A17 opcode 11": ("8B 80 M", 1002),
    "A18 fragmented ping": ("09 80 M", 1002),
    "A18 long ping": ("89 FE 00 7E M" + "00" * 126, 1002),
    "A20 continuation of nothing": ("80 80 M", 1002),
    "A20 text inside text": ("01 81 M 41 81 81 M 42", 1002),
    "A21 length 125 in two octets": ("82 FE 00 7D M" + "00" * 125, 1002),
    "A21 length 65535 in eight": ("82 FF 00 00 00 00 00 00 FF FF M", 1002),
    "A22 top bit": ("82 FF 80 00 00 00 00 00 00 00 M", 1002),
    "T24 all ones": ("82 FF FF FF FF FF FF FF FF FF M", 1002),
    "A23 one GiB declared": ("82 FF 00 00 00 00 40 00 00 00 M", 1009),
    "T24 four GiB declared": ("82 FF 00 00 00 01 00 00 00 00 M", 1009),
    "A24 surrogate": ("81 83 M ED A0 80", 1007),
    "A25 one octet": ("88 81 M 03", 1002),
    "A25 1004": ("88 82 M 03 EC", 1002),
    "A25 1005": ("88 82 M 03 ED", 1002),
    "A25 1006": ("88 82 M 03 EE", 1002),
    "A25 1015": ("88 82 M 03 F7", 1002),
    "A25 2000": ("88 82 M 07 D0", 1002),
    "T25 reason": ("88 84 M 03 E8 FF FE", 1007),
}

# Of a vector that begins with a good frame: what the backend answers to it, which may arrive before the Close.
GOOD_BEGINNING = {"A20 text inside text": [(False, TEXT, b"A")]}


@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("name", VECTORS)
def test_vector(gateway, backend, name, pieces):
    octets, code = VECTORS[name]
    rss = gateway.rss()
    with gateway.connect("/ws") as client:
        try:
            client.send(hexes(octets), pieces)
        except ConnectionError:  # the gateway has seen enough before the last piece
            pass
        before = client.expect_close(code)
        assert [(f.fin, f.opcode, f.payload) for f in before] in ([], GOOD_BEGINNING.get(name, []))
        try:
            client.send_close(code)
        except OSError:
            pass
        client.expect_end()
    assert gateway.rss() - rss < 4 << 20, "memory by a declared length"
    line = gateway.wait_access(event="ws_close", close_code=code)
    assert gateway.metric("sluice_rejects_total", stage="ws", reason=line["reason"]) >= 1
    assert line["close_initiator"] == "gateway" and line["reason"].startswith(("ws_", "too_big"))


def test_a14_echo_octet_for_octet(gateway):
    with gateway.connect("/ws") as client:
        client.send(hexes("81 85 M 48 65 6C 6C 6F"))
        assert client.recv_frame() and bytes(client.received).endswith(hexes("81 05 48 65 6C 6C 6F"))


def test_a19_ping_inside_a_message(gateway, backend):
    with gateway.connect("/ws") as client:
        peer = backend.wait_peer(-1)
        client.send(hexes("01 81 M 41 89 81 M 42 80 81 M 43"))
        got = [client.recv_frame() for _ in range(3)]
        assert sorted((f.opcode, f.payload) for f in got) == [(CONT, b"C"), (TEXT, b"A"), (PONG, b"B")]
        assert b"".join(f.payload for f in peer.frames if f.opcode in (TEXT, CONT)) == b"AC"


def test_a26_close_without_code(gateway, backend):
    with gateway.connect("/ws") as client:
        client.send(hexes("88 80 M"))
        got = client.recv_frame()
        assert (got.opcode, got.payload) == (CLOSE, b"")
        client.expect_end(6)
        assert backend.wait_peer(-1).frames[-1].opcode == CLOSE


def test_a27_private_code_passes_both_ways(gateway, backend):
    with gateway.connect("/ws") as client:
        client.send(frame(CLOSE, close_payload(4001, b"my reason")))
        got = client.recv_frame()
        assert (got.code, got.reason) == (4001, b"my reason")
        assert backend.wait_peer(-1).frames[-1].payload == close_payload(4001, b"my reason")
    line = gateway.wait_access(event="ws_close", close_code=4001)
    assert line["close_initiator"] == "client"


def test_a28_flood_of_empty_fragments(gateway):
    with gateway.connect("/ws") as client:
        client.send(hexes("01 81 M 41") + hexes("00 80 M") * 1024)
        client.expect_close(1008)


def test_t21_flood_of_small_fragments(gateway):
    with gateway.connect("/ws") as client:
        client.send(frame(BINARY, b"a", fin=False) + frame(CONT, b"a", fin=False) * 2000)
        client.expect_close(1008)


def test_fragments_up_to_the_limit_and_large_ones_pass(gateway):
    with gateway.connect("/ws") as client:
        client.send(frame(BINARY, b"a", fin=False) + frame(CONT, b"a", fin=False) * 1022 + frame(CONT, b"a"))
        assert client.recv_message() == (BINARY, b"a" * 1024)
    with gateway.connect("/free") as client:
        body = os.urandom(1024)
        client.send(frame(BINARY, body, fin=False) + frame(CONT, body, fin=False) * 3000 + frame(CONT, body))
        assert client.recv_message(30) == (BINARY, body * 3002)


def test_a29_flood_of_pings(gateway):
    with gateway.connect("/ws") as client:
        client.send(hexes("89 80 M") * 100)
        time.sleep(0.2)
        client.expect_close(1008)


def test_burst_of_pings_within_the_limit(gateway):
    with gateway.connect("/ws") as client:
        client.send(hexes("89 80 M") * 40)
        client.send_text("still here")
        while True:
            got = client.recv_frame()
            if got.opcode == TEXT:
                break
            assert got.opcode == PONG


def test_data_after_close_goes_nowhere(gateway, backend):
    with gateway.connect("/ws") as client:
        client.send(frame(CLOSE, close_payload(1000)) + frame(TEXT, b"late") + frame(CLOSE, close_payload(1001)))
        client.expect_close(1000)
        client.expect_end()
        peer = backend.wait_peer(-1)
        peer.done.wait(3)
        assert b"late" not in b"".join(f.payload for f in peer.frames)


# ---- sizes
@pytest.mark.parametrize("size, code", [(1000, None), (1001, 1009)])
def test_message_limit_is_exact(gateway, size, code):
    with gateway.connect("/small") as client:
        client.send_binary(bytes(size))
        if code:
            client.expect_close(code)
        else:
            assert client.recv_message() == (BINARY, bytes(size))


def test_message_limit_counts_fragments(gateway):
    with gateway.connect("/small") as client:
        client.send(frame(BINARY, bytes(600), fin=False))
        client.send(frame(CONT, bytes(401)))
        client.expect_close(1009)
    with gateway.connect("/small") as client:
        client.send(frame(BINARY, bytes(600), fin=False) + frame(CONT, bytes(400)))
        assert client.recv_message() == (BINARY, bytes(1000))


def test_limit_is_per_message_not_per_connection(gateway):
    with gateway.connect("/small") as client:
        for _ in range(20):
            client.send_binary(bytes(900))
            assert client.recv_message() == (BINARY, bytes(900))


def test_backend_may_send_more_than_a_client(fresh_gateway):
    def large(peer):
        peer.put(BINARY, bytes(3 << 20))
        peer.next_message()
    with Backend(after_101(large)) as backend:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "large"
[[route]]
path = "/bounded"
backend = "large"
websocket = {{ max_message_to_client = "1MiB" }}
[backend.large]
servers = ["ws://127.0.0.1:{backend.port}"]
""")
        with gateway.connect("/ws") as client:
            assert client.recv_message() == (BINARY, bytes(3 << 20))
        with gateway.connect("/bounded") as client:
            _, close = client.until_close()
            assert close is not None and close.code in (1009, 1011)


def test_large_message_streams(gateway):
    """A message far above any buffer leaves before it has come, and costs no memory."""
    with gateway.connect("/free", listener="tls") as client:
        rss, body = gateway.rss(), os.urandom(1 << 20)
        client.send(frame(BINARY, body, fin=False))
        assert client.recv_frame().payload == body  # the first fragment is there though the message is open
        for _ in range(40):
            client.send(frame(CONT, body, fin=False))
            assert client.recv_frame().payload == body
        assert gateway.rss() - rss < 4 << 20
        client.send(frame(CONT, b""))


def test_fragmentation_is_kept(gateway, backend):
    with gateway.connect("/ws") as client:
        sent = [frame(TEXT, b"a", fin=False), frame(CONT, b"", fin=False), frame(CONT, b"bc", fin=False), frame(CONT, b"d")]
        client.send(b"".join(sent))
        got = [client.recv_frame() for _ in sent]
        assert [(f.opcode, f.fin, f.payload) for f in got] == [
            (TEXT, False, b"a"), (CONT, False, b""), (CONT, False, b"bc"), (CONT, True, b"d")]


def test_frames_upstream_stay_masked(gateway, backend):
    with gateway.connect("/ws") as client:
        client.send(frame(TEXT, b"masked", mask=b"\x0a\x0b\x0c\x0d"))
        client.recv_frame()
        peer = backend.wait_peer(-1)
        assert peer.frames[0].masked
        assert frame(TEXT, b"masked", mask=b"\x0a\x0b\x0c\x0d") in bytes(peer.received), "forwarded octet for octet"


# ---- pings
def test_pings_are_forwarded_by_default(gateway, backend):
    with gateway.connect("/ws") as client:
        client.send(frame(PING, b"through"))
        assert client.recv_frame().payload == b"through"
        assert [f.payload for f in backend.wait_peer(-1).frames if f.opcode == PING] == [b"through"]


def test_pings_are_answered_here_when_the_route_says_so(gateway, backend):
    with gateway.connect("/answer") as client:
        client.send(frame(PING, b"stays"))
        got = client.recv_frame()
        assert (got.opcode, got.payload) == (PONG, b"stays")
        client.send_text("x")
        client.recv_text()
        assert [f for f in backend.wait_peer(-1).frames if f.opcode == PING] == []


def test_gateway_pings_and_swallows_its_own_pongs(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "echo"
websocket = {{ ping_interval = "1s", pong_timeout = "2s" }}
[backend.echo]
servers = ["ws://127.0.0.1:{backend.port}"]
""")
        with gateway.connect("/ws") as client:
            peer = backend.wait_peer()
            for _ in range(2):
                got = client.recv_frame(5)
                assert got.opcode == PING
                client.send(frame(PONG, got.payload))
            client.send_text("alive")
            while True:
                got = client.recv_frame(5)
                if got.opcode == TEXT:
                    break
                client.send(frame(PONG, got.payload))
            assert [f for f in peer.frames if f.opcode == PONG] == [], "the gateway's own pongs went upstream"
        # A client that never answers is cut, and its backend is told.
        deaf = gateway.connect("/ws")
        peer = backend.wait_peer(1)
        data = deaf.read_until_end(10)
        assert data
        assert peer.done.wait(5)
        line = gateway.wait_access(event="ws_close", reason="ping_timeout")
        assert line["close_initiator"] in ("gateway", "client")
        deaf.close()


# ---- UTF-8 only where the route asks for it
def test_utf8_is_the_routes_choice(gateway):
    with gateway.connect("/free") as client:
        client.send(frame(TEXT, b"\xff\xfe"))
        assert client.recv_frame().payload == b"\xff\xfe"


def test_message_metrics(gateway):
    labels = dict(route="/small", opcode="binary")
    before = {d: gateway.metric("sluice_messages_total", direction=d, **labels) for d in ("in", "out")}
    with gateway.connect("/small") as client:
        for _ in range(5):
            client.send_binary(b"12345")
            client.recv_message()
        client.send_close()
        client.expect_close(1000)
    family = {series for series in gateway.metrics() if series.startswith("sluice_messages_total")}
    assert any('route="/small"' in series for series in family), family
    line = gateway.wait_access(event="ws_close", route="/small", messages_in=5, messages_out=5)
    assert line["bytes_in"] >= 25 and line["bytes_out"] >= 25
