"""Real WebSocket servers (python3-websockets) in processes of their own, to be restarted; each writes what it got.

Run as a program: restarts.py PORT JOURNAL [CERTIFICATE KEY]. It echoes text messages, and appends lines to JOURNAL: the time, "in" and the message
before it answers, "out" and the message after it. TERM: every client gets Close 1001, and what they have sent before their own
Close is taken, too.
"""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path


async def serve(port, journal, pair=None):
    import websockets
    tls = None
    if pair:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*pair)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    # Unbuffered: what a process had in its memory when it was killed would be missing.
    with open(journal, "ab", buffering=0) as out:
        def note(word, message):
            out.write(b"%d %s %s\n" % (time.monotonic_ns(), word, message.encode()))

        async def handler(client, path=None):
            try:
                while True:
                    message = await client.recv()
                    note(b"in", message)
                    await client.send(message)
                    note(b"out", message)
            except websockets.ConnectionClosed:
                # Its close handshake is under way: what came before the answer has been taken, but was not handed out.
                for message in client.messages:
                    note(b"in", message)

        async with websockets.serve(handler, "127.0.0.1", port, max_queue=None, close_timeout=30, ping_interval=None,
                                    compression=None, backlog=4096, ssl=tls):
            await stop.wait()


def journal_lines(folder: Path):
    """(time, word, message) of all lives of all servers, in the order in which it happened."""
    lines = []
    for path in folder.glob("server*.log"):
        for line in path.read_bytes().splitlines():
            at, word, message = line.split(b" ", 2)
            lines.append((int(at), word, message))
    return sorted(lines)


class Restartable:
    """One server of the cluster."""

    def __init__(self, folder: Path, port: int, index: int, pair=()):
        self.port = port
        self.pair = [str(path) for path in pair]  # certificate and key of a wss server
        self.folder = folder
        self.index = index
        self.lives = 0
        self.start()

    def start(self):
        self.lives += 1
        self.journal = self.folder / f"server{self.index}-life{self.lives}.log"
        self.journal.touch()
        self.process = subprocess.Popen([sys.executable, "-B", __file__, str(self.port), str(self.journal),
                                         *self.pair])

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.process.pid, how)

    def ended(self) -> bool:
        return self.process.poll() is not None


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
