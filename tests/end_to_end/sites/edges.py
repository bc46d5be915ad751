"""A WSGI app whose routes are condemned in every way that a protect probe may do it.

It turns protection on by itself, so that the edge is tested without any detector.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import remora
from remora.agent.request import actor_of, current_request, sources, turn_protection
from remora.errors import Blocked

remora.hook("shlex:quote", pre=lambda: None)  # requests are seen once there is a probe
turn_protection("block")
closed = []
pool = ThreadPoolExecutor(4)


def block():
    """What a guarded sink does in mode block."""
    current_request().condemn("a test")
    raise Blocked("a test")


def swallow():
    try:
        block()
    except Exception:
        return


class Streamed:
    """A body that is made while it is sent, and knows that it was closed."""

    def __init__(self, parts):
        self._parts = parts

    def __iter__(self):
        return self._parts

    def close(self):
        closed.append(True)


def early():
    swallow()
    yield b"secret"


def late():
    yield b"begun"
    swallow()
    yield b"secret"


def fine():
    for number in range(3):
        yield b"part %d" % number


STREAMS = {"early": early, "late": late, "fine": fine}


def inputs_of(text):
    found = sources.inputs_of(current_request()).named(text)
    return None if found is None else [found.source, found.parameter]


def sign_in(query):
    """Half of the clients have an account."""
    name = query.partition("user=")[2]
    if name:
        remora.set_user(name)


def mine():
    """Whom and what the request is known by, after others came between, elsewhere."""
    time.sleep(0.003)
    return told()


def told():
    request = current_request()
    found = {each.text for each in sources.inputs_of(request) if each.source == "query"}
    return [actor_of(request), sorted(found)]


def written(what, start):
    """PEP 3333's older way: the body is written and not returned."""
    write = start("200 OK", [("Content-Type", "text/plain")])
    if what != "written-early":
        write(b"part 0")
    if what == "written":
        write(b"part 1")
        return [b"part 2"]
    swallow()
    write(b"secret")
    return [b"secret"]


def respond(what, start):
    """The answer of a route: bytes, or parts of it."""
    status = "500 Oops" if what == "caught-500" else "200 OK"
    start(status, [("Content-Type", "application/json")])
    if what in STREAMS:
        return Streamed(STREAMS[what]())
    if what.startswith("caught"):
        swallow()
    return [json.dumps({"closed": len(closed)}).encode()]


def application(environ, start_response):
    what = environ["PATH_INFO"].lstrip("/")
    if what == "attack":
        block()
    if what == "read":
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(inputs_of("x' OR 1")).encode()]
    if what == "mine":
        sign_in(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps([mine(), pool.submit(mine).result(), told()]).encode()]
    if what.startswith("written"):
        return written(what, start_response)
    return respond(what, start_response)
