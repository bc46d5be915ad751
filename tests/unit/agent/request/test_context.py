from __future__ import annotations

import asyncio
import threading

from remora.agent.request import (
    RequestContext,
    current_request,
    current_user,
    serve_request,
    set_user,
)


def test_a_user_belongs_to_the_request_that_is_served() -> None:
    set_user("outside", {})
    serve_request(RequestContext())
    assert current_user() is None
    set_user("alice", {"role": "admin"})
    assert current_user().__dict__ == {"id": "alice", "role": "admin"}
    serve_request(None)
    assert current_user().id == "outside"


def test_attributes_cannot_take_the_place_of_the_id() -> None:
    set_user("alice", {"id": "mallory"})
    assert current_user().id == "alice"


def test_tasks_keep_their_requests_apart() -> None:
    async def handle(number: int) -> tuple[object, object]:
        context = RequestContext()
        serve_request(context)
        await asyncio.sleep(0)
        set_user(str(number), {})
        await asyncio.sleep(0)
        assert current_request() is context
        return context.id, current_user().id

    async def main() -> list[tuple[object, object]]:
        return await asyncio.gather(*(handle(n) for n in range(20)))

    found = asyncio.run(main())
    assert len({identifier for identifier, _ in found}) == 20
    assert [user for _, user in found] == [str(n) for n in range(20)]
    assert current_request() is None


def test_a_thread_begins_without_a_request() -> None:
    serve_request(RequestContext())
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(current_request()))
    thread.start()
    thread.join(10)
    assert seen == [None]
