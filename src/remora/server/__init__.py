"""The control plane: agents and operators meet here. Needs `remora[server]`."""

from remora.server.app import DataPaths, create_app, serve
from remora.server.config import ServerSettings, read_settings

__all__ = ["DataPaths", "ServerSettings", "create_app", "read_settings", "serve"]
