"""TCP servers whose protocol has frames: delimited ones, ones with a length in front, messages spread over several."""

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evil import Backend, Peer, tcp_echo
from gateway import BASE, wait_for
from ports import free_port
from servers import wait_listening
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame

ROOT = Path(__file__).resolve().parents[2]


def read_line(peer, end=b"\r\n"):
    """The next line without its end; None at the end of the stream."""
    deadline = time.monotonic() + 60
    while end not in peer.buffer:
        if not peer.fill(deadline):
            return None
    return peer.take(peer.buffer.index(end) + len(end))[:-len(end)]


def irc(peer: Peer):
    """As much of an IRC server as a client sees of a session."""
    nick = b"*"
    while True:
        line = read_line(peer)
        if line is None or line.startswith(b"QUIT"):
            peer.send(b"ERROR :Closing link\r\n")
            return
        command, _, rest = line.partition(b" ")
        if command == b"NICK":
            nick = rest
        elif command == b"USER":
            peer.send(b":irc 001 " + nick + b" :Welcome\r\n:irc 376 " + nick + b" :End of MOTD\r\n")
        elif command == b"PING":
            for octet in b":irc PONG irc :" + rest + b"\r\n":  # cut as unkindly as TCP may
                peer.send(bytes([octet]))
        elif command == b"PRIVMSG":
            peer.send(b":" + nick + b"!u@h " + line + b"\r\n")


def echo_lengths(peer: Peer):
    """Frames of u16, big endian: each comes back with the server's name in front."""
    deadline = time.monotonic() + 120
    while peer.fill(deadline):
        while len(peer.buffer) >= 2:
            size = int.from_bytes(peer.buffer[:2], "big")
            if len(peer.buffer) < 2 + size:
                break
            body = peer.backend.name.encode() + peer.take(2 + size)[2:]
            peer.send(len(body).to_bytes(2, "big") + body)


def says(octets):
    """Sends these octets once it has been sent something, and ends."""
    def handler(peer: Peer):
        peer.fill(time.monotonic() + 60)
        peer.send(octets)
        peer.finish()
        peer.drain(5)
    return handler


@pytest.fixture(scope="module")
def gateway(start_gateway, backends):
    echoes = [backends(Backend(echo_lengths, name=name)) for name in ("a:", "b:")]
    cut = backends(Backend(says(b"whole\nhalf")))
    bad = backends(Backend(says(b"gr\xfc\xdfe\n")))
    urls = ", ".join(f'"tcp://127.0.0.1:{one.port}"' for one in echoes)
    return start_gateway(BASE + f"""
[[route]]
path = "/irc"
backend = "irc"
[[route]]
path = "/length"
backend = "length"
[[route]]
path = "/spread"
backend = "spread"
[[route]]
path = "/cut"
backend = "cut"
[[route]]
path = "/bad"
backend = "bad"
[[route]]
path = "/replaced"
backend = "replaced"
[[route]]
path = "/base64"
backend = "raw"
[backend.irc]
servers = ["tcp://127.0.0.1:{backends(Backend(irc)).port}"]
framing = {{ type = "delimiter", delimiter = "\\r\\n", message = "text", max_frame = "512B", invalid_utf8 = "replace" }}
[backend.length]
servers = ["tcp://127.0.0.1:{echoes[0].port}"]
framing = {{ type = "length", length = "u16", max_frame = "60KiB" }}
[backend.spread]
servers = [{urls}]
framing = {{ type = "length", length = "u16", max_frame = "60KiB" }}
balance = {{ unit = "message" }}
[backend.cut]
servers = ["tcp://127.0.0.1:{cut.port}"]
framing = {{ type = "delimiter", delimiter_hex = "0a" }}
[backend.bad]
servers = ["tcp://127.0.0.1:{bad.port}"]
framing = {{ type = "delimiter", delimiter = "\\n", message = "text" }}
[backend.replaced]
servers = ["tcp://127.0.0.1:{bad.port}"]
framing = {{ type = "delimiter", delimiter = "\\n", message = "text", invalid_utf8 = "replace" }}
[backend.raw]
servers = ["tcp://127.0.0.1:{backends(Backend(says(bytes(range(256))))).port}"]
""")


def test_irc_by_lines(gateway, listener):
    with gateway.connect("/irc", listener=listener) as client:
        client.send_text("NICK sluice")
        client.send_text("USER sluice 0 * :A gateway")
        assert client.recv_text() == ":irc 001 sluice :Welcome"
        assert client.recv_text() == ":irc 376 sluice :End of MOTD"
        client.send_text("PING now")
        assert client.recv_text() == ":irc PONG irc :now"
        client.send(frame(TEXT, b"PRIVMSG #x ", fin=False) + frame(PING, b"here") + frame(CONT, ":grüße".encode()), 7)
        assert client.recv_frame().opcode == PONG
        assert client.recv_text() == ":sluice!u@h PRIVMSG #x :grüße"
        client.send_text("QUIT")
        assert client.recv_text() == "ERROR :Closing link"
        client.expect_close(1000)


def test_a_message_of_two_lines_is_refused(gateway):
    with gateway.connect("/irc") as client:
        client.send_text("NICK a\r\nOPER root")
        assert client.expect_close(1008) == []
    assert gateway.wait_access(5, event="tcp_close", reason="ws_delimiter")["close_initiator"] == "gateway"
    assert gateway.metric("sluice_frames_invalid_total", reason="ws_delimiter") >= 1


@pytest.mark.parametrize("path", ["/length", "/spread"])
def test_lengths_both_ways(gateway, path):
    with gateway.connect(path) as client:
        for size in (0, 1, 125, 126, 1000, 50_000):
            client.send_binary(b"x" * size)
            assert client.recv_message()[1][2:] == b"x" * size
        client.send(frame(BINARY, b"in ", fin=False) + frame(CONT, b"three ", fin=False) + frame(CONT, b"parts"))
        assert client.recv_message()[1][2:] == b"in three parts"
        client.send_close(1000)
        client.expect_close(1000)
        client.expect_end()


def test_message_over_the_longest_frame(gateway):
    with gateway.connect("/length") as client:
        client.send(frame(BINARY, bytes(61 * 1024))[:20])
        client.expect_close(1009)


def test_messages_are_spread_over_servers(gateway):
    with gateway.connect("/spread") as client:
        for n in range(40):
            client.send_binary(b"%d" % n)
        answers = [client.recv_message()[1] for _ in range(40)]
        assert sorted(int(answer[2:]) for answer in answers) == list(range(40))
        names = [answer[:2] for answer in answers]
        assert names.count(b"a:") == names.count(b"b:") == 20
        for name in (b"a:", b"b:"):  # in order from each
            mine = [int(answer[2:]) for answer in answers if answer[:2] == name]
            assert mine == sorted(mine)


def test_end_inside_a_frame(gateway):
    with gateway.connect("/cut") as client:
        client.send_text("go")
        before = client.expect_close(1011)
        whole = [one for one in before if one.fin and one.opcode in (BINARY, CONT)]
        assert [one.payload for one in whole] == [b"whole"]
    assert gateway.wait_access(5, event="tcp_close", reason="tcp_frame_cut")


def test_text_that_is_none(gateway):
    with gateway.connect("/bad") as client:
        client.send_text("go")
        assert client.expect_close(1007) == []
    assert gateway.metric("sluice_frames_invalid_total", reason="tcp_utf8") >= 1
    with gateway.connect("/replaced") as client:
        client.send_text("go")
        assert client.recv_text() == "gr\ufffd\ufffde"
        client.expect_close(1000)


def test_base64(gateway):
    import base64
    with gateway.connect("/base64", [("Sec-WebSocket-Protocol", "base64")]) as client:
        client.send_text(base64.b64encode(b"any"))
        got = b""
        while len(got) < 256:
            got += base64.b64decode(client.recv_text(), validate=True)
        assert got == bytes(range(256))
        client.expect_close(1000)
    with gateway.connect("/base64", [("Sec-WebSocket-Protocol", "base64")]) as client:
        client.send_text("!")
        client.expect_close(1007)


def test_half_a_line_is_a_reset_for_the_server(fresh_gateway):
    """What a client began and never ended must not look like a line that was meant."""
    seen = []
    def reads(peer: Peer):
        try:
            while peer.fill(time.monotonic() + 30):
                pass
        except ConnectionResetError:
            pass
        seen.append((bytes(peer.received), peer.ended))
    with Backend(reads) as backend:
        gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["tcp://127.0.0.1:{backend.port}"]
framing = {{ type = "delimiter", delimiter = "\\n" }}
""")
        client = gateway.connect("/")
        client.send(frame(TEXT, b"DELETE everything")[:12])
        peer = backend.wait_peer()
        wait_for(lambda: bytes(peer.received) == b"DELETE", 5, "the beginning")
        client.reset()
        wait_for(lambda: seen, 10, "the end")
        assert seen[0] == (b"DELETE", "reset")


@pytest.mark.parametrize("unit", ["connection", "message"])
def test_a_reload_inside_a_message(fresh_gateway, listener, unit):
    """Who is there keeps its framing, messages that are half through included; who comes has the new one."""
    with Backend(tcp_echo) as one, Backend(tcp_echo) as two:
        def framed(delimiter):
            return BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["tcp://127.0.0.1:{one.port}", "tcp://127.0.0.1:{two.port}"]
balance = {{ unit = "{unit}" }}
framing = {{ type = "delimiter", delimiter = "{delimiter}", message = "text" }}
"""
        def talk(client, *messages):
            for text in messages:
                client.send_text(text)
                assert client.recv_text() == text

        gateway = fresh_gateway(framed("|"))
        with gateway.connect("/", listener=listener) as old:
            talk(old, "one", "two")
            old.send(frame(TEXT, b"be", fin=False))
            wait_for(lambda: any(backend.octets().endswith(b"be") for backend in (one, two)), 5, "half of it")
            peers = one.count + two.count
            gateway.write_config(framed(";"))
            gateway.reload()
            old.send(frame(CONT, b"gun; before"))
            assert old.recv_text() == "begun; before"
            assert one.count + two.count == peers, "on the connections that there were"
            talk(old, "a;b", "c;d")
            with gateway.connect("/", listener=listener) as new:
                talk(new, "a|b", "c|d")
                new.send_text("a;b")
                new.expect_close(1008)
            old.send_text("a|b")
            old.expect_close(1008)


def blocks(page):
    """{file name: content} of the blocks that a page says are files."""
    text = (ROOT / "docs" / "how-to" / page).read_text()
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.S))


def test_the_page_about_a_protocol_of_ones_own(fresh_gateway, tmp_path):
    files = blocks("recipes/own-protocol.md")
    server = files["server.py"]
    assert len([line for line in server.splitlines() if line.strip()]) <= 20
    port = free_port()
    (tmp_path / "server.py").write_text(server.replace("7100", str(port)))
    process = subprocess.Popen([sys.executable, str(tmp_path / "server.py")])
    try:
        wait_listening(port, process)
        config = files["sluice.toml"].replace("7100", str(port))
        gateway = fresh_gateway(BASE + config[config.index("[[route]]"):])
        with gateway.connect("/count") as one, gateway.connect("/count", listener="tls") as two:
            for n in (1, 2, 3):
                one.send_text("apples")
                assert one.recv_text() == f"apples {n}"
            two.send_text("apples")
            assert two.recv_text() == "apples 4"
            two.send_text("pears " + "x" * 5000)
            assert two.recv_text() == "pears " + "x" * 5000 + " 1"
            one.send_close(1000)
            one.expect_close(1000)
    finally:
        process.terminate()
        process.wait(10)
