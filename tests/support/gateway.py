"""The real binary under test: started with a configuration on free ports, watched, reloaded and stopped."""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import canary
import tokens
from certs import Authority
from ports import free_port
from rawws import RawClient, check_101

BINARY = os.environ.get("SLUICE_BINARY", str(Path(__file__).resolve().parents[2] / "build" / "release" / "sluice"))
# Workers of a gateway whose test does not say how many: under a thread sanitizer, more than one.
WORKERS = int(os.environ.get("SLUICE_WORKERS", "1"))
# How many times slower the binary is than a release build: tests that need a crowd make do with a smaller one.
SLOWER = int(os.environ.get("SLUICE_SLOWER", "1"))

BASE = """
version = 1
[server]
workers = @workers@
drain_timeout = "2s"
[log]
level = "info"
access = "access.log"
[admin]
bind = "127.0.0.1:@admin@"
[[listener]]
name = "tls"
bind = "127.0.0.1:@tls@"
[[listener.tls.certificate]]
cert = "server.crt"
key = "server.key"
[[listener]]
name = "plain"
bind = "127.0.0.1:@plain@"
"""

# With the token that commands of the admin API need: a gateway of such a configuration gets the file, and what is then
# asked of it carries the token.
ADMIN_TOKEN = "an-admin-token-0123456789"
COMMANDED = BASE.replace('bind = "127.0.0.1:@admin@"', 'bind = "127.0.0.1:@admin@"\ntoken_file = "admin.token"')

# One route to a server that is not there.
NOWHERE = BASE + """
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:9"]
"""

AUTH = f"""
[auth.users]
type = "jwt"
algorithms = ["HS256"]
secret_file = "hs256.secret"
issuer = "{tokens.ISSUER}"
audience = "{tokens.AUDIENCE}"
from = ["header:Authorization", "query:access_token", "subprotocol:bearer", "cookie:session"]
forward = {{ sub = "X-User-Id" }}
"""


def wait_for(condition: Callable[[], Any], timeout: float = 5.0, what: str = "condition") -> Any:
    deadline = time.monotonic() + timeout * SLOWER
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.02)


class Gateway:
    """`@name@` in the configuration becomes a free port of that name; `@workers@` the number of workers."""

    def __init__(self, folder: Path, config: str, *, authority: Optional[Authority] = None, workers: Optional[int] = None,
                 files: Optional[int] = None, start: bool = True):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.workers = WORKERS if workers is None else workers
        self.files = files
        self.ports: Dict[str, int] = {}
        self.admin_token = ""  # set by a test whose configuration has one: what it then asks carries it
        self.authority = authority or Authority(self.folder / "ca")
        if not (self.folder / "server.crt").exists():
            self.authority.issue("server", ["localhost", "127.0.0.1", "gw.test", "chat.example.com"], folder=self.folder)
        secret = self.folder / "hs256.secret"
        if not secret.exists():
            secret.write_bytes(tokens.SECRET + b"\n")
            secret.chmod(0o600)
        self.config_path = self.folder / "sluice.toml"
        self.write_config(config)
        self.process: Optional[subprocess.Popen] = None
        self.exit_seen = False  # a test has judged the exit code itself
        self.log_path = self.folder / "events.log"
        if start:
            self.start()

    # ---- configuration
    def port(self, name: str) -> int:
        return self.ports.setdefault(name, free_port())

    def write_config(self, config: str) -> None:
        if 'token_file = "admin.token"' in config:
            token = self.folder / "admin.token"
            token.write_text(ADMIN_TOKEN + "\n")
            token.chmod(0o600)
            self.admin_token = ADMIN_TOKEN
        config = config.replace("@workers@", str(self.workers))
        self.config_path.write_text(re.sub(r"@([a-z_0-9]+)@", lambda found: str(self.port(found[1])), config))

    # ---- life
    def start(self, wait: bool = True) -> "Gateway":
        command = [BINARY, "run", "--config", str(self.config_path)]
        if self.files:
            command = ["prlimit", f"--nofile={self.files}:{self.files}"] + command
        self.exit_seen = False
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        if wait:
            wait_for(self._up, 15, f"gateway ready; its log:\n{self.log_tail()}")
        return self

    def _up(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"gateway exited with {self.process.returncode} at start:\n{self.log_tail()}")
        try:
            return self.admin("/readyz")[0] == 200
        except OSError:
            return False

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_exit(self, timeout: float) -> int:
        try:
            code = self.process.wait(timeout * SLOWER)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"gateway still runs after {timeout} s\n{self.log_tail()}")
        self.exit_seen = True
        return code

    def stop(self) -> None:
        """Ends it; a crash before or during the end fails the test."""
        if self.process is None:
            return
        code = self.process.poll()
        if code is None:
            self._last_words()
            self.signal(signal.SIGTERM)
            try:
                code = self.process.wait(4 * SLOWER)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
                try:
                    code = self.process.wait(3 * SLOWER)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                    raise AssertionError(f"gateway did not stop after two SIGTERM\n{self.log_tail()}")
        self.process = None
        canary.keep(self.folder)
        # Whatever else it ends on, a crash or the exit code of a sanitizer, is a fault.
        if not self.exit_seen:
            assert code in (0, 128 + signal.SIGTERM), f"gateway ended on {code}\n{self.log_tail(100)}"

    def _last_words(self) -> None:
        """What it would tell whoever looks after it, while it can."""
        if canary.RUN:
            for path in ("/metrics", "/api/v1/status", "/api/v1/backends", "/api/v1/connections"):
                try:
                    canary.said(self.admin(path)[1])
                except OSError:
                    return

    def reload(self) -> None:
        """SIGHUP, and back when the reload has been counted (well or badly)."""
        before = self.reloads()
        self.signal(signal.SIGHUP)
        wait_for(lambda: self.reloads() > before, 10, "reload counted")

    def reloads(self) -> float:
        return sum(value for name, value in self.metrics().items() if name.startswith("sluice_config_reloads_total"))

    # ---- what it says
    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 25) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def events(self) -> List[dict]:
        out = []
        for line in self.log_text().splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                pass
        return out

    def access(self) -> List[dict]:
        path = self.folder / "access.log"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_access(self, timeout: float = 5.0, **wanted: Any) -> dict:
        """The newest access line whose members have these values."""
        def found():
            lines = [line for line in self.access() if all(line.get(k) == v for k, v in wanted.items())]
            return lines[-1] if lines else None
        return wait_for(found, timeout, f"access line with {wanted}")

    # ---- admin
    def admin(self, path: str, method: str = "GET", headers: Optional[dict] = None, body: Optional[bytes] = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port("admin"), timeout=5)
        headers = dict(headers or {})
        if self.admin_token:
            headers.setdefault("Authorization", f"Bearer {self.admin_token}")
        canary.sent(headers.items())
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            self.admin_headers = answer.headers
            said = answer.read()
            if path != "/metrics":  # asked for again and again: its last words are enough
                canary.said(said)
            return answer.status, said
        except http.client.HTTPException as fault:
            raise OSError(str(fault))
        finally:
            connection.close()

    def admin_json(self, path: str) -> Any:
        status, body = self.admin(path)
        assert status == 200, (status, body)
        return json.loads(body)

    def metrics(self) -> Dict[str, float]:
        status, body = self.admin("/metrics")
        assert status == 200, (status, body[:200])
        out = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def metric(self, family: str, **labels: str) -> float:
        """Sum of the series of a family that carry these labels."""
        total = 0.0
        for series, value in self.metrics().items():
            name, _, rest = series.partition("{")
            if name == family and all(f'{label}="{text}"' in rest for label, text in labels.items()):
                total += value
        return total

    # ---- clients
    def tls(self, **how) -> ssl.SSLContext:
        return self.authority.client_context(**how)

    def client(self, listener: str = "plain", **how) -> RawClient:
        if listener != "plain" and "tls" not in how:
            how["tls"] = self.tls()
        return RawClient(self.port(listener), **how)

    def connect(self, path: str, fields=(), listener: str = "plain", timeout: float = 10.0, tls=..., **how) -> RawClient:
        """A client that is through its handshake; `tls` is a context, or None for a plain listener of another name."""
        client = self.client(listener, timeout=timeout, **({} if tls is ... else {"tls": tls}))
        check_101(client.upgrade(path, fields, **how))
        return client

    # ---- the process
    def rss(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))
