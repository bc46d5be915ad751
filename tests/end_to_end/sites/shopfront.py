"""A WSGI app without a framework."""

import json
import os
import time

import remora
from obey import open_doors
from prices import price

ORIGINAL = price.__code__


def order(user):
    """Names the user, gives others the time to come between, and looks up a price."""
    remora.set_user(user, role="buyer")
    time.sleep(0.005)
    return settle(user)


def settle(expected):
    return price(len(expected))


def application(environ, start_response):
    what, _, argument = environ["PATH_INFO"].lstrip("/").partition("/")
    if what == "price":
        body = price(int(argument))
    elif what == "order":
        body = order(argument)
    elif what == "anonymous":
        body = settle("nobody")
    else:
        body = os.getpid()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


open_doors(globals())
