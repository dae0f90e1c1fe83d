"""A service with the shape of ours and nothing behind it.

`STATUS` makes it fail, and so does another Host than `HOST_HEADER` if that is set; its document is 503 for
the first `UNREADY` times it is asked for, or always (-1).
"""

import json
import os

LEAD = {
    "type": "object",
    "required": ["lead_id", "budget"],
    "properties": {
        "lead_id": {"type": ["string", "integer"]},
        "budget": {"type": "number", "minimum": 0, "maximum": 10},
    },
}
OPENAPI = {
    "paths": {"/score-lead": {"post": {"requestBody": {"content": {"application/json": {"schema": LEAD}}}}}}
}
unready = int(os.environ.get("UNREADY", "0"))
SCORE = {"lead_id": "L-1", "prediction_id": "p-1", "score": 50.0}


async def app(scope, receive, send):
    """Answer every path with the same score, after reading the body."""
    while (await receive()).get("more_body"):
        pass
    document = scope["path"] == "/openapi.json"
    status = 200 if document else int(os.environ.get("STATUS", "200"))
    wanted = os.environ.get("HOST_HEADER", "").encode()
    if wanted and not document and dict(scope["headers"])[b"host"] != wanted:
        status = 404
    if document and unready:
        status = 503
        globals()["unready"] = unready - 1
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(OPENAPI if document else SCORE).encode()})
