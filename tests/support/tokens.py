"""JSON Web Tokens made independently of the gateway: hmac for HS*, python3-cryptography for the others."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Dict, Optional

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import canary

ISSUER = "https://id.example.com/"
AUDIENCE = "chat"
SECRET = b"0123456789abcdef0123456789abcdef-test-only"
_HASH = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> Dict[str, Any]:
    """Good claims; a change to None leaves the claim out."""
    now = int(time.time())
    out = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600}
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def sign(algorithm: str, key: Any, data: bytes) -> bytes:
    kind, size = algorithm[:2], algorithm[2:]
    if kind == "HS":
        return hmac.new(key, data, getattr(hashlib, "sha" + size)).digest()
    if kind == "RS":
        return key.sign(data, padding.PKCS1v15(), _HASH[size]())
    if kind == "PS":
        digest = _HASH[size]()
        return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    if kind == "ES":
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_HASH[size]())))
        width = {"256": 32, "384": 48, "512": 66}[size]
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")
    if algorithm == "EdDSA":
        return key.sign(data)
    raise ValueError(algorithm)


def mint(body: Optional[Dict[str, Any]] = None, *, algorithm: str = "HS256", key: Any = SECRET,
         header: Optional[Dict[str, Any]] = None, raw_body: Optional[bytes] = None,
         raw_header: Optional[bytes] = None, signature: Optional[bytes] = None) -> str:
    head = {"alg": algorithm, "typ": "JWT"}
    head.update(header or {})
    head = {name: value for name, value in head.items() if value is not ...}
    first = b64(raw_header if raw_header is not None else json.dumps(head).encode())
    second = b64(raw_body if raw_body is not None else json.dumps(claims() if body is None else body).encode())
    data = f"{first}.{second}".encode()
    return canary.note(f"{first}.{second}.{b64(sign(algorithm, key, data) if signature is None else signature)}")


def private_key(algorithm: str):
    kind = algorithm[:2]
    if kind in ("RS", "PS"):
        return rsa.generate_private_key(65537, 2048)
    if kind == "ES":
        return ec.generate_private_key({"256": ec.SECP256R1, "384": ec.SECP384R1, "512": ec.SECP521R1}[algorithm[2:]]())
    return ed25519.Ed25519PrivateKey.generate()


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwk(key, algorithm: str, kid: str) -> Dict[str, str]:
    """The public key as a JWK."""
    public = key.public_key()
    out = {"kid": kid, "alg": algorithm, "use": "sig"}
    number = lambda value, size: b64(value.to_bytes(size, "big"))
    if isinstance(key, rsa.RSAPrivateKey):
        values = public.public_numbers()
        out.update(kty="RSA", n=number(values.n, (values.n.bit_length() + 7) // 8), e=number(values.e, 3))
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        values, width = public.public_numbers(), (key.curve.key_size + 7) // 8
        curve = {256: "P-256", 384: "P-384", 521: "P-521"}[key.curve.key_size]
        out.update(kty="EC", crv=curve, x=number(values.x, width), y=number(values.y, width))
    else:
        octets = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        out.update(kty="OKP", crv="Ed25519", x=b64(octets))
    return out
