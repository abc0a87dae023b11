"""A rolling restart of four real servers under a thousand clients that survive it, and what becomes of their messages."""

import asyncio
import collections
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


def config(ports, policy):
    servers = ", ".join(f'"ws://127.0.0.1:{port}"' for port in ports)
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
balance = "least_connections"
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


async def until(condition, seconds, what):
    deadline = time.monotonic() + seconds * SLOWER
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.1)


class Crowd:
    def __init__(self, gateway, clients):
        self.gateway = gateway
        self.members = [Talker(name) for name in range(clients)]
        self.listeners = []
        self.silent = asyncio.Event()

    async def come(self):
        tls = self.gateway.tls()
        for at in range(0, len(self.members), 50):
            batch = self.members[at:at + 50]
            await asyncio.gather(*(member.connect(self.gateway.port("tls"), "/ws", tls=tls) if member.name % 10 == 0
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


async def rolling_restart(servers, how):
    for server in servers:
        server.stop(how)
        await until(server.ended, 60, "the end of a server")
        server.start()
        await asyncio.get_running_loop().run_in_executor(None, wait_listening, server.port, server.process)
        await asyncio.sleep(0.5)


async def scenario(gateway, servers, clients, how):
    crowd = Crowd(gateway, clients)
    await crowd.come()
    talker = asyncio.ensure_future(crowd.talk())
    await asyncio.sleep(1)
    await rolling_restart(servers, how)
    crowd.silent.set()
    await talker
    crowd.finish_sentences()
    loop = asyncio.get_running_loop()

    # Everything that was said has been taken, and every client has an answer to its last words.
    await until(lambda: all(member.answers and member.answers[-1] == member.text(member.sent - 1) or member.ended
                            for member in crowd.members), 60, "the answers to the last words")
    metrics = await loop.run_in_executor(None, gateway.metrics)
    closed = [(member.name, member.close_code) for member in crowd.members if member.ended or member.close_code]
    crowd.leave()
    return crowd, metrics, closed


@pytest.fixture
def four(tmp_path):
    made = [Restartable(tmp_path, free_port(), index) for index in range(4)]
    for server in made:
        wait_listening(server.port, server.process)
    yield made
    for server in made:
        server.stop(signal.SIGKILL)
        server.process.wait(10)


def run(fresh_gateway, four, policy, how, clients):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 8192, "this test needs descriptors"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gateway = fresh_gateway(config([server.port for server in four], policy), workers=2)
    crowd, metrics, closed = asyncio.run(scenario(gateway, four, clients, how))
    assert closed == [], f"{len(closed)} of {clients} clients closed"
    return crowd, metrics


def judge_order(crowd, delivered):
    """What arrived is what was sent, each once and in the order of its client."""
    counts = collections.Counter(delivered)
    assert [text for text, count in counts.items() if count > 1] == []
    assert set(counts) <= set(crowd.sent())
    last = collections.defaultdict(lambda: -1)
    for text in delivered:
        name, number = map(int, text.split())
        assert number > last[name], f"{text} came after {last[name]}"
        last[name] = number


@pytest.mark.parametrize("policy", ["hold", "drop"])
def test_a_rolling_restart(fresh_gateway, four, policy):
    crowd, metrics = run(fresh_gateway, four, policy, signal.SIGTERM, CLIENTS)
    lines = journal_lines(four[0].folder)
    delivered = [message for _, word, message in lines if word == b"in"]
    answered = [message for _, word, message in lines if word == b"out"]
    judge_order(crowd, delivered)

    sent = sum(member.sent for member in crowd.members)
    dropped = sum_of(metrics, "sluice_messages_dropped_total", route="app")
    assert sum_of(metrics, "sluice_messages_total", route="app", direction="in") == sent
    assert sent == len(delivered) + dropped, (sent, len(delivered), dropped)
    assert (dropped > 0) == (policy == "drop")  # half of the messages are said in two breaths
    assert sum_of(metrics, "sluice_messages_dropped_total", route="app", reason="in_flight") == dropped
    # And the other way: what a server has said has been heard.
    heard = [answer for member in crowd.members for answer in member.answers]
    assert sorted(heard) == sorted(answered)
    assert sum_of(metrics, "sluice_messages_total", route="app", direction="out") == len(heard)
    # Every client has lost a server once at least.
    assert sum_of(metrics, "sluice_revivals_total", route="app", result="revived") >= CLIENTS
    assert sum_of(metrics, "sluice_revivals_total", route="app") == sum_of(
        metrics, "sluice_revivals_total", route="app", result="revived")
    assert sum_of(metrics, "sluice_closes_total", route="app") == 0


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
        numbers = [int(answer.split()[1]) for answer in member.answers]
        assert numbers == sorted(set(numbers)), f"answers of {member.name} out of order"
