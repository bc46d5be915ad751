"""Which processes only fork others, by their command lines."""

import sys

import pytest

from remora.agent.runtime import process


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("python -m gunicorn shop:app", "gunicorn's master"),
        ("python /venv/bin/gunicorn shop:app", "gunicorn's master"),
        # What gunicorn becomes at SIGUSR2 when it was started with -m.
        ("python /site-packages/gunicorn/__main__.py shop:app", "gunicorn's master"),
        ("python -X dev -m uvicorn shop:app --workers 4", "uvicorn's master"),
        ("python -m uvicorn shop:app --workers=1", ""),
        ("python -m uvicorn shop:app --reload", "uvicorn's reloader"),
        ("python /venv/bin/celery -A shop worker", "Celery's master"),
        ("python /venv/bin/celery -A shop worker -P solo", ""),
        ("python -m uvicorn shop:app --workers=2", "uvicorn's master"),
        ("python -m hypercorn shop:app", "hypercorn's master"),
        ("python -m hypercorn -w 0 shop:app", ""),
        ("python manage.py runserver", "Django's reloader"),
        ("python manage.py runserver --noreload", ""),
        ("python manage.py migrate", ""),
        ("python /venv/bin/uwsgi --module shop", "uWSGI"),
        ("python -c gunicorn", ""),
        ("python __main__.py", ""),
        ("python", ""),
    ],
)
def test_masters_are_known_by_their_commands(monkeypatch, command, word):
    monkeypatch.setattr(sys, "orig_argv", command.split())
    reason = process.master_reason()
    assert reason.startswith(word) if word else reason == ""


def test_variables_decide_where_the_command_line_does_not(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", "python manage.py runserver".split())
    monkeypatch.setenv("RUN_MAIN", "true")
    assert process.master_reason() == ""
    monkeypatch.setattr(sys, "orig_argv", "python -m uvicorn shop:app".split())
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert process.master_reason().startswith("uvicorn's master")


def test_a_process_that_no_master_has_spawned_has_none():
    assert process.spawned_by() is None
