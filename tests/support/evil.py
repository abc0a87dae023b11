"""Scripted backends: each connection is handed to a function that answers as the test needs, well or badly.

`Backend(handler)` listens on loopback (with `path`, on a unix socket) and runs handler(peer) in a thread for each connection. A peer is a Wire that also
remembers the head that it was sent and the frames that it took. Ready-made handlers: echo, label, silent and others.
"""

import ctypes
import json
import socket
import ssl
import struct
import threading
import time
from typing import Callable, List, Optional

from ports import free_port
from wire import (BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, Head, Timeout, Wire, accept_key, close_payload, frame)


class Peer(Wire):
    def __init__(self, sock: socket.socket, backend: "Backend"):
        super().__init__(sock, timeout=60.0)
        self.backend = backend
        self.head: Optional[Head] = None
        self.frames: List[Frame] = []
        self.messages: List[bytes] = []
        self.done = threading.Event()

    def accept(self, *, subprotocol: Optional[str] = None, extra: str = "", key: Optional[str] = None) -> Head:
        """Reads the head and answers 101 by the rules; subprotocol "first" takes the first one offered."""
        head = self.read_head()
        if head is None:
            raise EOFError("no head")
        self.head = head
        offered = [p.strip() for p in ",".join(head.all("Sec-WebSocket-Protocol")).split(",") if p.strip()]
        if subprotocol == "first":
            subprotocol = offered[0] if offered else None
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Accept: {key or accept_key(head.get('Sec-WebSocket-Key', ''))}"]
        if subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        self.send(("\r\n".join(lines) + "\r\n" + extra + "\r\n").encode())
        return head

    def next_frame(self, timeout: Optional[float] = None) -> Optional[Frame]:
        got = self.recv_frame(timeout)
        if got is not None:
            self.frames.append(got)
        return got

    def put(self, opcode: int, payload: bytes = b"", **how) -> None:
        self.send(frame(opcode, payload, mask=None, **how))

    def next_message(self, timeout: Optional[float] = None):
        """(opcode, payload) of the next message; pings answered; None at Close (echoed) or the end."""
        opcode, parts = None, []
        while True:
            got = self.next_frame(timeout)
            if got is None:
                return None
            if got.opcode == PING:
                self.put(PONG, got.payload)
            elif got.opcode == PONG:
                continue
            elif got.opcode == CLOSE:
                self.put(CLOSE, got.payload)
                return None
            else:
                opcode = got.opcode if opcode is None else opcode
                parts.append(got.payload)
                if got.fin:
                    payload = b"".join(parts)
                    self.messages.append(payload)
                    return opcode, payload

    @property
    def close_code(self) -> Optional[int]:
        """Code of the Close that came, 1005 when it had none, None when none came."""
        for got in self.frames:
            if got.opcode == CLOSE:
                return got.code or 1005
        return None


Handler = Callable[[Peer], None]


class Backend:
    def __init__(self, handler: Handler, *, tls: Optional[ssl.SSLContext] = None, port: int = 0, name: str = "",
                 path: str = "", host: str = "127.0.0.1"):
        self.handler = handler
        self.tls = tls
        self.name = name
        self.path = path
        self.port = 0 if path else port or free_port()
        self.host = host
        self.peers: List[Peer] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self.listener: Optional[socket.socket] = None
        self.start()

    # ---- life
    def start(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.path or (self.host, self.port))
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop_listening(self) -> None:
        if self.listener is not None:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None

    def stop(self) -> None:
        self.stop_listening()
        for peer in self.snapshot():
            try:
                peer.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self) -> "Backend":
        return self

    def __exit__(self, *exc) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        if not self.path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            try:
                sock.settimeout(10)
                sock = self.tls.wrap_socket(sock, server_side=True)
            except (OSError, ssl.SSLError):
                sock.close()
                return
        peer = Peer(sock, self)
        with self._changed:
            self.peers.append(peer)
            self._changed.notify_all()
        try:
            self.handler(peer)
        except (OSError, EOFError, Timeout, ValueError):
            pass
        finally:
            peer.close()
            peer.done.set()

    # ---- what it saw
    def snapshot(self) -> List[Peer]:
        with self._lock:
            return list(self.peers)

    @property
    def count(self) -> int:
        return len(self.snapshot())

    def wait_peer(self, index: int = 0, timeout: float = 5.0) -> Peer:
        """The index-th connection (negative counts from the newest), once it has come."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (len(self.peers) > index if index >= 0 else len(self.peers) >= -index):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"backend {self.name}: connection {index} never came")
                self._changed.wait(left)
            return self.peers[index]

    def octets(self) -> bytes:
        """Everything that ever came, of all connections."""
        return b"".join(bytes(peer.received) for peer in self.snapshot())

    def forget(self) -> None:
        with self._lock:
            self.peers.clear()


# ---- well-behaved handlers
def echo(peer: Peer) -> None:
    """Accepts with the first subprotocol offered and echoes whole messages."""
    peer.accept(subprotocol="first")
    while True:
        got = peer.next_message()
        if got is None:
            return
        peer.put(*got)


def frame_echo(peer: Peer) -> None:
    """Echoes frame by frame, so that the client sees the fragmentation that arrived."""
    peer.accept(subprotocol="first")
    while True:
        got = peer.next_frame()
        if got is None:
            return
        if got.opcode == PING:
            peer.put(PONG, got.payload)
        elif got.opcode == CLOSE:
            peer.put(CLOSE, got.payload)
            return
        elif got.opcode != PONG:
            peer.put(got.opcode, got.payload, fin=got.fin)


def head_teller(peer: Peer) -> None:
    """First message: the head that it was sent, as JSON [[name, value]...] after the request line. Then an echo."""
    head = peer.accept(subprotocol="first")
    peer.put(TEXT, json.dumps([["", head.start]] + [list(f) for f in head.fields]).encode())
    while True:
        got = peer.next_message()
        if got is None:
            return
        peer.put(*got)


def label(name: str) -> Handler:
    """Answers each message by `name:message`."""
    def handler(peer: Peer) -> None:
        peer.accept(subprotocol="first")
        while True:
            got = peer.next_message()
            if got is None:
                return
            peer.put(got[0], name.encode() + b":" + got[1])
    return handler


def sink(peer: Peer) -> None:
    """Accepts and reads; never says a word except pongs and Close."""
    peer.accept(subprotocol="first")
    while peer.next_message() is not None:
        pass


# ---- badly behaved handlers
def answer(data: bytes, *, keep: float = 5.0) -> Handler:
    """Reads a head, answers with these octets and goes on reading for a while."""
    def handler(peer: Peer) -> None:
        peer.head = peer.read_head()
        key = peer.head.get("Sec-WebSocket-Key", "") if peer.head else ""
        peer.send(data.replace(b"@ACCEPT@", accept_key(key).encode()))
        try:
            peer.read_until_end(keep)
        except Timeout:
            pass
    return handler


def silent(peer: Peer) -> None:
    """Accepts the TCP connection and never answers."""
    try:
        peer.read_until_end(60)
    except Timeout:
        pass


def after_101(act: Callable[[Peer], None]) -> Handler:
    """Accepts by the rules, then does `act`."""
    def handler(peer: Peer) -> None:
        peer.accept(subprotocol="first")
        act(peer)
    return handler


def unpaced_flood(peer: Peer) -> None:
    """Sends as fast as it can until the other side has gone."""
    try:
        while True:
            peer.put(BINARY, bytes(65536))
    except OSError:
        pass


def tcp_echo(peer: Peer) -> None:
    """Plain TCP: what comes goes back."""
    deadline = time.monotonic() + 120
    while peer.fill(deadline):
        peer.send(peer.take(len(peer.buffer)))


def swallow(sock):
    """From now on nothing that comes to this socket arrives or is acknowledged, and nobody connects to one that listens: a
    socket filter that lets no segment in, which is what a firewall's DROP looks like from the other end, and needs no privilege."""
    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]
    nothing = Instruction(0x06, 0, 0, 0)  # return 0: drop
    program = struct.pack("HP", 1, ctypes.addressof(nothing))
    sock.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER
