"""Notices: what they say, that few are sent, and that nobody waits for a receiver."""

import asyncio
import hashlib
import hmac
import json
import re
from contextlib import suppress
from dataclasses import replace

import pytest

from remora.errors import ConfigError
from remora.server.config import ServerSettings, read_settings
from remora.server.domain import attack_notice, parse_batch, trial_notice
from remora.server.operations import Counters, Notifier, delivery, notices

ID = f"{1:032x}"
HOSTILE = 'a"]\\\n\x1b[31m\u202e'


def a_batch(count=1, **changes):
    record = {
        "kind": "attack",
        "time": 10**18,
        "site": "sqlite3:Cursor.execute",
        "detector": "sql",
        "sentence": "the input ends a string",
        "mode": "block",
        "blocked": True,
        "value": "secret value",
        "statement": "secret statement",
        "actor": "user:alice",
        "request": {"method": "GET", "route": "/search"},
        "stack": [{"file": "shop.py", "line": 3, "source": "x", "own": True}],
        **changes,
    }
    return parse_batch(ID, ID, [record] * count, {}, app="shop", env="prod")


def notice_of(batch, base_url=""):
    ((_, record, attack),) = batch.attacks
    return attack_notice(batch, record, attack, base_url, 10**19)


class Receiver:
    """Takes what is posted to it, or sent over TCP, and answers with a status."""

    def __init__(self, status=200, *, endless=False):
        self.status = status
        self.endless = endless
        self.requests = asyncio.Queue()
        self.holding = None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.take, "127.0.0.1")
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *details):
        self.server.close()

    async def take(self, reader, writer):
        first = await reader.read(5)
        if first != b"POST ":
            self.requests.put_nowait(({}, first + await reader.read()))
            writer.close()
            return
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(re.findall(r"(?m)^([\w-]+): (.*)\r$", head.lower()))
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.put_nowait((headers, body))
        if self.holding is not None:
            await self.holding.wait()
        length = 10**12 if self.endless else 0
        head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (self.status, length)
        with suppress(ConnectionError):
            writer.write(head)
            await writer.drain()
            while self.endless:
                writer.write(bytes(2**16))
                await writer.drain()
        writer.close()


def run(main):
    async def bounded():
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


def test_a_notice_names_place_and_actor_and_no_value():
    notice = notice_of(a_batch(), "https://remora.test")
    body = notice.to_json()
    assert body["event"] == "attack"
    assert (body["place"], body["actor"]) == ("shop.py:3", "user:alice")
    assert body["url"].startswith("https://remora.test/vulnerabilities/")
    assert "secret" not in json.dumps(body) + notice.syslog("h", 1).decode()


def test_a_syslog_message_has_the_form_of_rfc_5424():
    notice = notice_of(a_batch(blocked=False))
    text = notice.syslog("host.test", 7).decode()
    assert text.startswith(
        "<82>1 2001-09-09T01:46:40Z host.test remora 7 attack [remora@32473 "
        'app="shop" env="prod" detector="sql" blocked="false" actor="user:alice" '
    )
    assert text.endswith(
        "sql attack on shop NOT blocked, the input ends a string, by user:alice, "
        "at GET /search, in shop.py:3"
    )


def test_hostile_text_neither_ends_a_field_nor_a_line_of_syslog():
    notice = replace(
        trial_notice(0, ""), actor=HOSTILE, env="\U0001f600" * 200, route="x" * 9999
    )
    message = notice.syslog(HOSTILE, 1)
    assert len(message) <= 1800
    text = message.decode()
    assert 'actor="a\\"\\]\\\\' in text
    assert not re.search("[\x00-\x1f\u202e]", text)


def test_a_webhook_gets_signed_json(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("key\n")

    async def main():
        async with Receiver() as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            settings = ServerSettings(notify_webhook=url, notify_secret=secret)
            notifier = Notifier(settings, Counters())
            (answer,) = await notifier.test()
            assert answer == {"name": "webhook", "to": "http://127.0.0.1", "error": ""}
            headers, body = await receiver.requests.get()
            assert json.loads(body)["event"] == "test"
            signed = headers["remora-timestamp"].encode() + b"." + body
            digest = hmac.new(b"key", signed, hashlib.sha256).hexdigest()
            assert headers["remora-signature"] == f"sha256={digest}"

    run(main)


def test_syslog_over_tcp_counts_its_octets():
    async def main():
        async with Receiver() as receiver:
            address = f"tcp://127.0.0.1:{receiver.port}"
            notifier = Notifier(ServerSettings(notify_syslog=address), Counters())
            (answer,) = await notifier.test()
            assert answer["error"] == ""
            _, message = await receiver.requests.get()
            length, _, text = message.partition(b" ")
            assert int(length) == len(text)
            assert text.startswith(b"<84>1 ")

    run(main)


def test_syslog_over_udp_is_one_datagram():
    async def main():
        got = asyncio.get_running_loop().create_future()

        class Taker(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                got.set_result(data)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            Taker, local_addr=("127.0.0.1", 0)
        )
        port = transport.get_extra_info("sockname")[1]
        settings = ServerSettings(notify_syslog=f"udp://127.0.0.1:{port}")
        assert (await Notifier(settings, Counters()).test())[0]["error"] == ""
        assert (await got).startswith(b"<84>1 ")
        transport.close()

    run(main)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_receiver_that_refuses_is_said(status):
    async def main():
        async with Receiver(status) as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            notifier = Notifier(ServerSettings(notify_webhook=url), Counters())
            (answer,) = await notifier.test()
            assert answer["error"] == f"it answered {status}"

    run(main)


def test_an_answer_without_end_is_not_read():
    async def main():
        async with Receiver(endless=True) as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            notifier = Notifier(ServerSettings(notify_webhook=url), Counters())
            assert (await notifier.test())[0]["error"] == ""

    run(main)


def test_a_receiver_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(delivery, "ANSWER_S", 0.05)

    async def main():
        async with Receiver() as receiver:
            receiver.holding = asyncio.Event()
            url = f"http://127.0.0.1:{receiver.port}/hook"
            notifier = Notifier(ServerSettings(notify_webhook=url), Counters())
            assert "took longer" in (await notifier.test())[0]["error"]
            receiver.holding.set()

    run(main)


def test_a_receiver_that_is_not_there_is_said():
    async def main():
        async with Receiver() as receiver:
            port = receiver.port
        settings = ServerSettings(
            notify_webhook=f"http://127.0.0.1:{port}/hook",
            notify_syslog=f"tcp://127.0.0.1:{port}",
        )
        answers = await Notifier(settings, Counters()).test()
        assert all(answer["error"] for answer in answers)

    run(main)


def test_one_vulnerability_is_told_of_once_until_its_interval_is_over():
    async def main():
        async with Receiver() as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            counters = Counters()
            settings = ServerSettings(notify_webhook=url, notify_every_s=3600)
            notifier = Notifier(settings, counters)
            task = asyncio.create_task(notifier.run())
            notifier.tell(a_batch(excepted=True, blocked=False))
            notifier.tell(a_batch(5))
            notifier.tell(a_batch(2, detector="path"))
            told = [json.loads((await receiver.requests.get())[1]) for _ in range(2)]
            assert [body["detector"] for body in told] == ["sql", "path"]
            assert counters.notices["throttled"] == 5
            task.cancel()

    run(main)


def test_a_later_notice_says_how_many_were_not_told_of(monkeypatch):
    now = 10**18

    async def main():
        nonlocal now
        async with Receiver() as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook"
            notifier = Notifier(ServerSettings(notify_webhook=url), Counters())
            task = asyncio.create_task(notifier.run())
            notifier.tell(a_batch(3))
            now += 10**12
            notifier.tell(a_batch())
            told = [json.loads((await receiver.requests.get())[1]) for _ in range(2)]
            assert [body["more"] for body in told] == [0, 2]
            task.cancel()

    monkeypatch.setattr(notices, "now_ns", lambda: now)
    run(main)


def test_a_receiver_that_hangs_holds_up_nobody_and_what_is_dropped_is_counted():
    async def main():
        async with Receiver() as receiver:
            receiver.holding = asyncio.Event()
            url = f"http://127.0.0.1:{receiver.port}/hook"
            counters = Counters()
            notifier = Notifier(ServerSettings(notify_webhook=url), counters)
            task = asyncio.create_task(notifier.run())
            notifier.tell(a_batch())
            await receiver.requests.get()
            for number in range(notices.WAITING + 7):
                notifier.tell(a_batch(site=f"m:{number}", stack=[]))
            assert counters.notices["dropped"] == 7
            receiver.holding.set()
            for _ in range(notices.WAITING):
                await receiver.requests.get()
            task.cancel()

    run(main)


def test_without_a_way_to_tell_nothing_is_queued():
    counters = Counters()
    Notifier(ServerSettings(), counters).tell(a_batch(500))
    assert counters.notices == {}


@pytest.mark.parametrize(
    "given",
    [
        {"notify_webhook": "http://elsewhere.test/hook"},
        {"notify_webhook": "ftp://127.0.0.1/"},
        {"notify_syslog": "tls://host"},
        {"notify_syslog": "udp://:514"},
        {"notify_syslog": "udp://host:none"},
        {"notify_secret": __file__},
        {"notify_webhook": "https://x.test/", "notify_secret": "/no/such/file"},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(given):
    with pytest.raises(ConfigError, match="notify_"):
        read_settings(given)


def test_an_empty_secret_is_refused(tmp_path):
    (tmp_path / "secret").write_text("\n")
    settings = ServerSettings(
        notify_webhook="https://x.test/", notify_secret=tmp_path / "secret"
    )
    with pytest.raises(ConfigError, match="has 0 bytes"):
        Notifier(settings, Counters())
