"""What the demo makes of the server's answers."""

import httpx
import pytest

from remora.demo.operator import Operator, StepError


@pytest.fixture
def operator_of(monkeypatch):
    """An operator whose server is a function of the request."""
    client = httpx.Client

    def make(answer):
        def with_transport(**options):
            return client(transport=httpx.MockTransport(answer), **options)

        monkeypatch.setattr(httpx, "Client", with_transport)
        return Operator("http://server", "rmo_x")

    return make


def test_the_token_is_shown_and_the_state_asked_for(operator_of):
    def answer(request):
        assert request.headers["Authorization"] == "Bearer rmo_x"
        assert request.url.params["state"] == "connected"
        return httpx.Response(200, json={"instances": [{"pid": 1}]})

    with operator_of(answer) as operator:
        assert operator.instances("shop") == [{"pid": 1}]


def test_states_are_counted(operator_of):
    statuses = [{"status": {"state": "installed"}}, {"status": {"state": "waiting"}}]
    answer = httpx.Response(200, json={"statuses": statuses})
    with operator_of(lambda _: answer) as operator:
        assert operator.states("p") == {"installed": 1, "waiting": 1}


def test_a_failed_probe_fails_with_its_reason(operator_of):
    status = {"state": "failed", "reason": "shop.billing has no 'chrage'"}
    answer = httpx.Response(200, json={"statuses": [{"status": status}]})
    with (
        operator_of(lambda _: answer) as operator,
        pytest.raises(StepError, match=r"p is failed: shop\.billing has no 'chrage'"),
    ):
        operator.states("p")


def test_an_empty_answer_is_fine_and_a_refusal_is_not(operator_of):
    with operator_of(lambda _: httpx.Response(204)) as operator:
        operator.remove_probe("p")
    with (
        operator_of(lambda _: httpx.Response(409, text="duplicate")) as operator,
        pytest.raises(StepError, match="409 duplicate"),
    ):
        operator.add_probe({"id": "p"})


def test_a_server_that_is_gone_is_said_to_be(operator_of):
    def gone(request):
        raise httpx.ConnectError("refused", request=request)

    with (
        operator_of(gone) as operator,
        pytest.raises(StepError, match="the server is gone: refused"),
    ):
        operator.probes()
