"""Signed probes that an app keeps for a start without a server, in real processes."""

from __future__ import annotations

import textwrap

import pytest

STATE = """
import json, signal, stat
from remora.agent.probes import ledger, state_file, start_mark
from remora.agent import recall
os.environ["REMORA_STATE"] = "remora.state"
override = {"id": "o", "target": "__main__:execute", "override": {"return": "0"}}
look = {"id": "look", "target": "__main__:execute", "log": "{statement}"}

def probe(table):
    return signed(parse_probe(table))

def push(*probes, revision=1):
    orders().apply(list(probes), [], revision)

def orders():
    rounds = agent._agent.parts.rounds
    return next(each.__self__ for each in rounds if each.__name__ == "look_again")

def begin():
    remora.start(**options)

def again():
    remora.stop()
    begin()

def here():
    return {p["probe"]: p["reason"] for p in remora.status()["probes"]}

def kept():
    with open("remora.state") as file:
        return sorted(p["id"] for p in json.load(file).get("probes", []))

def note():
    return agent._agent.parts.complaint

def in_child(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def fill(*more):
    # Lets a process before this one be sent a signed probe, and these.
    def work():
        begin()
        push(signed(sink()), *map(probe, more))
        remora.stop()
    assert in_child(work) == 0

def die_starting():
    def work():
        begin()
        os.kill(os.getpid(), signal.SIGKILL)
    assert in_child(work) == -signal.SIGKILL

def edit(**changes):
    with open("remora.state") as file:
        state = json.load(file)
    with open("remora.state", "w") as file:
        json.dump(state | changes, file)
"""


@pytest.fixture
def app(obey):
    """Runs a script of an app that keeps its state."""
    return lambda text, **more: obey(STATE + textwrap.dedent(text), **more)


def test_what_was_signed_protects_from_the_start_before_any_server_answers(app) -> None:
    app(
        """
        begin()
        push(signed(sink()), probe(look))
        assert stat.S_IMODE(os.stat("remora.state").st_mode) == 0o600
        remora.stop()
        assert execute.__code__ is code
        begin()
        assert protection.blocks and execute.__code__ is not code
        why = "installed at 1 place; kept: "
        kept_by = why + "REMORA_STATE has it, and no server has answered so far"
        assert here() == {"p": kept_by, "look": kept_by}, here()
        # the first push comes in its place, as one push after another
        push()
        assert here() == {"p": why + "the push that removes it is not signed"}
        assert kept() == ["p"]
        again()
        assert list(here()) == ["p"]
        remora.stop()
        assert sorted(os.listdir()) == ["remora.state", "script.py"]
        """
    )


def test_an_override_and_what_nobody_signed_are_not_kept(app) -> None:
    app(
        """
        os.environ["REMORA_ALLOW"] = "act"
        begin()
        hand_on = {"span": {"propagate": "statement"}}
        span = {"id": "s", "target": "__main__:execute"} | hand_on
        unsigned = parse_probe(look | {"id": "u"})
        push(probe(override), probe(span), unsigned, probe(look))
        assert set(here()) == {"o", "s", "u", "look"}
        assert execute("x") == 0
        assert kept() == ["look"]
        again()
        assert list(here()) == ["look"]
        assert execute("x") == "x"
        # what is no longer signed is no longer kept
        push(parse_probe(look))
        assert kept() == []
        remora.stop()
        """
    )


def test_a_signed_word_that_lifts_it_takes_it_out_of_the_file(app) -> None:
    app(
        """
        begin()
        push(signed(sink()))
        push(signed(sink("off")))
        assert kept() == []
        again()
        assert here() == {} and not protection.watches
        remora.stop()
        """
    )


def test_of_what_a_policy_raised_the_signed_word_is_kept(app) -> None:
    app(
        """
        begin()
        push(signed(sink("watch")))
        orders().obey_policy(policy("block"))
        push(sink("block"))
        assert protection.blocks
        again()
        assert "installed" in here()["p"]
        assert protection.watches and not protection.blocks
        remora.stop()
        """
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("p['protect']['mode'] = 'watch'", "altered"),
        ("p['signature']['value'] = 'A' * 86 + '=='", "altered"),
        ("p['signature']['expires_at'] += 1", "altered"),
        ("p['signature']['key'] = 'ed25519:' + 'A' * 43 + '='", "not in this app's"),
        ("p['scope'] = {'env': 'dev'}", "altered"),
        ("numbers['p'] += 1", "an earlier version"),
        ("p['beyond'] = 1", "needs a newer agent"),
        ("p['target'] = '['", "target"),
        ("p.clear(); p |= acting", "changes what the app does"),
    ],
)
def test_what_the_file_holds_is_judged_as_what_a_server_sends(
    app, change: str, words: str
) -> None:
    app(
        f"""
        os.environ["REMORA_ALLOW"] = "act"
        begin()
        push(probe(look), signed(sink()))
        remora.stop()
        acting = probe(override | {{"id": "p"}}).to_json()
        with open("remora.state") as file:
            state = json.load(file)
        p, other = state["probes"]
        numbers = state["numbers"]
        {change}
        edit(probes=[p, other], numbers=numbers)
        begin()
        assert {words!r} in here()["p"], here()
        assert "installed" in here()["look"]
        assert execute("x") == "x" and not protection.blocks
        remora.stop()
        """
    )


def test_the_ceiling_the_scope_and_the_ends_of_signatures_are_asked_at_the_start(
    app,
) -> None:
    app(
        """
        os.environ["REMORA_APP"] = "shop"
        begin()
        short = signed(sink(id="short"), valid_s=60.0)
        elsewhere = signed(sink(id="elsewhere", scope={"app": "shop"}))
        push(short, elsewhere, signed(sink()))
        remora.stop()
        remora.start(app="till", allow="observe", **options)
        assert set(here()) == {"p", "short"}, here()
        assert "REMORA_ALLOW is 'observe'" in here()["p"]
        remora.stop()
        wall_clock(61)
        begin()
        assert set(here()) == {"p", "elsewhere"}
        remora.stop()
        """
    )


def test_without_a_server_it_goes_with_its_signature(app) -> None:
    app(
        """
        begin()
        push(signed(sink(id="short"), valid_s=60.0), signed(sink()), probe(look))
        again()
        assert set(here()) == {"short", "p", "look"}
        wall_clock(61)
        orders().look_again()
        assert set(here()) == {"p", "look"}
        assert kept() == ["look", "p"]
        remora.stop()
        """
    )


def test_after_a_death_at_the_start_it_is_left_out_once_and_after_two_forgotten(
    app,
) -> None:
    app(
        """
        fill(look)
        die_starting()
        def left_out():
            begin()
            assert here() == {} and not protection.watches
            assert "died while it started with the 2 signed probes" in note(), note()
            assert kept() == ["p"]
            remora.stop()
        assert in_child(left_out) == 0
        die_starting()
        def dropped():
            begin()
            assert here() == {} and "2 starts in a row" in note()
            assert kept() == []
            # the number is not forgotten, and the server gives it again
            push(signed(sink()))
            assert kept() == ["p"] and protection.blocks
            remora.stop()
        assert in_child(dropped) == 0
        begin()
        assert list(here()) == ["p"] and note() == ""
        remora.stop()
        """
    )


def test_a_start_that_outlives_it_makes_an_earlier_death_forgotten(app) -> None:
    app(
        """
        fill()
        def live():
            recall.SETTLED_S = 0.0
            begin()
            end = time.monotonic() + 20
            while os.path.exists("remora.state.start") and time.monotonic() < end:
                time.sleep(0.005)
            os._exit(0)
        for _ in range(2):
            die_starting()
            in_child(lambda: (begin(), remora.stop()))
            assert in_child(live) == 0
        begin()
        assert list(here()) == ["p"]
        remora.stop()
        """
    )


def test_who_ends_in_order_or_forks_while_it_starts_has_not_died(app) -> None:
    app(
        """
        fill()
        begin()
        assert os.path.exists("remora.state.start")
        # a child that ends takes no mark away, and another start sees a living one
        in_child(lambda: remora.stop())
        assert os.path.exists("remora.state.start")
        assert not start_mark.StartMark("remora.state.start").was_left()
        remora.stop()
        assert not os.path.exists("remora.state.start")
        begin()
        assert list(here()) == ["p"]
        remora.stop()
        """
    )


def test_where_the_start_cannot_be_marked_nothing_is_installed(app) -> None:
    app(
        """
        begin()
        push(signed(sink()))
        remora.stop()
        os.mkdir("remora.state.start")
        begin()
        assert here() == {} and "cannot be marked" in note(), note()
        remora.stop()
        os.rmdir("remora.state.start")
        with open("remora.state.start", "w"):
            os.chmod("remora.state.start", 0o644)
        begin()
        assert here() == {} and "others may read or write it" in note(), note()
        remora.stop()
        """
    )


def test_a_spoiled_file_installs_nothing_and_the_instance_says_so(app) -> None:
    app(
        """
        begin()
        push(signed(sink()))
        remora.stop()
        os.chmod("remora.state", 0o640)
        begin()
        assert here() == {} and not protection.watches
        assert "cannot be trusted (others may read or write it" in note(), note()
        remora.stop()
        """
    )


def test_without_the_library_nothing_of_it_is_trusted(app) -> None:
    app(
        """
        begin()
        push(signed(sink()))
        remora.stop()
        for name in [n for n in sys.modules if n.partition(".")[0] == "cryptography"]:
            sys.modules[name] = None
        begin()
        assert "remora[signing]" in here()["p"]
        assert execute.__code__ is code
        remora.stop()
        """
    )


def test_what_is_switched_off_as_a_whole_is_not_forgotten(app) -> None:
    app(
        """
        begin()
        push(signed(sink()))
        late = orders()
        agent._agent.parts.probes.try_switch_off("killed")
        late.apply([], [], 2)
        remora.stop()
        late.apply([], [], 3)
        assert kept() == ["p"]
        """
    )


def test_it_needs_a_key(app) -> None:
    app(
        """
        begin()
        push(signed(sink()))
        remora.stop()
        del os.environ["REMORA_PUBLIC_KEY"]
        begin()
        assert here() == {} and not os.path.exists("remora.state.start")
        remora.stop()
        """
    )


def test_processes_that_write_at_a_time_lose_nothing_of_each_other(app) -> None:
    app(
        """
        from remora.agent.diagnostics import Diagnostics
        first, second = probe(look | {"id": "a"}), probe(look | {"id": "b"})
        def book(held):
            made = ledger.Ledger("remora.state", Diagnostics("off"))
            made.hold({held.id: held})
            return made
        one, other = book(first), book(second)
        book(probe(look)).save()
        reading, writing = os.pipe()
        def write_meanwhile():
            sleep = originals.sleep
            # it waits for the lock, or it has written without
            originals.sleep = lambda s: (os.write(writing, b"w"), sleep(s))
            other.save()
            os.write(writing, b"d")
        merge = ledger.Ledger._merge
        def merge_slowly(self, state):
            made = merge(self, state)
            if self is one and not pids:
                pids.append(os.fork())
                if not pids[0]:
                    write_meanwhile()
                    os._exit(0)
                os.read(reading, 1)
            return made
        pids = []
        ledger.Ledger._merge = merge_slowly
        state_file._TRIES = 2000
        one.save()
        assert os.waitpid(pids[0], 0)[1] == 0
        assert kept() == ["a", "b", "look"]
        """
    )


def test_the_file_stays_small_and_the_latest_are_kept(app) -> None:
    app(
        """
        ledger.WORDS_LIMIT = 3
        begin()
        push(*(signed(sink(id=f"p{n}")) for n in range(5)))
        assert kept() == ["p2", "p3", "p4"]
        ledger.WORDS_LIMIT = 100
        ledger.WORDS_BYTES = 2 * os.path.getsize("remora.state")
        big = signed(sink(id="big", when=" or ".join(["statement == 'x'"] * 100)))
        push(*(signed(sink(id=f"p{n}")) for n in range(5)), big)
        assert "big" not in kept() and len(kept()) == 5
        remora.stop()
        """
    )
