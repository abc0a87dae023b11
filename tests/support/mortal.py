"""A WebSocket server in a process of its own, to be killed in the middle of what it says.

Run as a program: mortal.py PORT NAME. It answers each message by `NAME:message`, except "half": a whole message, then a frame
of which only a part comes, and "first": the first fragment of a message that has no other.
"""

import signal
import subprocess
import sys
import threading
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from evil import Backend, Peer
from ports import free_port
from servers import wait_listening
from wire import TEXT, frame

WHOLE = b"whole"


def handler(name: str):
    def handle(peer: Peer) -> None:
        peer.accept(subprotocol="first")
        while (got := peer.next_message()) is not None:
            opcode, message = got
            if message == b"half":
                peer.send(frame(TEXT, WHOLE, mask=None) + frame(TEXT, b"x" * 4096, mask=None)[:1000])
            elif message == b"first":
                peer.send(frame(TEXT, b"x" * 1000, fin=False, mask=None))
            else:
                peer.put(opcode, name.encode() + b":" + message)
    return handle


class Mortal:
    def __init__(self, name: str, port: int = 0):
        self.name = name
        self.port = port or free_port()
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-B", __file__, str(self.port), self.name])
        wait_listening(self.port, self.process)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()


if __name__ == "__main__":
    with Backend(handler(sys.argv[2]), port=int(sys.argv[1])):
        threading.Event().wait()
