"""The demo's shop with one more page, which puts what it is given into a statement."""

import os
import sys
import tempfile
from pathlib import Path

import remora

sys.path.insert(0, str(Path(remora.__file__).parent / "demo" / "site"))

import flask

from obey import open_doors
from shop import store
from shop.app import create_app

application = create_app(os.environ.get("SHOP_DATA") or tempfile.mkdtemp())


@application.get("/weak")
def weak():
    """Names of the products under a price. Never do it like this."""
    below = flask.request.args.get("below", "1")
    connection = store.connect(application.config["STORE"])
    try:
        rows = connection.execute(
            f"SELECT name FROM product WHERE cents < {below} ORDER BY name"
        ).fetchall()
    finally:
        connection.close()
    return flask.jsonify([row[0] for row in rows])


open_doors(globals())
