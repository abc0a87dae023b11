"""PROXY protocol headers, written and read plainly (haproxy.org: doc/proxy-protocol.txt)."""

import ipaddress
import struct
from typing import Dict, NamedTuple, Tuple

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20
SSL_VERSION, SSL_CN = 0x21, 0x22
IDENTITY = 0xE0


def v1(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode()


def raw_v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body


def addresses(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    return (ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
            + struct.pack("!HH", source_port, destination_port))


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def v2(source: str, destination: str, source_port: int, destination_port: int, tlvs: bytes = b"") -> bytes:
    family = 0x21 if ":" in source else 0x11
    return raw_v2(0x21, family, addresses(source, destination, source_port, destination_port) + tlvs)


def crc32c(octets: bytes) -> int:
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Header(NamedTuple):
    version: int
    source: Tuple[str, int]       # ("", 0) when nobody is named
    destination: Tuple[str, int]
    tlvs: Dict[int, bytes]


def tlvs_of(octets: bytes) -> Dict[int, bytes]:
    found: Dict[int, bytes] = {}
    while octets:
        kind, size = struct.unpack("!BH", octets[:3])
        assert len(octets) >= 3 + size and kind not in found
        found[kind], octets = octets[3:3 + size], octets[3 + size:]
    return found


def read_header(peer) -> Header:
    """Takes one header from a wire.Wire."""
    if peer.read_exactly(1) == b"P":
        line = b"P"
        while not line.endswith(b"\r\n"):
            line += peer.read_exactly(1)
        words = line.decode().split()
        if words[1] == "UNKNOWN":
            return Header(1, ("", 0), ("", 0), {})
        return Header(1, (words[2], int(words[4])), (words[3], int(words[5])), {})
    head = b"\r" + peer.read_exactly(15)
    assert head[:12] == SIGNATURE and head[12] in (0x20, 0x21), head
    body = peer.read_exactly(struct.unpack("!H", head[14:])[0])
    size = {0x11: 4, 0x21: 16, 0x00: 0}[head[13]]
    rest = body[2 * size + 4:] if size else body
    tlvs = tlvs_of(rest)
    if CRC32C in tlvs:
        whole = head + body
        at = whole.index(tlv(CRC32C, tlvs[CRC32C])) + 3
        assert crc32c(whole[:at] + bytes(4) + whole[at + 4:]) == int.from_bytes(tlvs[CRC32C], "big")
    if not size:
        return Header(2, ("", 0), ("", 0), tlvs)
    ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
    ends = [str(ipaddress.ip_address(body[i * size:(i + 1) * size])) for i in (0, 1)]
    return Header(2, (ends[0], ports[0]), (ends[1], ports[1]), tlvs)
