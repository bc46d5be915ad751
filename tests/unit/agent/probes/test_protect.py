"""Protect probes: what they stop, what they let through, and what disarms none."""

from __future__ import annotations

import _thread
import contextvars
import sqlite3
import sys
import threading
from types import SimpleNamespace

import pytest

import remora
from remora.agent.request import RequestContext, protection, serve_request

ATTACK = "' OR 1=1 --"
QUERY = "q=' OR 1=1 --"

TEXT = """
    ran = []

    class Driver:
        def execute(self, query, parameters=()):
            ran.append(query)
            return query

        def many(self, *queries, **more):
            ran.append(queries)

    async def later(query):
        ran.append(query)

    class Wrapped:
        def __init__(self, text):
            self.text = text

    def send(statement):
        ran.append(statement)

    def deep(depth, call):
        return deep(depth - 1, call) if depth else call()

    def lookup(host):
        ran.append(host)
        return [(2, 1, 6, "", ("10.0.0.7", 80))]
"""


@pytest.fixture
def driver(load):
    return load("shop_driver", TEXT)


@pytest.fixture
def ask():
    """Runs a function as the work of one request; gives the request."""

    def run(query, function):
        request = RequestContext()
        request.method, request.path, request.client = "GET", "/x", "192.0.2.1"
        request.source = {"QUERY_STRING": query}
        serve_request(request)
        try:
            request.state = function()
        finally:
            serve_request(None)
        return request

    return run


def guard(bench, target, argument, mode="block", detector="sql", **keys):
    table = {"detector": detector, "argument": argument, "mode": mode}
    bench.add(target, protect=table, **keys)
    assert bench.state == "installed", bench.reason


def made(text):
    """The text as an app makes one: no constant of its code."""
    return "".join(letter for letter in text)


def statement(value):
    return f"SELECT 1 WHERE name = '{value}'"


def test_an_attack_does_not_reach_the_sink_and_is_told_once(bench, driver, ask):
    guard(bench, "shop_driver:Driver.execute", "query")
    execute = driver.Driver().execute
    seen = []

    def serve():
        for _ in range(3):
            with pytest.raises(remora.Blocked):
                execute(statement(ATTACK))
        seen.append(execute("ROLLBACK"))

    request = ask(QUERY, serve)
    assert driver.ran == seen == ["ROLLBACK"]
    assert request.condemned
    (record,) = bench.records
    text, (start, end) = record["statement"], record["statement_marked"]
    assert text[start:end] == ATTACK
    value, (start, end) = record["value"], record["value_marked"]
    assert (value, value[start:end]) == (ATTACK, ATTACK)
    assert (
        record
        | {
            "kind": "attack",
            "probe": "p",
            "site": "shop_driver:Driver.execute",
            "detector": "sql",
            "mode": "block",
            "blocked": True,
            "source": "query",
            "parameter": "q",
            "actor": "address:192.0.2.1",
            "user": None,
        }
        == record
    )
    assert record["request"]["id"] == request.id
    first = record["stack"][0]
    assert first["own"]
    assert first["file"] == __file__
    assert first["source"].strip() == "execute(statement(ATTACK))"
    assert all(type(token) is str for token in record["before"] + record["after"])


def test_honest_input_bound_parameters_and_work_outside_requests_pass(
    bench, driver, ask
):
    guard(bench, "shop_driver:Driver.execute", "query")
    execute = driver.Driver().execute
    ask("q=O'Hara", lambda: execute(statement("O''Hara")))
    ask(QUERY, lambda: execute("SELECT 1 WHERE name = ?", (ATTACK,)))
    execute(statement(ATTACK))
    assert len(driver.ran) == 3
    assert bench.records == []


def test_watching_reports_and_lets_the_call_go_on(bench, driver, ask):
    guard(bench, "shop_driver:Driver.execute", "query", mode="watch")
    request = ask(QUERY, lambda: driver.Driver().execute(statement(ATTACK)))
    assert driver.ran == [statement(ATTACK)]
    assert not request.condemned
    (record,) = bench.records
    assert (record["mode"], record["blocked"]) == ("watch", False)


@pytest.mark.parametrize(
    ("target", "argument", "call"),
    [
        ("Driver.execute", 0, lambda d, s: d.Driver().execute(s)),
        ("Driver.execute", ["sql", "query"], lambda d, s: d.Driver().execute(query=s)),
        ("Driver.many", "queries[0]", lambda d, s: d.Driver().many(s)),
        ("Driver.many", "more['query']", lambda d, s: d.Driver().many(query=s)),
        ("send", "statement.text", lambda d, s: d.send(d.Wrapped(s))),
        ("send", "statement", lambda d, s: d.send(s.encode())),
    ],
)
def test_the_argument_is_found_by_position_name_or_expression(
    bench, driver, ask, target, argument, call
):
    guard(bench, f"shop_driver:{target}", argument)
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: call(driver, statement(ATTACK)))
    assert driver.ran == []


@pytest.mark.parametrize("cursor", [False, True])
def test_methods_of_c_that_name_nothing_are_looked_at_by_position(bench, ask, cursor):
    targets = ["sqlite3:Connection.execute", "sqlite3:Cursor.execute"]
    bench.add(
        targets,
        protect={"detector": "sql", "argument": [0, "sql"], "mode": "block"},
    )
    connection = sqlite3.connect(":memory:")
    own = connection.cursor() if cursor else connection
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: own.execute(statement(ATTACK)))
    assert own.execute("SELECT 1").fetchone() == (1,)
    connection.close()


def test_an_argument_that_is_not_there_is_a_status(bench, driver):
    table = {"detector": "sql", "argument": "sql", "mode": "block"}
    bench.add("shop_driver:Driver.execute", protect=table)
    assert bench.state == "failed"
    assert "query" in bench.status().sites[0].why


def test_a_condition_says_where_it_holds(bench, driver, ask):
    guard(
        bench,
        "shop_driver:Driver.execute",
        "query",
        when="not startswith(request.path, '/admin')",
    )
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: driver.Driver().execute(statement(ATTACK)))
    bench.probes.remove(["p"])
    guard(bench, "shop_driver:send", "statement", when="request.path != '/x'")
    ask(QUERY, lambda: driver.send(statement(ATTACK)))
    assert driver.ran == [statement(ATTACK)]


def test_a_condition_may_leave_a_route_out_where_nothing_has_a_name(bench, ask):
    bench.add(
        "sqlite3:Connection.execute",
        when="request.path != '/x'",
        protect={"detector": "sql", "argument": [0, "sql"], "mode": "block"},
    )
    assert bench.state == "installed", bench.reason
    connection = sqlite3.connect(":memory:")
    text = statement(ATTACK).replace("name", "'x'")
    assert not ask(QUERY, lambda: connection.execute(text)).condemned
    connection.close()


def test_mode_off_is_not_installed(bench, driver):
    table = {"detector": "sql", "argument": "query", "mode": "off"}
    bench.add("shop_driver:send", protect=table)
    assert "mode = 'off'" in bench.reason
    assert not protection.watches


def test_what_is_judged_after_a_lookup_knows_where_the_name_leads(bench, driver, ask):
    guard(bench, "shop_driver:lookup", 0, detector="host", phase="post", mode="block")
    with pytest.raises(remora.Blocked):
        ask(
            "host=inside.example.com", lambda: driver.lookup(made("inside.example.com"))
        )
    assert driver.ran == ["inside.example.com"]
    (record,) = bench.records
    assert record["detector"] == "url"


def test_nothing_that_an_app_hands_in_runs_its_code(bench, driver, ask):
    class Odd:
        def __getattribute__(self, name):
            raise AssertionError(name)

        def __str__(self):
            raise AssertionError

    class Text(str):
        __slots__ = ()

        def __str__(self):
            raise AssertionError

        __eq__ = __contains__ = __len__ = __str__
        __hash__ = str.__hash__

    guard(bench, "shop_driver:send", "statement")
    ask(QUERY, lambda: driver.send(Odd()))
    assert "1 checks not made: the argument cannot be read" in bench.reason
    ask(QUERY, lambda: driver.send(None))
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: driver.send(Text(statement(ATTACK))))


def test_a_condemned_request_gets_no_further_statement_but_those_that_tidy(
    bench, driver, ask
):
    guard(bench, "shop_driver:send", "statement")

    def serve():
        with pytest.raises(remora.Blocked):
            driver.send(statement(ATTACK))
        with pytest.raises(remora.Blocked):
            driver.send("DELETE FROM users")
        driver.send("ROLLBACK TO SAVEPOINT s1")

    request = ask(QUERY, serve)
    ask("q=1", lambda: driver.send("DELETE FROM users"))
    assert driver.ran == ["ROLLBACK TO SAVEPOINT s1", "DELETE FROM users"]
    assert len(bench.records) == 1
    request.ended = True
    serve_request(request)  # as a thread has it that the request has started
    driver.send("DELETE FROM users")
    with pytest.raises(remora.Blocked):
        driver.send(statement(ATTACK))
    serve_request(None)


@pytest.mark.parametrize("room", range(2, 60))
def test_no_depth_of_the_stack_lets_an_attack_through(bench, driver, ask, room):
    guard(bench, "shop_driver:send", "statement")
    attack = statement(ATTACK)

    def at_the_end():
        depth = len(_frames())
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(depth + 100)
        try:
            driver.deep(100 - room, lambda: driver.send(attack))
        except (RecursionError, remora.Blocked):
            pass
        finally:
            sys.setrecursionlimit(limit)

    ask(QUERY, at_the_end)
    assert driver.ran == []
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: driver.send(attack))
    ask("q=1", lambda: driver.send("SELECT 1"))


def _frames():
    frame, frames = sys._getframe(1), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def test_a_thousand_inputs_that_overload_it_leave_it_as_it_was(bench, driver, ask):
    guard(bench, "shop_driver:send", "statement")
    many = "&".join(f"a{n}=x'{n}" for n in range(3000))
    for number in range(1000):
        try:
            if number % 100 == 0:
                text = "SELECT " + "'," * 30_000
                ask(many, lambda text=text: driver.send(text))
            else:
                ask("q=" + "'(" * number, lambda: driver.send("\ud800" * 9))
        except remora.Blocked:
            pass
    driver.ran.clear()
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: driver.send(statement(ATTACK)))
    assert driver.ran == []
    assert bench.state == "installed"


def test_a_fault_of_ours_blocks_where_input_is_in_the_argument(
    bench, driver, ask, monkeypatch
):
    guard(bench, "shop_driver:send", "statement")
    module = sys.modules["remora.agent.actions.protect"]

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "ask", broken)
    for _ in range(5):
        with pytest.raises(remora.Blocked):
            ask("q=a-bc", lambda: driver.send("SELECT 'a-bc'"))
        ask("q=a-bc", lambda: driver.send("SELECT 1"))
    assert driver.ran == ["SELECT 1"] * 5
    # the others ended before they had to ask: nothing of the request was in them
    assert "5 checks not made: the check failed" in bench.reason
    assert bench.records[0]["not_made"] == "the check failed"
    assert len(bench.records) == 5


def test_of_a_request_with_more_inputs_than_are_looked_for_only_own_texts_pass(
    bench, driver, ask
):
    guard(bench, "shop_driver:send", "statement")
    many = "&".join(f"a{n}=value {n}" for n in range(9000))
    columns = ["name"]
    built = f"SELECT {columns[0]} FROM users"
    ask(many, lambda: driver.send("INSERT INTO users VALUES (?)"))
    with pytest.raises(remora.Blocked):
        ask(many, lambda: driver.send(f"SELECT {len(driver.ran)} --"))
    ask("q=1", lambda: driver.send(built))
    ask(many, lambda: driver.send(built))
    assert len(driver.ran) == 3


def test_words_that_a_statement_has_by_itself_are_no_attack(bench, driver, ask):
    guard(bench, "shop_driver:send", "statement")
    columns = ["name"]
    built = f"SELECT {columns[0]} FROM t WHERE a LIKE ? ESCAPE '!' OR b = 1 ORDER BY a"
    assert not ask("q=ORDER BY", lambda: driver.send("SELECT 1 ORDER BY 1")).condemned
    ask("q=bob", lambda: driver.send(built))
    for words in ("ORDER BY", "' OR", "' OR b = 1"):
        assert not ask(f"q={words}", lambda: driver.send(built)).condemned
    other = f"SELECT {columns[0]} FROM t WHERE c = '' OR b = 1"
    with pytest.raises(remora.Blocked):
        ask("q=' OR b = 1", lambda: driver.send(other))
    with pytest.raises(remora.Blocked):
        ask(f"q={built}", lambda: driver.send(built))


def test_what_was_opened_before_is_not_for_everybody(bench, driver, ask):
    guard(bench, "shop_driver:send", "statement", detector="path")
    secret = made("/srv/keys")
    ask("q=1", lambda: driver.send(secret))
    with pytest.raises(remora.Blocked):
        ask(f"q={secret}", lambda: driver.send(secret))
    own = made("/srv/app/../templates/page.html")
    ask("q=1", lambda: driver.send(own))
    assert not ask("q=..", lambda: driver.send(own)).condemned
    with pytest.raises(remora.Blocked):
        ask("q=../keys", lambda: driver.send(made("/srv/app/../keys")))


def test_a_request_that_names_the_folder_of_the_app_keeps_it_from_no_file(
    bench, driver, ask, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    guard(bench, "shop_driver:send", "statement", detector="path")
    for folder in (str(tmp_path), f"{tmp_path.parent}/"):
        page = f"{folder}/templates/login.html"
        assert not ask(f"next={folder}", lambda p=page: driver.send(p)).condemned
    for stolen in (f"{tmp_path}/.env", made("/etc/passwd")):
        with pytest.raises(remora.Blocked):
            ask(f"next={tmp_path}&f={stolen}", lambda p=stolen: driver.send(p))
    assert len(driver.ran) == 2


def test_secrets_of_the_request_are_not_in_the_record(bench, driver, ask):
    guard(bench, "shop_driver:send", "statement", mode="watch")
    text = made("SELECT 1 FROM u WHERE pin = 'hunter2222' AND name = 'x' OR 'a'='a'")
    ask("name=x' OR 'a'='a&password=hunter2222", lambda: driver.send(text))
    ask(
        "password=hunter2' OR 1=1 --",
        lambda: driver.send(made("SELECT 1 FROM u WHERE pw = 'hunter2' OR 1=1 --'")),
    )
    first, second = bench.records
    assert "hunter2222" not in str(first["statement"])
    start, end = first["statement_marked"]
    assert first["statement"][start:end] == "x' OR 'a'='a"
    assert "hunter2" not in str(second["value"]) + str(second["statement"])
    start, end = second["value_marked"]
    assert second["value"][start:end] == "' OR 1=1 --"


def test_a_coroutine_is_refused_before_its_body_begins(bench, driver, ask):
    import asyncio

    guard(bench, "shop_driver:later", "query")
    with pytest.raises(remora.Blocked):
        ask(QUERY, lambda: asyncio.run(driver.later(statement(ATTACK))))
    assert driver.ran == []


def test_requests_are_watched_while_there_is_a_protect_probe(bench, driver):
    assert not protection.watches
    guard(bench, "shop_driver:send", "statement", mode="watch")
    assert (protection.watches, protection.blocks) == (True, False)
    guard(bench, "shop_driver:send", "statement", mode="block")
    assert protection.blocks
    bench.probes.remove(["p"])
    assert not protection.watches


def test_nothing_slips_through_while_one_is_replaced(bench, driver, ask):
    guard(bench, "shop_driver:send", "statement")
    ended, escaped = threading.Event(), []

    def attack():
        while not ended.is_set():
            ask(QUERY, lambda: attempt(escaped))

    def attempt(escaped):
        try:
            escaped.append(driver.send(statement(ATTACK)))
        except remora.Blocked:
            return

    thread = threading.Thread(target=attack)
    thread.start()
    for _ in range(100):
        guard(bench, "shop_driver:send", "statement")
        assert protection.blocks
    ended.set()
    thread.join()
    assert escaped == []


def test_an_attack_is_told_though_the_queue_is_full_of_other_records(
    bench, driver, ask
):
    guard(bench, "shop_driver:send", "statement", mode="watch")
    important = []
    bench.probes.put = None  # what is installed keeps what it had
    active = bench.probes._active["p"]
    active.firings.put = lambda record, size, is_important=False: important.append(
        is_important
    )
    ask(QUERY, lambda: driver.send(statement(ATTACK)))
    assert important == [True]


def test_two_threads_of_one_request_tell_of_one_attack(bench, driver, ask):
    import contextvars

    guard(bench, "shop_driver:send", "statement", mode="watch")

    def serve():
        for _ in range(2):
            context = contextvars.copy_context()
            thread = threading.Thread(
                target=context.run, args=(driver.send, statement(ATTACK))
            )
            thread.start()
            thread.join()

    ask(QUERY, serve)
    assert len(driver.ran) == 2
    assert len(bench.records) == 1


def test_a_command_that_was_one_argument_is_not_taken_for_a_line(bench, driver, ask):
    guard(bench, "shop_driver:send", "statement", detector="shell")
    word = made("a; id")
    ask(f"q={word}", lambda: driver.send(["echo", word]))
    with pytest.raises(remora.Blocked):
        ask(f"q={word}", lambda: driver.send(["sh", "-c", f"echo {word}"]))
    with pytest.raises(remora.Blocked):
        ask(f"q={word}", lambda: driver.send(f"echo {word}"))
    line = ["sh", "-c", made("grep bob file")]
    ask("q=1", lambda: driver.send(line))
    assert not ask("q=bob file", lambda: driver.send(line)).condemned


WRITTEN = """
    def first(driver):
        return driver.execute("SELECT a FROM b")

    def chosen(driver, text):
        return driver.execute(text)

    def send(driver):
        return driver.send("SELECT c FROM d")

    def slash(driver):
        return driver.execute("/")
"""


@pytest.fixture
def written(load):
    return load("shop_written", WRITTEN)


def test_a_statement_that_the_caller_has_written_reads_nothing_of_a_request(
    bench, driver, ask, written
):
    guard(bench, "shop_driver:Driver.execute", "query")
    cursor = driver.Driver()
    ask("q=x", lambda: written.first(cursor))
    request = ask(QUERY, lambda: written.first(cursor))
    assert request.gathered is None
    assert bench.status().firings == 2


def test_the_same_text_from_elsewhere_is_judged(bench, driver, ask, written):
    """What is remembered is an object in the code that calls, and no text."""
    guard(bench, "shop_driver:Driver.execute", "query")
    cursor = driver.Driver()
    for _ in range(2):
        ask("q=x", lambda: written.first(cursor))
    constant = written.first.__code__.co_consts[1]
    equal = "".join(list(constant))
    for text in (equal, constant):
        # another function may get the very object by interning what was sent
        with pytest.raises(remora.Blocked):
            ask(f"q={constant}", lambda text=text: written.chosen(cursor, text))


def test_a_single_character_is_not_known_by_its_identity(bench, driver, ask, written):
    """It is one object wherever it comes from."""
    guard(bench, "shop_driver:Driver.execute", "query")
    cursor = driver.Driver()
    for _ in range(2):
        request = ask("q=x", lambda: written.slash(cursor))
    assert request.gathered is not None


def test_a_condemned_request_gets_no_written_statement_either(
    bench, driver, ask, written
):
    guard(bench, "shop_driver:Driver.execute", "query")
    cursor = driver.Driver()
    for _ in range(2):
        ask("q=x", lambda: written.first(cursor))

    def go_on():
        with pytest.raises(remora.Blocked):
            cursor.execute(statement(ATTACK))
        written.first(cursor)

    with pytest.raises(remora.Blocked):
        ask(QUERY, go_on)


def test_a_written_statement_notes_what_is_stored(
    bench, driver, ask, written, monkeypatch
):
    guard(bench, "shop_driver:Driver.execute", "query")
    cursor, seen = driver.Driver(), []

    class Stored:
        def store(self, request, statement, inputs):
            seen.append(statement)

    ask("q=x", lambda: written.first(cursor))
    monkeypatch.setattr(protection, "stored", Stored())
    ask("q=x", lambda: written.first(cursor))
    assert seen == ["SELECT a FROM b"]


def test_a_sink_that_is_all_that_a_thread_runs_is_judged(bench, driver, ask, written):
    """There is no frame of a caller to look at."""
    guard(bench, "shop_driver:send", "statement")
    sent = written.send.__code__.co_consts[1]
    ended = threading.Event()
    for _ in range(2):
        ask("q=x", lambda: written.send(driver))
    run = ask("q=x", contextvars.copy_context).state.run
    driver.ran = SimpleNamespace(append=lambda _: ended.set())
    _thread.start_new_thread(run, (driver.send, sent))
    assert ended.wait(10)
    assert bench.status().errors == 0
    assert bench.status().firings == 3
