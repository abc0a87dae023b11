"""The OpenID provider of the tests (tests/e2e/provider.mjs): started, asked for tokens, made to change its keys, stopped."""

import base64
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
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

    def login(self, subject: str) -> "Login":
        return Login(self, subject)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Where one is sent to is for the caller to see."""
    def redirect_request(self, *_):
        return None


class Login:
    """Somebody at a browser: logs in to the client `chat` by the code flow, and out again."""

    CALLBACK = "https://localhost/callback"

    def __init__(self, provider: Provider, subject: str):
        self.base = f"https://localhost:{provider.port}"
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=provider.authority.client_context()),
                                                   urllib.request.HTTPCookieProcessor(CookieJar()), _Stay())
        query = {"client_id": "chat", "response_type": "code", "scope": "openid", "redirect_uri": self.CALLBACK, "nonce": "n-0S6_WzA2Mj"}
        place = self._ask("/auth?" + urllib.parse.urlencode(query))[1]
        for answer in ({"prompt": "login", "login": subject, "password": "any"}, {"prompt": "consent"}):
            place = self._ask(self._ask(place, answer)[1])[1]
            if place.startswith(self.CALLBACK):  # it has consented before
                break
        code = urllib.parse.parse_qs(urllib.parse.urlparse(place).query)["code"][0]
        basic = base64.b64encode(b"chat:chat-secret-of-this-test").decode()
        tokens = json.loads(self._ask("/token", {"grant_type": "authorization_code", "code": code, "redirect_uri": self.CALLBACK},
                                      Authorization=f"Basic {basic}")[0])
        self.id_token = canary.note(tokens["id_token"])

    def logout(self) -> None:
        """The session ends, and whoever has registered for it is told (OpenID Connect Back-Channel Logout)."""
        page, _ = self._ask("/session/end?" + urllib.parse.urlencode({"id_token_hint": self.id_token}))
        secret = re.search(r'name="xsrf" value="([^"]+)"', page)[1]
        self._ask("/session/end/confirm", {"xsrf": secret, "logout": "yes"})

    def _ask(self, place: str, form: dict = None, **fields: str):
        """(body, where one is sent to)"""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(urllib.parse.urljoin(self.base, place), data, fields)
        try:
            with self._opener.open(request, timeout=10) as answer:
                return answer.read().decode(), ""
        except urllib.error.HTTPError as fault:
            with fault:
                assert fault.code in (302, 303), (fault.code, fault.read()[:500])
                return "", fault.headers["Location"]
