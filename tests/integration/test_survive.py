"""A rolling restart of four real servers under many clients that survive it, and what becomes of their messages: per
connection and per message, before ws and wss servers. Every other client comes by TLS, and the gateway is reloaded meanwhile."""

import asyncio
import collections
import contextlib
import json
import resource
import signal
import time

import pytest

from crowd import Member, read_frame
from gateway import BASE, SLOWER
from ports import free_port
from restarts import Restartable, journal_lines
from servers import wait_listening
from wire import CLOSE, CONT, PING, PONG, TEXT, frame

CLIENTS = 1000 // SLOWER


def config(ports, policy, balance='"least_connections"', ca=None):
    servers = ", ".join(f'"{"wss" if ca else "ws"}://127.0.0.1:{port}"' for port in ports)
    tls = f'tls = {{ ca = "{ca}", server_name = "backend.test" }}' if ca else ""
    return BASE + f"""
[[route]]
name = "app"
path = "/ws"
backend = "app"
[route.survive]
in_flight = "{policy}"
timeout = "2m"
[route.websocket]
ping_interval = "5s"
pong_timeout = "60s"
write_stall = "2m"
[backend.app]
servers = [{servers}]
balance = {balance}
{tls}
"""


class Talker(Member):
    """Sends "NAME NUMBER", every other time in two fragments with a pause between them."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.rest = b""
        self.answers = []

    def text(self, number):
        return b"%d %d" % (self.name, number)

    def room(self, number):
        """What is said in one room is in order."""
        return 0

    def say(self, whole):
        if self.rest:
            self.writer.write(frame(CONT, self.rest))
            self.rest = b""
            self.sent += 1
            return
        text = self.text(self.sent)
        if whole:
            self.send(text)
        else:
            self.writer.write(frame(TEXT, text[:2], fin=False))
            self.rest = text[2:]

    async def listen(self):
        try:
            while True:
                opcode, payload = await read_frame(self.reader)
                if opcode == PING:
                    # Inside of a fragmented message, too (RFC 6455 §5.5).
                    self.writer.write(frame(PONG, payload))
                elif opcode == CLOSE:
                    self.close_code = int.from_bytes(payload[:2], "big")
                elif opcode != PONG:
                    self.answers.append(payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.ended = True


class Roomy(Talker):
    """Says it in three rooms: its messages go to a server by their room, and are read for that."""

    def text(self, number):
        return b'{"room":"%d of %d","say":"%d %d"}' % (self.room(number), self.name, self.name, number)

    def room(self, number):
        return number % 3


def said(text):
    """(client, number) of a message of either."""
    words = json.loads(text)["say"] if text.startswith(b"{") else text
    return tuple(map(int, words.split()))


async def until(condition, seconds, what):
    deadline = time.monotonic() + seconds * SLOWER
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.1)


class Crowd:
    def __init__(self, gateway, clients, kind=Talker):
        self.gateway = gateway
        self.members = [kind(name) for name in range(clients)]
        self.listeners = []
        self.silent = asyncio.Event()

    async def come(self):
        tls = self.gateway.tls()
        for at in range(0, len(self.members), 50):
            batch = self.members[at:at + 50]
            await asyncio.gather(*(member.connect(self.gateway.port("tls"), "/ws", tls=tls) if member.name % 2 == 0
                                   else member.connect(self.gateway.port("plain"), "/ws") for member in batch))
            self.listeners += [asyncio.ensure_future(member.listen()) for member in batch]

    async def talk(self):
        at = turn = 0
        while not self.silent.is_set():
            for member in self.members[at:at + 20]:
                member.say(whole=(member.name + turn) % 2 == 0)
            at += 20
            if at >= len(self.members):
                at, turn = 0, turn + 1
            await asyncio.sleep(0.02)

    def finish_sentences(self):
        for member in self.members:
            if member.rest:
                member.say(True)
            member.say(True)

    def leave(self):
        for listener in self.listeners:
            listener.cancel()
        for member in self.members:
            member.hang_up()

    def sent(self):
        return [member.text(number) for member in self.members for number in range(member.sent)]


def sum_of(metrics, name, **labels):
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    return sum(value for series, value in metrics.items()
               if series.startswith(name + "{") and all(label in series for label in wanted))


async def rolling_restart(gateway, servers, how):
    aside = lambda *what: asyncio.get_running_loop().run_in_executor(None, *what)
    for server in servers:
        server.stop(how)
        if server is servers[1]:
            await aside(gateway.reload)  # while its clients go elsewhere
        await until(server.ended, 60, "the end of a server")
        server.start()
        await aside(wait_listening, server.port, server.process)
        await asyncio.sleep(0.5)
        if server is servers[2]:
            await aside(gateway.reload)  # while all have one


async def scenario(gateway, servers, clients, how, kind):
    crowd = Crowd(gateway, clients, kind)
    await crowd.come()
    talker = asyncio.ensure_future(crowd.talk())
    await asyncio.sleep(1)
    await rolling_restart(gateway, servers, how)
    crowd.silent.set()
    await talker
    crowd.finish_sentences()
    loop = asyncio.get_running_loop()

    # Everything that was said has been taken, and every client has an answer to its last words.
    await until(lambda: all(member.text(member.sent - 1) in member.answers[-8:] or member.ended
                            for member in crowd.members), 60, "the answers to the last words")
    await asyncio.sleep(0.5)  # those of other servers, per message
    metrics = await loop.run_in_executor(None, gateway.metrics)
    closed = [(member.name, member.close_code) for member in crowd.members if member.ended or member.close_code]
    crowd.leave()
    return crowd, metrics, closed


@contextlib.contextmanager
def four_servers(folder, pair=()):
    made = [Restartable(folder, free_port(), index, pair) for index in range(4)]
    try:
        for server in made:
            wait_listening(server.port, server.process)
        yield made
    finally:
        for server in made:
            server.stop(signal.SIGKILL)
            server.process.wait(10)


@pytest.fixture
def four(tmp_path):
    with four_servers(tmp_path) as servers:
        yield servers


@pytest.fixture
def four_encrypted(tmp_path, authority):
    with four_servers(tmp_path, authority.issue("backend", ["backend.test"], folder=tmp_path)) as servers:
        yield servers


def run(fresh_gateway, four, policy, how, clients, kind=Talker, **more):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 8192, "this test needs descriptors"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gateway = fresh_gateway(config([server.port for server in four], policy, **more), workers=2)
    crowd, metrics, closed = asyncio.run(scenario(gateway, four, clients, how, kind))
    assert closed == [], f"{len(closed)} of {clients} clients closed"
    return crowd, metrics


def judge_order(crowd, delivered):
    """What arrived is what was sent, each once and in the order of its client."""
    counts = collections.Counter(delivered)
    assert [text for text, count in counts.items() if count > 1] == []
    assert set(counts) <= set(crowd.sent())
    in_order(crowd, delivered)


def in_order(crowd, messages):
    """In the order of each client's rooms."""
    last = collections.defaultdict(lambda: -1)
    for text in messages:
        name, number = said(text)
        room = name, crowd.members[name].room(number)
        assert number > last[room], f"{text} came after {last[room]}"
        last[room] = number


def judge_sums(crowd, metrics, folder, policy):
    """Every message is with a server or counted, and what the servers have said has been heard."""
    lines = journal_lines(folder)
    delivered = [message for _, word, message in lines if word == b"in"]
    answered = [message for _, word, message in lines if word == b"out"]
    counts = collections.Counter(delivered)
    assert [text for text, count in counts.items() if count > 1] == []
    assert set(counts) <= set(crowd.sent())

    sent = sum(member.sent for member in crowd.members)
    dropped = sum_of(metrics, "sluice_messages_dropped_total", route="app")
    assert sum_of(metrics, "sluice_messages_total", route="app", direction="in") == sent
    assert sent == len(delivered) + dropped, (sent, len(delivered), dropped)
    assert (dropped > 0) == (policy == "drop")  # many messages are said in two breaths
    assert sum_of(metrics, "sluice_messages_dropped_total", route="app", reason="in_flight") == dropped
    # And the other way: what a server has said has been heard.
    heard = [answer for member in crowd.members for answer in member.answers]
    assert sorted(heard) == sorted(answered)
    assert sum_of(metrics, "sluice_messages_total", route="app", direction="out") == len(heard)
    # Every client has lost a server once at least.
    assert sum_of(metrics, "sluice_revivals_total", route="app", result="revived") >= len(crowd.members)
    assert sum_of(metrics, "sluice_revivals_total", route="app") == sum_of(
        metrics, "sluice_revivals_total", route="app", result="revived")
    assert sum_of(metrics, "sluice_closes_total", route="app") == 0
    return delivered


@pytest.mark.parametrize("policy", ["hold", "drop"])
def test_a_rolling_restart(fresh_gateway, four, policy):
    crowd, metrics = run(fresh_gateway, four, policy, signal.SIGTERM, CLIENTS)
    judge_order(crowd, judge_sums(crowd, metrics, four[0].folder, policy))


def test_a_rolling_restart_of_wss_servers(fresh_gateway, four_encrypted, authority):
    crowd, metrics = run(fresh_gateway, four_encrypted, "hold", signal.SIGTERM, 200 // SLOWER, ca=authority.path)
    judge_order(crowd, judge_sums(crowd, metrics, four_encrypted[0].folder, "hold"))


@pytest.mark.parametrize("policy", ["hold", "drop"])
def test_a_rolling_restart_per_message(fresh_gateway, four, policy):
    crowd, metrics = run(fresh_gateway, four, policy, signal.SIGTERM, 300 // SLOWER,
                         balance='{ policy = "round_robin", unit = "message" }')
    judge_sums(crowd, metrics, four[0].folder, policy)


def test_a_rolling_restart_per_message_by_key(fresh_gateway, four):
    crowd, metrics = run(fresh_gateway, four, "hold", signal.SIGTERM, 200 // SLOWER, Roomy,
                         balance='{ policy = "consistent_hash", key = "json:/room", unit = "message" }')
    judge_sums(crowd, metrics, four[0].folder, "hold")
    # Servers are processes apart: what one of them has taken and not yet looked at, another may overtake.
    for journal in four[0].folder.glob("server*.log"):
        words = [line.split(b" ", 2) for line in journal.read_bytes().splitlines()]
        in_order(crowd, [message for _, word, message in words if word == b"in"])


def test_a_rolling_restart_of_wss_servers_per_message(fresh_gateway, four_encrypted, authority):
    crowd, metrics = run(fresh_gateway, four_encrypted, "hold", signal.SIGTERM, 100 // SLOWER, ca=authority.path,
                         balance='{ policy = "round_robin", unit = "message" }')
    judge_sums(crowd, metrics, four_encrypted[0].folder, "hold")


def test_servers_that_are_killed(fresh_gateway, four):
    crowd, metrics = run(fresh_gateway, four, "hold", signal.SIGKILL, 200 // SLOWER)
    lines = journal_lines(four[0].folder)
    delivered = [message for _, word, message in lines if word == b"in"]
    judge_order(crowd, delivered)
    # What the kernel of a server had and the server did not read is lost, and nobody can know: it is counted nowhere.
    sent = sum(member.sent for member in crowd.members)
    assert sum_of(metrics, "sluice_messages_total", route="app", direction="in") == sent
    assert sum_of(metrics, "sluice_messages_dropped_total", route="app") == 0
    answers = {answer for member in crowd.members for answer in member.answers}
    assert answers <= set(delivered)
    for member in crowd.members:
        numbers = [said(answer)[1] for answer in member.answers]
        assert numbers == sorted(set(numbers)), f"answers of {member.name} out of order"
