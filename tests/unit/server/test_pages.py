"""The pages, through the whole application but without a socket."""

import json
import re

import pytest

HERE = "http://localhost"
HOSTILE = (
    '<script>alert(1)</script><img src=x onerror="alert(2)">'
    "' onmouseover='alert(3) \u202egnp.exe \x1b[31m\x00"
)
SECOND = 10**9
T0 = 1_700_000_000 * SECOND


def log(message, **more):
    return {
        "kind": "log",
        "time": T0,
        "probe": "p",
        "site": "shop.cart:add",
        "thread": "MainThread",
        "message": message,
        **more,
    }


PAGES = ["/", "/instances", "/probes", "/records", "/new-probe", "/tokens", "/audit"]


class TestComingIn:
    @pytest.mark.parametrize("path", PAGES)
    def test_stranger_is_sent_to_the_login_page(self, site, path):
        answer = site.client.get(path, follow_redirects=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login")

    def test_login_leads_to_where_one_wanted_to_go(self, site):
        assert 'value="/records?probe=p"' in site.page("/records?probe=p")
        answer = site.client.post(
            "/login",
            data={"token": site.token("operator"), "next": "/records?probe=p"},
            follow_redirects=False,
        )
        assert answer.headers["location"] == "/records?probe=p"

    @pytest.mark.parametrize(
        "wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/x"]
    )
    def test_login_never_leads_to_another_site(self, site, wanted):
        answer = site.client.post(
            "/login",
            data={"token": site.token("operator"), "next": wanted},
            follow_redirects=False,
        )
        assert answer.headers["location"] == "/"

    def test_session_cookie_is_out_of_reach_of_scripts_and_other_sites(self, site):
        cookie = site.sign_in().headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie

    def test_wrong_token_is_refused_beside_the_field(self, site):
        answer = site.client.post("/login", data={"token": "rmo_wrong"})
        assert answer.status_code == 401
        assert "does not know this token" in answer.text
        assert 'aria-invalid="true"' in answer.text

    def test_agents_token_opens_no_session(self, site):
        answer = site.client.post("/login", data={"token": site.token("agent")})
        assert answer.status_code == 403
        assert "log in with an operator&#39;s" in answer.text

    def test_signing_out_ends_the_session_at_the_server(self, site):
        site.sign_in()
        cookies = dict(site.client.cookies)
        assert site.post("/logout").status_code == 303
        site.client.cookies.update(cookies)
        assert site.client.get("/", follow_redirects=False).status_code == 303

    def test_repeated_load_of_an_ended_session_goes_to_the_login_page(self, site):
        answer = site.client.get("/probes", headers={"HX-Request": "true"})
        assert answer.status_code == 401
        assert answer.headers["hx-redirect"] == "/login"

    def test_program_with_a_wrong_token_is_not_sent_to_a_form(self, site):
        headers = {"Authorization": "Bearer rmo_wrong"}
        answer = site.client.get("/probes", headers=headers, follow_redirects=False)
        assert answer.status_code == 401


class TestGuards:
    def test_change_without_csrf_token_is_refused(self, site):
        site.sign_in()
        answer = site.client.post("/probes", data={"target": "a:b", "log": "x"})
        assert answer.status_code == 403
        assert "another session" in answer.text
        assert "No probes" in site.page("/probes")

    def test_change_from_a_page_of_another_site_is_refused(self, site):
        site.sign_in()
        answer = site.client.post(
            "/probes",
            data={"csrf": site.csrf, "target": "a:b", "log": "x"},
            headers={"Origin": "https://evil.example"},
        )
        assert answer.status_code == 403
        assert "No probes" in site.page("/probes")

    def test_login_from_a_page_of_another_site_is_refused(self, site):
        answer = site.client.post(
            "/login",
            data={"token": site.token("operator")},
            headers={"Origin": "null"},
        )
        assert answer.status_code == 403

    def test_name_that_is_not_ours_is_refused(self, site):
        answer = site.client.get("/login", headers={"Host": "evil.example"})
        assert answer.status_code == 421

    @pytest.mark.parametrize("path", ["/", "/login", "/probes/none", "/records/1"])
    def test_every_page_forbids_what_is_not_from_here(self, site, path):
        if path != "/login":
            site.sign_in()
        headers = site.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"

    def test_templates_have_no_inline_script_or_style(self, site):
        site.sign_in()
        site.register()
        site.send(log("x", values={"a": [1]}))
        for path in [*PAGES, "/records/1"]:
            html = site.page(path)
            assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", html)

    def test_form_that_is_too_large_is_refused(self, site):
        site.sign_in()
        assert site.post("/probes", target="x" * 300_000).status_code == 413

    def test_form_that_is_no_text_is_refused(self, site):
        site.sign_in()
        answer = site.client.post("/probes", content=b"a=%ff%fe&b")
        assert answer.status_code == 400

    def test_browser_at_an_unknown_address_gets_a_page_and_a_program_an_error(
        self, site
    ):
        page = site.client.get("/nowhere", headers={"Accept": "text/html"})
        assert page.status_code == 404
        assert "To the overview" in page.text
        answer = site.client.get("/nowhere")
        assert answer.status_code == 404
        assert answer.json()["error"] == "no-such-address"

    def test_refusals_are_counted(self, site):
        site.sign_in()
        site.page("/records/7", 404)
        assert "no-such-address" in site.page("/metrics")

    def test_assets_are_served_to_all_and_nothing_beside_them(self, site):
        for name in ("htmx.min.js", "pico.min.css", "remora.css", "remora.js"):
            assert site.client.get(f"/static/{name}").status_code == 200
        assert site.client.get("/static/../frame.py").status_code == 404
        assert site.client.get("/static/%2e%2e/frame.py").status_code == 404


class TestLooking:
    """An operator who may only look."""

    def test_sees_no_way_to_change_anything(self, site):
        site.sign_in_to_look()
        for path in ("/", "/instances", "/probes", "/records"):
            html = site.page(path)
            assert "/new-probe" not in html
            assert "/tokens" not in html
            assert "may only look" in html

    def test_is_refused_every_change(self, site):
        site.sign_in()
        site.post("/probes", id="p", target="a:b", log="x")
        site.client.cookies.clear()
        site.sign_in_to_look()
        assert site.post("/probes", target="a:b", log="x").status_code == 403
        assert site.post("/probes/p/remove").status_code == 403
        assert site.post("/tokens", name="x", kind="full").status_code == 403
        assert site.client.get("/new-probe").status_code == 403
        assert site.client.get("/tokens").status_code == 403
        assert "Remove" not in site.page("/probes/p")

    def test_can_sign_out(self, site):
        site.sign_in_to_look()
        assert site.post("/logout").status_code == 303


class TestInstances:
    def test_empty_page_says_how_to_start_an_app(self, site):
        site.sign_in()
        assert f"remora run --app NAME --server {HERE}" in site.page("/instances")
        assert f"remora run --app NAME --server {HERE}" in site.page("/")

    def test_instance_is_listed_with_what_it_says_of_itself(self, site):
        site.sign_in()
        site.register(1, container="c0ffee")
        html = site.page("/instances")
        for text in ("shop", "prod", "web-1", "4001", "3.11.7", "connected", "c0ffee"):
            assert text in html

    def test_instance_is_listed_with_what_its_agent_takes(self, site):
        site.sign_in()
        site.register(1)
        assert "not said" in site.page("/instances")
        cost = {"threads": 1, "cpu_ms": 20, "process_cpu_ms": 400, "queued": 3}
        message = {"instance": f"{1:032x}", "revision": 0, "statuses": []}
        site.agent("statuses", {**message, "cost": cost})
        html = site.page("/instances")
        assert "5.0% of its CPU" in html
        assert "1 thread, 20 ms of 400 ms CPU" in html

    def test_instances_are_filtered_by_app_and_state(self, site):
        site.sign_in()
        site.register(1)
        site.register(2, app="blog", host="web-2")
        assert "web-2" not in site.page("/instances?app=shop")
        assert "web-2" in site.page("/instances?app=blog")
        assert "No instance fits" in site.page("/instances?state=silent")

    def test_instances_that_have_gone_are_shown_on_demand(self, site):
        site.sign_in()
        site.register(1)
        site.agent("goodbye", {"instance": f"{1:032x}", "reason": "exit"})
        assert "web-1" not in site.page("/instances")
        assert "web-1" in site.page("/instances?state=gone")

    def test_instance_that_cannot_be_served_needs_attention(self, site):
        site.sign_in()
        site.register(1, role="unserved", note="Python 3.6 is too old")
        assert "Python 3.6 is too old" in site.page("/")


class TestProbes:
    def test_form_adds_a_probe_and_leads_to_its_page(self, site):
        site.sign_in()
        site.register()
        answer = site.post(
            "/probes",
            **{
                "id": "big",
                "target": "shop.billing:charge\r\n!shop.tests",
                "phase": "post",
                "when": "amount > 1000",
                "log": "charged {amount}",
                "snapshot": "amount\r\nresult\r\n",
                "count": "on",
                "count.by": "account.plan",
                "limit.hits": "1000",
                "limit.expires": "10m",
                "scope.app": "shop",
            },
        )
        assert answer.status_code == 303
        assert answer.headers["location"] == "/probes/big"
        page = site.page("/probes/big")
        assert "has not answered yet" in page
        assert "unreported" in site.page("/probes")
        headers = {"Authorization": f"Bearer {site.token('operator')}"}
        got = site.client.get("/api/v1/probes/big", headers=headers).json()["probe"]
        probe = got.get("probe", got)
        assert probe["target"] == ["shop.billing:charge", "!shop.tests"]
        assert probe["snapshot"] == ["amount", "result"]
        assert probe["count"]["by"] == ["account.plan"]
        assert probe["limit"] == {"hits": 1000, "expires": "10m"}
        assert probe["scope"] == {"app": "shop"}

    def test_page_answers_why_a_probe_does_not_fire(self, site):
        site.sign_in()
        site.register(1)
        site.register(2, env="dev")
        site.post("/probes", id="p", target="a:b", log="x", **{"scope.env": "prod"})
        site.say("p", "installed", "its condition held in none of 7 calls", unmet=7,
                 unread={"a.plan": "property"}, firings=4, suppressed=3,
                 suppressed_by={"rate": 3}, cpu_ns=5_000)  # fmt: skip
        page = site.page("/probes/p")
        assert "held in none of 7 calls" in page
        assert "not read: <code" in page
        assert "reading it would run code of the app" in page
        assert "3 by its rate" in page
        assert '<td class="number">5<br><span class="note">0.5 a call' in page
        assert "scope env = &#39;prod&#39;, this is &#39;dev&#39;" in page

    def test_form_makes_an_override(self, site):
        site.sign_in()
        answer = site.post(
            "/probes",
            **{
                "id": "fix",
                "target": "shop.flags:enabled",
                "override.arguments": "name = 'old'\r\nother = a == b",
                "override.mode": "watch",
            },
        )
        assert answer.status_code == 303, answer.text
        headers = {"Authorization": f"Bearer {site.token('operator')}"}
        got = site.client.get("/api/v1/probes/fix", headers=headers).json()["probe"]
        assert got["override"] == {
            "arguments": {"name": "'old'", "other": "a == b"},
            "mode": "watch",
        }

    def test_id_is_made_from_the_target_where_it_is_left_empty(self, site):
        site.sign_in()
        answer = site.post("/probes", target="shop.billing:charge", log="x")
        assert re.fullmatch(
            r"/probes/billing-charge-[0-9a-f]{4}", answer.headers["location"]
        )

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("target", "", "is empty"),
            ("target", "no colon", "has no &#39;:&#39;"),
            ("when", "amount >", "when"),
            ("when", "__import__('os')", "when"),
            ("log", "charged {amount", "log"),
            ("snapshot", "a b", "snapshot[0]"),
            ("count.by", "1 +", "count.by"),
            ("count.every", "soon", "count.every"),
            ("limit.rate", "fast", "limit.rate"),
            ("limit.hits", "many", "limit.hits"),
            ("limit.time", "200%", "limit.time"),
            ("scope.version", "~4", "version"),
            ("scope.share", "half", "scope.share"),
            ("id", "a b", "is no identifier"),
            ("phase", "line", "does not fit"),
            ("expect", "x = 1", "is no line target"),
            ("snapshot", "locals", "belongs to line targets"),
            ("override.return", "1 +", "override.return"),
            ("override.raise", "SystemExit", "names no exception"),
            ("override.arguments", "name", "override.arguments.name"),
            ("logger.level", "loud", "logger.level"),
            ("frames", "shop.*", "frames chooses"),
            ("span.attributes", "amount", "span.attributes.amount"),
            ("keep", "amount > 1", "has no &#39;amount&#39;"),
            ("set", "started", "set.started"),
            ("override.mode", "block", "&#39;watch&#39;"),
        ],
    )
    def test_error_stands_beside_its_field_in_the_parsers_words(
        self, site, field, value, words
    ):
        site.sign_in()
        answer = site.post("/probes", **{"target": "a:b", "log": "x", field: value})
        assert answer.status_code == 400
        assert f'id="{field}-error"' in answer.text
        complaint = answer.text.split(f'id="{field}-error"')[1].split("</p>")[0]
        assert words in complaint
        assert "No probes" in site.page("/probes")

    def test_form_keeps_what_was_written_when_it_is_refused(self, site):
        site.sign_in()
        answer = site.post("/probes", target="a:b", log='{x} "quoted" <b>', when="(")
        assert "&#34;quoted&#34; &lt;b&gt;" in answer.text

    def test_probe_that_does_nothing_is_refused(self, site):
        site.sign_in()
        answer = site.post("/probes", target="a:b")
        assert answer.status_code == 400
        assert "does nothing" in answer.text

    def test_second_probe_of_an_id_is_refused_at_the_id(self, site):
        site.sign_in()
        site.post("/probes", id="p", target="a:b", log="x")
        answer = site.post("/probes", id="p", target="a:b", log="x")
        assert answer.status_code == 409
        assert 'id="id-error"' in answer.text

    def test_preview_shows_the_toml_and_adds_nothing(self, site):
        site.sign_in()
        for path, more in (("/probes", {"preview": "yes"}), ("/new-probe/preview", {})):
            answer = site.post(path, target="a:b", log='say "hi"', id="p", **more)
            assert answer.status_code == 200
            text = re.sub(r"<[^>]+>", "", answer.text).replace("&quot;", '"')
            assert 'target = "a:b"' in text
            assert r'log = "say \"hi\""' in text
        assert "No probes" in site.page("/probes")

    def test_removal_takes_the_probe_out_and_keeps_its_records(self, site):
        site.sign_in()
        site.register()
        site.post("/probes", id="p", target="a:b", log="x")
        site.send(log("it was here"))
        assert site.post("/probes/p/remove").headers["location"] == "/probes"
        site.page("/probes/p", 404)
        assert "it was here" in site.page("/records?probe=p")
        assert "probe-remove" in site.page("/audit")

    def test_removal_of_signed_protection_says_what_it_does_not_do(self, site):
        site.sign_in()
        site.register()
        signature = {
            "key": f"ed25519:{'A' * 43}=",
            "sequence": 1,
            "expires_at": 2**62,
            "value": f"{'A' * 86}==",
        }
        sink = {"detector": "sql", "argument": 0, "mode": "block"}
        guard = {"id": "guard", "target": "shop.db:run", "protect": sink}
        for probe in (guard | {"signature": signature}, guard | {"id": "plain"}):
            site.operator("POST", "probes", {"probe": probe})
        page = site.page("/probes/guard")
        assert "remora probe remove guard --key FILE" in page
        assert "keep it all the same" in page
        assert "keep it all the same" not in site.page("/probes/plain")
        assert "<td>protect (block)</td>" in site.page("/probes")
        site.post("/probes/guard/remove")
        assert "Kept by instances" not in site.page("/probes")
        site.say("guard", "installed", "", kept="the push that <removes> it")
        page = site.page("/probes")
        assert "Kept by instances" in page
        assert "the push that &lt;removes&gt; it" in page
        assert "1 signed probe" in site.page("/")

    def test_renewal_of_a_probes_page_reads_no_records(self, site):
        site.sign_in()
        site.register()
        site.post("/probes", id="p", target="a:b", log="x")
        site.send(log("from the list"))
        assert "from the list" in site.page("/probes/p")
        renewed = site.client.get("/probes/p", headers={"HX-Request": "true"})
        assert "from the list" not in renewed.text
        assert 'id="live"' in renewed.text

    def test_status_is_shown_with_its_reason_mechanism_and_counters(self, site):
        site.sign_in()
        site.register()
        site.post("/probes", id="p", target="a:b", log="x")
        where = {"site": "a:b", "kind": "function", "mechanism": "codeswap"}
        where |= {"why": "every reference is reached", "file": "/a.py", "line": 7}
        site.say("p", "partly", "one reference is out of reach", sites=[where],
                 site_count=3, firings=12345, suppressed=345, cpu_ns=120_000_000,
                 unmet=10_000)  # fmt: skip
        page = site.page("/probes/p")
        for text in ("partly", "one reference is out of reach", "codeswap", "/a.py",
                     "every reference is reached", "12,345", "2 more",
                     "at most 5.4 a call"):  # fmt: skip
            assert text in page
        assert "one reference is out of reach" in site.page("/")


class TestRecords:
    def test_newest_record_comes_first(self, site):
        site.sign_in()
        site.register()
        site.send(log("the first"), log("the second"))
        html = site.page("/records")
        assert html.index("the second") < html.index("the first")

    def test_records_are_filtered_by_app_and_kind(self, site):
        site.sign_in()
        site.register(1)
        site.register(2, app="blog")
        site.send(log("of the shop"))
        site.send(
            log("of the blog"), {**log("a picture"), "kind": "snapshot"}, number=2
        )
        html = site.page("/records?app=blog&kind=log")
        assert "of the blog" in html
        assert "of the shop" not in html
        assert "a picture" not in html

    def test_user_and_request_are_shown(self, site):
        site.sign_in()
        site.register()
        request = {"id": "r1", "method": "POST", "path": "/pay", "status": 200}
        site.send(log("x", user={"id": "alice", "role": "admin"}, request=request))
        html = site.page("/records")
        assert "alice" in html
        assert "/pay" in html
        assert "admin" in site.page("/records/1")

    def test_five_thousand_records_are_reached_page_by_page(self, site):
        site.sign_in()
        site.register()
        for start in range(0, 5000, 500):
            site.send(*(log(f"number {start + each}.") for each in range(500)))
        html = site.page("/records")
        assert html.count('class="record ') == 50
        assert "number 4999." in html
        older = re.search(r'href="(/records\?before=\d+)"', html)[1]
        assert "number 4949." in site.page(older)
        assert "number 0." in site.page("/records?before=51")

    def test_search_for_a_rare_apps_records_stops_and_can_go_on(self, site):
        site.sign_in()
        site.register(1)
        site.register(2, app="rare")
        site.send(log("the rare one"), number=2)
        for _ in range(11):
            site.send(*(log("noise") for _ in range(500)))
        html = site.page("/records?app=rare")
        assert "The search stopped" in html
        older = re.search(r'href="(/records\?app=rare&amp;before=\d+)"', html)[1]
        assert "the rare one" in site.page(older.replace("&amp;", "&"))

    def test_list_of_large_records_stays_small(self, site):
        site.sign_in()
        site.register()
        large = {f"k{n}": "<" * 5000 for n in range(200)}
        row = {"key": ["x"] * 10_000, "count": 1}
        aggregate = {**log(None), "kind": "aggregate", "rows": [row] * 100}
        for _ in range(5):
            site.send(log("x", values=large), aggregate)
        assert len(site.page("/records")) < 10 * 300_000
        assert "the record&#39;s own page shows them" in site.page("/records")

    def test_long_text_is_cut_and_whole_on_the_records_own_page(self, site):
        site.sign_in()
        site.register()
        site.send(log("a" * 100_000 + "END"))
        html = site.page("/records")
        assert "100,003 characters" in html
        assert len(html) < 20_000
        assert "aEND" in site.page("/records/1")

    def test_aggregate_is_a_table_with_a_histogram(self, site):
        site.sign_in()
        site.register()
        buckets = {"zero": 1, "4": 90, "12": 9, "n:0": 2}
        row = {"key": ["gold"], "count": 1234, "sum": 5.5,
               "histogram": {"buckets": buckets, "unit": "ms"}}  # fmt: skip
        site.send({**log(None), "kind": "aggregate", "start": T0, "end": T0 + SECOND,
                   "by": ["plan"], "rows": [row]})  # fmt: skip
        html = site.page("/records")
        assert "gold" in html
        assert "1,234" in html
        assert "2 to 2.38 ms: 90" in html
        assert "p50 ≈ 2.18" in html

    def test_span_shows_the_spans_of_its_trace(self, site):
        site.sign_in()
        site.register()
        for name, parent, trace in (
            ("inner", "outer", "t1"),
            ("outer", "", "t1"),
            ("elsewhere", "", "t2"),
        ):
            site.send({**log(None), "kind": "span", "span": name, "parent": parent,
                       "trace": trace, "name": f"span {name}", "duration_ms": 5.25,
                       "error": "KeyError: x" if parent else ""})  # fmt: skip
        number = re.search(r"/records/([0-9]+)", site.page("/records?kind=span"))[1]
        pages = [site.page(f"/records/{int(number) - n}") for n in range(3)]
        (page,) = [p for p in pages if '<strong><bdi class="label">span inner' in p]
        assert "KeyError: x" in page
        assert "span outer" in page
        assert "span elsewhere" not in page

    def test_malformed_values_are_shown_and_break_nothing(self, site):
        site.sign_in()
        site.register()
        odd = [
            {"$": "object", "fields": 3},
            {"$": "list", "items": "x", "length": "y"},
            {"$": ["not", "hashable"]},
            {"$": "dict", "entries": [[1], 2, [[3], 4]]},
            {"$": "enum"},
            {"$": "exception", "message": {"$": "text", "text": 5}},
            {"$": "nothing known"},
            None,
            1e308,
        ]
        site.send(log("x", values={"odd": odd}, stack=[1, {"line": [2]}]))
        site.send(
            log("x", values=[1], stack="no", user={"id": [1]}, request={"id": {}})
        )
        site.send({**log(1), "kind": "aggregate", "rows": [3, {"key": 4, "count": "5",
                   "histogram": {"buckets": {"x": 1, "9999999": 2, "1": -3}}}, {}],
                   "by": "no"})  # fmt: skip
        site.page("/records")
        for number in (1, 2, 3):
            site.page(f"/records/{number}")

    def test_deep_values_are_cut_and_break_nothing(self, site):
        site.sign_in()
        site.register()
        site.send(log("x", values={"deep": json.loads("[" * 45 + "]" * 45)}))
        assert "nested too deeply" in site.page("/records/1")

    def test_record_that_is_not_there_is_said_so(self, site):
        site.sign_in()
        assert "there is no record 7" in site.page("/records/7", 404)
        site.page("/records?before=x", 400)


class TestHostileText:
    """Whatever an app sends is shown and never obeyed."""

    def feed(self, site):
        site.sign_in()
        word = HOSTILE[:120]
        site.register(1, app=word, env=word[:60], version=word, host=word,
                      container=word, command=word, note=word)  # fmt: skip
        site.post("/probes", id="p", target="a:b", log=HOSTILE, when="x == '<b>'")
        site.say("p", "failed", HOSTILE, last_error=HOSTILE,
                 sites=[{"site": HOSTILE, "kind": HOSTILE, "mechanism": HOSTILE,
                         "why": HOSTILE, "file": HOSTILE, "line": 1}])  # fmt: skip
        site.send(
            log(HOSTILE, user={"id": HOSTILE, HOSTILE: HOSTILE}, phase=HOSTILE,
                request={"id": HOSTILE, "method": HOSTILE, "path": HOSTILE,
                         "client": HOSTILE, "status": HOSTILE}, thread=HOSTILE),
            {**log(HOSTILE), "probe": HOSTILE[:100], "kind": "snapshot",
             "values": {HOSTILE: {"$": "object", "type": HOSTILE,
                                  "fields": {HOSTILE: HOSTILE}}},
             "stack": [{"function": HOSTILE, "file": HOSTILE, "line": HOSTILE}]},
            {**log(HOSTILE), "kind": "aggregate", "by": [HOSTILE],
             "rows": [{"key": [HOSTILE], "count": 1,
                       "histogram": {"unit": HOSTILE, "buckets": {"1": 1}}}]},
        )  # fmt: skip

    @pytest.mark.parametrize(
        "path", [*PAGES, "/probes/p", "/records/1", "/records/2", "/records/3"]
    )
    def test_no_page_lets_it_out_of_its_place(self, site, path):
        self.feed(site)
        html = site.page(path)
        assert "<script>alert" not in html
        assert "<img" not in html
        # An attribute's value stays as it is: a filter has to send it back.
        visible = re.sub(r"<[^>]*>", "", html)
        assert not set(visible) & set("\x1b\x00\u202e")
        # No attribute may hold it either, where a quote would end the attribute.
        assert not re.search(r"<[^>]*\son\w+=[\"']", html.replace("&#39;", ""))

    def test_characters_that_deceive_are_spelled_out(self, site):
        self.feed(site)
        html = site.page("/records/1")
        message = html.split('class="message"')[1].split("</div>")[0]
        assert r"\u202e" in message
        assert r"\x1b" in message
        assert r"\x00" in message
        assert "\u202e" not in message


class TestTokens:
    def test_made_token_is_shown_once_and_works(self, site):
        site.sign_in()
        made = site.post("/tokens", name="ci", kind="agent", app="shop")
        assert made.status_code == 201
        token = re.search(r"rma_[\w-]{43}", made.text)[0]
        assert token not in site.page("/tokens")
        assert "agents of" in site.page("/tokens")

    def test_removed_token_is_refused_at_once(self, site):
        site.sign_in()
        made = site.post("/tokens", name="guest", kind="read")
        guest = re.search(r"rmo_[\w-]{43}", made.text)[0]
        removal = re.search(r"/tokens/(\w+)/remove\">.*?Remove <bdi[^>]*>guest",
                            made.text, re.DOTALL)  # fmt: skip
        paths = re.findall(r"/tokens/\w+/remove", made.text[: removal.end()])
        assert site.post(paths[-1]).status_code == 303
        headers = {"Authorization": f"Bearer {guest}"}
        answer = site.client.get("/probes", headers=headers)
        assert answer.status_code == 401

    def test_token_without_a_name_is_refused(self, site):
        site.sign_in()
        assert site.post("/tokens", name=" ", kind="agent").status_code == 400
        assert site.post("/tokens", name="x", kind="god").status_code == 400
