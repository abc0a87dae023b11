"""Signed tokens, good and bad (tests/support/vectors.py) put to two implementations: npm jose, and the gateway by its handshake. Debian
and npm have no package of Project Wycheproof's vectors; these take its cases for ECDSA, RSA, HMAC and Ed25519 up."""

import collections
import json
import subprocess
from pathlib import Path

import pytest

from evil import Backend, sink
from gateway import BASE
from rawws import upgrade_request
from vectors import Vectors, spelled_otherwise

HERE = Path(__file__).resolve().parent
HMAC = ("HS256", "HS384", "HS512")

# What only one of the two takes: which one, and why that is right.
EXCEPTIONS = {
    "padded": ("jose", "RFC 7515 §2 leaves padding out, and the gateway takes no octets but those of base64url"),
    "bits behind the last octet": ("jose", "RFC 4648 §3.5 lets a reader refuse what is not written canonically: one token, one spelling"),
}


@pytest.fixture(scope="module")
def vectors():
    made = Vectors()
    return made.keys, made.all + spelled_otherwise(made)


@pytest.fixture(scope="module")
def gateway(start_gateway, vectors):
    keys, _ = vectors
    with Backend(sink) as backend:
        text = ""
        for name, algorithms, mine in (
                ("secrets", HMAC, [key for key in keys if key["kty"] == "oct"]),
                ("keys", ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
                 [key for key in keys if key["kty"] != "oct"])):
            text += f"""
[auth.{name}]
type = "jwt"
algorithms = {json.dumps(algorithms)}
jwks_file = "{name}.json"
[[route]]
path = "/{name}"
auth = "{name}"
backend = "sink"
"""
        gateway = start_gateway(BASE + text + f'[backend.sink]\nservers = ["ws://127.0.0.1:{backend.port}"]\n', start=False)
        for name, of in (("secrets", "oct"), ("keys", "")):
            (gateway.folder / f"{name}.json").write_text(json.dumps({"keys": [key for key in keys if (key["kty"] == "oct") == (of == "oct")]}))
            (gateway.folder / f"{name}.json").chmod(0o600)
        yield gateway.start()


def test_both_agree(gateway, vectors):
    keys, tokens = vectors
    asked = json.dumps({"keys": keys, "tokens": [{"kid": one.kid, "token": one.token} for one in tokens]})
    done = subprocess.run(["node", "verify.mjs"], cwd=HERE, input=asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    kinds = {key["kid"]: "/secrets" if key["kty"] == "oct" else "/keys" for key in keys}
    differ, tally, met = [], collections.Counter(), collections.Counter()
    for one, why in zip(tokens, theirs):
        with gateway.client() as client:
            ours = client.request(upgrade_request(kinds[one.kid], [("Authorization", f"Bearer {one.token}")])).status
        assert ours in (101, 401), (one.name, ours)
        algorithm, _, case = one.name.partition(": ")
        tally[algorithm.split("-")[0], ours] += 1
        expected = EXCEPTIONS.get(case)
        met[case] += 1
        who = {(True, True): "both", (True, False): "gateway", (False, True): "jose", (False, False): "neither"}[ours == 101, why == ""]
        if who != expected[0] if expected else who not in ("both", "neither"):
            differ.append(f"{one.name}: {who} ({why})")
        if case.startswith("good"):
            assert who == "both", one.name
    for algorithm in sorted({name for name, _ in tally}):
        print(f"{algorithm:6} {tally[algorithm, 101]:4} accepted {tally[algorithm, 401]:4} refused")
    print(f"{len(tokens)} vectors, {sum(met[case] for case in EXCEPTIONS)} of them listed as exceptions")
    assert not differ, "\n".join(differ)
    assert len(tokens) > 800 and all(met[case] for case in EXCEPTIONS)
