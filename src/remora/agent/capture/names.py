"""Which names stand for secrets: the table, and how a name is compared with it.

A name is brought to small letters without separators and compared as a whole with the
names of `_EXACT`, and part by part (`db_password_old`, `dbPasswordOld`) with `_PARTS`.
Parts are whole words between separators and changes of case, so `authorize`, `tokenize`
or `monkey` are not secrets. Better too much redacted than too little: a redacted value
is an annoyance, a leaked one is in every backup of the server's store.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PARTS = frozenset(
    [
        "password",
        "passwords",
        "passwd",
        "passwort",
        "passphrase",
        "passcode",
        "pwd",
        "pass",
        "secret",
        "secrets",
        "credential",
        "credentials",
        "token",
        "tokens",
        "apikey",
        "authorization",
        "authentication",
        "cookie",
        "cookies",
        "sessionid",
        "sessionkey",
        "csrf",
        "csrftoken",
        "xsrf",
        "jwt",
        "bearer",
        "otp",
        "totp",
        "pin",
        "cvv",
        "cvc",
        "ssn",
        "privatekey",
        "signingkey",
        "encryptionkey",
        "accesskey",
        "secretkey",
        "mnemonic",
    ]
)
"""Words that make a name a secret wherever they stand in it."""

_PAIRS = frozenset(
    [
        "apikey",
        "privatekey",
        "secretkey",
        "accesskey",
        "signingkey",
        "encryptionkey",
        "masterkey",
        "sharedkey",
        "sessionid",
        "sessionkey",
        "creditcard",
        "cardnumber",
        "cardno",
        "ccnumber",
        "securitycode",
        "accountnumber",
        "socialsecurity",
        "authkey",
        "authcode",
        "authtoken",
        "refreshtoken",
        "setcookie",
        "connectionstring",
        "keypassphrase",
        "clientsecret",
        "onetimecode",
        "recoverycode",
        "backupcodes",
    ]
)
"""Two words next to each other; as one word they stand in names without separators."""

_EXACT = frozenset(
    [
        "auth",
        "authheader",
        "sid",
        "sess",
        "phpsessid",
        "jsessionid",
        "connectsid",
        "iban",
        "pan",
        "dsn",
        "databaseurl",
        "salt",
        "nonce",
        "pk8",
        "pem",
        "passwordhash",
        "hashedpassword",
    ]
)
"""Names that are too short or too common to be looked for inside others."""

_INSIDE = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "privatekey",
    "csrf",
)
"""Texts that tell even without a border of words: `dbpassword`, `mysecretvalue`."""

_HARMLESS = frozenset(
    [
        "tokencount",
        "tokenscount",
        "tokenlimit",
        "maxtokens",
        "numtokens",
        "totaltokens",
        "tokentype",
        "tokensused",
        "prompttokens",
        "completiontokens",
        "passcount",
        "passrate",
        "passed",
        "pinned",
    ]
)
"""Common names that hold such a word and no secret."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NAME_LIMIT = 200
_CACHE_LIMIT = 4096
"""Names whose verdict is remembered: parameters and keys of an app repeat."""


class SecretNames:
    """The table and the names that the operator added; asked for every name.

    `look_up` is the same question as a call, but answered in C for names seen before.
    """

    __slots__ = ("look_up",)

    def __init__(self, added: Iterable[str] = ()) -> None:
        verdicts = _Verdicts(frozenset(map(_normalised, added)))
        self.look_up: Callable[[str], bool] = verdicts.__getitem__

    def __call__(self, name: str) -> bool:
        """Whether a value of this name is a secret. `name` is an exact str."""
        return self.look_up(name)


class _Verdicts(dict[str, bool]):
    """Names with their verdicts, which are made when they are asked for."""

    __slots__ = ("_added",)

    def __init__(self, added: frozenset[str]) -> None:
        super().__init__()
        self._added = added

    def __missing__(self, name: str) -> bool:
        if len(name) > _NAME_LIMIT:
            return _judge(name[:_NAME_LIMIT], self._added)
        if len(self) >= _CACHE_LIMIT:
            self.clear()
        verdict = self[name] = _judge(name, self._added)
        return verdict


def _judge(name: str, added: frozenset[str]) -> bool:
    whole = _normalised(name)
    if whole in _HARMLESS:
        return False
    if whole in _EXACT or whole in added:
        return True
    if any(inside in whole for inside in _INSIDE):
        return True
    words = [word.lower() for word in _WORDS.findall(name)]
    if not (_PARTS | _PAIRS | added).isdisjoint(words):
        return True
    return any(first + second in _PAIRS for first, second in pairwise(words))


def _normalised(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


is_secret_name = SecretNames()
"""The table alone, for where no settings are at hand."""
