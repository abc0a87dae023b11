"""Octets of HTTP/1.1 heads and WebSocket frames over a plain or TLS socket, with nothing done for the caller.

`Wire` is one side of a connection: it can send whatever it is told, cut wherever it is told, and reads heads and frames
without judging them. Clients (rawws.py) and scripted backends (evil.py) are both built on it.
"""

import base64
import hashlib
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from typing import List, Optional, Tuple

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
ZERO_MASK = b"\0\0\0\0"


class Timeout(Exception):
    """Nothing came within the time that the test allows."""


def accept_key(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def xor_mask(payload: bytes, mask: bytes) -> bytes:
    if mask == ZERO_MASK or not payload:
        return payload
    size = len(payload)
    stream = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: Optional[bytes] = b"\x11\x22\x33\x44",
          length_bytes: Optional[int] = None) -> bytes:
    """One frame. mask=None leaves it unmasked; length_bytes forces 0, 2 or 8 octets of extended length."""
    if isinstance(payload, str):
        payload = payload.encode()
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    size = len(payload)
    if length_bytes is None:
        length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    bit = 0x80 if mask is not None else 0
    if length_bytes == 0:
        head = struct.pack("!BB", first, bit | size)
    elif length_bytes == 2:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if mask is None:
        return head + payload
    return head + mask + xor_mask(payload, mask)


def close_payload(code: Optional[int], reason: bytes = b"") -> bytes:
    return b"" if code is None else struct.pack("!H", code) + reason


@dataclass
class Frame:
    fin: bool
    rsv: int
    opcode: int
    payload: bytes
    masked: bool

    @property
    def code(self) -> Optional[int]:
        return struct.unpack("!H", self.payload[:2])[0] if self.opcode == CLOSE and len(self.payload) >= 2 else None

    @property
    def reason(self) -> bytes:
        return self.payload[2:]


@dataclass
class Head:
    start: str
    fields: List[Tuple[str, str]] = field(default_factory=list)
    raw: bytes = b""
    body: bytes = b""

    @property
    def status(self) -> int:
        return int(self.start.split()[1])

    @property
    def target(self) -> str:
        return self.start.split()[1]

    def all(self, name: str) -> List[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str, default: Optional[str] = None) -> Optional[str]:
        values = self.all(name)
        return values[0] if values else default

    def aliases(self, name: str) -> List[str]:
        """Values of every field that a lax backend would take for `name`: case, `_` and `.` folded into `-`."""
        fold = lambda text: text.lower().replace("_", "-").replace(".", "-").strip()
        return [value for key, value in self.fields if fold(key) == fold(name)]


class Wire:
    def __init__(self, sock: socket.socket, timeout: float = 10.0):
        self.sock = sock
        self.timeout = timeout
        self.buffer = b""
        self.received = bytearray()  # every octet that ever came
        self.ended: Optional[str] = None  # "fin", "reset" once the peer has ended the connection

    # ---- octets
    def send(self, data: bytes, pieces: int = 0, pause: float = 0.0) -> None:
        """Sends everything; pieces = n cuts it after every n octets, each in a segment of its own."""
        self.sock.settimeout(self.timeout)
        if not pieces:
            self.sock.sendall(data)
            return
        for start in range(0, len(data), pieces):
            self.sock.sendall(data[start:start + pieces])
            if pause:
                time.sleep(pause)

    def send_while_reading(self, data: bytes, step: int = 65536, timeout: Optional[float] = None) -> None:
        """Sends everything and keeps what comes meanwhile, in one thread: a TLS socket of Python's is not safe in two."""
        rest, deadline, sock = memoryview(data), time.monotonic() + (timeout or self.timeout), self.sock
        not_now = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)
        sock.setblocking(False)
        while rest:
            if time.monotonic() > deadline:
                raise Timeout(f"{len(rest)} octets not sent in time")
            sent = got = b""
            try:
                sent = rest[:sock.send(rest[:step])]
                rest = rest[len(sent):]
            except not_now:
                pass
            try:
                got = sock.recv(262144)
                if not got:
                    raise EOFError("the connection ended while sending")
                self.buffer += got
                self.received += got
            except not_now:
                pass
            if not sent and not got:
                select.select([sock], [sock], [], 0.2)

    def fill(self, deadline: float) -> bool:
        """Receives once. False at the end of the stream, however it came."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise Timeout(f"nothing more within {self.timeout} s; have {self.buffer[:80]!r}")
        if self.ended:
            return False
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except (socket.timeout, ssl.SSLWantReadError):
            raise Timeout(f"nothing more within {self.timeout} s; have {self.buffer[:80]!r}")
        except ssl.SSLEOFError:
            data = b""
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            self.ended = "reset"
            return False
        if not data:
            self.ended = "fin"
            return False
        self.buffer += data
        self.received += data
        return True

    def _need(self, size: int, deadline: float) -> bool:
        while len(self.buffer) < size:
            if not self.fill(deadline):
                return False
        return True

    def take(self, size: int) -> bytes:
        out, self.buffer = self.buffer[:size], self.buffer[size:]
        return out

    def read_exactly(self, size: int, timeout: Optional[float] = None) -> bytes:
        if not self._need(size, time.monotonic() + (timeout or self.timeout)):
            raise EOFError(f"the connection ended ({self.ended}) before {size} octets; have {self.buffer[:80]!r}")
        return self.take(size)

    def read_until_end(self, timeout: Optional[float] = None) -> bytes:
        """All that comes until the peer ends the connection."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while self.fill(deadline):
            pass
        return self.take(len(self.buffer))

    def drain(self, seconds: float) -> bytes:
        """What has come within the time, or until the end; it stays in the buffer."""
        deadline = time.monotonic() + seconds
        try:
            while self.fill(deadline):
                pass
        except Timeout:
            pass
        return self.buffer

    # ---- heads
    def read_head(self, timeout: Optional[float] = None) -> Optional[Head]:
        deadline = time.monotonic() + (timeout or self.timeout)
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill(deadline):
                return None
        raw = self.take(self.buffer.index(b"\r\n\r\n") + 4)
        lines = raw[:-4].decode("latin-1").split("\r\n")
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        return Head(lines[0], fields, raw)

    def read_body(self, head: Head, timeout: Optional[float] = None) -> bytes:
        length = head.get("Content-Length")
        if length is not None:
            self._need(int(length), time.monotonic() + (timeout or self.timeout))
            head.body = self.take(int(length))
        else:
            head.body = self.read_until_end(timeout)
        return head.body

    # ---- frames
    def recv_frame(self, timeout: Optional[float] = None) -> Optional[Frame]:
        """The next frame, or None when the connection ended before a whole one came."""
        deadline = time.monotonic() + (timeout or self.timeout)
        if not self._need(2, deadline):
            return None
        first, second = self.buffer[0], self.buffer[1]
        size, offset = second & 0x7F, 2
        if size == 126:
            if not self._need(4, deadline):
                return None
            size, offset = struct.unpack("!H", self.buffer[2:4])[0], 4
        elif size == 127:
            if not self._need(10, deadline):
                return None
            size, offset = struct.unpack("!Q", self.buffer[2:10])[0], 10
        mask = None
        if second & 0x80:
            if not self._need(offset + 4, deadline):
                return None
            mask, offset = self.buffer[offset:offset + 4], offset + 4
        parts, have = [self.buffer[offset:]], len(self.buffer) - offset
        self.buffer = b""
        while have < size:
            if not self.fill(deadline):
                return None
            parts.append(self.buffer)
            have += len(self.buffer)
            self.buffer = b""
        whole = b"".join(parts)
        payload, self.buffer = whole[:size], whole[size:]
        if mask:
            payload = xor_mask(payload, mask)
        return Frame(bool(first & 0x80), (first >> 4) & 7, first & 15, payload, mask is not None)

    # ---- ends
    def finish(self) -> None:
        """Half-close: FIN, still reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if isinstance(self.sock, ssl.SSLSocket):
                fd = self.sock.detach()
                socket.socket(fileno=fd).close()
                return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass
