"""Settings of the agent, and where each came from.

In this order: argument of `start()`, environment `REMORA_*`, the TOML file named in
`REMORA_CONFIG`, default. This is the agent's only reader of the environment.
"""

from __future__ import annotations

import os
import sys

from remora.errors import ConfigError, ProbeError
from remora.values import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@frozen
class Setting:
    """One setting: its name, how its text is read, its default and what it means."""

    name: str
    read: Callable[[str, object], object]
    default: object
    meaning: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"REMORA_{self.name.upper()}"


def _text(name: str, value: object) -> object:
    if not isinstance(value, str) or len(value) > 4096:
        raise ConfigError(f"{name} = {value!r} is no text of up to 4096 characters")
    return value


def _label(name: str, value: object) -> object:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 200:
        raise ConfigError(f"{name} = {value!r} is no name of 1 to 200 characters")
    return value.strip()


def _url(name: str, value: object) -> object:
    text = str(_text(name, value)).rstrip("/")
    if text and not text.startswith(("http://", "https://")):
        raise ConfigError(
            f"{name} = {value!r} is no address: write http://HOST:PORT or https://HOST"
        )
    return text


def _texts(name: str, value: object) -> object:
    if isinstance(value, str):
        value = [part for part in value.split(os.pathsep) if part]
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(part, str) for part in value
    ):
        raise ConfigError(f"{name} = {value!r} is no list of texts")
    return tuple(value)


def _keys(name: str, value: object) -> object:
    keys = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(keys, (list, tuple)):
        raise ConfigError(f"{name} = {value!r} is no public key: see `remora key show`")
    for key in keys:
        if not isinstance(key, str) or (len(key), key[:8]) != (52, "ed25519:"):
            raise ConfigError(
                f"{name}: {key!r} is no public key: write ed25519:… as `remora key "
                "show` prints it"
            )
    return tuple(keys)


def _networks(name: str, value: object) -> object:
    networks = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(networks, (list, tuple)):
        raise ConfigError(f"{name} = {value!r} is no list of networks")
    for network in networks:
        # Late, because most apps name none.
        from ipaddress import ip_network

        try:
            ip_network(network, strict=False)
        except ValueError:
            raise ConfigError(
                f"{name}: {network!r} is no network: write 10.0.0.0/8 or an address"
            ) from None
    return tuple(networks)


def _one_of(*choices: str) -> Callable[[str, object], object]:
    def read(name: str, value: object) -> object:
        if value not in choices:
            raise ConfigError(
                f"{name} = {value!r} is not known: write one of {', '.join(choices)}"
            )
        return value

    return read


def _protection(name: str, value: object) -> object:
    text = str(_text(name, value)).strip()
    if text == "off":
        return text
    # Late, because most processes need nothing of it.
    from remora.protocol.protect import read_modes

    try:
        read_modes(text)
    except ProbeError as error:
        raise ConfigError(f"{name}: {error}") from None
    return text


def _hosts(name: str, value: object) -> object:
    from remora.protocol.protect import read_allowed

    if isinstance(value, str):
        value = value.replace(",", " ").split()
    hosts = list(value) if isinstance(value, (list, tuple)) else value
    try:
        return read_allowed(hosts, name)
    except ProbeError as error:
        raise ConfigError(str(error)) from None


def _flag(name: str, value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"1", "true", "yes", "on"}:
        return True
    if isinstance(value, str) and value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ConfigError(f"{name} = {value!r} is neither on nor off")


def _seconds(name: str, value: object) -> object:
    try:
        seconds = float(value)  # pyright: ignore[reportArgumentType] - TypeError is caught
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise ConfigError(f"{name} = {value!r} is no number of seconds from 0 to 60")
    return seconds


def _byte_size(name: str, value: object) -> object:
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    text = str(value).strip().upper().removesuffix("IB").removesuffix("B")
    factor = units.get(text[-1:], 1)
    try:
        size = int(text.rstrip("KMG")) * factor
    except ValueError:
        size = 0
    if size < 4096:
        raise ConfigError(f"{name} = {value!r} is no size of at least 4KiB, e.g. 64MiB")
    return size


SETTINGS: tuple[Setting, ...] = (
    Setting("enabled", _flag, True, "off: the agent does nothing at all (kill switch)"),
    Setting("children", _flag, True, "off: programs that the app starts go without"),
    Setting("kill_file", _text, "", "file that switches the agent off once it exists"),
    Setting("app", _label, "app", "name of the app"),
    Setting("env", _label, "dev", "environment, such as prod"),
    Setting("version", _label, "0", "version of the app"),
    Setting("server", _url, "", "address of the server; empty: none"),
    Setting("token", _text, "", "agent token of the server"),
    Setting("token_file", _text, "", "file that holds the agent token"),
    Setting("probes", _texts, (), "files of probes, TOML"),
    Setting("records", _text, "", "file for records, JSON lines; - is standard error"),
    # Big enough for an afternoon of debugging, small enough for any container's disk:
    # with the one rotated file the two together hold twice this.
    Setting("records_limit", _byte_size, 64 * 2**20, "size at which it is rotated"),
    Setting(
        "allow",
        _one_of("observe", "protect", "act"),
        "protect",
        "the most that any server can ask for",
    ),
    Setting(
        "protect",
        _protection,
        "off",
        "off, watch or block; single detectors as in block,path=watch",
    ),
    Setting("allowed_hosts", _hosts, (), "hosts and networks that requests may choose"),
    Setting(
        "stored_input", _flag, False, "on: what requests have stored is input when read"
    ),
    Setting("rules", _texts, (), "files of rules of protection, TOML"),
    Setting("public_key", _keys, (), "keys that sign what changes the app's run"),
    Setting("public_key_file", _text, "", "file that holds these keys"),
    Setting("trusted_proxies", _networks, (), "networks of proxies to believe"),
    Setting("state", _text, "", "file that keeps what was signed over restarts"),
    Setting("log", _text, "stderr", "the agent's own log: off, stderr or a file"),
    Setting("redact", _texts, (), "further names whose values are never reported"),
    Setting(
        "redact_emails", _flag, False, "on: e-mail addresses are not reported either"
    ),
    Setting(
        "ca_file", _text, "", "certificate authorities in PEM; empty: the system's"
    ),
    Setting("client_cert", _text, "", "client certificate in PEM"),
    Setting("client_key", _text, "", "its private key in PEM"),
    # Half a second in all is what an orchestrator's stop and a person's Ctrl-C forgive.
    Setting("exit_s", _seconds, 0.5, "seconds that the exit may wait for records"),
)

SECRETS = frozenset({"token"})


@frozen
class Settings:
    """All settings with the source of each."""

    values: Mapping[str, object]
    sources: Mapping[str, str]

    def text(self, name: str) -> str:
        """A setting that is a text."""
        return str(self.values[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """A setting that is a list of texts."""
        value = self.values[name]
        assert isinstance(value, tuple)
        return value

    def flag(self, name: str) -> bool:
        """A setting that is on or off."""
        return self.values[name] is True

    def number(self, name: str) -> float:
        """A setting that is a number."""
        value = self.values[name]
        assert isinstance(value, (int, float))
        return value

    def explain(self) -> list[dict[str, str]]:
        """Each setting with value, source and meaning; secrets are only named."""
        return [
            {
                "name": setting.name,
                "variable": setting.variable,
                "value": "(set)"
                if setting.name in SECRETS and self.values[setting.name]
                else str(self.values[setting.name]),
                "source": self.sources[setting.name],
                "meaning": setting.meaning,
            }
            for setting in SETTINGS
        ]


def read_settings(
    arguments: Mapping[str, object] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Settings:
    """Read all settings. Raises ConfigError with the name, the value and the remedy."""
    given = {k: v for k, v in (arguments or {}).items() if v is not None}
    known = {setting.name for setting in SETTINGS}
    if unknown := sorted(set(given) - known):
        raise ConfigError(f"there is no setting {unknown[0]!r}")
    env = environment() if variables is None else variables
    path = env.get("REMORA_CONFIG", "")
    table = _read_file(path) if path else {}
    if unknown := sorted(set(table) - known):
        raise ConfigError(f"{path}: there is no setting {unknown[0]!r}")
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        name = setting.name
        if name in given:
            values[name] = setting.read(f"argument {name}", given[name])
            sources[name] = "argument"
        elif env.get(setting.variable):
            values[name] = setting.read(setting.variable, env[setting.variable])
            sources[name] = setting.variable
        elif name in table:
            values[name] = setting.read(f"{path}: {name}", table[name])
            sources[name] = path
        else:
            values[name], sources[name] = setting.default, "default"
    _derive(values, sources)
    return Settings(values, sources)


def self_tests_must_fail() -> bool:
    """Whether REMORA_SELF_TESTS=fail asks to do without what writes to memory.

    For tests of the mechanisms that remain; read when the agent is imported.
    """
    return os.environ.get("REMORA_SELF_TESTS") == "fail"  # noqa: TID251 - its home


def environment() -> Mapping[str, str]:
    """The environment of this process, for the proxy variables of the transport."""
    return os.environ  # noqa: TID251 - its home


def _derive(values: dict[str, object], sources: dict[str, str]) -> None:
    """Settings that follow from others or from the process."""
    if sources["app"] == "default":
        values["app"] = _app_name()
        sources["app"] = "name of the program"
    token_file = str(values["token_file"])
    if token_file and not values["token"]:
        values["token"] = _read_text("token_file", token_file)
        sources["token"] = token_file
    key_file = str(values["public_key_file"])
    if key_file and not values["public_key"]:
        values["public_key"] = _keys(key_file, _read_text("public_key_file", key_file))
        sources["public_key"] = key_file
        if not values["public_key"]:
            raise ConfigError(f"public_key_file = {key_file!r} holds no key")


_WITH_VALUE = frozenset(("-W", "-X"))
"""Options of an interpreter whose value may be the next word."""


def _read_text(name: str, path: str) -> str:
    """A small file that a setting names."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - pathlib is not needed
            return file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} = {path!r} cannot be read: {error}") from None


def _app_name() -> str:
    """The script or module that this interpreter runs, by how it was started."""
    command, *words = getattr(sys, "orig_argv", None) or ["python"]
    rest = iter(words)
    for word in rest:
        if word == "-m":
            return next(rest, "")[:200] or "app"
        if word == "-c":
            # What follows is the program itself, as in multiprocessing's children.
            return os.path.basename(command)[:200]  # noqa: PTH119
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return os.path.basename(word).removesuffix(".py")[:200] or "python"  # noqa: PTH119
    return "python"


def _read_file(path: str) -> Mapping[str, object]:
    import tomllib

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not needed
            return tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"REMORA_CONFIG = {path!r} cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"REMORA_CONFIG = {path!r} is no TOML: {error}") from None
