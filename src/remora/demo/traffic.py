"""Customers of the shop: they look around, fill carts and buy, at a bounded rate."""

from __future__ import annotations

import random
import threading
from typing import Self

import httpx

CUSTOMERS = ("alice", "bob", "carol", "dora", "emil")
PRODUCTS = 12
SHOPPERS = 2
"""Threads: as many as the shop has workers, so that both get their share."""

PAUSE_S = 0.05
"""Between two requests of one shopper: some thirty requests a second in all, enough to
see something at once and little enough for a laptop not to notice."""


class Traffic:
    """Shoppers that run until they are stopped."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopping = threading.Event()
        self._counting = threading.Lock()  # noqa: TID251 - not in anybody's app
        self._threads = [
            threading.Thread(  # noqa: TID251 - not in anybody's app
                target=self._shop, args=(number,), name=f"shopper-{number}"
            )
            for number in range(SHOPPERS)
        ]
        self.requests = 0
        self.orders = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _shop(self, number: int) -> None:
        dice = random.Random(number)  # noqa: S311 - which product is no secret
        with httpx.Client(
            base_url=self._url, timeout=10, follow_redirects=False, trust_env=False
        ) as http:
            while not self._stopping.is_set():
                # Each shopper has its own customers: a cart belongs to one visit.
                self._visit(http, dice, dice.choice(CUSTOMERS[number::SHOPPERS]))

    def _visit(self, http: httpx.Client, dice: random.Random, name: str) -> None:
        self._request(http, "POST", "/login", data={"name": name})
        self._request(
            http, "GET", "/", params={"q": dice.choice(("", "paper", "deck"))}
        )
        for _ in range(dice.randint(1, 2)):
            line = {
                "product": str(dice.randint(1, PRODUCTS)),
                "quantity": str(dice.choice((1, 1, 1, 2, 3))),
            }
            self._request(http, "POST", "/cart", data=line)
        if self._request(http, "POST", "/checkout"):
            with self._counting:
                self.orders += 1

    def _request(
        self, http: httpx.Client, method: str, path: str, **options: dict[str, str]
    ) -> bool:
        """Whether it went well; a pause follows. Nothing once we are stopping."""
        if self._stopping.is_set():
            return False
        problem = ""
        try:
            answer = http.request(
                method, path, data=options.get("data"), params=options.get("params")
            )
            if answer.is_error:
                problem = f"{method} {path}: {answer.status_code}"
        except httpx.HTTPError as error:
            problem = f"{method} {path}: {error}"
        with self._counting:
            self.requests += 1
            if problem:
                self.failures.append(problem)
        self._stopping.wait(PAUSE_S)
        return not problem
