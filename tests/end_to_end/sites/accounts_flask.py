"""Accounts of Flask-Login: in the session, remembered by a cookie, or by a header."""

from flask import Flask, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user

from vault import by_sql

application = Flask(__name__)
application.secret_key = "a test"
application.logger.disabled = True
manager = LoginManager(application)


class Account(UserMixin):
    def __init__(self, name):
        self.id = name


class Stored(UserMixin):
    """As an ORM's: to read its id would run code."""

    def __init__(self, name):
        self._name = name

    @property
    def id(self):
        return self._name


@manager.user_loader
def load(name):
    return (Stored if name.startswith("stored") else Account)(name)


@manager.request_loader
def load_by_header(asked):
    name = asked.headers.get("x-account")
    return None if name is None else Account(name)


@application.get("/")
def hello():
    return "hello"


@application.post("/login/<name>")
def log_in(name):
    login_user(load(name), remember="remember" in request.args)
    return ""


@application.post("/own-session/<name>")
def log_in_without_a_library(name):
    session["user_id"] = name
    return ""


@application.get("/sql")
def attack():
    return [str(current_user.is_authenticated), by_sql()]


@application.get("/unasked")
def attack_before_anybody_asks_for_the_account():
    return by_sql()
