"""Requests to endpoints of the gateway's own, octet by octet where a test wants that."""

import json
from typing import Any, Optional


def post(path: str, body: bytes = b"", fields=(), *, host: str = "localhost", method: str = "POST", chunks: int = 0,
         length: Optional[int] = None) -> bytes:
    """`chunks`: the body goes in chunks of that size."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"] + [f"{name}: {value}" for name, value in fields]
    if chunks:
        lines.append("Transfer-Encoding: chunked")
        cut = [body[i:i + chunks] for i in range(0, len(body), chunks)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in cut) + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(client, data: bytes) -> Any:
    """The status, the head and the body as JSON, or as octets where it is none."""
    client.send(data)
    head = client.read_head()
    assert head is not None, "closed without an answer"
    body = b"" if head.status == 204 else client.read_body(head)
    try:
        return head.status, head, json.loads(body)
    except ValueError:
        return head.status, head, body
