"""A DNS server on loopback with a script, over UDP: A, AAAA, SRV, error codes, silence. Names without a script do not exist."""

import ipaddress
import socket
import struct
import threading
from typing import Dict, List, Sequence, Tuple

A, AAAA, SRV = 1, 28, 33
NXDOMAIN, SERVFAIL = 3, 2


def _name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


class Dns:
    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.questions: List[Tuple[str, int]] = []
        self._lock = threading.Lock()
        self._scripts: Dict[str, dict] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> "Dns":
        return self

    def __exit__(self, *exc) -> None:
        self.sock.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set(self, name: str, addresses: Sequence[str] = (), *, services: Sequence[Tuple[int, int, int, str]] = (),
            ttl: int = 1, code: int = 0, silent: bool = False) -> None:
        """`services`: priority, weight, port, target."""
        with self._lock:
            self._scripts[name] = {"addresses": list(addresses), "services": list(services), "ttl": ttl, "code": code,
                                   "silent": silent}

    def asked(self, name: str) -> int:
        with self._lock:
            return sum(1 for one, _ in self.questions if one == name)

    def _run(self) -> None:
        while True:
            try:
                question, peer = self.sock.recvfrom(4096)
                reply = self._answer(question)
                if reply:
                    self.sock.sendto(reply, peer)
            except OSError:
                return

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += question[at] + 1
        kind, = struct.unpack("!H", question[at + 1:at + 3])
        name = ".".join(labels)
        with self._lock:
            self.questions.append((name, kind))
            script = self._scripts.get(name, {"addresses": [], "services": [], "ttl": 1, "code": NXDOMAIN, "silent": False})
        if script["silent"]:
            return b""
        values = []
        for text in script["addresses"]:
            address = ipaddress.ip_address(text)
            if kind == (A if address.version == 4 else AAAA):
                values.append(address.packed)
        if kind == SRV:
            values = [struct.pack("!3H", *service[:3]) + _name(service[3]) for service in script["services"]]
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, script["ttl"], len(value)) + value for value in values)
        head = question[:2] + struct.pack("!5H", 0x8180 | script["code"], 1, len(values), 0, 0)
        return head + question[12:at + 5] + records
