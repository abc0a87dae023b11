"""A crowd of WebSocket clients in one asyncio loop, and an echo server that counts, for tests with thousands of them.

The clients speak RFC 6455 by hand: a library would cost more memory and time per client than this machine has.
"""

import asyncio
import os
import ssl
import struct
from typing import Dict, List, Optional

from rawws import SAMPLE_KEY, upgrade_request
from wire import BINARY, CLOSE, PING, PONG, TEXT, accept_key, frame


async def read_frame(reader: asyncio.StreamReader):
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size, = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        size, = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 0x80 else None
    payload = await reader.readexactly(size)
    if mask:
        payload = bytes(octet ^ mask[index & 3] for index, octet in enumerate(payload))
    return first & 15, payload


class CountingEcho:
    """Echoes every message and counts them by connection."""

    def __init__(self):
        self.connections = 0
        self.live = 0
        self.messages = 0
        self.closes: Dict[Optional[int], int] = {}

    async def start(self, port: int) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=4096)

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        self.live += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = [line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")
                   if line.lower().startswith(b"sec-websocket-key:")][0].decode()
            writer.write((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n").encode())
            while True:
                opcode, payload = await read_frame(reader)
                if opcode == PING:
                    writer.write(frame(PONG, payload, mask=None))
                elif opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if payload else None
                    self.closes[code] = self.closes.get(code, 0) + 1
                    writer.write(frame(CLOSE, payload, mask=None))
                    await writer.drain()
                    return
                elif opcode != PONG:
                    self.messages += 1
                    writer.write(frame(opcode, payload, mask=None))
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closes[0] = self.closes.get(0, 0) + 1
        finally:
            self.live -= 1
            writer.close()


class Member:
    """One client of the crowd."""

    def __init__(self):
        self.reader = self.writer = None
        self.sent = 0
        self.received = 0
        self.close_code: Optional[int] = None
        self.ended = False
        self.wrong: List[str] = []

    async def connect(self, port: int, path: str, fields=(), tls: Optional[ssl.SSLContext] = None) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls,
                                                                 server_hostname="localhost" if tls else None)
        self.writer.write(upgrade_request(path, fields))
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101") and accept_key(SAMPLE_KEY).encode() in head, head[:200]

    def send(self, payload: bytes) -> None:
        self.writer.write(frame(TEXT, payload))
        self.sent += 1

    async def listen(self, answer_close: bool = True) -> None:
        """Counts echoes until the connection ends; they must come back in order."""
        try:
            while True:
                opcode, payload = await read_frame(self.reader)
                if opcode == PING:
                    self.writer.write(frame(PONG, payload))
                elif opcode == CLOSE:
                    self.close_code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                    if answer_close:
                        self.writer.write(frame(CLOSE, payload))
                elif opcode != PONG:
                    if payload != b"%d" % self.received:
                        self.wrong.append(f"expected {self.received}, got {payload[:20]!r}")
                    self.received += 1
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        self.ended = True

    def hang_up(self) -> None:
        if self.writer:
            self.writer.close()
