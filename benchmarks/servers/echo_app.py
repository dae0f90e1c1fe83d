"""The floor: an ASGI app that reads the body and answers a fixed text of `ECHO_BYTES` bytes."""

import os

BODY = b'"' + b"x" * (int(os.environ["ECHO_BYTES"]) - 2) + b'"'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())],
}
END = {"type": "http.response.body", "body": BODY}


async def app(_scope, receive, send):
    """Answer every request alike."""
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(END)
