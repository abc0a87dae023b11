"""A redis-server of a test's own: started, killed, paused, spoken to."""

import signal
import socket
import subprocess
from pathlib import Path
from typing import List, Optional

from gateway import wait_for
from ports import free_port


class Redis:
    def __init__(self, folder: Path, *args: str, port: int = 0, bind: str = "127.0.0.1", save: bool = False, tls: Optional[tuple] = None,
                 password: str = "", user: str = ""):
        """`tls`: certificate, key and CA. `password` (of `user`): what ask() says first."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.bind = bind
        self.login = (["--user", user] if user else []) + (["--pass", password] if password else [])
        self.args = ["--bind", bind, "--dir", str(self.folder), "--daemonize", "no"]
        self.args += ["--appendonly", "yes", "--appendfsync", "always"] if save else ["--save", "", "--appendonly", "no"]
        if tls:
            certificate, key, ca = map(str, tls)
            self.args += ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", certificate, "--tls-key-file", key,
                          "--tls-ca-cert-file", ca, "--tls-auth-clients", "no"]
            self.login += ["--tls", "--cacert", ca]
        else:
            self.args += ["--port", str(self.port)]
        self.args += list(args)
        self.process = None
        self.start()

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *exc) -> None:
        self.kill()

    def start(self) -> "Redis":
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["redis-server", *self.args], stdout=log, stderr=log, cwd=self.folder)
        wait_for(lambda: self.cli("ping") == "PONG", 10, "redis-server answers")
        return self

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def cli(self, *words: str) -> str:
        run = subprocess.run(["redis-cli", "-h", self.bind, "-p", str(self.port), *self.login, "--no-auth-warning", *words],
                             capture_output=True, text=True, timeout=10)
        return run.stdout.strip()

    def keys(self) -> List[str]:
        return [key for key in self.cli("keys", "*").split("\n") if key]

    def monitor(self) -> "Monitor":
        return Monitor(self)


class Monitor:
    """What MONITOR shows from now on, as lines."""

    def __init__(self, redis: Redis):
        self.sock = socket.create_connection((redis.bind, redis.port), timeout=5)
        self.sock.sendall(b"MONITOR\r\n")
        assert self.sock.recv(5) == b"+OK\r\n"
        self.text = b""

    def lines(self, until: str, timeout: float = 5.0) -> List[str]:
        self.sock.settimeout(timeout)
        while until.encode() not in self.text or not self.text.endswith(b"\r\n"):
            got = self.sock.recv(65536)
            assert got, "redis-server hung up"
            self.text += got
        return self.text.decode().split("\r\n")[:-1]

    def close(self) -> None:
        self.sock.close()
