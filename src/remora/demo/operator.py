"""What the demo asks of the server, through the API that every operator has."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

import httpx

Record = dict[str, Any]


class StepError(Exception):
    """A step of the demo did not come out as it should."""


class Operator:
    """A person with an operator token, of whom the demo plays the part."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._http.close()

    def instances(self, app: str) -> list[dict[str, Any]]:
        """The connected instances of an app."""
        query = {"app": app, "state": "connected"}
        return self._ask("GET", "/api/v1/instances", params=query)["instances"]

    def add_probe(self, probe: dict[str, object]) -> None:
        """Create a probe."""
        self._ask("POST", "/api/v1/probes", json={"probe": probe})

    def remove_probe(self, identifier: str) -> None:
        """Take a probe away."""
        self._ask("DELETE", f"/api/v1/probes/{identifier}")

    def probes(self) -> list[str]:
        """The ids of all probes."""
        answer = self._ask("GET", "/api/v1/probes")
        return [entry["probe"]["id"] for entry in answer["probes"]]

    def states(self, identifier: str) -> Counter[str]:
        """How many instances have it in which state. Raises StepError for a failure."""
        answer = self._ask("GET", f"/api/v1/probes/{identifier}")
        statuses = [entry["status"] for entry in answer["statuses"]]
        for status in statuses:
            if status["state"] in {"failed", "tripped"}:
                raise StepError(
                    f"{identifier} is {status['state']}: {status['reason']}"
                )
        return Counter(status["state"] for status in statuses)

    def records(self, identifier: str, *, limit: int = 200) -> list[Record]:
        """The newest records of a probe, the newest first."""
        query = {"probe": identifier, "limit": str(limit)}
        return self._ask("GET", "/api/v1/records", params=query)["records"]

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise StepError(f"{method} {path}: the server is gone: {error}") from None
        if answer.is_error:
            raise StepError(
                f"{method} {path}: {answer.status_code} {answer.text[:300]}"
            )
        return answer.json() if answer.content else {}
