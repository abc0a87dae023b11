"""WebSocket in front of plain TCP: raw octets both ways, with a real Redis server behind."""

import os
import time

import pytest

from evil import Backend, Peer, tcp_echo
from gateway import BASE
from ports import free_port
from rawws import check_101
from servers import redis_server
from wire import BINARY, CONT, PING, PONG, TEXT, frame


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="module")
def tcp(backends):
    return backends(Backend(tcp_echo))


@pytest.fixture(scope="module")
def gateway(start_gateway, redis, tcp):
    return start_gateway(BASE + f"""
[[route]]
path = "/redis"
backend = "redis"
websocket = {{ subprotocols = ["binary"], frame = "binary" }}
[[route]]
path = "/tcp"
backend = "tcp"
websocket = {{ max_message = "8MiB" }}
[[route]]
path = "/text"
backend = "tcp"
websocket = {{ frame = "text" }}
[[route]]
path = "/down"
backend = "down"
[backend.redis]
servers = ["tcp://127.0.0.1:{redis}"]
[backend.tcp]
servers = ["tcp://127.0.0.1:{tcp.port}"]
[backend.down]
servers = ["tcp://127.0.0.1:{free_port()}"]
""")


def read_octets(client, size, opcode=BINARY):
    """Octets out of data frames until there are so many; every message must be whole and of this kind."""
    data = b""
    while len(data) < size:
        kind, payload = client.recv_message()
        assert kind == opcode, (kind, payload[:80])
        data += payload
    return data


def resp(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


@pytest.mark.parametrize("listener", ["tls", "plain"])
def test_redis(gateway, listener):
    with gateway.connect("/redis", [("Sec-WebSocket-Protocol", "binary")], listener=listener) as client:
        assert client.response.all("Sec-WebSocket-Protocol") == ["binary"]
        def call(request, answer):
            client.send_binary(request)
            assert read_octets(client, len(answer)) == answer
        call(resp(b"PING"), b"+PONG\r\n")
        blob = os.urandom(100_000)
        call(resp(b"SET", b"key", blob), b"+OK\r\n")
        call(resp(b"GET", b"key"), b"$100000\r\n" + blob + b"\r\n")
        client.send_binary(b"PI")  # a request need not be a message
        client.send_binary(b"NG\r\n")
        assert read_octets(client, 7) == b"+PONG\r\n"
        client.send_binary(resp(b"PING") * 500)  # nor a message one request
        assert read_octets(client, 3500) == b"+PONG\r\n" * 500
        client.send_close(1000)
        client.expect_close(1000)
        client.expect_end()


def test_redis_quit_closes_the_client(gateway):
    with gateway.connect("/redis") as client:
        client.send_binary(resp(b"QUIT"))
        assert read_octets(client, 5) == b"+OK\r\n"
        _, close = client.until_close()
        assert close is not None and close.code in (1000, 1011)


def test_octets_in_order(gateway):
    with gateway.connect("/tcp") as client:
        body = os.urandom(3 << 20)
        for at in range(0, len(body), 65536):
            client.send_binary(body[at:at + 65536])
            assert read_octets(client, len(body[at:at + 65536])) == body[at:at + 65536]


def test_one_large_message(gateway):
    with gateway.connect("/tcp") as client:
        import threading
        body = os.urandom(8 << 20)
        threading.Thread(target=lambda: client.sock.sendall(frame(BINARY, body)), daemon=True).start()
        assert read_octets(client, len(body)) == body


@pytest.mark.parametrize("pieces", [1, 3, 7])
def test_frames_in_pieces(gateway, pieces):
    with gateway.connect("/tcp") as client:
        body = os.urandom(500)
        client.send(frame(BINARY, body[:300], fin=False) + frame(CONT, body[300:]), pieces)
        assert read_octets(client, 500) == body


def test_message_of_no_octets_is_nothing(gateway):
    with gateway.connect("/tcp") as client:
        client.send(frame(BINARY, b"") + frame(BINARY, b"x"))
        assert read_octets(client, 1) == b"x"


def test_text_from_the_client_is_octets(gateway):
    with gateway.connect("/tcp") as client:
        client.send_text("grüße")
        assert read_octets(client, 7) == "grüße".encode()


def test_text_to_the_client(gateway):
    with gateway.connect("/text") as client:
        client.send_text("line\n")
        assert read_octets(client, 5, TEXT) == b"line\n"


def test_text_to_the_client_never_cuts_a_character(gateway, tcp):
    """RFC 6455 §8.1: a text message is UTF-8 as a whole, though TCP may cut anywhere."""
    with gateway.connect("/text") as client:
        emoji = "😀".encode()
        for octet in emoji:
            client.send_binary(bytes([octet]))
            time.sleep(0.03)
        data = b""
        while len(data) < 4:
            kind, payload = client.recv_message()
            payload.decode()  # each message by itself
            data += payload
        assert data == emoji


def test_pings_are_answered_here(gateway, tcp):
    known = len(tcp.snapshot())
    with gateway.connect("/tcp") as client:
        peer = tcp.wait_peer(known)
        client.send(frame(PING, b"here"))
        got = client.recv_frame()
        assert (got.opcode, got.payload) == (PONG, b"here")
        client.send_binary(b"x")
        assert read_octets(client, 1) == b"x"
        assert bytes(peer.received) == b"x"


def test_nothing_but_payload_goes_up(gateway, tcp):
    known = len(tcp.snapshot())
    with gateway.connect("/tcp", [("X-Spam", "yes")]) as client:
        peer = tcp.wait_peer(known)
        client.send_binary(b"only this")
        read_octets(client, 9)
        assert bytes(peer.received) == b"only this"


def test_close_of_the_client_is_a_fin(gateway, tcp):
    known = len(tcp.snapshot())
    with gateway.connect("/tcp") as client:
        peer = tcp.wait_peer(known)
        client.send_binary(b"last")
        client.send_close(1000)
        client.until_close()
        assert peer.done.wait(5)
        assert bytes(peer.received) == b"last" and peer.ended == "fin"


def test_client_lost_without_close(gateway, tcp):
    known = len(tcp.snapshot())
    client = gateway.connect("/tcp")
    peer = tcp.wait_peer(known)
    client.reset()
    assert peer.done.wait(5)


def test_reset_of_the_server_is_1011(fresh_gateway):
    def dying(peer: Peer):
        peer.fill(time.monotonic() + 5)
        peer.reset()
    with Backend(dying) as backend:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/tcp"
backend = "tcp"
[backend.tcp]
servers = ["tcp://127.0.0.1:{backend.port}"]
""")
        with gateway.connect("/tcp") as client:
            client.send_binary(b"x")
            client.expect_close(1011)


def test_octets_before_the_fin_arrive(fresh_gateway):
    def speaking(peer: Peer):
        peer.send(b"hello " * 1000)
        peer.finish()
        peer.drain(3)
    with Backend(speaking) as backend:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/tcp"
backend = "tcp"
[backend.tcp]
servers = ["tcp://127.0.0.1:{backend.port}"]
""")
        with gateway.connect("/tcp") as client:
            assert read_octets(client, 6000) == b"hello " * 1000
            assert client.until_close()[1] is not None


def test_server_down_is_503(gateway):
    with gateway.client() as client:
        assert client.upgrade("/down").status == 503


def test_subprotocols(gateway):
    with gateway.client() as client:
        assert check_101(client.upgrade("/redis")).get("Sec-WebSocket-Protocol") is None
    with gateway.client() as client:
        assert client.upgrade("/redis", [("Sec-WebSocket-Protocol", "mqtt")]).status == 400
    with gateway.client() as client:
        head = check_101(client.upgrade("/tcp", [("Sec-WebSocket-Protocol", "mqtt, binary")]))
        assert head.all("Sec-WebSocket-Protocol") == ["mqtt"]


def test_deflate_is_removed(gateway):
    with gateway.client() as client:
        head = check_101(client.upgrade("/tcp", [("Sec-WebSocket-Extensions", "permessage-deflate")]))
        assert head.get("Sec-WebSocket-Extensions") is None
        client.send(frame(BINARY, b"x", rsv=4))
        client.expect_close(1002)


def test_protocol_errors_before_tcp(gateway):
    for octets in (frame(3, b""), frame(BINARY, b"x", mask=None), frame(CONT, b"x")):
        with gateway.connect("/tcp") as client:
            client.send(octets)
            client.expect_close(1002)
