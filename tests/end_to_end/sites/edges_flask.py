"""The same as a Flask app."""

import json

from flask import Flask, Response, request

from edges import STREAMS, block, inputs_of, swallow

application = Flask(__name__)
application.logger.disabled = True


@application.route("/")
@application.route("/<what>")
def answer(what=""):
    if what == "attack":
        block()
    if what in STREAMS:
        return Response(STREAMS[what]())
    if what.startswith("caught"):
        swallow()
    return "secret" if what else "hello", 500 if what == "caught-500" else 200


@application.post("/read")
def read():
    request.form.get("n")
    return json.dumps(inputs_of("x' OR 1"))


@application.post("/attack")
def attack():
    block()
