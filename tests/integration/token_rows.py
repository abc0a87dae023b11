"""The table of tokens and carriers: what a client sends, and what must become of it. security.md T11 to T16 of the threat model: the
groups stand in the order of its lines.

A row names its request and its verdict. Refused rows say the status, the `reason` of metrics and log, and the `error` of the log line: a
token that is refused for another fault than the one that the row is about has not been tested. What is accepted says who the backend saw."""

import json
from typing import Callable, Dict, List, NamedTuple, Optional, Union

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from token_world import (API_KEY, REVOKED, EC256, EC384, EC512, ED, KEYS, MINE, MINE_EC, N256, OTHER_SECRET, RSA, RSA3, SHORT_RSA, Request, ago, ahead,
                         as_secrets, bearer, body_text, cookie, der, flipped, for_set, forged_with_exponent_3, halves, header_text,
                         last_digit_off, number, of_length, offer, resigned, signature_of, unpadded, with_member, with_value)
from tokens import AUDIENCE, ISSUER, SECRET, b64, claims, jwk, mint


class Good(NamedTuple):
    """101; the backend sees these values, None: no such field. `line`: its request line; `chosen`: the subprotocol that is answered."""
    seen: Dict[str, Optional[str]] = {"X-User-Id": "alice"}
    line: Optional[str] = None
    chosen: Optional[str] = None


class Bad(NamedTuple):
    status: int
    reason: str
    error: Optional[str] = None


class Closed(NamedTuple):
    """101 all the same, then a Close: what `reject = "close"` makes of a refusal."""
    code: int
    reason: str


class Row(NamedTuple):
    group: str
    name: str
    request: Callable[..., Request]  # one that asks for it is given the port of the canary, which nobody may contact
    verdict: Union[Good, Bad, Closed]


ROWS: List[Row] = []


def refuse(group: str, path: str, rows: dict, status: int = 401, reason: str = "bad_token") -> None:
    """name: (token, error)"""
    for name, (token, error) in rows.items():
        ROWS.append(Row(group, name, lambda token=token: Request(path, [bearer(token())]), Bad(status, reason, error)))


def accept(group: str, path: str, rows: dict, verdict: Good = Good()) -> None:
    for name, token in rows.items():
        ROWS.append(Row(group, name, lambda token=token: Request(path, [bearer(token())]), verdict))


def requests(group: str, rows: dict) -> None:
    """name: (request, verdict)"""
    for name, (request, verdict) in rows.items():
        ROWS.append(Row(group, name, request, verdict))


# ---- T11: algorithms
refuse("alg", "/hs", {
    **{f"alg {name!r}": (lambda name=name: mint(header={"alg": name}), "alg not known")
       for name in ("none", "None", "NONE", "nOnE", "none ", "", "hs256", "Hs256", "HS256 ", "HS257", "HS1", "SHA256", "dir", "A128KW",
                    "RSA-OAEP", "ES256K", "Ed448", "HS256\x00")},
    **{f"alg {name!r}": (lambda name=name: mint(header={"alg": name}), "no alg")
       for name in (None, ["HS256"], {"HS256": 1}, 256, True)},
    "alg none, no signature": (lambda: mint(header={"alg": "none"}, signature=b""), "an empty part"),
    "alg none, signed": (lambda: mint(header={"alg": "none"}, signature=signature_of(mint())), "alg not known"),
    "alg missing": (lambda: mint(header={"alg": ...}), "no alg"),
    "alg in another case of its name": (lambda: mint(header={"alg": ..., "Alg": "HS256"}), "no alg"),
    **{f"{name} is not listed": (lambda name=name: mint(algorithm=name), "alg not allowed") for name in ("HS384", "HS512")},
    **{f"{name} by a secret's check": (lambda name=name: mint(algorithm=name, key=KEYS[name]), "alg not allowed")
       for name in ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")},
})
accept("alg", "/hsall", {f"{name} is listed": (lambda name=name: mint(algorithm=name)) for name in ("HS256", "HS384", "HS512")})
refuse("alg", "/hsall", {
    "HS512's digest as HS256": (lambda: resigned(mint(), signature_of(mint(algorithm="HS512"))), "signature"),
    "HS512 cut to HS256's length": (lambda: resigned(mint(algorithm="HS512"), signature_of(mint(algorithm="HS512"))[:32]), "signature"),
})
accept("alg", "/RS256", {"RS256": lambda: mint(algorithm="RS256", key=RSA)})
accept("alg", "/PS256", {"PS256": lambda: mint(algorithm="PS256", key=RSA)})
accept("alg", "/ES256", {"ES256": lambda: mint(algorithm="ES256", key=EC256)})
accept("alg", "/ES512", {"ES512": lambda: mint(algorithm="ES512", key=EC512)})
accept("alg", "/EdDSA", {"EdDSA": lambda: mint(algorithm="EdDSA", key=ED)})
accept("alg", "/set", {f"{name} of the set": (lambda name=name: for_set(name)) for name in ("RS256", "PS256", "ES256", "ES384", "EdDSA")})
accept("alg", "/set", {"PS256 by a key without alg": lambda: for_set("PS256", "rsa-any"),
                       "RS256 by a key without alg": lambda: for_set("RS256", "rsa-any"),
                       "RS256 with the exponent 3": lambda: for_set("RS256", "rsa-e3", RSA3)})
accept("alg", "/one", {"no kid, and one key": lambda: mint(algorithm="ES256", key=EC256)})

# ---- T11: a public key is no secret, and a key serves one algorithm
for _name, _key in (("RS256", RSA), ("ES256", EC256), ("EdDSA", ED)):
    for _form, _secret in as_secrets(_key, _name, "k").items():
        refuse("confusion", f"/{_name}", {f"HS256 by {_name}'s {_form}": (lambda secret=_secret: mint(key=secret), "alg not allowed")})
for _kid, _key, _name in (("rsa", RSA, "RS256"), ("p256", EC256, "ES256"), ("ed", ED, "EdDSA")):
    for _form, _secret in as_secrets(_key, _name, _kid).items():
        if _form in ("PEM", "DER", "JWK"):
            refuse("confusion", "/set", {f"HS256 by the {_form} of {_kid}": (
                lambda secret=_secret, kid=_kid: mint(key=secret, header={"kid": kid}), "alg not allowed")})
refuse("confusion", "/set", {
    "HS256 by a secret in a set of public keys": (lambda: mint(header={"kid": "secret"}), "alg not allowed"),
    "PS256 by a key of RS256": (lambda: for_set("PS256", "rsa"), "alg does not fit the key"),
    "RS256 by a key of PS256": (lambda: for_set("RS256", "rsa-pss"), "alg does not fit the key"),
    "ES256 by an RSA key": (lambda: for_set("ES256", "rsa"), "alg does not fit the key"),
    "RS256 by a key on P-256": (lambda: for_set("RS256", "p256"), "alg does not fit the key"),
    "ES384 by a key on P-256": (lambda: for_set("ES384", "p256"), "alg does not fit the key"),
    "ES256 by a key on P-384": (lambda: for_set("ES256", "p384"), "alg does not fit the key"),
    "EdDSA by a key on P-256": (lambda: for_set("EdDSA", "p256"), "alg does not fit the key"),
    "ES256 by Ed25519": (lambda: for_set("ES256", "ed"), "alg does not fit the key"),
    "none by a key of the set": (lambda: mint(header={"alg": "none", "kid": "rsa"}), "alg not known"),
})
refuse("confusion", "/RS256", {
    "PS256 where RS256 is listed": (lambda: mint(algorithm="PS256", key=RSA), "alg not allowed"),
    "RS512 where RS256 is listed": (lambda: mint(algorithm="RS512", key=RSA), "alg not allowed"),
    "PS256's signature said to be RS256": (
        lambda: resigned(mint(header={"alg": "RS256"}), signature_of(mint(algorithm="PS256", key=RSA))), "signature"),
})
refuse("confusion", "/ES256", {
    "RS256 where ES256 is listed": (lambda: mint(algorithm="RS256", key=RSA), "alg not allowed"),
    "ES384's signature said to be ES256": (lambda: resigned(mint(header={"alg": "ES256"}), signature_of(mint(algorithm="ES384", key=EC384))), "signature"),
})

# ---- T11: extensions that nobody here understands
refuse("header", "/hs", {
    **{f"crit {value!r}": (lambda value=value: mint(header={"crit": value}), "crit") for value in ([], ["exp"], "b64", None, {})},
    "crit b64": (lambda: mint(header={"crit": ["b64"], "b64": False}), "crit"),
    **{f"b64 {value!r}": (lambda value=value: mint(header={"b64": value}), "b64") for value in (False, "true", 0, None)},
    **{f"zip {value!r}": (lambda value=value: mint(header={"zip": value}), "encrypted or compressed") for value in ("DEF", None)},
    "enc": (lambda: mint(header={"enc": "A128GCM"}), "encrypted or compressed"),
    "JWE": (lambda: mint(header={"alg": "dir", "enc": "A128GCM"}) + ".x.y", "not three parts"),
    **{f"typ {value!r}": (lambda value=value: mint(header={"typ": value}), "typ")
       for value in ("JOSE", "JWE", "logout+jwt", "dpop+jwt", "secevent+jwt", "application/", "", 7, None, ["JWT"])},
})
accept("header", "/hs", {
    "b64 true is the default": lambda: mint(header={"b64": True}),
    **{f"typ {value!r}": (lambda value=value: mint(header={"typ": value}))
       for value in ("JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt")},
    "typ missing": lambda: mint(header={"typ": ...}),
    "cty is nobody's business": lambda: mint(header={"cty": "JWT"}),
})

# ---- T12: ids of keys, and keys that a token brings along
ODD_IDS = ("unknown", "", "P256", "p256 ", "p256\0", "../../dev/null", "/etc/passwd", "' OR 1=1", "\r\nDEL x", "${jndi:ldap://x}", "ключ", "k" * 128)
refuse("kid", "/set", {
    **{f"kid {kid[:20]!r}": (lambda kid=kid: for_set("ES256", kid), "kid not known") for kid in ODD_IDS},
    **{f"kid {str(kid)[:20]!r}": (lambda kid=kid: for_set("ES256", kid), "kid") for kid in ("k" * 129, 7, None, ["p256"], {"p256": 1}, True)},
    "kid of 100 KiB, or as much as a header takes": (lambda: for_set("ES256", "k" * 4000), "header too long"),
    "kid twice": (lambda: mint(raw_header=b'{"alg":"ES256","kid":"p256","kid":"p256"}', algorithm="ES256", key=EC256), "header is not a JSON object"),
    "kid missing, and several keys": (lambda: mint(algorithm="ES256", key=EC256), "no kid, and more than one key"),
    "kid of another key": (lambda: for_set("RS256", "rsa-e3"), "signature"),
    "kid of a key that came later under the same name": (lambda: for_set("ES256", "p256", MINE_EC), "signature"),
    **{f"key left out: {kid}": (lambda kid=kid: for_set("ES256", kid, MINE_EC), "kid not known")
       for kid in ("for-encryption", "for-signing", "off-curve", "infinity", "private", "no-curve", "other-alg", "x5c-only")},
    "key left out: RSA of 1024 bits": (lambda: for_set("RS256", "rsa-1024", SHORT_RSA), "kid not known"),
    "key left out: RSA of 16384 bits": (lambda: for_set("RS256", "rsa-16384", RSA), "kid not known"),
    "key left out: RSA with the exponent 1": (lambda: unpadded("rsa-e1"), "kid not known"),
    "key left out: RSA for encryption": (lambda: for_set("RS256", "encryption-alg", MINE), "kid not known"),
})
accept("kid", "/hs", {"kid where there is but one secret": lambda: mint(header={"kid": "whatever"})})


def bringing(canary: int) -> Dict[str, dict]:
    url = f"http://127.0.0.1:{canary}/keys"
    return {"jwk": {"jwk": jwk(MINE, "RS256", "mine"), "kid": "mine"}, "jwk under a known kid": {"jwk": jwk(MINE, "RS256", "rsa"), "kid": "rsa"},
            "jku": {"jku": url, "kid": "mine"}, "jku under a known kid": {"jku": url, "kid": "rsa"}, "x5u": {"x5u": url, "kid": "rsa"},
            "x5c": {"x5c": [b64(der(MINE))], "kid": "rsa"}, "x5t": {"x5t": "A" * 27, "x5t#S256": "A" * 43, "kid": "rsa"},
            "kid is a URL": {"kid": url}, "jku without kid": {"jku": url}, "jku of another scheme": {"jku": f"file:///dev/null#{canary}", "kid": "rsa"},
            "iss is a URL": {"iss": url, "kid": "rsa"}}


for _name, _header in bringing(0).items():
    _error = {"rsa": "signature", None: "no kid, and more than one key"}.get(_header.get("kid"), "kid not known")
    ROWS.append(Row("own keys", _name, lambda canary, name=_name: Request("/set", [bearer(
        mint(algorithm="RS256", key=MINE, header=bringing(canary)[name]))]), Bad(401, "bad_token", _error)))
requests("own keys", {
    "jwk where there is one key": (lambda: Request("/one", [bearer(
        mint(algorithm="ES256", key=MINE_EC, header={"jwk": jwk(MINE_EC, "ES256", "x")}))]), Bad(401, "bad_token", "signature")),
    "a good token with a jku is good, and the address unasked": (lambda canary: Request("/set", [bearer(
        for_set("ES256", jku=f"http://127.0.0.1:{canary}/keys", x5u=f"http://127.0.0.1:{canary}/x5u"))]), Good()),
    "a good token with somebody's jwk": (lambda: Request("/set", [bearer(for_set("ES256", jwk=jwk(MINE_EC, "ES256", "x")))]), Good()),
})

# ---- T13: dates
refuse("dates", "/hs", {
    "exp missing": (lambda: mint(claims(exp=None)), "no exp"),
    **{f"exp {literal}": (lambda literal=literal: with_value("exp", literal), "exp is not a date")
       for literal in ('"9999999999"', "-1", "-0", "9999999999.0", "9999999999.5", "1e10", "9.9e9", "9007199254740992", "9223372036854775808",
                       "99999999999999999999", "null", "true", "[9999999999]", '{"exp":9999999999}', '""')},
    **{f"exp {literal}": (lambda literal=literal: with_value("exp", literal), "payload is not a JSON object")
       for literal in ("1e400", "1e1000000000", "NaN", "Infinity", "+9999999999", "09999999999", "0xFFFFFFFFF", "9999999999L")},
    "nbf ahead": (lambda: mint(claims(nbf=ahead(60))), "nbf is ahead"),
    **{f"nbf {literal}": (lambda literal=literal: with_value("nbf", literal), "nbf is not a date") for literal in ('"0"', "0.0", "null", "-5")},
    "iat ahead": (lambda: mint(claims(iat=ahead(60))), "iat is ahead"),
    **{f"iat {literal}": (lambda literal=literal: with_value("iat", literal), "iat is not a date") for literal in ('"0"', "1e3", "[]", "-5")},
})
refuse("dates", "/hs", {
    "exp past, beyond the leeway": (lambda: mint(claims(exp=ago(31))), "exp"),
    "exp long past": (lambda: mint(claims(exp=1)), "exp"),
    "exp 0": (lambda: mint(claims(exp=0)), "exp"),
}, reason="token_expired")
refuse("dates", "/strict", {"exp past by one second, no leeway": (lambda: mint(claims(exp=ago(1), scope="chat")), "exp")}, reason="token_expired")
refuse("dates", "/strict", {
    "nbf ahead, no leeway": (lambda: mint(claims(nbf=ahead(5), scope="chat")), "nbf is ahead"),
    "lives too long": (lambda: mint(claims(exp=ahead(3700), scope="chat")), "lives longer than max_lifetime"),
    "lives who knows how long": (lambda: mint(claims(iat=None, scope="chat")), "no iat, which max_lifetime needs"),
})
accept("dates", "/hs", {
    "exp past, within the leeway": lambda: mint(claims(exp=ago(20))),
    "exp of the year 285428751": lambda: with_value("exp", "9007199254740991"),
    "nbf ahead, within the leeway": lambda: mint(claims(nbf=ahead(20))),
    "nbf 0": lambda: mint(claims(nbf=0)),
    "iat ahead, within the leeway": lambda: mint(claims(iat=ahead(20))),
    "iat missing": lambda: mint(claims(iat=None)),
})

# ---- T13: who it is from, whom it is for
refuse("parties", "/hs", {
    **{f"iss {value!r}": (lambda value=value: mint(claims(iss=value)), "iss")
       for value in ("", "https://id.example.com", ISSUER.upper(), ISSUER + " ", "https://id.example.com/x", "https://id.example.com.evil.test/")},
    "iss missing": (lambda: mint(claims(iss=None)), "iss"),
    **{f"iss {value!r}": (lambda value=value: mint(claims(iss=value)), "iss is not a string") for value in ([ISSUER], 7, ISSUER + "\0", {"iss": ISSUER})},
    **{f"aud {value!r}": (lambda value=value: mint(claims(aud=value)), "aud")
       for value in ("", "cha", "chatter", "Chat", "chat ", "chat,other", "*", [], ["a", "b"], ["chat,chat"])},
    "aud missing": (lambda: mint(claims(aud=None)), "aud"),
    **{f"aud {value!r}": (lambda value=value: mint(claims(aud=value)), "aud is not a string or a list of strings")
       for value in (7, {"chat": 1}, [AUDIENCE, 7], [[AUDIENCE]], [AUDIENCE, None], "chat\0", [AUDIENCE, "x\0"])},
    **{f"sub {value!r}": (lambda value=value: mint(claims(sub=value)), "sub is not a string") for value in (7, ["alice"], {"a": 1}, "alice\0root", True)},
})
accept("parties", "/hs", {
    "aud in a list": lambda: mint(claims(aud=["other", AUDIENCE])),
    "aud twice in a list": lambda: mint(claims(aud=[AUDIENCE, AUDIENCE])),
})
accept("parties", "/hs", {"sub missing": lambda: mint(claims(sub=None))}, Good({"X-User-Id": None}))
accept("parties", "/hs", {"sub of words": lambda: mint(claims(sub="alice b"))}, Good({"X-User-Id": "alice b"}))
refuse("parties", "/hs", {f"sub {value!r} is no value of a field": (lambda value=value: mint(claims(sub=value)), None)
                          for value in ("a\r\nX-Admin: 1", "a\nb", "tab\there", "grüße", " alice", "alice ", "\x7f")}, 403, "bad_claim")
refuse("parties", "/strict", {
    "scope missing": (lambda: mint(claims()), "a required claim"),
    "scope other": (lambda: mint(claims(scope="chatter read")), "a required claim"),
    "scope in another case": (lambda: mint(claims(scope="Chat")), "a required claim"),
    "scope null": (lambda: with_value("scope", "null"), "a required claim"),
    "scope in words with other spaces": (lambda: mint(claims(scope="read\tchat")), "a required claim"),
    "scope nested": (lambda: mint(claims(scope=[["chat"]])), "a required claim"),
}, 403, "scope")
accept("parties", "/strict", {"scope among words": lambda: mint(claims(scope="read chat", admin=True, level=7))},
       Good({"X-User-Id": "alice", "X-Scope": "read chat", "X-Level": "7", "X-Admin": "true"}))
accept("parties", "/strict", {"scope in a list": lambda: mint(claims(scope=["x", "chat"]))}, Good({"X-Scope": "x chat", "X-Level": None}))

# ---- T14: shapes of tokens
refuse("shape", "/hs", {
    "garbage": (lambda: "abcd", "not three parts"),
    "one part": (lambda: mint().split(".")[0], "not three parts"),
    "two parts": (lambda: mint().rsplit(".", 1)[0], "not three parts"),
    "four parts": (lambda: mint() + ".x", "not three parts"),
    "a dot at the end": (lambda: mint() + ".", "not three parts"),
    "a dot at the start": (lambda: "." + mint(), "not three parts"),
    "two dots": (lambda: "..", "an empty part"),
    "empty header": (lambda: "." + mint().split(".", 1)[1], "an empty part"),
    "empty payload": (lambda: mint(raw_body=b""), "an empty part"),
    "empty signature": (lambda: mint(signature=b""), "an empty part"),
    "no token behind the scheme": (lambda: "", "not three parts"),
    "5,000 dots": (lambda: "." * 5000, "not three parts"),
    "JSON serialisation, general": (lambda: json.dumps({"payload": "x", "signatures": [{"protected": "x", "signature": "x"}]}), "octet outside of base64url"),
    "JSON serialisation, flattened": (lambda: json.dumps(dict(zip(("protected", "payload", "signature"), mint().split(".")))), "octet outside of base64url"),
    "compact inside of JSON": (lambda: '{"' + mint() + '":""}', "octet outside of base64url"),
    "padded": (lambda: mint() + "=", "octet outside of base64url"),
    "plain base64": (lambda: mint().replace("-", "+").replace("_", "/") + "+", "octet outside of base64url"),
    **{f"with {octet!r} inside": (lambda octet=octet: mint()[:30] + octet + mint()[30:], "octet outside of base64url")
       for octet in (" ", "\t", "%", "%2E", ",", "\x80", "é", "~", "+")},
    "a second token behind a blank": (lambda: mint() + " " + mint(), "octet outside of base64url"),
    "header off by bits that do not count": (lambda: last_digit_off(header_with_slack()) + "." + mint().split(".", 1)[1], "header is not base64url"),
    "signature off by bits that do not count": (lambda: mint().rsplit(".", 1)[0] + "." + last_digit_off(mint().rsplit(".", 1)[1]), "signature is not base64url"),
    "header of one digit": (lambda: "e" + "." + mint().split(".", 1)[1], "header is not base64url"),
})


def header_with_slack() -> str:
    return b64(b'{"alg":"HS256","typ":"JWT" }')  # 28 octets: the last digit has bits to spare


accept("shape", "/hs", {"8,000 octets": lambda: of_length(8000)})
for _name, _text in (("8,193 octets", "e" * 8191 + ".."), ("20,000 dots", "." * 20_000), ("1,000,000 dots", "." * 1_000_000)):
    ROWS.append(Row("shape", _name, lambda text=_text: Request("/hs", [bearer(text)]), Bad(431, "head_too_large")))

# ---- T14: JSON
refuse("json", "/hs", {
    **{f"header {text[:30]!r}": (lambda text=text: header_text(text), "header is not a JSON object") for text in (
        b'["HS256"]', b'"HS256"', b"null", b"7", b"{", b"}", b"{}}", b'{"alg":"HS256"}x', b'{"alg":"HS256"}{"alg":"HS256"}',
        b'{"alg":"HS256",}', b"{'alg':'HS256'}", b'{alg:"HS256"}', b'{"alg":"HS256"/**/}', b'\xef\xbb\xbf{"alg":"HS256"}',
        b'{"alg":"none","alg":"HS256"}', b'{"alg":"HS256","alg":"none"}', b'{"alg":"HS256","\\u0061lg":"none"}', b'{"alg":"HS256","x":"\xff"}',
        b'{"alg":"HS256","x":"\\ud800"}', b'{"alg":"HS256","x":"\x01"}', b'{"alg":"HS256","x":' + b"[" * 17 + b"]" * 17 + b"}")},
    "header of 101 members": (lambda: header_text(json.dumps({"alg": "HS256", **{f"{i}": 1 for i in range(100)}}, separators=(",", ":")).encode()),
                              "header is not a JSON object"),
    "header {}": (lambda: header_text(b"{}"), "no alg"),
    "header of 1025 octets": (lambda: header_text(b'{"alg":"HS256","x":"' + b"x" * 1003 + b'"}'), "header too long"),
    **{f"payload {text[:30]!r}": (lambda text=text: body_text(text), "payload is not a JSON object") for text in (
        b"[]", b"{", b"null", b"7", b'"sub"', b'{"sub":"\xff"}', b"{}{}", b"\xef\xbb\xbf{}", b'{"sub":"\\ud800"}', b" ", b"true")},
    "sub twice": (lambda: with_member('"sub":"root"'), "payload is not a JSON object"),
    "sub twice, once by escapes": (lambda: with_member('"\\u0073ub":"root"'), "payload is not a JSON object"),
    "exp twice": (lambda: with_member('"exp":9999999999'), "payload is not a JSON object"),
    "a member twice, deep down": (lambda: with_member('"x":{"y":{"z":1,"z":2}}'), "payload is not a JSON object"),
    "the empty name twice": (lambda: with_member('"":1,"":2'), "payload is not a JSON object"),
    "a comma too many": (lambda: with_member('"x":[1,]'), "payload is not a JSON object"),
    "depth 17": (lambda: with_member('"x":' + "[" * 16 + "]" * 16), "payload is not a JSON object"),
    "depth 2,500": (lambda: with_member('"x":' + "[" * 2500 + "]" * 2500), "payload is not a JSON object"),
    "depth 2,500, never closed": (lambda: with_member('"x":' + "[" * 2500), "payload is not a JSON object"),
    "depth 500, of objects": (lambda: with_member('"x":' + '{"a":' * 500 + "1" + "}" * 500), "payload is not a JSON object"),
    "101 members": (lambda: mint(claims(**{f"x{i}": 1 for i in range(96)})), "payload is not a JSON object"),
    "list of 101": (lambda: mint(claims(x=[1] * 101)), "payload is not a JSON object"),
    "number of 400 digits": (lambda: with_member('"x":' + "9" * 400), "payload is not a JSON object"),
    "exponent of a billion somewhere": (lambda: with_member('"x":1e1000000000'), "payload is not a JSON object"),
})
accept("json", "/hs", {
    "depth 16": lambda: with_member('"x":' + "[" * 15 + "]" * 15),
    "100 members": lambda: mint(claims(**{f"x{i}": 1 for i in range(95)})),
    "list of 100": lambda: mint(claims(x=[1] * 100)),
    "escapes in names": lambda: body_text(json.dumps(claims()).replace('"sub"', '"\\u0073ub"').encode()),
    "white space around": lambda: body_text(b"\r\n\t " + json.dumps(claims(), indent=4).encode() + b"\n"),
    "claims of every kind": lambda: mint(claims(a=None, b=True, c=-1.5e-7, d=[1, [2, {"e": ""}]], f="😀", g=2**70)),
    "header of 1024 octets": lambda: header_text(b'{"alg":"HS256","x":"' + b"x" * 1002 + b'"}'),
})

# ---- T15: signatures
refuse("hmac", "/hs", {
    "one bit": (lambda: flipped(mint()), "signature"),
    "another secret": (lambda: mint(key=OTHER_SECRET), "signature"),
    "the secret and a newline": (lambda: mint(key=SECRET + b"\n"), "signature"),
    "no secret at all": (lambda: mint(key=b""), "signature"),
    "31 octets": (lambda: resigned(mint(), signature_of(mint())[:31]), "signature"),
    "33 octets": (lambda: resigned(mint(), signature_of(mint()) + b"\0"), "signature"),
    "nothing but zeros": (lambda: mint(signature=bytes(32)), "signature"),
    "one octet": (lambda: mint(signature=b"\0"), "signature"),
    "of another token": (lambda: resigned(mint(claims(sub="mallory")), signature_of(mint())), "signature"),
    "payload changed": (lambda: ".".join([mint().split(".")[0], b64(json.dumps(claims(sub="root")).encode()), mint().split(".")[2]]), "signature"),
    "header changed": (lambda: b64(b'{"typ":"JWT","alg":"HS256"}') + "." + mint().split(".", 1)[1], "signature"),
})


def es256(change: Callable[[bytes, bytes], bytes], key=EC256) -> Callable[[], str]:
    def build() -> str:
        token = mint(algorithm="ES256", key=key)
        return resigned(token, change(*halves(token)))
    return build


def es256_as_der() -> str:
    token = mint(algorithm="ES256", key=EC256)
    return resigned(token, EC256.sign(token.rsplit(".", 1)[0].encode(), ec.ECDSA(hashes.SHA256())))


refuse("ecdsa", "/ES256", {
    "r = s = 0": (es256(lambda r, s: bytes(64)), "signature"),
    "r = 0": (es256(lambda r, s: bytes(32) + s), "signature"),
    "s = 0": (es256(lambda r, s: r + bytes(32)), "signature"),
    "r = n": (es256(lambda r, s: number(N256) + s), "signature"),
    "s = n": (es256(lambda r, s: r + number(N256)), "signature"),
    "r = s = n": (es256(lambda r, s: number(N256) * 2), "signature"),
    "r = s = 1": (es256(lambda r, s: number(1) * 2), "signature"),
    "r = n - 1, s = 1": (es256(lambda r, s: number(N256 - 1) + number(1)), "signature"),
    "all ones": (es256(lambda r, s: b"\xff" * 64), "signature"),
    "r and s changed over": (es256(lambda r, s: s + r), "signature"),
    "r negated": (es256(lambda r, s: number(N256 - int.from_bytes(r, "big")) + s), "signature"),
    "63 octets": (es256(lambda r, s: (r + s)[:63]), "signature"),
    "65 octets": (es256(lambda r, s: r + s + b"\0"), "signature"),
    "65 octets, zero first": (es256(lambda r, s: b"\0" + r + s), "signature"),
    "66 octets, as of a wider curve": (es256(lambda r, s: b"\0" + r + b"\0" + s), "signature"),
    "r alone": (es256(lambda r, s: r), "signature"),
    "DER": (es256_as_der, "signature"),
    "one bit": (lambda: flipped(mint(algorithm="ES256", key=EC256)), "signature"),
    "another key": (lambda: mint(algorithm="ES256", key=MINE_EC), "signature"),
})
# Whoever has (r, s) has (r, n - s), and RFC 7518 §3.4 asks for no choice among them: nothing here takes a token's text for its name.
accept("ecdsa", "/ES256", {"s negated is as good": es256(lambda r, s: r + number(N256 - int.from_bytes(s, "big")))})
refuse("ecdsa", "/ES512", {
    "ES512 of 131 octets": (lambda: resigned(mint(algorithm="ES512", key=EC512), b"\1" * 131), "signature"),
    "ES512 of zeros": (lambda: resigned(mint(algorithm="ES512", key=EC512), bytes(132)), "signature"),
})
refuse("ecdsa", "/set", {"ES384 of 64 octets": (lambda: resigned(for_set("ES384"), b"\1" * 64), "signature"),
                         "ES384 of zeros": (lambda: resigned(for_set("ES384"), bytes(96)), "signature")})

L25519 = 2**252 + 27742317777372353535851937790883648493


def eddsa(change: Callable[[bytes, bytes], bytes]) -> Callable[[], str]:
    def build() -> str:
        token = mint(algorithm="EdDSA", key=ED)
        return resigned(token, change(*halves(token)))
    return build


refuse("eddsa", "/EdDSA", {
    "zeros": (eddsa(lambda r, s: bytes(64)), "signature"),
    "identity and zero": (eddsa(lambda r, s: b"\1" + bytes(31) + bytes(32)), "signature"),
    "s + L": (eddsa(lambda r, s: r + (int.from_bytes(s, "little") + L25519).to_bytes(32, "little")), "signature"),
    "63 octets": (eddsa(lambda r, s: (r + s)[:63]), "signature"),
    "65 octets": (eddsa(lambda r, s: r + s + b"\0"), "signature"),
    "halves changed over": (eddsa(lambda r, s: s + r), "signature"),
    "one bit": (lambda: flipped(mint(algorithm="EdDSA", key=ED)), "signature"),
})


def rs256(change: Callable[[bytes], bytes]) -> Callable[[], str]:
    def build() -> str:
        token = mint(algorithm="RS256", key=RSA)
        return resigned(token, change(signature_of(token)))
    return build


def rsa_with(pad, digest, algorithm: str) -> str:
    token = mint(header={"alg": algorithm})
    return resigned(token, RSA.sign(token.rsplit(".", 1)[0].encode(), pad, digest))


def modulus() -> int:
    return RSA.public_key().public_numbers().n


refuse("rsa", "/RS256", {
    "zeros": (rs256(lambda s: bytes(256)), "signature"),
    "one": (rs256(lambda s: number(1, 256)), "signature"),
    "n": (rs256(lambda s: number(modulus(), 256)), "signature"),
    "n - 1": (rs256(lambda s: number(modulus() - 1, 256)), "signature"),
    "s + n": (rs256(lambda s: number(int.from_bytes(s, "big") + modulus(), 257)), "signature"),
    "255 octets": (rs256(lambda s: s[:255]), "signature"),
    "257 octets": (rs256(lambda s: s + b"\0"), "signature"),
    "257 octets, zero first": (rs256(lambda s: b"\0" + s), "signature"),
    "one bit": (lambda: flipped(mint(algorithm="RS256", key=RSA)), "signature"),
    "another key": (lambda: mint(algorithm="RS256", key=MINE), "signature"),
    "over SHA-1": (lambda: rsa_with(padding.PKCS1v15(), hashes.SHA1(), "RS256"), "signature"),
    "over SHA-512": (lambda: rsa_with(padding.PKCS1v15(), hashes.SHA512(), "RS256"), "signature"),
})
refuse("rsa", "/PS256", {
    "PS256 without salt": (lambda: rsa_with(padding.PSS(padding.MGF1(hashes.SHA256()), 0), hashes.SHA256(), "PS256"), "signature"),
    "PS256 with the longest salt": (lambda: rsa_with(padding.PSS(padding.MGF1(hashes.SHA256()), 222), hashes.SHA256(), "PS256"), "signature"),
    "PS256 with MGF1 over SHA-1": (lambda: rsa_with(padding.PSS(padding.MGF1(hashes.SHA1()), 32), hashes.SHA256(), "PS256"), "signature"),
    "PS256 over SHA-384": (lambda: rsa_with(padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384(), "PS256"), "signature"),
    "PKCS#1's signature said to be PS256": (lambda: rsa_with(padding.PKCS1v15(), hashes.SHA256(), "PS256"), "signature"),
})
refuse("rsa", "/set", {"forged for the exponent 3": (lambda: forged_with_exponent_3("rsa-e3"), "signature")})

# ---- T16: keys from elsewhere
accept("fetched", "/fetched", {"a key of a fetched set": lambda: mint(algorithm="ES256", key=EC256, header={"kid": "p256"})})
refuse("fetched", "/fetched", {"a fetched set has no such key": (lambda: mint(algorithm="ES256", key=EC256, header={"kid": "nobody"}), "kid not known")},
       reason="unknown_key")
refuse("fetched", "/fetched", {"another's signature": (lambda: mint(algorithm="ES256", key=MINE_EC, header={"kid": "p256"}), "signature"),
                               "an algorithm that is not listed": (lambda: mint(algorithm="RS256", key=RSA, header={"kid": "rsa"}), "alg not allowed")})
refuse("fetched", "/unloaded", {"never had a key": (lambda: mint(algorithm="ES256", key=EC256, header={"kid": "p256"}), "no keys to check it by")},
       503, "keys_unavailable")
refuse("fetched", "/unloaded", {"never had a key, and no token either": (lambda: "a.b", "not three parts")})

# ---- carriers, in the order header, query, subprotocol, cookie
LINE = "GET /hs HTTP/1.1"
NOTHING = Bad(401, "no_token", "no credential")
TWICE = Bad(400, "dup_token", "the credential stands there more than once")
TWO_FIELDS = Bad(400, "dup_header")  # before anybody looks for a credential


def bad(error: str) -> Bad:
    return Bad(401, "bad_token", error)


requests("header", {
    "Bearer": (lambda: Request("/hs", [bearer(mint())]), Good({"X-User-Id": "alice", "Authorization": None})),
    "bearer": (lambda: Request("/hs", [bearer(mint(), "bearer")]), Good()),
    "BEARER": (lambda: Request("/hs", [bearer(mint(), "BEARER")]), Good()),
    "Bearer and three blanks": (lambda: Request("/hs", [bearer("  " + mint())]), Good()),
    "blank behind": (lambda: Request("/hs", [bearer(mint() + "  ")]), Good()),
    "nothing": (lambda: Request("/hs", []), NOTHING),
    "empty field": (lambda: Request("/hs", [("Authorization", "")]), NOTHING),
    "no scheme": (lambda: Request("/hs", [("Authorization", mint())]), NOTHING),
    "Basic": (lambda: Request("/hs", [("Authorization", "Basic YWxpY2U6c2VjcmV0")]), NOTHING),
    "Basic with a good token": (lambda: Request("/hs", [bearer(mint(), "Basic")]), NOTHING),
    "DPoP": (lambda: Request("/hs", [bearer(mint(), "DPoP")]), NOTHING),
    "Bearers": (lambda: Request("/hs", [bearer(mint(), "Bearers")]), NOTHING),
    "Bearer: and no blank": (lambda: Request("/hs", [("Authorization", "Bearer:" + mint())]), NOTHING),
    "Bearer and a tab": (lambda: Request("/hs", [("Authorization", "Bearer\t" + mint())]), NOTHING),
    "Bearer twice in a value": (lambda: Request("/hs", [bearer("Bearer " + mint())]), bad("octet outside of base64url")),
    "two fields": (lambda: Request("/hs", [bearer(mint())] * 2), TWO_FIELDS),
    "two fields, one of them Basic": (lambda: Request("/hs", [("Authorization", "Basic YTpi"), bearer(mint())]), TWO_FIELDS),
    "two fields in two cases": (lambda: Request("/hs", [bearer(mint()), ("authorization", "Bearer x")]), TWO_FIELDS),
    "two in one field": (lambda: Request("/hs", [bearer(mint() + ", Bearer " + mint())]), bad("octet outside of base64url")),
    "name with an underscore": (lambda: Request("/hs", [("Authorization_", "Bearer " + mint())]), NOTHING),
    "Proxy-Authorization": (lambda: Request("/hs", [("Proxy-Authorization", "Bearer " + mint())]), NOTHING),
    "the client's own identity is not passed on": (
        lambda: Request("/hs", [bearer(mint()), ("X-User-Id", "root"), ("x_user_id", "root"), ("X.User.Id", "root")]), Good()),
})
requests("query", {
    "query": (lambda: Request(f"/hs?access_token={mint()}", []), Good(line=LINE)),
    "query among others": (lambda: Request(f"/hs?a=1&access_token={mint()}&b=2", []), Good(line="GET /hs?a=1&b=2 HTTP/1.1")),
    "query, escaped": (lambda: Request("/hs?access_token=" + mint().replace(".", "%2E"), []), Good(line=LINE)),
    "query, its name escaped": (lambda: Request(f"/hs?%61ccess_token={mint()}", []), Good(line=LINE)),
    "query, empty": (lambda: Request("/hs?access_token=", []), NOTHING),
    "query, no value": (lambda: Request("/hs?access_token", []), NOTHING),
    "query, another name": (lambda: Request(f"/hs?token={mint()}", []), NOTHING),
    "query, another case": (lambda: Request(f"/hs?Access_Token={mint()}", []), NOTHING),
    "query, a longer name": (lambda: Request(f"/hs?xaccess_token={mint()}", []), NOTHING),
    "query twice": (lambda: Request(f"/hs?access_token={mint()}&access_token={mint()}", []), TWICE),
    "query twice, once escaped": (lambda: Request(f"/hs?access_token={mint()}&%61ccess_token=x", []), TWICE),
    "query twice, once empty": (lambda: Request(f"/hs?access_token={mint()}&access_token=", []), TWICE),
    "query parted by a semicolon": (lambda: Request(f"/hs?a=1;access_token={mint()}", []), NOTHING),
    "query, escaped NUL behind": (lambda: Request(f"/hs?access_token={mint()}%00", []), bad("octet outside of base64url")),
    "query, plus": (lambda: Request(f"/hs?access_token=+{mint()}", []), bad("octet outside of base64url")),
    "query, bad token": (lambda: Request("/hs?access_token=abcd", []), bad("not three parts")),
    "query of a route without that carrier": (lambda: Request(f"/RS256?access_token={mint(algorithm='RS256', key=RSA)}", []), NOTHING),
})
requests("subprotocol", {
    "pair": (lambda: Request("/hs", [offer("bearer", mint())]), Good({"X-User-Id": "alice", "Sec-WebSocket-Protocol": None}, chosen="bearer")),
    "pair and another": (lambda: Request("/hs", [offer("bearer", mint(), "chat.v2")]),
                         Good({"Sec-WebSocket-Protocol": "chat.v2"}, chosen="chat.v2")),
    "another and the pair": (lambda: Request("/hs", [offer("chat.v1", "bearer", mint())]),
                             Good({"Sec-WebSocket-Protocol": "chat.v1"}, chosen="chat.v1")),
    "pair in two fields": (lambda: Request("/hs", [offer("bearer"), offer(mint(), "chat.v2")]),
                           Good({"Sec-WebSocket-Protocol": "chat.v2"}, chosen="chat.v2")),
    "marker alone": (lambda: Request("/hs", [offer("bearer")]), bad("not three parts")),
    "marker last": (lambda: Request("/hs", [offer("chat.v2", "bearer")]), bad("not three parts")),
    "marker behind the token": (lambda: Request("/hs", [offer(mint(), "bearer")]), bad("not three parts")),
    "marker in another case": (lambda: Request("/hs", [offer("Bearer", mint())]), NOTHING),
    "marker twice": (lambda: Request("/hs", [offer("bearer", mint(), "bearer", mint(claims(sub="bob")))]), Bad(400, "ws_subprotocol")),
    "pair with a bad token": (lambda: Request("/hs", [offer("bearer", "abcd", "chat.v2")]), bad("not three parts")),
    "no marker": (lambda: Request("/hs", [offer(mint(), "chat.v2")]), NOTHING),
})
requests("cookie", {
    "cookie": (lambda: Request("/hs", cookie(f"session={mint()}")), Good({"X-User-Id": "alice", "Cookie": None})),
    "cookie among others": (lambda: Request("/hs", cookie(f"a=1; session={mint()}; b=2")), Good({"Cookie": "a=1; b=2"})),
    "cookie in quotes": (lambda: Request("/hs", cookie(f'session="{mint()}"')), Good({"Cookie": None})),
    "cookie, another name": (lambda: Request("/hs", cookie(f"Session={mint()}; xsession={mint()}")), NOTHING),
    "cookie, empty": (lambda: Request("/hs", cookie("session=")), NOTHING),
    "cookie twice": (lambda: Request("/hs", cookie(f"session={mint()}; session={mint()}")), TWICE),
    "cookie twice, the second bad": (lambda: Request("/hs", cookie(f"session={mint()}; session=x")), TWICE),
    "cookie without Origin": (lambda: Request("/hs", [("Cookie", f"session={mint()}")]), NOTHING),
    "cookie from another site": (lambda: Request("/hs", [("Cookie", f"session={mint()}"), ("Origin", "https://evil.example")]),
                                 Bad(403, "origin")),
    "cookie from a site named like ours": (lambda: Request("/hs", [("Cookie", f"session={mint()}"), ("Origin", "http://localhost.evil.example")]),
                                           Bad(403, "origin")),
    "cookie from no site": (lambda: Request("/hs", [("Cookie", f"session={mint()}"), ("Origin", "null")]), Bad(403, "origin")),
    "cookie, bad token": (lambda: Request("/hs", cookie("session=abcd")), bad("not three parts")),
})
BOB = lambda: mint(claims(sub="bob"))  # noqa: E731
requests("mixture", {
    "all four, the header counts": (lambda: Request(f"/hs?access_token={BOB()}", [bearer(mint()), offer("bearer", BOB()), *cookie(f"session={BOB()}")]),
                                    Good({"X-User-Id": "alice", "Authorization": None, "Cookie": None, "Sec-WebSocket-Protocol": None}, line=LINE)),
    "query before subprotocol and cookie": (lambda: Request(f"/hs?access_token={BOB()}", [offer("bearer", mint()), *cookie(f"session={mint()}")]),
                                            Good({"X-User-Id": "bob", "Cookie": None}, line=LINE)),
    "subprotocol before cookie": (lambda: Request("/hs", [offer("bearer", BOB()), *cookie(f"session={mint()}")]),
                                  Good({"X-User-Id": "bob", "Cookie": None})),
    "a bad header is not made up for by a good query": (lambda: Request(f"/hs?access_token={mint()}", [bearer("abcd")]), bad("not three parts")),
    "nor by a good subprotocol": (lambda: Request("/hs", [bearer(flipped(mint())), offer("bearer", mint())]), bad("signature")),
    "a bad query is not made up for by a good cookie": (lambda: Request("/hs?access_token=abcd", cookie(f"session={mint()}")), bad("not three parts")),
    "another scheme leaves it to the query": (lambda: Request(f"/hs?access_token={mint()}", [("Authorization", "Basic YTpi")]), Good(line=LINE)),
    "an empty query leaves it to the cookie": (lambda: Request("/hs?access_token=", cookie(f"session={mint()}")), Good(line=LINE)),
    "two cookies do not matter behind a header": (lambda: Request("/hs", [bearer(mint()), *cookie(f"session={BOB()}; session={BOB()}")]),
                                                  Good({"X-User-Id": "alice", "Cookie": None})),
    "the order is the route's: cookie": (lambda: Request("/order", [bearer(mint()), *cookie(f"session={BOB()}")]), Good({"X-User-Id": "bob"})),
    "the order is the route's: a field of another name": (lambda: Request("/order", [bearer(mint()), ("X-Token", BOB())]), Good({"X-User-Id": "bob"})),
    "a field of another name has no scheme": (lambda: Request("/order", [("X-Token", "Bearer " + mint())]), bad("octet outside of base64url")),
    "a field of another name, empty": (lambda: Request("/order", [("X-Token", ""), bearer(mint())]), Good()),
    "a field of another name, twice": (lambda: Request("/order", [("X-Token", mint()), ("x-token", mint())]), TWICE),
    "a route without auth keeps what it is sent": (lambda: Request("/open", [("Authorization", "Bearer of-the-backend")]),
                                                   Good({"Authorization": "Bearer of-the-backend", "X-User-Id": None})),
})

# ---- several [auth] on one route
FIRST, SECOND = "https://first.example/", "https://second.example/"
first = lambda **change: mint(claims(iss=FIRST, **change))  # noqa: E731
second = lambda **change: mint(claims(iss=SECOND, **change), algorithm="ES256", key=EC256)  # noqa: E731
accept("issuers", "/two", {"the first issuer": lambda: first()}, Good({"X-User-Id": "alice", "X-Second": None}))
accept("issuers", "/two", {"the second issuer": lambda: second()}, Good({"X-Second": "alice", "X-User-Id": None}))
refuse("issuers", "/two", {
    "no issuer": (lambda: mint(claims(iss=None)), "no iss, and the route has several issuers"),
    "an issuer of nobody": (lambda: mint(claims()), "iss of no auth of the route"),
    "the second issuer by the first one's secret": (lambda: mint(claims(iss=SECOND)), "alg not allowed"),
    "the first issuer by the second one's key": (lambda: mint(claims(iss=FIRST), algorithm="ES256", key=EC256), "alg not allowed"),
    "the second issuer by another key": (lambda: mint(claims(iss=SECOND), algorithm="ES256", key=MINE_EC), "signature"),
    "both issuers": (lambda: with_member(f'"iss":"{FIRST}"'), "payload is not a JSON object"),
    "a list of both": (lambda: mint(claims(iss=[FIRST, SECOND])), "no iss, and the route has several issuers"),
    "the second issuer by its public key as a secret": (
        lambda: mint(claims(iss=SECOND), key=as_secrets(EC256, "ES256", "k")["PEM"]), "alg not allowed"),
    "no payload": (lambda: mint(raw_body=b"["), "payload is not a JSON object"),
})

# ---- methods side by side, revocations, refusal by close
requests("methods", {
    "an API key": (lambda: Request("/mixed", [("X-API-Key", API_KEY)]), Good({"X-Client": "billing", "X-API-Key": None, "X-User-Id": None})),
    "a token": (lambda: Request("/mixed", [bearer(mint())]), Good({"X-User-Id": "alice", "X-Client": None})),
    "both, the first table counts": (lambda: Request("/mixed", [("X-API-Key", API_KEY), bearer(mint())]), Good({"X-User-Id": "alice", "X-API-Key": None})),
    "a bad token beside a good key": (lambda: Request("/mixed", [("X-API-Key", API_KEY), bearer("abcd")]), bad("not three parts")),
    "an API key as a token": (lambda: Request("/mixed", [bearer(API_KEY)]), bad("not three parts")),
    "a token as an API key": (lambda: Request("/mixed", [("X-API-Key", mint())]), Bad(401, "bad_token")),
    "half an API key": (lambda: Request("/mixed", [("X-API-Key", API_KEY[:-1])]), Bad(401, "bad_token")),
    "an API key of another": (lambda: Request("/mixed", [("X-API-Key", API_KEY[:20] + "A" * 43)]), Bad(401, "bad_token")),
    "an API key twice": (lambda: Request("/mixed", [("X-API-Key", API_KEY)] * 2), TWO_FIELDS),
    "neither": (lambda: Request("/mixed", []), NOTHING),
})
refuse("revoked", "/hs", {
    "by jti": (lambda: mint(claims(jti=REVOKED)), None),
    "by sub": (lambda: mint(claims(sub=REVOKED)), None),
    "by a claim": (lambda: mint(claims(room=REVOKED)), None),
}, 403, "revoked")
accept("revoked", "/hs", {"of another": lambda: mint(claims(jti="other", room="other"))})
refuse("revoked", "/hs", {"a bad token is bad, whoever it names": (lambda: mint(claims(jti=REVOKED), key=OTHER_SECRET), "signature")})
requests("close", {
    "no token": (lambda: Request("/soft", []), Closed(4401, "no_token")),
    "a bad one": (lambda: Request("/soft", [bearer(flipped(mint()))]), Closed(4401, "bad_token")),
    "a late one": (lambda: Request("/soft", [bearer(mint(claims(exp=1)))]), Closed(4401, "token_expired")),
    "twice": (lambda: Request(f"/soft?access_token={mint()}&access_token={mint()}", []), Closed(4401, "dup_token")),
    "revoked": (lambda: Request("/soft", [bearer(mint(claims(jti=REVOKED)))]), Closed(4403, "revoked")),
    "from another site": (lambda: Request("/soft", [bearer(mint()), ("Origin", "https://evil.example")]), Closed(4403, "origin")),
    "a good one": (lambda: Request("/soft", [bearer(mint())]), Good()),
})
