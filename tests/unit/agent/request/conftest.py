from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from remora.agent.actions import Firings, Limiter
from remora.agent.probes import Probes
from remora.agent.request import context, serve_request
from remora.protocol import Limit, parse_probe


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    """Each test begins and ends outside of any request."""
    serve_request(None)
    context._user.set(None)
    yield
    serve_request(None)
    context._user.set(None)


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
