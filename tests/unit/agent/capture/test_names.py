"""Which names are secrets."""

import pytest

from remora.agent.capture import SecretNames, is_secret_name


@pytest.mark.parametrize(
    "name",
    """password Password PASSWORD user_password passwordConfirm dbPassword dbpassword
    passwd pwd DB_PWD secret client_secret clientSecret SECRET_KEY token access_token
    accessToken refresh-token X-Auth-Token
    api_key apiKey API-KEY apikey X-Api-Key
    authorization Authorization HTTP_AUTHORIZATION cookie Cookie Set-Cookie HTTP_COOKIE
    session_id
    sessionid sessionId PHPSESSID ssn credit_card creditCardNumber card_number
    cvv private_key privateKey otp jwt csrf_token csrfmiddlewaretoken pin iban dsn
    """.split(),
)
def test_a_secret_name_is_recognised_however_it_is_written(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    """name user author authorize authorized monkey keyboard key tokenize tokenizer
    token_count max_tokens passed bypass compass pinned shipping pinterest spin id
    session request card cardinal account hashing encoding plan amount
    cookiecutter assert path passenger
    """.split(),
)
def test_a_harmless_name_is_not(name):
    assert not is_secret_name(name)


def test_the_operator_adds_names():
    names = SecretNames(["Patient-Id", "diagnosis"])
    assert names("patient_id")
    assert names("mainDiagnosis")
    assert names("password")
    assert not names("patient")


def test_the_memory_of_names_is_bounded():
    names = SecretNames()
    for number in range(20_000):
        names(f"name{number}")
    assert len(names.look_up.__self__) <= 4096
