"""The pages of the server: what an operator sees and does in a browser."""

from remora.server.pages.routes import Pages

__all__ = ["Pages"]
