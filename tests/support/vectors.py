"""Signed tokens, good and bad, of every algorithm, with the numbers at the edges of each: made with OpenSSL (python3-cryptography),
anew in each run. What is right about each of them is not said here: two implementations are asked, and have to agree."""

import base64
import hashlib
import json
import secrets
from typing import Any, Dict, List, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

import canary
from tokens import b64, jwk, private_key, sign

HMAC = {"HS256": (32, 33, 63, 64, 65, 200), "HS384": (48, 127, 128, 129), "HS512": (64, 127, 128, 129, 500)}
# Order and field of each curve (FIPS 186-5, SP 800-186 §3.2.1).
CURVES = {
    "ES256": (int("FFFFFFFF00000000" + "F" * 16 + "BCE6FAADA7179E84F3B9CAC2FC632551", 16), 2**256 - 2**224 + 2**192 + 2**96 - 1),
    "ES384": (int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16), 2**384 - 2**128 - 2**96 + 2**32 - 1),
    "ES512": (int("1" + "F" * 64 + "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16), 2**521 - 1),
}
L25519 = 2**252 + 27742317777372353535851937790883648493
CLAIMS = json.dumps({"sub": "alice", "exp": 4102444800}).encode()  # of the year 2100


class Vector(NamedTuple):
    name: str
    kid: str
    token: str


class Vectors:
    def __init__(self):
        self.keys: List[Dict[str, Any]] = []  # JWKs, symmetric ones too
        self.all: List[Vector] = []
        for algorithm, sizes in HMAC.items():
            for size in sizes:
                self._hmac(algorithm, size)
        for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
            self._rsa(algorithm, rsa.generate_private_key(65537, 2048), "2048")
        self._rsa("RS256", rsa.generate_private_key(3, 2048), "e3")
        self._rsa("PS256", rsa.generate_private_key(65537, 3072), "3072")
        for algorithm in CURVES:
            self._ecdsa(algorithm, private_key(algorithm), "key")
        self._ecdsa("ES256", self._key_with_zero("x"), "x-begins-with-zero")
        self._ecdsa("ES256", self._key_with_zero("y"), "y-begins-with-zero")
        self._eddsa()

    # ---- what all have
    def _add(self, kid: str, name: str, text: str, signature: bytes) -> None:
        self.all.append(Vector(f"{kid}: {name}", kid, canary.note(f"{text}.{b64(signature)}")))

    def _common(self, kid: str, algorithm: str, key, private: Any = None) -> None:
        """Good ones of several shapes, and the faults that any signature may have."""
        header = {"alg": algorithm, "kid": kid}
        for name, head, body in (
                ("good", json.dumps(header), CLAIMS),
                ("good, with typ", json.dumps({"typ": "JWT", **header}), CLAIMS),
                ("good, white space in its header", json.dumps(header, indent=3), CLAIMS),
                ("good, with more claims", json.dumps(header), CLAIMS[:-1] + b', "x": [1, {"y": "\\u00fc"}]}'),
                ("good, of many octets", json.dumps(header), CLAIMS[:-1] + b', "x": "' + b"x" * 3000 + b'"}')):
            text = f"{b64(head.encode())}.{b64(body)}"
            self._add(kid, name, text, sign(algorithm, key, text.encode()))
        text = f"{b64(json.dumps(header).encode())}.{b64(CLAIMS)}"
        signature = sign(algorithm, key, text.encode())
        for bit in sorted({0, 1, 7, 8, len(signature) * 4, len(signature) * 8 - 1, *(secrets.randbelow(len(signature) * 8) for _ in range(6))}):
            octets = bytearray(signature)
            octets[bit // 8] ^= 1 << bit % 8
            self._add(kid, f"bit {bit} of the signature", text, bytes(octets))
        for name, other in (("one octet less", signature[:-1]), ("one octet less in front", signature[1:]), ("a zero behind", signature + b"\0"),
                            ("a zero in front", b"\0" + signature), ("twice", signature * 2), ("zeros", bytes(len(signature))),
                            ("ones", b"\xff" * len(signature)), ("one octet", b"\1"), ("reversed", signature[::-1])):
            self._add(kid, f"signature: {name}", text, other)
        self._add(kid, "other claims", f"{text.split('.')[0]}.{b64(CLAIMS.replace(b'alice', b'mallory'))}", signature)
        self._add(kid, "other header", f"{b64(json.dumps({**header, 'typ': 'JWT'}).encode())}.{text.split('.')[1]}", signature)
        self._add(kid, "signature over the claims alone", text, sign(algorithm, key, text.split(".")[1].encode()))
        self._add(kid, "signature over decoded text", text, sign(algorithm, key, json.dumps(header).encode() + b"." + CLAIMS))
        none = f"{b64(json.dumps({**header, 'alg': 'none'}).encode())}.{text.split('.')[1]}"
        self._add(kid, "none, signed", none, sign(algorithm, key, none.encode()))

    def _text(self, kid: str, algorithm: str) -> str:
        return f"{b64(json.dumps({'alg': algorithm, 'kid': kid}).encode())}.{b64(CLAIMS)}"

    # ---- HMAC
    def _hmac(self, algorithm: str, size: int) -> None:
        kid, secret = f"{algorithm}-{size}", secrets.token_bytes(size)
        self.keys.append({"kty": "oct", "kid": kid, "alg": algorithm, "k": b64(secret)})
        self._common(kid, algorithm, secret)
        text = self._text(kid, algorithm)
        whole = sign(algorithm, secret, text.encode())
        self._add(kid, "half of it", text, whole[:len(whole) // 2])
        self._add(kid, "secret cut", text, sign(algorithm, secret[:-1], text.encode()))
        self._add(kid, "secret in base64", text, sign(algorithm, b64(secret).encode(), text.encode()))
        # RFC 2104: zeros behind a short key are the same key, and a long key is its digest.
        block = 64 if algorithm == "HS256" else 128
        if size < block:
            self._add(kid, "secret and a zero, which HMAC cannot tell", text, sign(algorithm, secret + b"\0", text.encode()))
        if size > block:
            digest = hashlib.new("sha" + algorithm[2:], secret).digest()
            self._add(kid, "digest of a long secret, which is the secret", text, sign(algorithm, digest, text.encode()))

    # ---- RSA
    def _rsa(self, algorithm: str, key, name: str) -> None:
        kid = f"{algorithm}-{name}"
        self.keys.append(jwk(key, algorithm, kid))
        self._common(kid, algorithm, key)
        n, size = key.public_key().public_numbers().n, key.key_size // 8
        text = self._text(kid, algorithm)
        data = text.encode()
        good = int.from_bytes(sign(algorithm, key, data), "big")
        for label, value in (("one", 1), ("n", n), ("n - 1", n - 1), ("n - s", n - good)):
            self._add(kid, f"signature: {label}", text, value.to_bytes(size, "big"))
        self._add(kid, "s + n", text, (good + n).to_bytes(size + 1, "big"))
        digest = getattr(hashes, "SHA" + algorithm[2:])()
        pss = lambda salt, mgf=digest: padding.PSS(padding.MGF1(mgf), salt)  # noqa: E731
        if algorithm.startswith("PS"):
            for salt in (0, 20, digest.digest_size - 1, digest.digest_size + 1, size - digest.digest_size - 2):
                self._add(kid, f"salt of {salt}", text, key.sign(data, pss(salt), digest))
            self._add(kid, "MGF1 over SHA-1", text, key.sign(data, pss(digest.digest_size, hashes.SHA1()), digest))
            self._add(kid, "PKCS#1 v1.5", text, key.sign(data, padding.PKCS1v15(), digest))
        else:
            for other in (hashes.SHA1(), hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
                if other.name != digest.name:
                    self._add(kid, f"over {other.name}", text, key.sign(data, padding.PKCS1v15(), other))
            self._add(kid, "PSS", text, key.sign(data, pss(digest.digest_size), digest))
            private = key.private_numbers()
            info = {"256": "3031300d060960864801650304020105000420", "384": "3041300d060960864801650304020205000430",
                    "512": "3051300d060960864801650304020305000440"}[algorithm[2:]]
            hashed = hashlib.new("sha" + algorithm[2:], data).digest()
            raw = lambda block: pow(int.from_bytes(block, "big"), private.d, n).to_bytes(size, "big")  # noqa: E731
            tail = bytes.fromhex(info) + hashed
            pad = lambda octets, first=b"\0\1", fill=b"\xff": first + fill * (size - 3 - len(octets)) + b"\0" + octets  # noqa: E731
            self._add(kid, "padded by hand, as it should be", text, raw(pad(tail)))
            # RFC 8017 allows to take an AlgorithmIdentifier without NULL; nobody has to.
            short = bytearray(tail)
            short[1] -= 2
            short[3] -= 2
            self._add(kid, "no NULL in its DigestInfo", text, raw(pad(bytes(short[:4 + short[3]]) + bytes(tail[4 + tail[3]:]))))
            self._add(kid, "no DigestInfo", text, raw(pad(hashed)))
            self._add(kid, "block type 2", text, raw(pad(tail, b"\0\2")))
            self._add(kid, "padding of 00", text, raw(pad(tail, fill=b"\0")))
            self._add(kid, "padding of 8 octets and rubbish behind", text, raw((b"\0\1" + b"\xff" * 8 + b"\0" + tail).ljust(size, b"\xaa")))
            self._add(kid, "a zero octet in front of all", text, raw(b"\0" + pad(tail)[:-1]))

    # ---- ECDSA
    @staticmethod
    def _key_with_zero(coordinate: str):
        while True:
            key = private_key("ES256")
            if getattr(key.public_key().public_numbers(), coordinate) < 2**248:
                return key

    def _ecdsa(self, algorithm: str, key, name: str) -> None:
        kid = f"{algorithm}-{name}"
        self.keys.append(jwk(key, algorithm, kid))
        self._common(kid, algorithm, key)
        n, p = CURVES[algorithm]
        width = (p.bit_length() + 7) // 8
        text = self._text(kid, algorithm)
        digest = getattr(hashes, "SHA" + algorithm[2:])()
        der = key.sign(text.encode(), ec.ECDSA(digest))
        r, s = decode_dss_signature(der)
        raw = lambda r, s: r.to_bytes(width, "big") + s.to_bytes(width, "big")  # noqa: E731
        edges = {"0": 0, "1": 1, "2": 2, "n - 1": n - 1, "n": n, "n + 1": n + 1, "p": p, "p - 1": p - 1, "ones": 2**(8 * width) - 1, "n / 2": n // 2}
        for first, a in edges.items():
            self._add(kid, f"r = {first}", text, raw(a, s))
            self._add(kid, f"s = {first}", text, raw(r, a))
        for first, a in {"0": 0, "1": 1, "n": n, "n - 1": n - 1}.items():
            for second, b in {"0": 0, "1": 1, "n": n, "n - 1": n - 1}.items():
                self._add(kid, f"r = {first}, s = {second}", text, raw(a, b))
        self._add(kid, "s negated", text, raw(r, n - s))
        self._add(kid, "r negated", text, raw(n - r, s))
        if r + n < 2**(8 * width):
            self._add(kid, "r + n", text, raw(r + n, s))
        if s + n < 2**(8 * width):
            self._add(kid, "s + n", text, raw(r, s + n))
        self._add(kid, "DER", text, der)
        self._add(kid, "DER of raw's length", text, der.ljust(2 * width, b"\0")[:2 * width])
        self._add(kid, "numbers without their leading zeros", text, self._cut(key, text, digest, width))
        for other in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
            if other.name != digest.name:
                self._add(kid, f"over {other.name}", text, raw(*decode_dss_signature(key.sign(text.encode(), ec.ECDSA(other)))))
        for which in (0, 1):
            while True:  # one in 256 (ES512: one in two) has a number that begins with zeros
                numbers = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(digest)))
                if numbers[which] < 2**(n.bit_length() - 8):
                    break
            self._add(kid, f"good, {'rs'[which]} begins with zeros", text, raw(*numbers))
        assert encode_dss_signature(r, s) == der

    @staticmethod
    def _cut(key, text: str, digest, width: int) -> bytes:
        while True:
            r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(digest)))
            if r.bit_length() <= 8 * (width - 1):
                return r.to_bytes(width - 1, "big") + s.to_bytes(width, "big")

    # ---- Ed25519
    def _eddsa(self) -> None:
        kid, key = "EdDSA-key", private_key("EdDSA")
        self.keys.append(jwk(key, "EdDSA", kid))
        self._common(kid, "EdDSA", key)
        text = self._text(kid, "EdDSA")
        signature = key.sign(text.encode())
        r, s = signature[:32], int.from_bytes(signature[32:], "little")
        for label, value in (("0", 0), ("1", 1), ("L", L25519), ("s + L", s + L25519), ("L - s", L25519 - s), ("2^255 - 1", 2**255 - 1)):
            self._add(kid, f"s = {label}", text, r + value.to_bytes(32, "little"))
        for label, point in (("identity", b"\1" + bytes(31)), ("of order two", b"\xec" + b"\xff" * 30 + b"\x7f"), ("no point", b"\2" + bytes(31)),
                             ("identity, not canonical", b"\xee" + b"\xff" * 30 + b"\x7f")):
            self._add(kid, f"R = {label}", text, point + signature[32:])
            self._add(kid, f"R = {label}, s = 0", text, point + bytes(32))
        self._add(kid, "over SHA-512 of the text", text, key.sign(hashlib.sha512(text.encode()).digest()))


def spelled_otherwise(vectors: "Vectors") -> List[Vector]:
    """The good ones, written in ways that base64 knows and RFC 7515 does not."""
    out = []
    for good in vectors.all:
        if not good.name.endswith(": good"):
            continue
        head, body, signature = good.token.split(".")
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for name, token in (("padded", f"{good.token}{'=' * (-len(signature) % 4)}" if len(signature) % 4 else ""),
                            ("padded where nothing is to pad", "" if len(signature) % 4 else good.token + "="),
                            ("plain base64", f"{head}.{body}.{base64.b64encode(base64.urlsafe_b64decode(signature + '=' * (-len(signature) % 4))).decode().rstrip('=')}"
                             if "-" in signature or "_" in signature else ""),
                            ("bits behind the last octet", f"{head}.{body}.{signature[:-1]}{digits[digits.index(signature[-1]) ^ 1]}" if len(signature) % 4 else ""),
                            ("a digit too many", good.token + "A"),
                            ("a fourth part", good.token + ".A"), ("no third part", f"{head}.{body}"), ("an empty third part", f"{head}.{body}.")):
            if token:
                out.append(Vector(f"{good.kid}: {name}", good.kid, token))
    return out
