"""Who closes, with which code, and what the other side gets to see of it."""

import asyncio
import threading
import time

import pytest

from crowd import Member
from evil import Backend, after_101, answer, echo, frame_echo, sink
from gateway import BASE, SLOWER, wait_for
from ports import free_port
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Timeout, close_payload, frame


def start(fresh_gateway, backend, websocket="", workers=1, name="app"):
    return fresh_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "app"
[route.websocket]
{websocket}
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
""", workers=workers)


def backend_that(act):
    return Backend(after_101(act))


# ---- codes pass unchanged
@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 1012, 1013, 3000, 4000, 4001, 4409, 4999])
@pytest.mark.parametrize("side", ["client", "backend"])
def test_codes_pass_unchanged(closing_gateway, code, side):
    gateway, backend = closing_gateway
    with gateway.connect("/ws") as client:
        peer = backend.wait_peer(-1)
        reason = f"because of {code} äöü".encode()
        if side == "client":
            client.send_close(code, reason)
            got = client.recv_frame()
            assert (got.code, got.reason) == (code, reason)
            assert peer.done.wait(5) and peer.frames[-1].payload == close_payload(code, reason)
        else:
            client.send_text(f"close {code}")
            got = client.recv_frame()
            assert (got.code, got.reason) == (code, reason)
            client.send_close(code)
            assert peer.done.wait(5) and peer.close_code == code
        client.expect_end()
    line = gateway.wait_access(event="ws_close", close_code=code, close_initiator=side)
    assert line["close_reason"] == reason.decode()


@pytest.fixture(scope="module")
def closing_gateway(start_gateway, backends):
    def handler(peer):
        peer.accept()
        while True:
            got = peer.next_message()
            if got is None:
                return
            code = int(got[1].split()[1])
            peer.put(CLOSE, close_payload(code, f"because of {code} äöü".encode()))
            peer.next_frame(5)
            return
    backend = backends(Backend(handler))
    gateway = start_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
""")
    return gateway, backend


def test_close_without_code_passes_as_such(fresh_gateway):
    with backend_that(lambda peer: (peer.put(CLOSE), peer.next_frame(5))) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            got = client.recv_frame()
            assert (got.opcode, got.payload) == (CLOSE, b"")


@pytest.mark.parametrize("payload", [b"\x03", close_payload(1005), close_payload(1006), close_payload(1015),
                                     close_payload(2500), close_payload(1000, b"\xff\xfe")])
def test_bad_close_of_the_backend_is_never_relayed(fresh_gateway, payload):
    with backend_that(lambda peer: (peer.put(CLOSE, payload), peer.drain(3))) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            client.expect_close(1011)


# ---- the backend is lost
def test_reset_between_messages_is_1011(fresh_gateway):
    with backend_that(lambda peer: (peer.next_message(), peer.reset())) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws", listener="tls") as client:
            begin = time.monotonic()
            client.send_text("x")
            client.expect_close(1011)
            assert time.monotonic() - begin < 2
        line = gateway.wait_access(event="ws_close", close_code=1011)
        assert line["close_initiator"] in ("backend", "gateway") and line["reason"] == "be_lost"


def test_fin_without_close_flushes_whole_messages_then_1011(fresh_gateway):
    def leaving(peer):
        for n in range(50):
            peer.put(TEXT, b"m%d" % n)
        peer.finish()
        peer.drain(2)
    with backend_that(leaving) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            before = client.expect_close(1011)
            assert [f.payload for f in before] == [b"m%d" % n for n in range(50)]


@pytest.mark.parametrize("end", ["reset", "finish"])
def test_death_inside_a_frame_cuts_the_client(fresh_gateway, end):
    """A Close inside a frame would be payload: the client is cut at TCP level (it sees 1006)."""
    def dying(peer):
        peer.next_message()
        peer.send(frame(BINARY, bytes(500_000), mask=None)[:300_000])
        time.sleep(0.3)
        getattr(peer, end)()
        if end == "finish":
            peer.drain(2)
    with backend_that(dying) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            client.send_text("go")
            assert client.recv_frame(8) is None, "a frame that never ended was completed by something"
            assert client.ended in ("fin", "reset")
        assert gateway.wait_access(event="ws_close", close_code=1006)


def test_death_between_fragments_is_1011(fresh_gateway):
    """Between two frames of one message a control frame may stand."""
    def dying(peer):
        peer.put(TEXT, b"first part", fin=False)
        peer.next_message()
        peer.reset()
    with backend_that(dying) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            assert client.recv_frame().payload == b"first part"
            client.send_text("x")
            client.expect_close(1011)


# ---- the backend breaks the rules
BROKEN = {
    "masked": frame(TEXT, b"A", mask=b"\0\0\0\0"),
    "reserved bit": frame(TEXT, b"A", mask=None, rsv=4),
    "opcode 3": frame(3, b"A", mask=None),
    "long ping": frame(PING, bytes(126), mask=None),
    "continuation of nothing": frame(CONT, b"A", mask=None),
    "length with top bit": b"\x82\x7f" + b"\xff" * 8,
    "length not minimal": frame(BINARY, b"A", mask=None, length_bytes=8),
    "http": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_frame_of_the_backend(fresh_gateway, name):
    with backend_that(lambda peer: (peer.put(TEXT, b"good"), peer.send(BROKEN[name]), peer.next_message(4))) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            before = client.expect_close(1011)
            assert [f.payload for f in before] == [b"good"]
        peer = backend.wait_peer()
        assert peer.done.wait(5) and peer.close_code in (1002, None)
        assert gateway.wait_access(event="ws_close", close_code=1011)["close_initiator"] in ("gateway", "backend")


# ---- the client is lost
@pytest.mark.parametrize("end", ["reset", "close"])
def test_client_lost_is_1001_for_the_backend(fresh_gateway, end):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend)
        client = gateway.connect("/ws")
        client.send_text("x")
        client.recv_text()
        getattr(client, end)()
        peer = backend.wait_peer()
        assert peer.done.wait(5) and peer.close_code == 1001
        line = gateway.wait_access(event="ws_close", close_code=1006)
        assert line["close_initiator"] == "client"


def test_half_closed_client_is_a_lost_one(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend)
        with gateway.connect("/ws") as client:
            client.finish()
            peer = backend.wait_peer()
            assert peer.done.wait(3) and peer.close_code == 1001
            client.read_until_end(3)


def test_client_lost_inside_a_frame(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend)
        client = gateway.connect("/ws")
        client.send(frame(BINARY, bytes(100_000))[:50_000])
        time.sleep(0.3)
        client.reset()
        peer = backend.wait_peer()
        assert peer.done.wait(5) and peer.close_code is None and peer.messages == []


# ---- deadlines of an open connection
def test_close_that_is_never_answered(fresh_gateway):
    def deaf(peer):
        while peer.next_frame() is not None:
            pass
    with backend_that(deaf) as backend:
        gateway = start(fresh_gateway, backend, 'close_timeout = "1s"')
        with gateway.connect("/ws") as client:
            client.send_close(1000)
            begin = time.monotonic()
            client.read_until_end(5)
            assert time.monotonic() - begin < 4


def test_close_of_the_gateway_that_the_client_never_answers(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend, 'close_timeout = "1s"')
        with gateway.connect("/ws") as client:
            client.send(frame(3))
            client.expect_close(1002)
            client.expect_end(4)
        assert backend.wait_peer().done.wait(4)


def test_idle_timeout_counts_data_only(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend, 'idle_timeout = "1500ms"\nping_interval = "off"')
        with gateway.connect("/ws") as client:
            stop = threading.Event()
            for _ in range(3):
                time.sleep(0.4)
                client.send_text("x")
                assert client.recv_text() == "x"
            for _ in range(3):
                client.send(frame(PING, b"keepalive"))
                time.sleep(0.3)
            client.expect_close(1001, 5)
            stop.set()


def test_max_lifetime(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend, 'max_lifetime = "1s"')
        with gateway.connect("/ws") as client:
            client.expect_close(1001, 6)


def test_lives_that_began_together_do_not_end_together(fresh_gateway):
    """Each ends up to a tenth earlier, and it takes a second at most until that is noticed. A reload prolongs none."""
    life, count = 8.0, 40

    async def live(gateway, number):
        began = time.monotonic()
        tls = gateway.tls() if number % 2 else None
        member = Member()
        await member.connect(gateway.port("tls" if tls else "plain"), "/ws", tls=tls)
        open_since = time.monotonic()
        await member.listen()
        now = time.monotonic()
        member.hang_up()
        assert member.close_code == 1001
        # The gateway counts from a moment between these two.
        return now - began, now - open_since

    async def run(gateway):
        lives = [asyncio.ensure_future(live(gateway, number)) for number in range(count)]
        await asyncio.sleep(life / 2)
        await asyncio.get_running_loop().run_in_executor(None, gateway.reload)
        return await asyncio.gather(*lives)

    with Backend(sink) as backend:
        gateway = start(fresh_gateway, backend, f'max_lifetime = "{life:.0f}s"', workers=2)
        gateway.write_config(gateway.config_path.read_text().replace(f'max_lifetime = "{life:.0f}s"', ""))
        lives = asyncio.run(run(gateway))
        assert gateway.metric("sluice_config_last_reload_successful") == 1
        closes = lambda: [line for line in gateway.access() if line["event"] == "ws_close"]
        wait_for(lambda: len(closes()) == count, 5, "close lines")
        counted = sorted(line["duration_ms"] / 1000 for line in closes())
    assert min(at_most for at_most, _ in lives) > 0.9 * life, "none earlier than that"
    assert max(at_least for _, at_least in lives) <= life + 1 + SLOWER, "none much later"
    # Four in ten are expected before the life is over; fewer than three once in two million runs.
    assert sum(one < life for one in counted) >= 3, counted
    assert counted[-1] - counted[0] > 0.2, "not all at once"


def test_fragmented_message_that_stops(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend, 'fragment_timeout = "500ms"')
        with gateway.connect("/ws") as client:
            client.send(frame(TEXT, b"a", fin=False))
            client.expect_close(1008, 5)
        with gateway.connect("/ws") as client:
            for _ in range(6):
                client.send(frame(TEXT if _ == 0 else CONT, b"a", fin=False))
                time.sleep(0.2)
            client.send(frame(CONT, b"z"))
            assert client.recv_message()[1] == b"aaaaaaz"


def test_half_a_frame_that_stops(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = start(fresh_gateway, backend, 'fragment_timeout = "500ms"\nping_interval = "off"')
        with gateway.connect("/ws") as client:
            client.send(frame(TEXT, b"a", fin=False) + frame(CONT, b"abcdef")[:7])
            client.until_close(6)
            client.read_until_end(8)
        assert backend.wait_peer().done.wait(5)


# ---- bookkeeping
def test_nothing_is_left_behind(fresh_gateway):
    with Backend(echo) as backend:
        gateway = start(fresh_gateway, backend, workers=2)
        warm = gateway.connect("/ws")
        warm.close()
        wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 5, "no connection")
        files = gateway.open_files()
        for n in range(60):
            client = gateway.connect("/ws", listener="tls" if n % 2 else "plain")
            client.send_text("x")
            client.recv_text()
            if n % 3 == 0:
                client.send_close()
                client.expect_close(1000)
            elif n % 3 == 1:
                client.reset()
            client.close()
        wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 6, "no connection left")
        wait_for(lambda: gateway.open_files() <= files + 1, 6, "no descriptor left")
        wait_for(lambda: len([1 for line in gateway.access() if line["event"] == "ws_close"]) == 61, 5, "close lines")
        opened = [line["id"] for line in gateway.access() if line["event"] == "ws_open"]
        closed = [line["id"] for line in gateway.access() if line["event"] == "ws_close"]
        assert sorted(opened) == sorted(closed) and len(set(opened)) == 61
        assert gateway.metric("sluice_closes_total", code="1000") == 20
