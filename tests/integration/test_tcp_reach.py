"""How servers are reached: TLS and mutual TLS, unix sockets, socket options; and what a dead or slow network costs."""

import os
import socket
import ssl
import struct
import threading
import time
import zlib

import pytest

from evil import Backend, Peer, echo, swallow, tcp_echo
from gateway import BASE, wait_for
from wire import BINARY, CLOSE, frame

MIB = 1 << 20
GIB = 1 << 30


def read_octets(client, size):
    data = b""
    while len(data) < size:
        data += client.recv_message()[1]
    return data


# ---- TLS ---------------------------------------------------------------------------------------------------------------

def banner(peer: Peer):
    """Speaks first, as mail and VNC servers do; says who is there, then echoes."""
    subject = peer.sock.getpeercert() or {}
    name = dict(pair[0] for pair in subject.get("subject", ())).get("commonName", "nobody")
    peer.send(f"220 {name} {peer.sock.selected_alpn_protocol()}\r\n".encode())
    tcp_echo(peer)


def server_context(authority, folder, *, mutual):
    certificate, key = authority.issue("upstream", ["vnc.internal", "127.0.0.1"], folder=folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])  # which nobody is to offer who does not speak it
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.path)
    return context


def tls_config(port, tls, more=""):
    return BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["tls://127.0.0.1:{port}"]
retries = 0
{more}
[backend.app.tls]
{tls}
"""


@pytest.mark.parametrize("listener", ["tls", "plain"])
def test_tls_server_that_speaks_first(fresh_gateway, authority, tmp_path, listener):
    with Backend(banner, tls=server_context(authority, tmp_path, mutual=False)) as backend:
        gateway = fresh_gateway(tls_config(backend.port, f'ca = "{authority.path}"\nserver_name = "vnc.internal"'))
        with gateway.connect("/", listener=listener) as client:
            assert read_octets(client, 17) == b"220 nobody None\r\n"
            body = os.urandom(300_000)
            client.send_binary(body)
            assert read_octets(client, len(body)) == body
            client.send_close(1000)
            client.until_close()


def test_mutual_tls(fresh_gateway, authority, tmp_path):
    with Backend(banner, tls=server_context(authority, tmp_path, mutual=True)) as backend:
        certificate, key = authority.issue("gateway", ["gateway"], folder=tmp_path, client=True)
        own = f'ca = "{authority.path}"\ncert = "{certificate}"\nkey = "{key}"\n'
        gateway = fresh_gateway(tls_config(backend.port, own, 'framing = { type = "delimiter", delimiter = "\\r\\n" }'))
        with gateway.connect("/") as client:
            assert client.recv_message() == (BINARY, b"220 gateway None")
            client.send_text("echo")
            assert client.recv_message() == (BINARY, b"echo")


@pytest.mark.parametrize("tls", ['server_name = "vnc.internal"', 'ca = "@ca@"\nserver_name = "other.internal"'])
def test_a_certificate_that_does_not_fit_is_502(fresh_gateway, authority, tmp_path, tls):
    with Backend(banner, tls=server_context(authority, tmp_path, mutual=False)) as backend:
        gateway = fresh_gateway(tls_config(backend.port, tls.replace("@ca@", str(authority.path))))
        with gateway.client() as client:
            assert client.upgrade("/").status == 502
        assert gateway.wait_access(5, reason="be_tls")


# ---- unix sockets ------------------------------------------------------------------------------------------------------

def test_unix_sockets(fresh_gateway, tmp_path):
    hosts = []
    def teller(peer: Peer):
        hosts.append(peer.accept(subprotocol="first").get("Host"))
        while (got := peer.next_message()) is not None:
            peer.put(*got)
    with Backend(tcp_echo, path=str(tmp_path / "tcp.sock")) as raw, Backend(teller, path=str(tmp_path / "ws.sock")) as web:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/raw"
backend = "raw"
[[route]]
path = "/web"
backend = "web"
[backend.raw]
servers = ["unix://{raw.path}"]
health = {{ interval = "100ms", rise = 1, fall = 1 }}
socket = {{ nodelay = false }}
[backend.web]
servers = ["ws+unix://{web.path}"]
""")
        with gateway.connect("/raw") as client:
            client.send_binary(b"through a file")
            assert read_octets(client, 14) == b"through a file"
        with gateway.connect("/web", host="chat.example.com") as client:
            client.send_text("and a WebSocket")
            assert client.recv_text() == "and a WebSocket"
        assert hosts == ["chat.example.com"]
        assert f"unix://{raw.path}" in gateway.admin("/api/v1/backends")[1].decode()
        raw.stop_listening()
        os.unlink(raw.path)
        wait_for(lambda: any(e.get("event") == "backend_down" for e in gateway.events()), 10, "its check fails")
        with gateway.client() as client:
            assert client.upgrade("/raw").status == 503
        raw.start()
        wait_for(lambda: any(e.get("event") == "backend_up" for e in gateway.events()), 10, "its check passes")
        gateway.connect("/raw").close()


# ---- one buffer --------------------------------------------------------------------------------------------------------

class MostMemory:
    """The largest resident size of a process while the block runs, beyond that at its start."""
    def __init__(self, gateway):
        self.gateway, self.stop = gateway, threading.Event()

    def __enter__(self):
        self.before = self.most = self.gateway.rss()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.stop.wait(0.02):
            self.most = max(self.most, self.gateway.rss())

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join()

    @property
    def grown(self):
        return self.most - self.before


PATTERN = bytes(range(256)) * 4096  # 1 MiB


def one_gib_config(port):
    return BASE + f"""
[[route]]
path = "/*"
backend = "app"
websocket = {{ max_message = "2GiB" }}
[backend.app]
servers = ["tcp://127.0.0.1:{port}"]
"""


def test_one_gib_to_the_server(fresh_gateway):
    result = {}
    def sink(peer: Peer):
        total, good = len(peer.buffer), True
        room = bytearray(MIB)
        while total < GIB:
            want = MIB - total % MIB
            n = peer.sock.recv_into(memoryview(room)[:want])
            if n == 0:
                break
            at = total % MIB
            good = good and room[:n] == PATTERN[at:at + n]
            total += n
        result.update(total=total, good=good)
        peer.sock.sendall(b"thanks")
    with Backend(sink) as backend:
        gateway = fresh_gateway(one_gib_config(backend.port))
        with gateway.connect("/", timeout=200) as client:
            client.send_binary(b"")
            with MostMemory(gateway) as memory:
                client.sock.settimeout(200)
                client.sock.sendall(b"\x82\xff" + struct.pack("!Q", GIB) + bytes(4))  # one message, masked by zeros
                for _ in range(GIB // MIB):
                    client.sock.sendall(PATTERN)
                assert read_octets(client, 6) == b"thanks"
            assert result == {"total": GIB, "good": True}
            assert memory.grown < 4 * MIB, f"{memory.grown} octets of memory for 1 GiB in transit"


def test_one_gib_to_the_client(fresh_gateway):
    def source(peer: Peer):
        peer.fill(time.monotonic() + 60)
        peer.sock.settimeout(200)
        for _ in range(GIB // MIB):
            peer.sock.sendall(PATTERN)
        peer.drain(60)
    with Backend(source) as backend:
        gateway = fresh_gateway(one_gib_config(backend.port))
        with gateway.connect("/", timeout=200) as client:
            with MostMemory(gateway) as memory:
                client.send_binary(b"go")
                total, crc, left, buffer = 0, 0, 0, bytearray(client.buffer)
                client.sock.settimeout(200)
                while total < GIB:
                    data = client.sock.recv(MIB)
                    assert data, "cut"
                    buffer += data
                    view, at = memoryview(buffer), 0
                    while at < len(view):
                        if left == 0:
                            if len(view) - at < 10:
                                break  # perhaps a part of a header
                            assert view[at] == 0x82, "one whole binary message"
                            code = view[at + 1]
                            left = code if code < 126 else int.from_bytes(view[at + 2:at + (4 if code == 126 else 10)], "big")
                            at += 2 if code < 126 else 4 if code == 126 else 10
                        piece = view[at:at + left]
                        crc = zlib.crc32(piece, crc)
                        at, left, total = at + len(piece), left - len(piece), total + len(piece)
                    rest = bytes(view[at:])
                    view.release()
                    buffer = bytearray(rest)
            expected = 0
            for _ in range(GIB // MIB):
                expected = zlib.crc32(PATTERN, expected)
            assert (total, crc) == (GIB, expected)
            assert memory.grown < 4 * MIB, f"{memory.grown} octets of memory for 1 GiB in transit"


# ---- faults ------------------------------------------------------------------------------------------------------------

def test_blackhole(fresh_gateway):
    """security.md F4: a server whose packets vanish is noticed in 30 s with octets in flight, in 50 s without."""
    with Backend(tcp_echo) as raw, Backend(echo) as web:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/raw"
backend = "raw"
[[route]]
path = "/web"
backend = "web"
[backend.raw]
servers = ["tcp://127.0.0.1:{raw.port}"]
[backend.web]
servers = ["ws://127.0.0.1:{web.port}"]
""")
        ended = {}
        def wait(client, what, began):
            kind, payload = client.recv_message(70)  # which answers pings
            ended[what] = (int.from_bytes(payload[:2], "big") if kind == CLOSE else kind, time.monotonic() - began)
        clients, threads = [], []
        for path, backend in (("/raw", raw), ("/web", web)):
            for what in ("idle", "in flight"):
                client = gateway.connect(path, timeout=70)
                clients.append(client)
                client.send_binary(b"before")
                assert read_octets(client, 6) == b"before"
                swallow(backend.wait_peer(-1).sock)
                if what == "in flight":
                    client.send_binary(b"nobody hears this")
                threads.append(threading.Thread(target=wait, args=(client, (path, what), time.monotonic())))
                threads[-1].start()
        for thread in threads:
            thread.join(80)
        for (path, what), (code, after) in ended.items():
            assert code == 1011, (path, what, code)
            assert after <= (30 if what == "in flight" else 50), (path, what, after)
        assert len(ended) == 4, ended
        for client in clients:
            client.close()


def test_slow_server(fresh_gateway):
    """security.md F7: a server that reads 1 KiB a second pauses its client, costs little, and is not ejected for it."""
    rate, counted = 1024, {}
    def slow(peer: Peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        counted["octets"] = 0
        while not stop.wait(1.0):
            counted["octets"] += len(peer.sock.recv(rate))
    stop = threading.Event()
    with Backend(slow) as backend:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["tcp://127.0.0.1:{backend.port}"]
""")
        with gateway.connect("/") as client:
            backend.wait_peer()
            before, sent, body = gateway.rss(), 0, frame(BINARY, bytes(16384))
            client.sock.settimeout(3)
            with pytest.raises((socket.timeout, TimeoutError)):
                for _ in range(4096):
                    client.sock.sendall(body)
                    sent += len(body)
            assert sent < 40 * MIB
            assert gateway.rss() - before < 2 * MIB
            assert gateway.metric("sluice_buffered_bytes") <= 128 * 1024
            until = time.monotonic() + 30
            while time.monotonic() < until and counted["octets"] < 8 * rate:
                time.sleep(0.2)
            assert counted["octets"] >= 8 * rate, "it is not read from any more"
            assert not gateway.access() or all(line.get("event") != "tcp_close" for line in gateway.access())
            assert not any(event.get("event") == "backend_ejected" for event in gateway.events())
            with gateway.connect("/"):  # nor is it left out of balancing
                backend.wait_peer(1)
        stop.set()
