"""Servers that were written elsewhere: Redis, and python3-websockets."""

import asyncio
import logging
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager

import websockets

from gateway import wait_for
from ports import free_port


def wait_listening(port, process=None):
    def check():
        assert process is None or process.poll() is None, "the server exited"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False
    wait_for(check, 10, f"a server on port {port}")


@contextmanager
def serving(command, port):
    """A server process, from when it listens to the end of the block."""
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        wait_listening(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def redis_server(folder):
    server, port = shutil.which("redis-server"), free_port()
    assert server, "redis-server is not installed"
    with serving([server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder], port):
        yield port


def websockets_server(**how):
    """The port of an echo by python3-websockets, which closes with N when it is sent "close N"."""
    port, loop, ready = free_port(), asyncio.new_event_loop(), threading.Event()
    logging.getLogger("websockets").setLevel(logging.CRITICAL)

    async def handler(client, path=None):
        async for message in client:
            if isinstance(message, str) and message.startswith("close "):
                await client.close(int(message.split()[1]), "as you wish")
                return
            await client.send(message)

    async def serve():
        async with websockets.serve(handler, "127.0.0.1", port, max_size=64 << 20, **how):
            ready.set()
            await asyncio.Future()

    threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True).start()
    assert ready.wait(5)
    return port
