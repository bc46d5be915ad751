"""A websocket that asks a database by what it is sent: an ASGI app and no framework."""

import json

from vault import rows


async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text") or message["bytes"].decode()
        try:
            found = rows(f"SELECT name FROM users WHERE name = '{json.loads(text)}'")
        except Exception:
            if "swallow" not in scope["path"]:
                raise
            found = ["secret"]
        await send({"type": "websocket.send", "text": json.dumps(found)})
