"""The shop's pages, as a Flask app: `shop.app:create_app('data folder')`."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import flask
from werkzeug.wrappers import Response

import remora
from shop import identity, plugins, store
from shop.accounts import Account, all_accounts, find_account
from shop.billing import BillingError
from shop.cart import Cart, CartError
from shop.catalogue import find_product, search
from shop.checkout import place_order, purchases

Answer = str | Response | tuple[str, int] | dict[str, object]

pages = flask.Blueprint("pages", __name__)


def create_app(data: str) -> flask.Flask:
    """The app over the data folder `data`, which is made and filled if need be."""
    folder = Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shop.sqlite3"
    store.create(path)
    plugins.look_in(folder / "plugins")
    app = flask.Flask(__name__)
    app.config["STORE"] = path
    app.secret_key = store.cookie_key(path)
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.add_template_filter(_price, "price")
    app.teardown_appcontext(_close)
    app.register_blueprint(pages)
    return app


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _store() -> sqlite3.Connection:
    if "connection" not in flask.g:
        flask.g.connection = store.connect(flask.current_app.config["STORE"])
    return flask.g.connection


def _close(error: BaseException | None) -> None:
    del error
    connection = flask.g.pop("connection", None)
    if connection is not None:
        connection.close()


def _account() -> Account | None:
    """Who is signed in; remora is told, so that records name the account."""
    name = flask.session.get("account")
    account = find_account(_store(), name) if name else None
    if account is not None:
        remora.set_user(account.name, plan=account.plan)
    return account


def _render(**values: object) -> str:
    account = _account()
    return flask.render_template(
        "page.html",
        account=account,
        accounts=all_accounts(_store()),
        cart=Cart(_store(), account) if account else None,
        purchases=purchases(_store(), account) if account else [],
        **values,
    )


@pages.get("/")
def index() -> Answer:
    """All goods, or those that a search finds."""
    words = flask.request.args.get("q", "")
    return _render(products=search(_store(), words), words=words)


@pages.get("/product/<int:product_id>")
def product(product_id: int) -> Answer:
    """One product."""
    found = find_product(_store(), product_id)
    if found is None:
        return _render(products=[], words="", message="No such product."), 404
    return _render(products=[found], words="")


@pages.post("/login")
def login() -> Answer:
    """Choose an account. There is no password: everything here is made up."""
    name = flask.request.form.get("name", "")
    if find_account(_store(), name) is None:
        return _render(products=[], words="", message=f"No account {name!r}."), 400
    flask.session["account"] = name
    return flask.redirect("/")


@pages.post("/cart")
def add_to_cart() -> Answer:
    """Put a product in the cart."""
    account = _account()
    if account is None:
        return _render(products=[], words="", message="Choose an account first."), 401
    form = flask.request.form
    try:
        Cart(_store(), account).add(
            form.get("product", 0, type=int), form.get("quantity", 1, type=int)
        )
    except CartError as error:
        return _render(products=[], words="", message=f"{error}."), 400
    return flask.redirect("/")


@pages.post("/checkout")
def checkout() -> Answer:
    """Buy what is in the cart."""
    account = _account()
    if account is None:
        return _render(products=[], words="", message="Choose an account first."), 401
    try:
        receipt = place_order(Cart(_store(), account))
    except BillingError as error:
        return _render(products=[], words="", message=f"{error}."), 400
    message = f"Thank you. Receipt {receipt.reference}: {_price(receipt.amount)}."
    return _render(products=search(_store()), words="", message=message)


@pages.get("/plugins/<name>")
def plugin(name: str) -> Answer:
    """What a plugin would make of an amount; imports it when asked for first."""
    account = _account() or Account(0, "nobody", "free")
    amount = flask.request.args.get("amount", 10000, type=int)
    try:
        module = plugins.load(name)
    except plugins.PluginError as error:
        return {"pid": os.getpid(), "error": str(error)}
    return {"pid": os.getpid(), "plugin": name, "amount": module.apply(amount, account)}


@pages.get("/_identity")
def code_objects() -> Answer:
    """Whether this worker's functions run the code objects that they started with."""
    functions: dict[str, object] = {**identity.report()}
    prefix = f"{plugins.__name__}."
    for name, module in list(sys.modules.items()):
        if name.startswith(prefix) and hasattr(module, "AS_WRITTEN"):
            functions[f"{name}:apply"] = identity.report_plugin(module)
    return {"pid": os.getpid(), "functions": functions}
