"""The shop by itself, with no remora around it."""

import re
import sqlite3
import sys
from importlib import import_module
from pathlib import Path

import pytest

import remora.demo.stage

SITE = Path(remora.demo.stage.__file__).parent / "site"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A customer's browser on a fresh shop, imported as the top-level name `shop`."""
    monkeypatch.syspath_prepend(str(SITE))
    app = import_module("shop.app").create_app(str(tmp_path))
    app.testing = True
    yield app.test_client()
    for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
        del sys.modules[name]


def be(shop, name):
    assert shop.post("/login", data={"name": name}).status_code == 302


def test_the_shelves_are_full_and_searchable(shop):
    assert shop.get("/").text.count('class="card"') == 12
    assert "Sextant" in shop.get("/?q=century").text
    assert "Nothing on the shelves" in shop.get("/?q=100%25").text


def test_markup_in_a_search_stays_text(shop):
    assert "<script>alert" not in shop.get("/?q=<script>alert(1)</script>").text


def test_a_product_has_a_page_and_an_unknown_one_has_none(shop):
    assert "12.00" in shop.get("/product/11").text
    assert shop.get("/product/999").status_code == 404


def test_buying_charges_the_cart_and_empties_it(shop, tmp_path):
    be(shop, "bob")
    shop.post("/cart", data={"product": "10", "quantity": "2"})
    assert "698.00" in shop.get("/").text
    assert "Thank you" in shop.post("/checkout").text
    with sqlite3.connect(tmp_path / "shop.sqlite3") as connection:
        bought = connection.execute("SELECT cents, fee FROM purchase").fetchall()
    connection.close()
    assert bought == [(69800, 2094)]
    assert "Empty so far, bob." in shop.get("/").text


def test_a_pro_pays_no_fee(shop):
    be(shop, "alice")
    billing = import_module("shop.billing")
    account = import_module("shop.accounts").Account(1, "alice", "pro")
    assert billing.charge(10000, account).fee == 0


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/login", {"name": "mallory"}, 400),
        ("/cart", {"product": "1"}, 401),
        ("/checkout", {}, 401),
    ],
)
def test_a_stranger_is_refused(shop, path, form, status):
    assert shop.post(path, data=form).status_code == status


@pytest.mark.parametrize(
    "form",
    [
        {"product": "999"},
        {"product": "1", "quantity": "0"},
        {"product": "1", "quantity": "100"},
        {"product": "rod"},
    ],
)
def test_a_cart_refuses_what_cannot_be_bought(shop, form):
    be(shop, "bob")
    assert shop.post("/cart", data=form).status_code == 400


def test_an_empty_cart_cannot_be_bought(shop):
    be(shop, "bob")
    assert shop.post("/checkout").status_code == 400


def test_a_plugin_is_found_as_soon_as_it_is_written(shop, tmp_path):
    assert "no plugin 'half'" in shop.get("/plugins/half").json["error"]
    (tmp_path / "plugins" / "half.py").write_text(
        "def apply(amount, account):\n    return amount // 2\n"
    )
    assert shop.get("/plugins/half?amount=90").json["amount"] == 45


def test_a_plugin_that_lacks_an_import_is_not_taken_for_absent(shop, tmp_path):
    (tmp_path / "plugins" / "broken.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        shop.get("/plugins/broken")


def test_a_path_is_no_name_of_a_plugin(shop):
    assert "no name of a plugin" in shop.get("/plugins/a.b").json["error"]


def test_identity_tells_a_changed_code_object_from_the_one_of_the_start(shop):
    functions = shop.get("/_identity").json["functions"]
    assert all(it["same"] for it in functions.values())
    charge = import_module("shop.billing").charge
    original = charge.__code__
    charge.__code__ = original.replace(co_name="other")
    assert not shop.get("/_identity").json["functions"]["shop.billing:charge"]["same"]
    charge.__code__ = original
    assert shop.get("/_identity").json["functions"]["shop.billing:charge"]["same"]


def test_all_that_the_shop_asks_of_remora_is_to_know_the_account():
    sources = [path.read_text("utf-8") for path in SITE.joinpath("shop").rglob("*.py")]
    asked = [word for text in sources for word in re.findall(r"remora\.\w+", text)]
    assert asked == ["remora.set_user"]
