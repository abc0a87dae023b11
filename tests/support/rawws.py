"""A WebSocket client that does exactly what a test tells it, right or wrong, over TCP or TLS."""

import os
import base64
import socket
import ssl
import time
from typing import Iterable, List, Optional, Tuple

import canary
from wire import (BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame, Head, Timeout, Wire, accept_key, close_payload, frame)

SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="

Fields = Iterable[Tuple[str, str]]


def upgrade_request(path: str = "/", fields: Fields = (), *, host: str = "localhost", key: Optional[str] = SAMPLE_KEY,
                    version: Optional[str] = "13", upgrade: Optional[str] = "websocket",
                    connection: Optional[str] = "Upgrade", method: str = "GET", http: str = "HTTP/1.1") -> bytes:
    lines = [f"{method} {path} {http}", f"Host: {host}"]
    for name, value in (("Connection", connection), ("Upgrade", upgrade), ("Sec-WebSocket-Version", version),
                        ("Sec-WebSocket-Key", key)):
        if value is not None:
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class RawClient(Wire):
    def __init__(self, port: int, *, tls: Optional[ssl.SSLContext] = None, server_name: str = "localhost",
                 host: str = "127.0.0.1", timeout: float = 10.0, receive_buffer: int = 0, source: str = ""):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            sock.bind((source, 0))
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_name, suppress_ragged_eofs=False)
        super().__init__(sock, timeout)
        self.response: Optional[Head] = None

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def request(self, data: bytes, timeout: Optional[float] = None) -> Optional[Head]:
        """Sends a head and reads the answer with its body; None when the connection is closed without one."""
        try:
            self.send(data)
        except OSError:
            pass
        head = self.read_head(timeout)
        if head is not None and head.status != 101:
            try:
                self.read_body(head, timeout)
            except Timeout:
                pass
            if head.status >= 400 and not head.get("Via"):  # nobody else's answer
                canary.said(head.raw + head.body)
        self.response = head
        return head

    def upgrade(self, path: str = "/", fields: Fields = (), **how) -> Head:
        canary.sent(fields, path)
        return self.request(upgrade_request(path, fields, **how))

    # ---- frames of a well-behaved client
    def send_text(self, text) -> None:
        self.send(frame(TEXT, text if isinstance(text, bytes) else text.encode()))

    def send_binary(self, data: bytes) -> None:
        self.send(frame(BINARY, data))

    def send_close(self, code: Optional[int] = 1000, reason: bytes = b"") -> None:
        self.send(frame(CLOSE, close_payload(code, reason)))

    def recv_message(self, timeout: Optional[float] = None) -> Tuple[int, bytes]:
        """The next whole message; pings are answered, pongs skipped. A Close comes back as (CLOSE, payload)."""
        opcode, parts = None, []
        while True:
            got = self.recv_frame(timeout)
            if got is None:
                raise EOFError(f"connection ended ({self.ended}) inside or instead of a message")
            if got.opcode == PING:
                self.send(frame(PONG, got.payload))
            elif got.opcode == PONG:
                continue
            elif got.opcode == CLOSE:
                return CLOSE, got.payload
            else:
                assert (got.opcode == CONT) == (opcode is not None), f"messages interleave: {got}"
                opcode = got.opcode if opcode is None else opcode
                parts.append(got.payload)
                if got.fin:
                    return opcode, b"".join(parts)

    def recv_text(self, timeout: Optional[float] = None) -> str:
        opcode, payload = self.recv_message(timeout)
        assert opcode == TEXT, f"expected a text message, got opcode {opcode}: {payload[:80]!r}"
        return payload.decode()

    def until_close(self, timeout: Optional[float] = None) -> Tuple[List[Frame], Optional[Frame]]:
        """Frames before the Close, and the Close; None in its place when the connection ends without one."""
        deadline = time.monotonic() + (timeout or self.timeout)
        before: List[Frame] = []
        while True:
            got = self.recv_frame(max(0.01, deadline - time.monotonic()))
            if got is None:
                return before, None
            if got.opcode == CLOSE:
                return before, got
            before.append(got)

    def expect_close(self, code: Optional[int], timeout: Optional[float] = None) -> List[Frame]:
        """Reads on to the Close, which must carry `code`; returns the frames before it."""
        before, close = self.until_close(timeout)
        assert close is not None, f"expected Close {code}, but the connection ended ({self.ended}) after {before}"
        assert close.code == code, f"expected Close {code}, got {close.code} {close.reason!r}"
        return before

    def expect_end(self, timeout: float = 6.0) -> None:
        """The server ends the TCP connection and sends nothing but what a Close allows."""
        rest = self.read_until_end(timeout)
        assert rest == b"", f"octets after the end: {rest[:80]!r}"


def random_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def check_101(head: Optional[Head], key: str = SAMPLE_KEY) -> Head:
    assert head is not None, "connection closed without an answer"
    assert head.status == 101, f"expected 101, got {head.start} {head.body[:200]!r}"
    assert head.all("Sec-WebSocket-Accept") == [accept_key(key)]
    assert [v.lower() for v in head.all("Upgrade")] == ["websocket"]
    assert "upgrade" in head.get("Connection", "").lower()
    return head
