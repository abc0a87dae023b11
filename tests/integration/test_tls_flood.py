"""Records without data: a client that keeps asking for TLS answers and never reads them."""

import hashlib
import hmac
import socket
import ssl
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import NOWHERE, wait_for

HANDSHAKE = 22
CLIENT_HELLO = b"\x01\x00\x00\x00"  # the head of one is enough to be refused


def prf(secret, seed, size):
    """RFC 5246 section 5, SHA-256."""
    out, a = b"", seed
    while len(out) < size:
        a = hmac.new(secret, a, hashlib.sha256).digest()
        out += hmac.new(secret, a + seed, hashlib.sha256).digest()
    return out[:size]


class RawTls12:
    """A TLS 1.2 client that makes its own records once the handshake is over."""

    def __init__(self, port, keylog):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AES128+AESGCM")
        context.keylog_filename = str(keylog)
        arrives, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(arrives, leaves, server_hostname="localhost")
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        seen = b""
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(leaves.read())
                piece = self.socket.recv(65536)
                seen += piece
                arrives.write(piece)
        self.socket.sendall(leaves.read())
        line = [x for x in keylog.read_text().splitlines() if x.startswith("CLIENT_RANDOM")][-1].split()
        client_random, master, server_random = bytes.fromhex(line[1]), bytes.fromhex(line[2]), seen[11:43]
        keys = prf(master, b"key expansion" + server_random + client_random, 40)
        self.cipher, self.iv = AESGCM(keys[:16]), keys[32:36]
        self.sequence = 1  # Finished was the first

    def record(self, kind, plain):
        nonce = struct.pack("!Q", self.sequence)
        self.sequence += 1
        head = bytes([kind, 3, 3])
        sealed = self.cipher.encrypt(self.iv + nonce, plain, nonce + head + struct.pack("!H", len(plain)))
        return head + struct.pack("!H", len(nonce) + len(sealed)) + nonce + sealed


@pytest.mark.parametrize("data", [b"", b"G"], ids=["without data", "an octet of a head at times"])
def test_renegotiations_that_nobody_reads_are_cut(fresh_gateway, tmp_path, data):
    gateway = fresh_gateway(NOWHERE)
    client = RawTls12(gateway.port("tls"), tmp_path / "keys")
    with pytest.raises((ConnectionError, socket.timeout)):
        for _ in range(400):
            flood = b"".join(client.record(HANDSHAKE, CLIENT_HELLO) for _ in range(1500))
            client.socket.sendall(flood + (client.record(23, data) if data else b""))
    assert gateway.running()
    with gateway.client("tls") as other:  # and others are served
        assert other
    wait_for(lambda: gateway.open_files() < 64, what="the connection is gone")
