"""What the table of tokens is made from: keys, the set of keys that the gateway knows, and requests with a credential in any place."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any, List, NamedTuple, Tuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tokens import SECRET, b64, claims, jwk, mint, private_key, public_pem

RSA = private_key("RS256")
RSA3 = rsa.generate_private_key(3, 2048)
SHORT_RSA = rsa.generate_private_key(65537, 1024)
EC256, EC384, EC512, ED = (private_key(name) for name in ("ES256", "ES384", "ES512", "EdDSA"))
MINE, MINE_EC = private_key("RS256"), private_key("ES256")  # of somebody whom the gateway does not know
KEYS = {"RS256": RSA, "PS256": RSA, "ES256": EC256, "ES384": EC384, "ES512": EC512, "EdDSA": ED}
# Order of P-256.
N256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
OTHER_SECRET = b"another-secret-another-secret-another"
_PREFIX = secrets.token_hex(8)
API_KEY = f"sk_{_PREFIX}_{secrets.token_urlsafe(32)}"
API_KEY_FILE = f'[[key]]\nname = "billing"\nprefix = "{_PREFIX}"\nsha256 = "{hashlib.sha256(API_KEY.encode()).hexdigest()}"\n'
REVOKED = "mallory"  # the value of jti, sub or room that has been revoked


class Request(NamedTuple):
    path: str
    fields: List[Tuple[str, str]]


def ago(seconds: int) -> int:
    return int(time.time()) - seconds


def ahead(seconds: int) -> int:
    return int(time.time()) + seconds


def bearer(token: str, scheme: str = "Bearer") -> Tuple[str, str]:
    return ("Authorization", f"{scheme} {token}")


def cookie(text: str) -> List[Tuple[str, str]]:
    return [("Cookie", text), ("Origin", "http://localhost")]


def offer(*protocols: str) -> Tuple[str, str]:
    return ("Sec-WebSocket-Protocol", ", ".join(protocols))


def header_text(text: bytes) -> str:
    """A good token but for the octets of its header."""
    return mint(raw_header=text)


def body_text(text: bytes) -> str:
    """Signed as it should be, whatever its claims are."""
    return mint(raw_body=text)


def with_member(member: str) -> str:
    """Good claims and one more member, as it stands there."""
    return body_text(json.dumps(claims()).encode()[:-1] + b"," + member.encode() + b"}")


def with_value(name: str, literal: str) -> str:
    """Good claims, one of which has this text for a value."""
    return body_text(json.dumps(claims(**{name: "@"})).replace('"@"', literal).encode())


def of_length(octets: int) -> str:
    """A good token of exactly that length."""
    for claim in range(octets * 3 // 4 - 400, octets):
        token = mint(claims(pad="x" * claim))
        if len(token) == octets:
            return token
        if len(token) > octets:
            break
    for more in range(1, 8):  # another length of the header moves what base64 can reach
        for claim in range(octets * 3 // 4 - 400, octets):
            token = mint(claims(pad="x" * claim), header={"kid": "k" * more})
            if len(token) == octets:
                return token
            if len(token) > octets:
                break
    raise AssertionError("no such length")


def resigned(token: str, signature: bytes) -> str:
    return token.rsplit(".", 1)[0] + "." + b64(signature)


def signature_of(token: str) -> bytes:
    text = token.rsplit(".", 1)[1]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def flipped(token: str) -> str:
    octets = bytearray(signature_of(token))
    octets[len(octets) // 2] ^= 1
    return resigned(token, bytes(octets))


def last_digit_off(text: str) -> str:
    """The same octets written in another way: bits set behind the last of them, which RFC 4648 §3.5 lets a reader refuse."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(text) % 4 in (2, 3)
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ 1]


def halves(token: str) -> Tuple[bytes, bytes]:
    octets = signature_of(token)
    return octets[:len(octets) // 2], octets[len(octets) // 2:]


def number(value: int, size: int = 32) -> bytes:
    return value.to_bytes(size, "big")


def for_set(algorithm: str, kid: Any = ..., key=None, **header: Any) -> str:
    names = {"RS256": "rsa", "PS256": "rsa-pss", "ES256": "p256", "ES384": "p384", "EdDSA": "ed"}
    return mint(algorithm=algorithm, key=key or KEYS[algorithm],
                header={"kid": names[algorithm] if kid is ... else kid, **header})


def der(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pkcs1(key, encoding=serialization.Encoding.PEM) -> bytes:
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.PKCS1)


def as_secrets(key, algorithm: str, kid: str):
    """Everything that a library might take for an HMAC secret when it holds a public key."""
    found = {"PEM": public_pem(key), "PEM without its last newline": public_pem(key).rstrip(b"\n"), "DER": der(key),
             "JWK": json.dumps(jwk(key, algorithm, kid)).encode(),
             "JWK, compact": json.dumps(jwk(key, algorithm, kid), separators=(",", ":")).encode()}
    if isinstance(key, rsa.RSAPrivateKey):
        found["PKCS#1"] = pkcs1(key)
        found["modulus"] = number(key.public_key().public_numbers().n, 256)
    return found


def forged_with_exponent_3(kid: str) -> str:
    """Bleichenbacher's forgery of 2006: padding, the digest, and then whatever makes it a cube."""
    data = mint(header={"alg": "RS256", "kid": kid}).rsplit(".", 1)[0]
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    start = b"\0\1" + b"\xff" * 8 + b"\0" + prefix + hashlib.sha256(data.encode()).digest()
    wanted = int.from_bytes(start.ljust(256, b"\0"), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high) // 2
        if middle ** 3 < wanted:
            low = middle + 1
        else:
            high = middle
    assert (low ** 3).to_bytes(256, "big").startswith(start)
    return data + "." + b64(number(low, 256))


def unpadded(kid: str) -> str:
    """What an exponent of one would take for a signature: the padded digest itself."""
    data = mint(header={"alg": "RS256", "kid": kid}).rsplit(".", 1)[0]
    tail = b"\0" + bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(data.encode()).digest()
    return data + "." + b64(b"\0\1" + b"\xff" * (254 - len(tail)) + tail)


# ---- the sets of keys
def odd_rsa(bits: int, exponent: int, kid: str) -> dict:
    """A modulus of that size that nobody can have the other half of: only what reads it is asked."""
    n = secrets.randbits(bits) | 1 << (bits - 1) | 1
    return {"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": b64(number(n, bits // 8)),
            "e": b64(exponent.to_bytes(3, "big").lstrip(b"\0"))}


def key_set() -> dict:
    off = jwk(EC256, "ES256", "off-curve")
    off["y"] = b64(number(5))
    infinity = dict(jwk(EC256, "ES256", "infinity"), x=b64(number(0)), y=b64(number(0)))
    without_alg = jwk(RSA, "RS256", "rsa-any")
    del without_alg["alg"]
    private = dict(jwk(MINE_EC, "ES256", "private"), d=b64(number(MINE_EC.private_numbers().private_value)))
    return {"keys": [
        jwk(RSA, "RS256", "rsa"), dict(jwk(RSA, "PS256", "rsa-pss")), without_alg, jwk(EC256, "ES256", "p256"),
        jwk(EC384, "ES384", "p384"), jwk(ED, "EdDSA", "ed"), jwk(RSA3, "RS256", "rsa-e3"),
        # Left out by whoever reads the set, each for a reason of its own.
        jwk(SHORT_RSA, "RS256", "rsa-1024"), odd_rsa(16384, 65537, "rsa-16384"), odd_rsa(2048, 1, "rsa-e1"),
        dict(jwk(MINE_EC, "ES256", "for-encryption"), use="enc"),
        dict(jwk(MINE_EC, "ES256", "for-signing"), key_ops=["sign"]),
        {"kty": "oct", "kid": "secret", "k": b64(SECRET)}, {"kty": "oct", "kid": "secret-hs", "alg": "HS256", "k": b64(SECRET)},
        off, infinity, private,
        dict(jwk(MINE_EC, "ES256", "no-curve"), crv="P-192"),
        dict(jwk(MINE_EC, "ES256", "other-alg"), alg="ES384"),
        dict(jwk(MINE, "RS256", "encryption-alg"), alg="RSA-OAEP"),
        dict(jwk(MINE_EC, "ES256", "p256")),  # a second one of that name
        {"kty": "EC", "kid": "x5c-only", "x5c": [base64.b64encode(der(MINE_EC)).decode()]},
    ]}
