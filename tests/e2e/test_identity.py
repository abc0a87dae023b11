"""A real browser says who it is: every carrier that a page's script has, refusals, and the end of a token seen from the script."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from evil import Backend, head_teller
from gateway import AUTH, BASE
from ports import free_port
from tokens import claims, mint

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def pages():
    """Where the page is, by http and by https."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def gateway(start_gateway, pages):
    with Backend(head_teller) as backend:
        websocket = f'websocket = {{ origins = ["http://localhost:{pages[0]}", "https://localhost:{pages[1]}"] }}'
        auth = AUTH.replace('"cookie:session"]', '"cookie:session", "ticket:ticket"]')
        common = """
type = "jwt"
algorithms = ["HS256"]
secret_file = "hs256.secret"
forward = { sub = "X-User-Id" }
leeway = "0s"
"""
        yield start_gateway(BASE + auth + f"""
leeway = "0s"
[auth.users.endpoints]
ticket = "/tickets"
listener = ["tls", "plain"]
origins = ["http://localhost:{pages[0]}", "https://localhost:{pages[1]}"]
[auth.first]
{common}
from = ["first_message"]
first_message = {{ deadline = "1s" }}
[auth.fresh]
{common}
from = ["query:access_token"]
refresh = {{ in_band = true }}
warn_before = "2s"
warn_message = '{{"type":"expiring"}}'
expiry_close_reason = "sign in again"
[[route]]
path = "/first"
auth = "first"
backend = "teller"
{websocket}
[[route]]
path = "/fresh"
auth = "fresh"
backend = "teller"
{websocket}
[[route]]
path = "/chat"
auth = "users"
backend = "teller"
{websocket}
[[route]]
path = "/soft"
auth = "users"
backend = "teller"
reject = "close"
{websocket}
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""", workers=2)


def test_chromium(gateway, pages):
    now = int(time.time())
    tokens = {"alice": mint(), "bob": mint(claims(sub="bob")), "late": mint(claims(exp=now - 5)),
              "ending": [mint(claims(exp=now + seconds)) for seconds in range(3, 180)]}
    done = subprocess.run(["node", "browser_identity.mjs"], cwd=HERE, capture_output=True, text=True, timeout=200, env=dict(
        os.environ, SLUICE_WS=f"ws://localhost:{gateway.port('plain')}", SLUICE_WSS=f"wss://localhost:{gateway.port('tls')}",
        SLUICE_CERTIFICATE=str(gateway.folder / "server.crt"), SLUICE_KEY=str(gateway.folder / "server.key"), PAGE_PORT=str(pages[0]),
        SECURE_PAGE_PORT=str(pages[1]), TOKENS=json.dumps(tokens)))
    assert done.returncode == 0 and "all " in done.stdout, done.stdout + done.stderr
    print(done.stdout)
