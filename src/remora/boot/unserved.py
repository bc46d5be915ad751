"""Tells the server of a process that the agent cannot serve, so that `ps` names it.

Every `remora run` imports this module and almost none needs it: what costs time is
imported inside.
"""

from __future__ import annotations

import os
import time

from remora.boot.loopback import is_loopback
from remora.errors import ServerUnreachableError
from remora.version import PROTOCOL_VERSION, __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from remora.agent.config import Settings
    from remora.protocol import Instance
    from remora.pythons import Interpreter

_TIMEOUT_S = 2.0
"""The command waits for this: a server nearby answers in milliseconds."""

_TEXT_LIMIT = 500


def register_unserved(
    settings: Settings, interpreter: Interpreter, command: Sequence[str]
) -> None:
    """Register this process as unserved. Raises ServerUnreachableError."""
    import json
    from urllib.error import HTTPError, URLError
    from urllib.request import (
        BaseHandler,
        HTTPSHandler,
        ProxyHandler,
        Request,
        build_opener,
    )

    instance = _describe(settings, interpreter, command)
    url = f"{settings.text('server')}/agent/v1/register"
    request = Request(  # noqa: S310 - the setting allows http and https alone
        url,
        data=json.dumps({"instance": instance.to_json()}).encode(),
        headers={
            "Authorization": f"Bearer {settings.text('token')}",
            "Content-Type": "application/json",
            "Remora-Protocol": str(PROTOCOL_VERSION),
        },
    )
    handlers: list[BaseHandler] = [HTTPSHandler(context=_tls(settings))]
    if is_loopback(settings.text("server")):
        # A proxy cannot reach this machine's loopback, whatever is set.
        handlers.append(ProxyHandler({}))
    try:
        with build_opener(*handlers).open(request, timeout=_TIMEOUT_S) as answer:
            answer.read(65536)
    except HTTPError as error:
        error.close()
        raise ServerUnreachableError(
            f"the server at {settings.text('server')} answered {error.code} to the "
            "registration: check REMORA_TOKEN"
        ) from error
    except (URLError, OSError, ValueError) as error:
        raise ServerUnreachableError(
            f"the server at {settings.text('server')} did not answer: {error}"
        ) from error


def _describe(
    settings: Settings, interpreter: Interpreter, command: Sequence[str]
) -> Instance:
    from remora.protocol import Instance

    return Instance(
        id=os.urandom(16).hex(),
        app=_app_name(settings, command),
        env=settings.text("env"),
        version=settings.text("version"),
        host=os.uname().nodename,
        pid=os.getpid(),
        parent_pid=os.getppid(),
        started=time.time_ns(),
        python=interpreter.name,
        agent=__version__,
        command=" ".join(command)[:_TEXT_LIMIT],
        role="unserved",
        note=(interpreter.refusal or "")[:_TEXT_LIMIT],
    )


def _app_name(settings: Settings, command: Sequence[str]) -> str:
    """The app's name; the default of the settings would be that of our own program."""
    if settings.sources["app"] != "name of the program":
        return settings.text("app")
    if "-m" in command[1:-1]:
        return command[command.index("-m") + 1][:200]
    scripts = [part for part in command[1:] if not part.startswith("-")]
    named = scripts[0] if scripts and "-c" not in command else command[0]
    return os.path.basename(named).removesuffix(".py")[:200]


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.text("server").startswith("https:"):
        return None
    import ssl

    context = ssl.create_default_context(cafile=settings.text("ca_file") or None)
    if certificate := settings.text("client_cert"):
        context.load_cert_chain(certificate, settings.text("client_key") or None)
    return context
