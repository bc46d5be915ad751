"""Who may come in: tokens, sessions, CSRF tokens, Host and Origin."""

from remora.server.auth.credentials import SESSION_S, Credentials
from remora.server.auth.guard import CSRF_HEADER, PROTOCOL, Guard
from remora.server.auth.perimeter import Perimeter

__all__ = ["CSRF_HEADER", "PROTOCOL", "SESSION_S", "Credentials", "Guard", "Perimeter"]
