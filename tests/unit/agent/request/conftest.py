from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from remora.agent.actions import Firings, Limiter
from remora.agent.capture import SecretNames
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Probes
from remora.agent.request import context, serve_request
from remora.protocol import Instance, Limit, parse_probe


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    """Each test begins and ends outside of any request."""
    serve_request(None)
    context._user.set(None)
    yield
    serve_request(None)
    context._user.set(None)


@pytest.fixture
def probes() -> Iterator[Probes]:
    store = ModuleStore(Diagnostics("off"))
    store.start()
    instance = Instance("i", "app", "dev", "0", "host", 1, 0, 0, "CPython", "0")
    probes = Probes(
        store,
        HookTable(),
        lambda *_: True,
        SecretNames(()),
        lambda: instance,
        lambda: None,
    )
    yield probes
    probes.clear()
    store.stop()


@pytest.fixture
def serve(probes: Probes) -> Callable[..., None]:
    """Adds a request probe on a function of the test module that calls it."""

    def add(target: str, phase: str = "pre", **request: object) -> None:
        number = len(probes.statuses())
        probes.add(
            [
                parse_probe(
                    {
                        "id": f"request-{number}",
                        "target": target,
                        "phase": phase,
                        "request": request,
                    }
                )
            ]
        )
        status = probes.statuses()[-1]
        assert status.state.value == "installed", status.reason

    return add


@pytest.fixture
def firings() -> Firings:
    return Firings("p", Limiter(Limit(), 5), lambda *_: True)
