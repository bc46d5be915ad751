"""Where records leave the process: a file, standard error, the server.

Builds the reporting chain of `remora.agent.reporting` and the link to the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.config import environment
from remora.agent.reporting import Reporter
from remora.agent.runtime import process

if TYPE_CHECKING:
    from remora.agent.capture import ShapeRedactor
    from remora.agent.orders import Orders
    from remora.agent.parts import Parts
    from remora.agent.reporting import AppLog, Client, FileSink, ServerSink


def open_outlet(parts: Parts) -> Orders | None:
    """Give the worker the tasks of reporting, and of listening to the server.

    Returns who obeys, where there is a server or what one has left.
    """
    settings = parts.settings
    remembers = settings.text("state") and settings.texts("public_key")
    obeys = settings.text("server") or remembers
    orders = _take_orders(parts) if obeys else None
    server = None
    if orders is not None and settings.text("server"):
        server = _connect(parts, orders)
    records = parts.settings.text("records") or ("" if server is not None else "-")
    parts.worker.add(
        Reporter(
            parts.queue,
            parts.drops,
            parts.diagnostics,
            prepare=_Preparation(parts).prepare,
            expects_records=lambda: parts.probes.reports,
            file=_record_file(parts, records) if records else None,
            server=server,
        )
    )
    return orders


def _take_orders(parts: Parts) -> Orders:
    # Here, because a process without a server needs none.
    from remora.agent.orders import Orders

    orders = Orders(parts)
    parts.rounds.append(orders.look_again)
    return orders


class _Preparation:
    """What a record goes through in the worker before it is written."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._steps: tuple[ShapeRedactor, AppLog] | None = None

    def prepare(self, record: dict[str, object]) -> dict[str, object]:
        """The record as it may leave; the app's log hears of it as well."""
        redactor, app_log = self._steps or self._make_steps()
        shown = redactor.redact(record)
        app_log.tell(shown)
        return shown

    def _make_steps(self) -> tuple[ShapeRedactor, AppLog]:
        # Here, because many a process never reports a record.
        from remora.agent.capture import ShapeRedactor
        from remora.agent.reporting import AppLog

        emails = self._parts.settings.flag("redact_emails")
        self._steps = ShapeRedactor(emails=emails), AppLog(self._parts.diagnostics)
        return self._steps


def _connect(parts: Parts, orders: Orders) -> ServerSink:
    # Here, because a process without a server needs none of them.
    from remora.agent.control import Link
    from remora.agent.reporting import ServerSink

    client = _client(parts)
    link = Link(client, orders, lambda: parts.instance, parts.diagnostics)
    parts.link = link
    parts.worker.add(link)
    if parts.settings.flag("children") and process.hands_the_agent_on():
        from remora.agent.control import Children

        parts.worker.add(
            Children(
                client, lambda: parts.instance, lambda: link.instance_id is not None
            )
        )
    return ServerSink(
        client, parts.drops, lambda: link.instance_id, link.register_again
    )


def _client(parts: Parts) -> Client:
    from remora.agent.reporting import Client, ServerSettings, TlsFiles

    settings = parts.settings
    tls = TlsFiles(
        settings.text("ca_file"),
        settings.text("client_cert"),
        settings.text("client_key"),
    )
    server, token = settings.text("server"), settings.text("token")
    return Client(ServerSettings(server, token, environment(), tls), parts.diagnostics)


def _record_file(parts: Parts, path: str) -> FileSink:
    # Late, because a process with a server mostly has none.
    from remora.agent.reporting import FileSink

    def origin() -> dict[str, object]:
        """What each line of a records file says of its process."""
        instance = parts.instance
        return {"instance": instance.id, "pid": instance.pid, "app": instance.app}

    limit = int(parts.settings.number("records_limit"))
    return FileSink(path, limit, origin, parts.drops, parts.diagnostics)
