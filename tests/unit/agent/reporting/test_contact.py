"""What is said of a server that does not answer, by a process and by its children."""

import os

import pytest

from remora.agent.reporting.contact import Contact


@pytest.fixture
def contact(heard):
    made = Contact("http://server", heard)
    yield made
    made.close()


def in_a_child(work):
    """Whether `work` was true in a forked child."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_each_change_is_said_once(contact, heard):
    for sentence in ("refused", "refused", "reset", "refused"):
        contact.failed(sentence)
    contact.worked()
    contact.worked()
    contact.failed("refused")
    said = [line.partition(": ")[2].partition(";")[0] for line in heard.lines]
    assert said == ["refused", "reset", "", "refused"]
    assert heard.lines[2].endswith("answers again")


def test_children_do_not_say_again_what_one_of_them_has_said(contact, heard):
    """A pool that is recycled filled the log of its app while the server was away."""

    def fails():
        contact.forget()
        contact.failed("refused")
        return bool(heard.lines)

    assert [in_a_child(fails) for _ in range(4)] == [True, False, False, False]
    contact.failed("refused")
    assert heard.lines == []


def test_the_first_that_is_answered_says_so_for_all(contact, heard):
    assert in_a_child(lambda: contact.failed("refused") or heard.lines)
    assert in_a_child(lambda: contact.worked() or heard.lines)
    contact.worked()
    assert heard.lines == []
    contact.failed("refused")
    assert len(heard.lines) == 1


def test_more_troubles_than_there_is_room_for_are_said(contact, heard):
    for number in range(40):
        contact.failed(f"trouble {number}")
    assert len(heard.lines) == 40


def test_without_memory_to_share_each_process_speaks_for_itself(heard, monkeypatch):
    def refuse(*_):
        raise OSError("no room")

    monkeypatch.setattr("mmap.mmap", refuse)
    contact = Contact("http://server", heard)
    monkeypatch.undo()
    contact.failed("refused")
    contact.failed("refused")
    assert len(heard.lines) == 1
