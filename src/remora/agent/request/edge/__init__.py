"""The edge of a request: bodies are watched there, condemned requests refused.

Imported when protection begins. An edge sees what passes between a server and an app;
a response's head is held back until its first byte, so that a request that is condemned
while the app works can still be answered with a refusal.
"""

from remora.agent.request.edge.aiohttp import AiohttpApplication
from remora.agent.request.edge.applications import (
    Application,
    AsgiApplication,
    WsgiApplication,
    hand_in,
    stand_before,
)
from remora.agent.request.edge.asgi import AsgiEdge
from remora.agent.request.edge.bodies import note_message
from remora.agent.request.edge.carried import Carried, carry
from remora.agent.request.edge.django import django_refusal
from remora.agent.request.edge.http_server import guard_handler
from remora.agent.request.edge.refusal import meet_list
from remora.agent.request.edge.sanic import guard_sanic
from remora.agent.request.edge.tornado import guard_tornado
from remora.agent.request.edge.wsgi import WsgiEdge, watch_input

__all__ = [
    "AiohttpApplication",
    "Application",
    "AsgiApplication",
    "AsgiEdge",
    "Carried",
    "WsgiApplication",
    "WsgiEdge",
    "carry",
    "django_refusal",
    "guard_handler",
    "guard_sanic",
    "guard_tornado",
    "hand_in",
    "meet_list",
    "note_message",
    "stand_before",
    "watch_input",
]
