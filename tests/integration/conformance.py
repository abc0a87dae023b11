#!/usr/bin/env python3
"""Conformance to RFC 6455 §5-7: a table of cases driven against any server that echoes messages.

A case sends frames, right or wrong and cut in any way, and says which messages and pongs must come back and how the
connection must end. The classes follow the RFC: framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing,
large messages, and messages that are cut into frames by size.

As a program it runs the table against one server:  conformance.py wss://localhost:8443/echo --ca ca.crt
"""

import argparse
import random
import ssl
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterable, List, Optional, Tuple
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from rawws import RawClient, check_101  # noqa: E402
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, Timeout, close_payload, frame  # noqa: E402

KIB, MIB = 1024, 1024 * 1024
ENDS_CLEANLY = "clean"  # the client closes with 1000 at last, and 1000 comes back


@dataclass
class Case:
    name: str
    sends: List[bytes]
    messages: List[Tuple[int, bytes]] = field(default_factory=list)
    pongs: List[bytes] = field(default_factory=list)
    end: object = ENDS_CLEANLY  # or the code of the Close that must come; None for a Close without a code
    pieces: int = 0  # cut what is sent after every so many octets
    largest: int = 0  # size of its largest message, for servers with a limit
    small_fragments: int = 0  # fragments under 1 KiB in one message, for servers with a limit
    timeout: float = 10.0

    @property
    def group(self) -> str:
        return self.name.split("/")[0]


def cut(opcode: int, payload: bytes, sizes: Iterable[int]) -> List[bytes]:
    """The payload as frames of these sizes; the last one takes the rest."""
    frames, at, sizes = [], 0, list(sizes)
    for index, size in enumerate(sizes):
        part = payload[at:at + size] if index + 1 < len(sizes) else payload[at:]
        frames.append(frame(opcode if index == 0 else CONT, part, fin=index + 1 == len(sizes)))
        at += size
    return frames


def pattern(size: int, text: bool, seed: int = 7) -> bytes:
    if not text:
        return random.Random(seed).randbytes(size)
    unit = "Grüße 你好 Ω𝄞 plain ".encode()
    body = unit * (size // len(unit))
    return body + b"*" * (size - len(body))


# ---- the classes
def framing() -> Iterable[Case]:
    for kind, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (0, 1, 124, 125, 126, 127, 128, 65535, 65536):
            body = pattern(size, kind == TEXT)
            for pieces in (0, 997) + ((1,) if size <= 128 else ()):
                yield Case(f"framing/{name}-{size}-in-pieces-of-{pieces or 'any'}", [frame(kind, body)], [(kind, body)],
                           pieces=pieces, largest=size)
    for size, width in ((5, 2), (5, 8), (125, 2), (126, 8), (65535, 8)):
        yield Case(f"framing/length-{size}-in-{width}-octets", [frame(BINARY, bytes(size), length_bytes=width)], end=1002)
    yield Case("framing/length-with-top-bit", [b"\x82\xff" + struct.pack("!Q", 1 << 63) + bytes(4)], end=1002)
    yield Case("framing/length-of-all-ones", [b"\x82\xff" + b"\xff" * 8 + bytes(4)], end=1002)
    yield Case("framing/unmasked-text", [frame(TEXT, b"hello", mask=None)], end=1002)
    yield Case("framing/unmasked-ping", [frame(PING, b"", mask=None)], end=1002)
    masks = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x80\x7f\xfe")
    body = pattern(300, True)
    yield Case("framing/several-masks", [frame(TEXT, body, mask=mask) for mask in masks], [(TEXT, body)] * 3)
    burst = [(TEXT, b"message %d" % index) for index in range(200)]
    yield Case("framing/two-hundred-in-one-segment", [b"".join(frame(*m) for m in burst)], burst)


def pings() -> Iterable[Case]:
    for name, payload in (("empty", b""), ("text", b"hello"), ("binary", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
                          ("full", bytes(range(125)))):
        yield Case(f"ping/{name}", [frame(PING, payload)], pongs=[payload])
        yield Case(f"ping/{name}-octet-by-octet", [frame(PING, payload)], pongs=[payload], pieces=1)
    yield Case("ping/126-octets", [frame(PING, bytes(126))], end=1002)
    yield Case("ping/126-octets-then-more", [frame(PING, bytes(126)), frame(TEXT, b"never")], end=1002)
    yield Case("ping/unsolicited-pong", [frame(PONG)])
    yield Case("ping/unsolicited-pong-with-payload", [frame(PONG, b"unasked")])
    yield Case("ping/unsolicited-pong-then-ping", [frame(PONG, b"unasked"), frame(PING, b"asked")], pongs=[b"asked"])
    yield Case("ping/pong-of-126-octets", [frame(PONG, bytes(126))], end=1002)
    ten = [b"ping %d" % index for index in range(10)]
    yield Case("ping/ten", [frame(PING, p) for p in ten], pongs=ten)
    yield Case("ping/ten-octet-by-octet", [b"".join(frame(PING, p) for p in ten)], pongs=ten, pieces=1)


def reserved_bits() -> Iterable[Case]:
    good = frame(TEXT, b"good")
    for rsv in range(1, 8):
        yield Case(f"rsv/{rsv}-on-text", [frame(TEXT, b"bad", rsv=rsv)], end=1002)
        yield Case(f"rsv/{rsv}-after-good-text", [good, frame(TEXT, b"bad", rsv=rsv), frame(PING)], [(TEXT, b"good")],
                   end=1002)
        yield Case(f"rsv/{rsv}-on-binary", [frame(BINARY, bytes(8), rsv=rsv)], end=1002, pieces=1)
        yield Case(f"rsv/{rsv}-on-ping", [frame(PING, b"bad", rsv=rsv)], end=1002)
        yield Case(f"rsv/{rsv}-on-close", [frame(CLOSE, close_payload(1000), rsv=rsv)], end=1002)
        yield Case(f"rsv/{rsv}-on-continuation", [frame(TEXT, b"go", fin=False), frame(CONT, b"od", rsv=rsv)], end=1002)


def opcodes() -> Iterable[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Case(f"opcode/{opcode}-empty", [frame(opcode)], end=1002)
        yield Case(f"opcode/{opcode}-with-payload", [frame(opcode, b"reserved")], end=1002)
        yield Case(f"opcode/{opcode}-after-good-text", [frame(TEXT, b"good"), frame(opcode, b"x"), frame(PING)],
                   [(TEXT, b"good")], end=1002)
        yield Case(f"opcode/{opcode}-octet-by-octet", [frame(TEXT, b"good"), frame(opcode, b"x")], [(TEXT, b"good")],
                   end=1002, pieces=1)
        yield Case(f"opcode/{opcode}-inside-a-message", [frame(TEXT, b"a", fin=False), frame(opcode)], end=1002)


def fragmentation() -> Iterable[Case]:
    for opcode, name in ((PING, "ping"), (PONG, "pong"), (CLOSE, "close")):
        yield Case(f"fragment/{name}-without-fin", [frame(opcode, b"", fin=False), frame(CONT)], end=1002)
    two = [frame(TEXT, b"first ", fin=False), frame(CONT, b"second")]
    whole = (TEXT, b"first second")
    yield Case("fragment/text-in-two", two, [whole])
    yield Case("fragment/text-in-two-one-segment", [b"".join(two)], [whole])
    yield Case("fragment/text-in-two-octet-by-octet", [b"".join(two)], [whole], pieces=1)
    for pieces in (0, 1):
        yield Case(f"fragment/ping-between-{pieces}", [two[0], frame(PING, b"mid"), two[1]], [whole], [b"mid"],
                   pieces=pieces)
        yield Case(f"fragment/pong-between-{pieces}", [two[0], frame(PONG, b"mid"), two[1]], [whole], pieces=pieces)
    five = [frame(TEXT, b"1", fin=False), frame(CONT, b"2", fin=False), frame(PING, b"a"), frame(CONT, b"3", fin=False),
            frame(CONT, b"4", fin=False), frame(PING, b"b"), frame(CONT, b"5")]
    for pieces in (0, 1):
        yield Case(f"fragment/five-with-pings-{pieces}", [b"".join(five)], [(TEXT, b"12345")], [b"a", b"b"], pieces=pieces)
    yield Case("fragment/continuation-first", [frame(CONT, b"lost")], end=1002)
    yield Case("fragment/continuation-first-without-fin", [frame(CONT, b"lost", fin=False), frame(TEXT, b"x")], end=1002)
    yield Case("fragment/continuation-after-text", [frame(TEXT, b"good"), frame(CONT, b"lost")], [(TEXT, b"good")], end=1002)
    yield Case("fragment/continuation-after-end", two + [frame(CONT, b"lost"), frame(TEXT, b"x")], [whole], end=1002)
    yield Case("fragment/text-inside-text", [two[0], frame(TEXT, b"other")], end=1002)
    yield Case("fragment/binary-inside-text", [two[0], frame(BINARY, b"other", fin=False)], end=1002)
    yield Case("fragment/text-inside-text-octet-by-octet", [two[0], frame(TEXT, b"other")], end=1002, pieces=1)
    yield Case("fragment/empty-frames", [frame(BINARY, b"", fin=False)] + [frame(CONT, b"", fin=False)] * 5 + [frame(CONT)],
               [(BINARY, b"")])
    yield Case("fragment/empty-between", [frame(TEXT, b"", fin=False), frame(CONT, b"mid", fin=False), frame(CONT)],
               [(TEXT, b"mid")])
    both = two + [frame(BINARY, b"\0", fin=False), frame(CONT, b"\1")]
    yield Case("fragment/two-messages", both, [whole, (BINARY, b"\0\1")])
    yield Case("fragment/close-inside-a-message", [two[0], frame(CLOSE, close_payload(1000))], end=1000)


VALID_UTF8 = {
    "ascii": b"Hello, world", "greek": "κόσμε".encode(), "first-of-two": b"\xc2\x80", "last-of-two": b"\xdf\xbf",
    "first-of-three": b"\xe0\xa0\x80", "last-of-three": b"\xef\xbf\xbf", "first-of-four": b"\xf0\x90\x80\x80",
    "last-of-four": b"\xf4\x8f\xbf\xbf", "before-surrogates": b"\xed\x9f\xbf", "after-surrogates": b"\xee\x80\x80",
    "replacement": b"\xef\xbf\xbd", "noncharacter-fffe": b"\xef\xbf\xbe", "noncharacter-1ffff": b"\xf0\x9f\xbf\xbf",
    "byte-order-mark": b"\xef\xbb\xbftext", "nul": b"\x00", "delete": b"\x7f", "mixed": "aé€😀".encode() * 9,
    "noncharacter-fdd0": b"\xef\xb7\x90", "private": b"\xee\x80\x80\xf3\xb0\x80\x80", "empty": b"",
}

INVALID_UTF8 = {
    "surrogate-low": b"\xed\xa0\x80", "surrogate-high": b"\xed\xbf\xbf", "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "surrogate-after-greek": "κόσμε".encode() + b"\xed\xa0\x80edited", "above-10ffff": b"\xf4\x90\x80\x80",
    "lead-f5": b"\xf5\x80\x80\x80", "lead-f8": b"\xf8\x88\x80\x80\x80", "lead-fc": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe", "ff": b"\xff", "fe-fe-ff-ff": b"\xfe\xfe\xff\xff", "lone-continuation-80": b"\x80",
    "lone-continuation-bf": b"\xbf", "continuation-run": b"\x80\xbf\x80\xbf\x80", "overlong-two-c0": b"\xc0\xaf",
    "overlong-two-c1": b"\xc1\xbf", "overlong-three": b"\xe0\x80\xaf", "overlong-three-edge": b"\xe0\x9f\xbf",
    "overlong-four": b"\xf0\x80\x80\xaf", "overlong-four-edge": b"\xf0\x8f\xbf\xbf", "overlong-nul": b"\xc0\x80",
    "lead-two-then-ascii": b"\xc3 ", "lead-three-then-ascii": b"\xe2\x82 ", "lead-four-then-ascii": b"\xf0\x9f\x98 ",
    "two-leads": b"\xc3\xc3\xa9", "cut-two": b"text\xc3", "cut-three": b"text\xe2\x82", "cut-four": b"text\xf0\x9f\x98",
    "all-leads": bytes(range(0xC2, 0xF5)), "latin-1": "Grüße".encode("latin-1"),
}


def utf8() -> Iterable[Case]:
    for name, body in VALID_UTF8.items():
        yield Case(f"utf8/valid-{name}", [frame(TEXT, body)], [(TEXT, body)])
        if len(body) > 1:
            split = cut(TEXT, body, [1] * len(body))
            yield Case(f"utf8/valid-{name}-a-fragment-an-octet", split, [(TEXT, body)], small_fragments=len(split))
            yield Case(f"utf8/valid-{name}-octet-by-octet", [frame(TEXT, body)], [(TEXT, body)], pieces=1)
    for name, body in INVALID_UTF8.items():
        yield Case(f"utf8/invalid-{name}", [frame(TEXT, body)], end=1007)
        if len(body) > 1:
            yield Case(f"utf8/invalid-{name}-a-fragment-an-octet", cut(TEXT, body, [1] * len(body)), end=1007)
        yield Case(f"utf8/invalid-{name}-octet-by-octet", [frame(TEXT, body)], end=1007, pieces=1)
        yield Case(f"utf8/invalid-{name}-in-binary", [frame(BINARY, body)], [(BINARY, body)])
    # Fail fast: the message is wrong already, though neither it nor its frame has ended.
    yield Case("utf8/fail-fast-in-an-open-message", [frame(TEXT, b"good \xf4\x90\x80\x80", fin=False)], end=1007)
    yield Case("utf8/fail-fast-after-good-fragment",
               [frame(TEXT, "κόσμε".encode(), fin=False), frame(CONT, b"\xed\xa0\x80", fin=False)], end=1007)
    yield Case("utf8/fail-fast-inside-a-frame", [frame(TEXT, b"ab\xff" + bytes(60_000))[:2000]], end=1007)
    yield Case("utf8/character-across-a-ping", [frame(TEXT, b"\xf0\x9f", fin=False), frame(PING, b"\xff\xfe"),
                                               frame(CONT, b"\x98\x80")], [(TEXT, "😀".encode())], [b"\xff\xfe"])


VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


def closing() -> Iterable[Case]:
    yield Case("close/at-once", [])
    yield Case("close/after-a-message", [frame(TEXT, b"good")], [(TEXT, b"good")])
    yield Case("close/without-code", [frame(CLOSE)], end=None)
    yield Case("close/twice", [frame(CLOSE, close_payload(1000)) * 2], end=1000)
    yield Case("close/then-ping", [frame(CLOSE, close_payload(1000)) + frame(PING, b"late")], end=1000)
    yield Case("close/then-text", [frame(CLOSE, close_payload(1000)) + frame(TEXT, b"late")], end=1000)
    yield Case("close/then-rest-of-message", [frame(TEXT, b"a", fin=False) + frame(CLOSE, close_payload(1000)) +
                                              frame(CONT, b"b")], end=1000)
    yield Case("close/one-octet", [frame(CLOSE, b"\x03")], end=1002)
    yield Case("close/reason", [frame(CLOSE, close_payload(1000, "läuft ab".encode()))], end=1000)
    yield Case("close/longest-reason", [frame(CLOSE, close_payload(1000, b"*" * 123))], end=1000)
    yield Case("close/reason-too-long", [frame(CLOSE, close_payload(1000, b"*" * 124))], end=1002)
    yield Case("close/reason-not-utf8", [frame(CLOSE, close_payload(1000, b"\xce\xba\xed\xa0\x80"))], end=1007)
    yield Case("close/octet-by-octet", [frame(CLOSE, close_payload(1000, b"bye"))], end=1000, pieces=1)
    for code in VALID_CODES:
        yield Case(f"close/code-{code}", [frame(CLOSE, close_payload(code))], end=code)
        yield Case(f"close/code-{code}-with-reason", [frame(CLOSE, close_payload(code, b"reason"))], end=code)
    for code in INVALID_CODES:
        yield Case(f"close/code-{code}", [frame(CLOSE, close_payload(code))], end=1002)
        yield Case(f"close/code-{code}-with-reason", [frame(CLOSE, close_payload(code, b"reason"))], end=1002)
    large = pattern(256 * KIB, True)
    yield Case("close/after-a-large-message", [frame(TEXT, large)], [(TEXT, large)], largest=256 * KIB)


def large() -> Iterable[Case]:
    for kind, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB):
            body = pattern(size, kind == TEXT)
            yield Case(f"large/{name}-{size}", [frame(kind, body)], [(kind, body)], largest=size, timeout=60)
        body = pattern(4 * MIB, kind == TEXT, 9)
        for step in (256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB):
            count = len(body) // step
            yield Case(f"large/{name}-4-mib-in-fragments-of-{step}", [b"".join(cut(kind, body, [step] * count))],
                       [(kind, body)], largest=len(body), small_fragments=count if step < KIB else 0, timeout=60)
        body = pattern(MIB, kind == TEXT, 11)
        for pieces in (64, 256, 1024, 4096, 65536):
            yield Case(f"large/{name}-1-mib-in-pieces-of-{pieces}", [frame(kind, body)], [(kind, body)], pieces=pieces,
                       largest=len(body), timeout=60)
        for size, count in ((0, 500), (16, 500), (64, 500), (256, 500), (1024, 500), (4096, 250), (16384, 100)):
            body = pattern(size, kind == TEXT)
            yield Case(f"large/{count}-{name}-messages-of-{size}", [b"".join([frame(kind, body)] * count)],
                       [(kind, body)] * count, largest=size, timeout=60)


def cut_by_size() -> Iterable[Case]:
    body = pattern(64 * KIB, True)
    yield Case("cut/text-of-64-kib-in-1300", [b"".join(cut(TEXT, body, [1300] * 51))], [(TEXT, body)], largest=64 * KIB)
    body = pattern(64 * KIB, False)
    yield Case("cut/binary-of-64-kib-in-1300", cut(BINARY, body, [1300] * 51), [(BINARY, body)], largest=64 * KIB)


def all_cases() -> List[Case]:
    out: List[Case] = []
    for group in (framing, pings, reserved_bits, opcodes, fragmentation, utf8, closing, large, cut_by_size):
        out += group()
    assert len({case.name for case in out}) == len(out), "two cases have one name"
    return out


# ---- the runner
def run_case(case: Case, connect: Callable[[float], RawClient]) -> Optional[str]:
    """None when the server did what the case asks, else what was wrong."""
    client = connect(case.timeout)
    try:
        return _drive(case, client)
    except Timeout:
        return "timed out"
    except (OSError, EOFError) as fault:
        return f"{type(fault).__name__}: {fault}"
    finally:
        client.close()


class _Writer:
    """Sends in a thread of its own, so that a large echo cannot jam both directions."""

    def __init__(self, case: Case, client: RawClient):
        import threading
        self.fault = None
        self.done = threading.Thread(target=self._run, args=(case, client), daemon=True)
        self.done.start()

    def _run(self, case: Case, client: RawClient) -> None:
        try:
            for data in case.sends:
                client.send(data, case.pieces)
        except OSError as fault:  # the server may end the connection before all was sent
            self.fault = fault


def _drive(case: Case, client: RawClient) -> Optional[str]:
    # A TLS socket of Python's must not be used from two threads at once: large cases go over plain TCP or send first.
    threaded = case.largest * max(1, len(case.messages)) > 128 * KIB and not isinstance(client.sock, ssl.SSLSocket)
    writer = None
    if threaded:
        writer = _Writer(case, client)
    elif case.largest * max(1, len(case.messages)) > 128 * KIB:
        return _drive_tls(case, client)
    else:
        try:
            for data in case.sends:
                client.send(data, case.pieces)
        except OSError:
            if case.end == ENDS_CLEANLY:
                raise
    fault = _collect(case, client)
    if writer:
        writer.done.join(case.timeout)
    return fault


def _drive_tls(case: Case, client: RawClient) -> Optional[str]:
    """Sends while receiving, in one thread."""
    try:
        client.send_while_reading(b"".join(case.sends), case.pieces or 65536, case.timeout)
    except (Timeout, EOFError) as fault:
        return str(fault)
    return _collect(case, client)


def _collect(case: Case, client: RawClient) -> Optional[str]:
    messages, pongs, opcode, parts, close = [], [], None, [], None
    wanted = len(case.messages) + len(case.pongs)
    sent_close = case.end != ENDS_CLEANLY
    deadline = time.monotonic() + case.timeout
    while True:
        if not sent_close and len(messages) + len(pongs) >= wanted:
            client.send_close(1000)
            sent_close = True
        got = client.recv_frame(max(0.05, deadline - time.monotonic()))
        if got is None:
            break
        if got.masked or got.rsv:
            return f"a frame from the server is masked or has reserved bits: {got}"
        if got.opcode == PING:
            client.send(frame(PONG, got.payload))
        elif got.opcode == PONG:
            pongs.append(got.payload)
        elif got.opcode == CLOSE:
            close = got
            break
        else:
            if (got.opcode == CONT) != (opcode is not None):
                return f"messages interleave: {got}"
            opcode = got.opcode if opcode is None else opcode
            parts.append(got.payload)
            if got.fin:
                messages.append((opcode, b"".join(parts)))
                opcode, parts = None, []
    failing = case.end not in (ENDS_CLEANLY,)
    prefix = case.messages[:len(messages)] if failing else case.messages
    if messages != prefix:
        wrong = next((i for i, pair in enumerate(zip(messages, prefix)) if pair[0] != pair[1]), None)
        return f"messages differ: got {len(messages)} of {len(case.messages)}, first difference at {wrong}"
    if not failing and sorted(pongs) != sorted(case.pongs):
        return f"pongs {pongs}, expected {case.pongs}"
    expected = 1000 if case.end == ENDS_CLEANLY else case.end
    if close is None:
        return f"connection ended ({client.ended}) without a Close, expected {expected}"
    if close.code != expected:
        return f"Close {close.code} {close.reason!r}, expected {expected}"
    if failing and not any(data[:1] == b"\x88" for data in case.sends[-1:]):
        try:
            client.send_close(close.code)
        except OSError:
            pass
    rest = client.read_until_end(6)
    if rest:
        return f"{len(rest)} octets after the Close"
    return None


def connector(url: str, ca: Optional[str] = None) -> Callable[[float], RawClient]:
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca) if parts.scheme == "wss" else None
    path = (parts.path or "/") + ("?" + parts.query if parts.query else "")

    def connect(timeout: float) -> RawClient:
        client = RawClient(parts.port, tls=context, server_name=parts.hostname, timeout=timeout)
        check_101(client.upgrade(path, host=parts.netloc))
        return client
    return connect


def select_cases(groups=None, largest: int = 0, small_fragments: int = 0) -> List[Case]:
    return [case for case in all_cases()
            if (not groups or case.group in groups) and (not largest or case.largest <= largest)
            and (not small_fragments or case.small_fragments <= small_fragments)]


def run_all(cases: List[Case], connect: Callable[[float], RawClient]) -> List[str]:
    """Runs all of them, eight at a time: most wait for the other side. Large ones run alone, against their timeouts."""
    small = [case for case in cases if case.largest * max(1, len(case.messages)) <= MIB]
    faults = {case.name: run_case(case, connect) for case in cases if case not in small}
    with ThreadPoolExecutor(8) as pool:
        faults.update(zip((case.name for case in small), pool.map(lambda case: run_case(case, connect), small)))
    return [f"{name}: {fault}" for name, fault in faults.items() if fault]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--ca", help="PEM file of the authority to trust")
    parser.add_argument("--group", action="append", help="only this class; may be given again")
    parser.add_argument("--largest", type=int, default=0, help="leave out messages above so many octets")
    parser.add_argument("--small-fragments", type=int, default=0, help="leave out messages of more small fragments")
    arguments = parser.parse_args()
    cases = select_cases(arguments.group, arguments.largest, arguments.small_fragments)
    faults = run_all(cases, connector(arguments.url, arguments.ca))
    for fault in faults:
        print("FAILED", fault)
    print(f"{len(cases) - len(faults)} of {len(cases)} cases passed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
