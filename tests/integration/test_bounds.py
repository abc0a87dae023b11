"""Bounds: slow readers and writers, memory, descriptors, connection limits, hostile clients."""

import itertools
import os
import resource
import socket
import struct
import subprocess
import threading
import time
import zlib

import pytest

from evil import Backend, after_101, echo, frame_echo, silent, unpaced_flood
from gateway import BASE, wait_for
from rawws import RawClient, check_101, upgrade_request
from wire import BINARY, CONT, PING, TEXT, Timeout, frame

MIB = 1 << 20


def config(backend, websocket="", server="", more=""):
    return BASE.replace('drain_timeout = "2s"', 'drain_timeout = "2s"\n' + server) + f"""
[[route]]
path = "/ws"
backend = "app"
[route.websocket]
{websocket}
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
{more}
"""


def flood(peer):
    """Sends numbered messages of 16 KiB for as long as somebody takes them; stops when told."""
    body, n = bytes(16376), 0
    while not peer.backend.stopping.is_set():
        peer.put(BINARY, struct.pack("!Q", n) + body)
        n += 1
        peer.sent = n
        time.sleep(0.004)


def kernel_memory(pid):
    """Octets that the kernel holds for the sockets of a process: receive, send and backlog queues."""
    text = subprocess.run(["ss", "-tmpnH"], capture_output=True, text=True, check=True).stdout
    total, mine = 0, False
    for line in text.splitlines():
        if not line.startswith((" ", "\t")):
            mine = f"pid={pid}," in line
        at = line.find("skmem:(")
        if mine and at >= 0:
            for item in line[at + 7:].split(")")[0].split(","):
                if item[:1] in "rtwo" and item[:2] not in ("rb", "tb") and item[1:].isdigit():
                    total += int(item[1:])
    return total


@pytest.mark.parametrize("listener", ["tls", "plain"])
def test_stalled_readers(fresh_gateway, listener):
    """Ten clients that stop reading cost little; the others keep every message."""
    with Backend(after_101(flood)) as backend:
        backend.stopping = threading.Event()
        gateway = fresh_gateway(config(backend, 'write_stall = "60s"'))
        reader = gateway.connect("/ws", listener=listener)
        stop, seen = threading.Event(), []

        def read():
            while not stop.is_set():
                try:
                    seen.append(struct.unpack("!Q", reader.recv_message(10)[1][:8])[0])
                except (EOFError, Timeout, OSError):
                    return

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        time.sleep(0.5)
        rss, kernel = gateway.rss(), kernel_memory(gateway.pid)
        stalled = [gateway.connect("/ws", listener=listener, ) for _ in range(10)]
        time.sleep(5)
        grown, held = gateway.rss() - rss, kernel_memory(gateway.pid) - kernel
        assert grown / 10 < 192 * 1024, f"{grown // 10} octets of memory for each stalled reader"
        assert held / 10 < 1024 * 1024, f"{held // 10} octets in the kernel for each stalled reader"
        sent = [peer.sent for peer in backend.snapshot()[1:]]
        assert max(sent) * 16384 < 12 * MIB, "a stalled reader does not stop its backend"
        assert seen == list(range(len(seen))) and len(seen) > 200, "the reader lost messages"
        # A stalled reader that reads again gets everything, in order.
        for n in range(50):
            assert struct.unpack("!Q", stalled[0].recv_message(10)[1][:8])[0] == n
        backend.stopping.set()
        stop.set()
        for client in stalled + [reader]:
            client.close()


def test_write_stall_is_a_reset(fresh_gateway):
    with Backend(after_101(unpaced_flood)) as backend:
        gateway = fresh_gateway(config(backend, 'write_stall = "1s"\nping_interval = "off"'))
        client = gateway.client(receive_buffer=8192)
        check_101(client.upgrade("/ws"))
        line = gateway.wait_access(10, event="ws_close", reason="slow_reader")
        assert line["close_initiator"] == "gateway"
        assert backend.wait_peer().done.wait(5)
        client.close()


def test_slow_reader_is_no_stalled_one(fresh_gateway):
    """A client that takes a little all the time stays connected."""
    def send(peer):
        peer.put(BINARY, bytes(2 * MIB))
        peer.next_message()
    with Backend(after_101(send)) as backend:
        gateway = fresh_gateway(config(backend, 'write_stall = "1s"\nping_interval = "off"'))
        client = gateway.client(receive_buffer=16384)
        check_101(client.upgrade("/ws"))
        got = len(client.buffer)  # what came with the head
        begin = time.monotonic()
        client.sock.settimeout(5)
        while got < 2 * MIB:
            data = client.sock.recv(65536)
            assert data, "cut although it reads"
            got += len(data)
            if time.monotonic() - begin < 4:
                time.sleep(0.05)
        client.close()


def test_backend_that_stops_reading_stops_the_client(fresh_gateway):
    release = threading.Event()
    def lazy(peer):
        release.wait(20)
        while peer.next_message() is not None:
            pass
    with Backend(after_101(lazy)) as backend:
        gateway = fresh_gateway(config(backend, 'max_message = "1MiB"\nping_interval = "off"'))
        client = gateway.connect("/ws")
        rss = gateway.rss()
        sent, body = 0, frame(BINARY, bytes(65536))
        client.sock.settimeout(1.5)
        with pytest.raises((socket.timeout, TimeoutError)):
            for _ in range(1000):
                client.sock.sendall(body)
                sent += len(body)
        assert sent < 40 * MIB
        assert gateway.rss() - rss < MIB
        release.set()
        client.close()


def test_tiny_frames_are_fair(fresh_gateway):
    """A client that floods its connection with one-octet frames does not starve the others."""
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend))
        noisy = gateway.connect("/ws")
        stop = threading.Event()

        def shout():
            block = frame(TEXT, b"x") * 2000
            noisy.sock.settimeout(0.2)
            while not stop.is_set():
                try:
                    noisy.sock.send(block)
                except OSError:
                    pass

        thread = threading.Thread(target=shout, daemon=True)
        thread.start()
        with gateway.connect("/ws") as quiet:
            worst = 0.0
            for n in range(50):
                begin = time.monotonic()
                quiet.send_text(f"{n}")
                assert quiet.recv_text(5) == f"{n}"
                worst = max(worst, time.monotonic() - begin)
            assert worst < 2, f"{worst:.3f} s for an echo beside a flood"
        stop.set()
        thread.join(3)
        noisy.close()


# ---- a message far above all memory
GIB = 1 << 30


def pour(send, masked):
    """One message of 1 GiB in one frame; returns a checksum of its octets on the wire."""
    head = struct.pack("!BBQ", 0x82, 0xff if masked else 0x7f, GIB) + (bytes(4) if masked else b"")
    send(head)
    check = zlib.crc32(head)
    for n in range(GIB // MIB):
        piece = bytes([n & 0xff]) * MIB
        send(piece)
        check = zlib.crc32(piece, check)
    return check


def swallow(wire, left, each):
    """Checksum of so many octets, none of which is kept; `each` is called now and then."""
    check, left, part = zlib.crc32(wire.buffer), left - len(wire.buffer), bytearray(MIB)
    wire.sock.settimeout(60)
    for turn in itertools.count():
        if left == 0:
            return check
        size = wire.sock.recv_into(part, min(left, MIB))
        assert size, "cut inside the message"
        check = zlib.crc32(memoryview(part)[:size], check)
        left -= size
        if turn % 64 == 0:
            each()


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_gibibyte_in_one_frame(fresh_gateway, way):
    """It streams through one chunk: octet for octet, and the gateway's memory stays where it was."""
    up, sums, most = way == "up", {}, []

    def act(peer):
        if up:
            sums["in"] = swallow(peer, GIB + 14, lambda: most.append(gateway.rss()))
        else:
            sums["out"] = pour(peer.sock.sendall, False)
        while peer.next_frame() is not None:
            pass
    with Backend(after_101(act)) as backend:
        gateway = fresh_gateway(config(backend, 'max_message = "1GiB"'))
        with gateway.connect("/ws", timeout=60) as client:
            before = gateway.rss()
            if up:
                sums["out"] = pour(client.sock.sendall, True)
            else:
                sums["in"] = swallow(client, GIB + 10, lambda: most.append(gateway.rss()))
            wait_for(lambda: len(sums) == 2, 60, "the whole message")
            assert sums["in"] == sums["out"]
            assert len(most) > 10 and max(most) - before < MIB, max(most) - before
            client.send_close(1000)
        line = gateway.wait_access(event="ws_close")
        assert line["bytes_in" if up else "bytes_out"] == GIB and line["messages_in" if up else "messages_out"] == 1


# ---- descriptors
def reaches(gateway):
    try:
        with gateway.client(timeout=1) as client:
            head = client.upgrade("/ws")
            return head is not None and head.status == 101
    except (OSError, Timeout):
        return False


@pytest.mark.parametrize("workers", [1, 3])
def test_out_of_descriptors(fresh_gateway, workers):
    """max_connections keeps a reserve, so they are taken away from outside."""
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend), workers=workers)
        live = gateway.connect("/ws")
        before = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (gateway.open_files() + 4, before[1]))
        crowd = [gateway.client() for _ in range(60)]
        paused = lambda: [event for event in gateway.events() if event.get("event") == "accept_paused"]
        wait_for(paused, 5, "a line in the log")
        cpu = gateway.cpu()
        time.sleep(2)
        assert gateway.cpu() - cpu < 0.4, "the listeners spin"
        assert len(paused()) == 1 and paused()[0]["listener"] == "plain", gateway.log_tail()
        live.send_text("still here")
        assert live.recv_text() == "still here"
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, before)
        for client in crowd:  # they waited in the queue
            check_101(client.upgrade("/ws"))
            client.close()
        assert gateway.metric("sluice_connections_rejected_total", reason="emfile") >= 10
        live.close()


def test_crowd_above_a_small_limit_of_files(fresh_gateway):
    """What is beyond max_connections is closed at once; who is there and the admin listener go on."""
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend), files=1200)
        live = gateway.connect("/ws")
        crowd = [gateway.client() for _ in range(1400)]
        cpu = gateway.cpu()
        time.sleep(1)
        assert gateway.cpu() - cpu < 0.5, "the listener spins"
        live.send_text("still here")
        assert live.recv_text() == "still here"
        assert gateway.admin("/livez")[0] == 200
        assert len(gateway.log_text()) < 20_000, "a flood of log lines"
        for client in crowd:
            client.close()
        wait_for(lambda: reaches(gateway), 5, "new connections when the crowd has gone")


def test_limit_of_connections(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend, server="max_connections = 5"))
        live = [gateway.connect("/ws") for _ in range(5)]

        def refused():
            try:
                with gateway.client(timeout=2) as client:
                    head = client.upgrade("/ws")
                    return head is None or head.status == 503
            except (OSError, Timeout):
                return True
        assert refused() and refused()
        assert gateway.metric("sluice_connections_rejected_total") >= 1
        assert gateway.admin("/livez")[0] == 200
        live.pop().close()
        wait_for(lambda: not refused(), 5, "room again")
        for client in live:
            client.close()


@pytest.mark.parametrize("balance, sockets", [('"round_robin"', 2), ('{ unit = "message", policy = "round_robin" }', 4)])
def test_limit_of_connections_follows_from_that_of_files(fresh_gateway, balance, sockets):
    """1024 descriptors are kept back; each connection takes one for its client and one for each leg."""
    with Backend(frame_echo) as one, Backend(frame_echo) as two, Backend(frame_echo) as three:
        servers = ", ".join(f'"ws://127.0.0.1:{backend.port}"' for backend in (one, two, three))
        text = config(one).replace(f'["ws://127.0.0.1:{one.port}"]', f"[{servers}]\nbalance = {balance}")
        gateway = fresh_gateway(text, files=4096)
        assert gateway.metric("sluice_connections_limit", listener="plain") == (4096 - 1024) // sockets
        assert gateway.metric("process_max_fds") == 4096


def test_limit_of_a_listener(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend).replace('name = "plain"', 'name = "plain"\nmax_connections = 2'))
        live = [gateway.connect("/ws") for _ in range(2)]
        with gateway.client(timeout=2) as client:
            try:
                head = client.upgrade("/ws")
                assert head is None or head.status == 503
            except (OSError, Timeout):
                pass
        gateway.connect("/ws", listener="tls").close()
        for client in live:
            client.close()


def test_slow_heads_do_not_block_others(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend))
        slow = []
        for n in range(300):
            client = gateway.client("plain")
            client.send(upgrade_request("/ws")[:20 + n % 50])
            slow.append(client)
        begin = time.monotonic()
        gateway.connect("/ws", listener="tls").close()
        assert time.monotonic() - begin < 2
        for client in slow:
            client.close()


def test_limit_of_unfinished_handshakes(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend, server="max_handshakes = 20"))
        held = []
        for _ in range(60):
            try:
                client = gateway.client(timeout=2)
                client.send(b"GET")
                held.append(client)
            except OSError:
                pass
        time.sleep(0.3)
        assert gateway.metric("sluice_connections_rejected_total") >= 20 or gateway.metric("sluice_rejects_total") >= 20
        for client in held:
            client.close()
        wait_for(lambda: reaches(gateway), 5, "handshakes again")


# ---- idle connections
def test_idle_connections_are_cheap(fresh_gateway):
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend, 'ping_interval = "off"'))
        warm = [gateway.connect("/ws") for _ in range(20)]
        rss = gateway.rss()
        live = [gateway.connect("/ws") for _ in range(400)]
        per = (gateway.rss() - rss) / 400
        assert per < 24 * 1024, f"{per:.0f} octets of memory for an idle connection"
        for client in live + warm:
            client.close()


# ---- noise
def test_random_octets_never_crash(fresh_gateway):
    import random
    source = random.Random(1)
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend, "validate_utf8 = true"))
        for n in range(150):
            with gateway.client(timeout=3) as client:
                try:
                    if n % 3 == 0:
                        client.send(source.randbytes(source.randint(1, 400)))
                    elif n % 3 == 1:
                        check_101(client.upgrade("/ws"))
                        client.send(source.randbytes(source.randint(1, 400)))
                    else:
                        data = bytearray(upgrade_request("/ws", [("X-A", "b" * 20)]))
                        for _ in range(3):
                            data[source.randrange(len(data))] = source.randrange(256)
                        client.send(bytes(data))
                    client.drain(0.02)
                except (OSError, Timeout):
                    pass
        assert gateway.running()
        gateway.connect("/ws").close()


def test_random_octets_over_tls_never_crash(fresh_gateway):
    import random
    source = random.Random(2)
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend))
        for n in range(60):
            with RawClient(gateway.port("tls"), timeout=3) as client:
                try:
                    client.send((b"\x16\x03\x01" if n % 2 else b"") + source.randbytes(source.randint(1, 600)))
                    client.drain(0.02)
                except OSError:
                    pass
        assert gateway.running()
        gateway.connect("/ws", listener="tls").close()


def test_clients_that_vanish_at_every_point(fresh_gateway):
    """A reset after each prefix of a whole conversation."""
    with Backend(frame_echo) as backend:
        gateway = fresh_gateway(config(backend))
        talk = upgrade_request("/ws") + frame(TEXT, b"hello") + frame(PING, b"x") + frame(8, b"\x03\xe8")
        for cut in range(0, len(talk), 5):
            client = gateway.client()
            client.send(talk[:cut])
            if cut % 2:
                client.drain(0.005)
            client.reset()
        assert gateway.running()
        wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 8, "nothing is left")
        gateway.connect("/ws").close()
