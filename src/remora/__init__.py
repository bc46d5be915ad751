"""remora: put probes into a running Python program, and see or change what it does.

Importing this module starts nothing and loads nothing but itself; each name of the
public surface is fetched when it is first used.
"""

from __future__ import annotations

import sys

from remora.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from remora.agent.hooks import Call
    from remora.agent.probes import Handle
    from remora.errors import Blocked, RemoraError
    from remora.outcomes import Arguments, Raise, Return

__all__ = [
    "Arguments",
    "Blocked",
    "Call",
    "Handle",
    "Raise",
    "RemoraError",
    "Return",
    "__version__",
    "hook",
    "set_user",
    "start",
    "status",
    "stop",
]

_HOMES = {
    "Arguments": "remora.outcomes",
    "Call": "remora.agent.hooks",
    "Raise": "remora.outcomes",
    "Return": "remora.outcomes",
    "Handle": "remora.agent.probes",
    "Blocked": "remora.errors",
    "RemoraError": "remora.errors",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'remora' has no attribute {name!r}")
    module = __import__(home, fromlist=[name])
    value = globals()[name] = getattr(module, name)
    return value


def start(  # noqa: PLR0913 - each is a setting of its own, all optional
    *,
    app: str | None = None,
    env: str | None = None,
    version: str | None = None,
    server: str | None = None,
    token: str | None = None,
    probes: Sequence[str] | None = None,
    records: str | None = None,
    protect: str | None = None,
    allow: str | None = None,
    log: str | None = None,
    redact: Sequence[str] | None = None,
) -> None:
    """Start the agent in this process.

    Every argument is optional; what is not given comes from `REMORA_*`, the file named
    in `REMORA_CONFIG`, or the default (docs/reference/python-api.md). `probes` are
    paths of TOML files, `records` the path of a JSON-lines file or `-`, `protect` is
    `off`, `watch` or `block` (docs/protection.md). A second call changes nothing and
    says so.

    Raises ConfigError for a setting and ProbeFileError or ProbeError for a file that
    cannot be used; the app is then as it was.
    """
    from remora.usage import usage

    before = usage()
    from remora.agent import agent

    agent.start(
        {
            "app": app,
            "env": env,
            "version": version,
            "server": server,
            "token": token,
            "probes": probes,
            "records": records,
            "protect": protect,
            "allow": allow,
            "log": log,
            "redact": redact,
        },
        before=before,
    )


def hook(
    target: str | list[str],
    *,
    pre: Callable[..., Any] | None = None,
    post: Callable[..., Any] | None = None,
    fail: Callable[..., Any] | None = None,
) -> Handle:
    """Let functions of yours run when `target` is called, returns or fails.

    A hook takes the arguments it names: parameters of the target, `result` (post),
    `error` (fail), `call`, `args`, `kwargs`. It returns None to proceed, or
    `Arguments`, `Return` or `Raise`. What escapes it is contained and counted; after
    three failures it is switched off. The handle removes it again; while the target's
    module is not imported, the handle is `waiting`.

    Raises TargetError for a text that is no target, and HookError where the target is
    not there or the hook does not fit it.
    """
    from remora.agent import agent

    return agent.hook(target, {"pre": pre, "post": post, "fail": fail})


def set_user(id: str | int, /, **attributes: Any) -> None:  # noqa: A002 - the word of the field
    """Name the account behind the request that is being served.

    `id` is what the app knows the account by; keywords (`role="admin"`) can be used in
    conditions as `user.role`. Outside a request it holds for this task or thread.
    """
    from remora.agent import agent

    agent.set_user(str(id), attributes)


def status() -> dict[str, Any]:
    """What is installed, where, at what cost, and why not; each setting's source."""
    from remora.agent import agent

    return agent.status()


def stop() -> None:
    """Stop the agent: everything is as it was before, nothing of ours runs."""
    agent = sys.modules.get("remora.agent.agent")
    if agent is None:
        return
    agent.stop()
    from remora.agent.runtime import unloading

    unloading.forget_modules()
