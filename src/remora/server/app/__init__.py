"""The server put together: an ASGI application, and a process that serves it."""

from remora.server.app.application import create_app
from remora.server.app.directory import DataPaths, data_paths
from remora.server.app.serving import address, serve

__all__ = ["DataPaths", "address", "create_app", "data_paths", "serve"]
