"""The pack of SQL sinks on real drivers: the server never gets the attack."""

import urllib.parse

import pytest

import remora
from remora.agent.capture import SecretNames
from remora.agent.control.protection import read_packs
from remora.agent.diagnostics import Diagnostics
from remora.agent.hooks import HookTable
from remora.agent.modules import ModuleStore
from remora.agent.probes import Probes
from remora.agent.request import RequestContext, serve_request
from remora.protocol import Instance

ATTACKS = ("x' OR '1'='1", "' UNION SELECT 1, 'a', 2 -- ", "nobody' OR 1=1 -- ")
HONEST = ("bob", "O''Hara", "select or union", "1' ")


@pytest.fixture
def guarded():
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
    probes.add(read_packs({"sql": "block"}, (), {}))
    yield
    probes.clear()
    store.stop()


@pytest.fixture
def serving():
    def begin(value):
        request = RequestContext()
        request.source = {"QUERY_STRING": "name=" + urllib.parse.quote(value)}
        serve_request(request)
        return request

    yield begin
    serve_request(None)


def statement(value):
    return f"SELECT id, name, pin FROM remora_u WHERE name = '{value}'"


def test_attacks_are_stopped_and_the_connection_goes_on(database, guarded, serving):
    bare = [database.run(statement(value)) for value in ATTACKS]
    assert all(len(rows) >= 1 for rows in bare), "they work where nothing protects"
    for value in ATTACKS:
        request = serving(value)
        assert database.run(statement(value)) == "Blocked"
        assert request.condemned
        bound = statement("x").replace("'x'", database.mark)
        serving(value)
        assert database.run(bound, (value,)) == []
        serving("bob")
        assert database.run(statement("bob")) == [(1, "bob", 7)]


@pytest.mark.parametrize("value", HONEST)
def test_honest_values_get_what_they_got_before(database, guarded, serving, value):
    before = database.run(statement(value.rstrip("' ")))
    request = serving(value.rstrip("' "))
    assert database.run(statement(value.rstrip("' "))) == before
    assert not request.condemned


def test_many_rows_and_scripts_go_through_the_same_door(database, guarded, serving):
    value = ATTACKS[0]
    cursor = database.connection.cursor()
    serving(value)
    insert = f"INSERT INTO remora_u VALUES ({database.mark}, '{value}', 1)"
    with pytest.raises(remora.Blocked):
        cursor.executemany(insert, [(4,), (5,)])
    serve_request(None)
    cursor.close()
    assert len(database.run("SELECT id FROM remora_u")) == 3
