"""TERM: nothing that was accepted is lost, everybody is told 1001, the process ends by itself."""

import asyncio
import os
import signal
import socket
import threading
import time

import pytest

from crowd import CountingEcho, Member
from evil import Backend, after_101, echo, frame_echo
from gateway import BASE, wait_for
from ports import free_port
from rawws import RawClient, check_101, upgrade_request
from wire import BINARY, CLOSE, TEXT, accept_key, close_payload, frame


def config(port, drain="3s", scheme="ws"):
    return BASE.replace('drain_timeout = "2s"', f'drain_timeout = "{drain}"') + f"""
[[route]]
path = "/ws"
backend = "app"
[backend.app]
servers = ["{scheme}://127.0.0.1:{port}"]
"""


def test_drain_without_clients_is_at_once(fresh_gateway):
    with Backend(echo) as backend:
        gateway = fresh_gateway(config(backend.port, "30s"))
        begin = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert gateway.wait_exit(3) == 0
        assert time.monotonic() - begin < 3


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT"])
def test_clients_are_told_1001(fresh_gateway, name):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port))
        clients = [gateway.connect("/ws", listener="tls" if n % 2 else "plain") for n in range(10)]
        for client in clients:
            client.send_text("x")
            client.recv_text()
        gateway.signal(getattr(signal, name))
        for client in clients:
            client.expect_close(1001, 6)
            client.send_close(1001)
            client.expect_end()
        assert gateway.wait_exit(6) == 0
        for peer in backend.snapshot():
            assert peer.done.wait(3) and peer.close_code == 1001


def test_new_connections_and_readiness(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port, "5s"))
        live = gateway.connect("/ws")
        gateway.signal(signal.SIGTERM)
        def unready():
            try:
                return gateway.admin("/readyz")[0] == 503
            except OSError:
                return False
        wait_for(unready, 2, "not ready while draining")
        assert gateway.admin("/livez")[0] == 200
        assert gateway.metrics()["sluice_draining"] == 1
        with pytest.raises((OSError, AssertionError)):
            gateway.connect("/ws")
        live.expect_close(1001, 6)
        live.send_close(1001)
        assert gateway.wait_exit(6) == 0


def test_closes_are_spread(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port, "5s"))
        clients = [gateway.connect("/ws") for _ in range(40)]
        begin = time.monotonic()
        gateway.signal(signal.SIGTERM)
        times = []
        import select
        waiting = {client.sock: client for client in clients}
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], 8)
            assert ready, "no Close within 8 s"
            for sock in ready:
                client = waiting.pop(sock)
                client.expect_close(1001)
                times.append(time.monotonic() - begin)
                client.send_close(1001)
        assert gateway.wait_exit(6) == 0
        assert max(times) < 5 and max(times) - min(times) > 1, "all at once"


def test_stuck_clients_do_not_hold_the_process(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port, "1s"))
        clients = [gateway.connect("/ws") for _ in range(3)]  # never answer the Close
        gateway.signal(signal.SIGTERM)
        assert gateway.wait_exit(1 + 5 + 2) == 0
        for client in clients:
            client.expect_close(1001)


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_second_signal_ends_at_once(fresh_gateway, second):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port, "60s"))
        clients = [gateway.connect("/ws") for _ in range(3)]
        gateway.signal(signal.SIGTERM)
        wait_for(lambda: _draining(gateway), 3, "draining")
        begin = time.monotonic()
        gateway.signal(getattr(signal, second))
        gateway.wait_exit(2)
        assert time.monotonic() - begin < 1.5
        for client in clients:
            client.close()


def _draining(gateway):
    try:
        return gateway.admin("/readyz")[0] == 503
    except OSError:
        return False


def test_term_during_handshakes(fresh_gateway):
    """Whoever has asked for nothing goes at once; who waits for a backend is answered, and then told 1001."""
    release = threading.Event()

    def late(peer):
        head = peer.read_head()
        release.wait(5)
        peer.send(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Accept: {accept_key(head.get('Sec-WebSocket-Key'))}\r\n\r\n").encode())
        peer.next_message()

    with Backend(late) as backend:
        gateway = fresh_gateway(config(backend.port, "8s"))
        silent = RawClient(gateway.port("plain"))
        half_head = RawClient(gateway.port("plain"))
        half_head.send(b"GET /ws HT")
        half_tls = RawClient(gateway.port("tls"))
        half_tls.send(b"\x16\x03\x01")
        opening = gateway.client()
        opening.send(upgrade_request("/ws"))
        backend.wait_peer()
        wait_for(lambda: gateway.metric("sluice_connections") == 4, 3, "all accepted")
        gateway.signal(signal.SIGTERM)
        for client in (silent, half_head, half_tls):
            assert client.read_until_end(8) == b""
        release.set()
        check_101(opening.read_head())
        opening.expect_close(1001)
        opening.send_close(1001)
        assert gateway.wait_exit(9) == 0
        assert backend.wait_peer().done.wait(3) and backend.wait_peer().close_code == 1001


def test_what_a_drain_cuts_in_its_handshake_has_a_line(fresh_gateway):
    with Backend(lambda peer: (peer.read_head(), peer.read_head())) as backend:
        gateway = fresh_gateway(config(backend.port, "1s"))
        client = gateway.client()
        client.send(upgrade_request("/ws"))
        backend.wait_peer()
        gateway.signal(signal.SIGTERM)
        assert gateway.wait_exit(5) == 0
        assert gateway.wait_access(event="http", status=503)["reason"] == "draining"
        client.close()


def test_int_is_a_fast_stop(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port, "60s"))
        client = gateway.connect("/ws")
        gateway.signal(signal.SIGINT)
        gateway.wait_exit(3)
        client.close()


def test_messages_up_to_the_clients_close_arrive(fresh_gateway):
    """What the client sent before it saw the Close, and before it answered, is relayed."""
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend.port))
        with gateway.connect("/ws") as client:
            peer = backend.wait_peer()
            gateway.signal(signal.SIGTERM)
            got = client.recv_frame(6)
            assert got.code == 1001
            for n in range(20):
                client.send_text(f"late {n}")
            client.send_close(1001)
            assert peer.done.wait(5)
            assert [f.payload for f in peer.frames if f.opcode == TEXT] == [b"late %d" % n for n in range(20)]
            assert gateway.wait_exit(6) == 0


def test_close_waits_for_the_end_of_a_message(fresh_gateway):
    """A message that the backend has begun is finished before the client is told."""
    def slow(peer):
        peer.next_message()
        for n in range(10):
            peer.put(TEXT if n == 0 else 0, b"x" * 1000, fin=n == 9)
            time.sleep(0.05)
        peer.next_message()
    with Backend(after_101(slow)) as backend:
        gateway = fresh_gateway(config(backend.port, "2s"))
        with gateway.connect("/ws") as client:
            client.send_text("go")
            client.recv_frame()
            gateway.signal(signal.SIGTERM)
            before = client.expect_close(1001, 6)
            assert len(before) == 9 and before[-1].fin, "the Close stands inside the message"
            client.send_close(1001)
        assert gateway.wait_exit(6) == 0


def test_drain_under_load_loses_nothing(fresh_gateway):
    port = free_port()
    gateway = fresh_gateway(config(port, "4s"), workers=2)
    asyncio.run(drain_under_load(gateway, port))


async def drain_under_load(gateway, port):
    echo = CountingEcho()
    await echo.start(port)
    crowd = [Member() for _ in range(200)]
    for at in range(0, len(crowd), 50):
        await asyncio.gather(*(member.connect(gateway.port("plain"), "/ws") for member in crowd[at:at + 50]))
    listeners = [asyncio.ensure_future(member.listen()) for member in crowd]

    async def talk():
        while any(member.close_code is None for member in crowd):
            for member in crowd:
                if member.close_code is None and not member.ended:
                    member.send(b"%d" % member.sent)
            await asyncio.sleep(0.005)

    talker = asyncio.ensure_future(talk())
    await asyncio.sleep(0.3)
    gateway.signal(signal.SIGTERM)
    await asyncio.wait_for(asyncio.gather(*listeners), 12)
    await talker
    assert [m.close_code for m in crowd] == [1001] * len(crowd)
    assert [m.wrong for m in crowd if m.wrong] == []
    # A member sends nothing after the Close that it saw, so every message that it sent was to be relayed.
    assert echo.messages == sum(m.sent for m in crowd)
    assert await asyncio.get_running_loop().run_in_executor(None, gateway.wait_exit, 8) == 0
    echo.server.close()


def test_drain_of_a_tcp_bridge(fresh_gateway):
    from evil import tcp_echo
    with Backend(tcp_echo) as backend:
        gateway = fresh_gateway(config(backend.port, "1s", "tcp"))
        with gateway.connect("/ws") as client:
            client.send_binary(b"x")
            client.recv_message()
            gateway.signal(signal.SIGTERM)
            client.expect_close(1001, 5)
            client.send_close(1001)
        assert gateway.wait_exit(6) == 0
        assert backend.wait_peer().done.wait(3)


def test_drain_per_message(fresh_gateway):
    with Backend(frame_echo) as one, Backend(frame_echo) as two:
        gateway = fresh_gateway(config(one.port, "1s") .replace(
            f'servers = ["ws://127.0.0.1:{one.port}"]',
            f'servers = ["ws://127.0.0.1:{one.port}", "ws://127.0.0.1:{two.port}"]\n'
            'balance = { unit = "message", policy = "round_robin" }'))
        with gateway.connect("/ws") as client:
            for n in range(4):
                client.send_text(f"{n}")
                client.recv_text()
            gateway.signal(signal.SIGTERM)
            client.expect_close(1001, 5)
            client.send_close(1001)
        assert gateway.wait_exit(6) == 0
        for backend in (one, two):
            assert backend.wait_peer().done.wait(3) and backend.wait_peer().close_code == 1001
