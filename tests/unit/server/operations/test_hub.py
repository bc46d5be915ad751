"""Waking those who wait."""

import asyncio

from remora.server.operations import Hub


def test_wake_before_the_wait_is_not_lost():
    async def body():
        hub = Hub()
        with hub.connected("a", takes_queries=True) as connection:
            hub.wake(["a", "unknown"])
            assert await connection.wait(0)
            assert not await connection.wait(0.01)

    asyncio.run(body())


def test_newer_connection_ends_the_older_and_outlives_it():
    hub = Hub()
    with hub.connected("a", takes_queries=True) as newer:
        pass
    with hub.connected("a", takes_queries=True) as older:
        with hub.connected("a", takes_queries=False) as newer:
            assert older.replaced
            assert hub.connection("a") is newer
        assert hub.connection("a") is None
    assert hub.connection_count == 0


def test_watchers_wake_for_what_they_watch_alone():
    async def woken(probe, instance):
        hub = Hub()
        with hub.watching(probe, instance) as watcher:
            hub.records_arrived("i", {"p", "q"})
            return await watcher.wait(0.01)

    async def body():
        assert await woken("", "")
        assert await woken("p", "i")
        assert not await woken("other", "")
        assert not await woken("", "other")

    asyncio.run(body())


def test_closing_wakes_everybody():
    async def body():
        hub = Hub()
        with (
            hub.connected("a", takes_queries=True) as connection,
            hub.watching("", "") as watcher,
        ):
            hub.close()
            assert hub.closing
            assert await connection.wait(0)
            assert await watcher.wait(0)

    asyncio.run(body())
