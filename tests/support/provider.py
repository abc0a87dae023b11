"""The OpenID provider of the tests (tests/e2e/provider.mjs): started, asked for tokens, made to change its keys, stopped."""

import base64
import json
import os
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import canary
from ports import free_port
from servers import wait_listening

SCRIPT = Path(__file__).resolve().parents[1] / "e2e" / "provider.mjs"


class Provider:
    def __init__(self, folder: Path, authority, *, issuer: str = "", logout: str = "", start: bool = True):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = authority
        self.port = free_port()
        self.issuer = issuer or f"https://localhost:{self.port}"
        self.logout = logout
        self.certificate = authority.issue("provider", ["localhost", "127.0.0.1"], folder=self.folder)
        self.keys = self.folder / "keys.json"
        self.process = None
        if start:
            self.start()

    def __enter__(self) -> "Provider":
        return self

    def __exit__(self, *exc) -> None:
        self.stop()

    def start(self) -> None:
        cert, key = self.certificate
        environment = dict(os.environ, PORT=str(self.port), CERT=str(cert), KEY=str(key), KEYS=str(self.keys), ISSUER=self.issuer,
                           NODE_EXTRA_CA_CERTS=str(self.authority.path), **({"LOGOUT": self.logout} if self.logout else {}))
        with open(self.folder / "provider.log", "ab") as log:
            self.process = subprocess.Popen(["node", str(SCRIPT)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=log, text=True, cwd=SCRIPT.parent)
        wait_listening(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(10)
            self.process.stdout.close()
            self.process = None

    def _tell(self, word: str) -> None:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:  # behind what the provider says when it is made anew
            if line == "done\n":
                return
        raise AssertionError((self.folder / "provider.log").read_text()[-2000:])

    def rotate(self) -> None:
        """New keys sign from now on; the old ones are still shown."""
        self._tell("rotate")

    def drop(self) -> None:
        """Only the newest keys are shown."""
        self._tell("drop")

    def token(self, algorithm: str = "ES256", audience: str = "chat", seconds: int = 600) -> str:
        """An access token by client_credentials."""
        body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "chat",
                                       "resource": f"urn:{audience}:{algorithm}:{seconds}"}).encode()
        basic = base64.b64encode(b"machine:machine-secret-of-this-test").decode()
        request = urllib.request.Request(f"https://localhost:{self.port}/token", body, {"Authorization": f"Basic {basic}"})
        with urllib.request.urlopen(request, context=self.authority.client_context(), timeout=10) as answer:
            return canary.note(json.load(answer)["access_token"])
