"""`sluice demo` as a newcomer starts it: what it prints is read, nothing else is known of it."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from gateway import BINARY, wait_for
from ports import free_port


class Demo:
    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.port = free_port()
        self.output = self.folder / "demo.out"
        with open(self.output, "wb") as out:
            command = [BINARY, "demo", "--port", str(self.port), "--admin-port", str(free_port())]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                            cwd=self.folder)
        wait_for(self._up, 15, "demo prints its addresses")
        text = self.text()
        self.token = re.search(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", text)[0]
        self.page = re.search(r"https://localhost:\d+\S*", text)[0]
        certificate = re.search(r"--cacert\s+['\"]?([^\s'\"]+)", text)[1]
        self.certificate = (self.folder / certificate).resolve()

    def _up(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"demo exited with {self.process.returncode}:\n{self.text()}")
        text = self.text()
        return "wss://" in text and "--cacert" in text and "SSL_CERT_FILE" in text and text.endswith("\n")

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def line(self, containing: str) -> str:
        """The printed line that holds this word, without a prompt before it."""
        for line in self.text().splitlines():
            if containing in line:
                return line.strip().lstrip("$ ").strip()
        raise AssertionError(f"the demo printed no line with {containing!r}:\n{self.text()}")

    def url(self, path: str) -> str:
        return f"wss://localhost:{self.port}{path}?access_token={self.token}"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.returncode not in (-6, -11), self.text()
