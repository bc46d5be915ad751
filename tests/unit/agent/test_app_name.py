"""What an app is called that nobody has named."""

import sys

import pytest

from remora.agent.config import read_settings


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python shop/app.py --port 80", "app"),
        ("python -m shop.worker -c x", "shop.worker"),
        ("python -W error -X dev app.py -m other", "app"),
        ("python -Werror -u app.py", "app"),
        ("/opt/bin/python3 -c pass app.py", "python3"),
        ("gunicorn", "python"),
        ("python /srv/bin/gunicorn shop:app", "gunicorn"),
        ("python -", "python"),
    ],
)
def test_an_app_without_a_name_has_that_of_its_program(command, name, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", command.split())
    assert read_settings(None, {}).text("app") == name
