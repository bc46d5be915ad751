"""The options of `remora run`, and a reader of them that needs no argparse.

Whoever starts an app with `remora run` waits for this process first, and argparse with
what it imports takes as long as all the rest. So the plain form, known options with
their values, is read here. Whatever else is written, help and mistakes above all, is
left to argparse, which is made of the same table.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

RUN_HANDLER = "remora.cli.run:run"


class RunOption:
    """One option: `--name METAVAR`, maybe repeated, maybe one of some choices."""

    __slots__ = ("choices", "metavar", "name", "repeats", "text")

    def __init__(
        self,
        name: str,
        metavar: str,
        text: str,
        *,
        choices: tuple[str, ...] | None = None,
        repeats: bool = False,
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.text = text
        self.choices = choices
        self.repeats = repeats

    @property
    def key(self) -> str:
        """The name of the setting that it is."""
        return self.name.replace("-", "_")


RUN_OPTIONS = (
    RunOption("app", "NAME", "name of the app"),
    RunOption("env", "ENV", "environment, such as prod (default dev)"),
    RunOption("version", "VERSION", "version of the app"),
    RunOption("server", "URL", "address of the server (default: none)"),
    RunOption("token", "TOKEN", "agent token; better: --token-file"),
    RunOption("token-file", "FILE", "file that holds the agent token"),
    RunOption("probes", "FILE", "file of probes, TOML; may be repeated", repeats=True),
    RunOption("records", "FILE", "JSON-lines file for records; - is stderr"),
    RunOption(
        "protect",
        "MODE",
        "off (default), watch or block; single detectors as in block,path=watch",
    ),
    RunOption("allowed-hosts", "HOSTS", "hosts and networks that requests may choose"),
    RunOption("rules", "FILE", "rules of protection, TOML", repeats=True),
    RunOption(
        "stored-input",
        "SWITCH",
        "on: what requests have stored is input when it is read; off (default)",
        choices=("on", "off"),
    ),
    RunOption(
        "allow",
        "LEVEL",
        "the most that a server can ask for: observe, protect (default) or act",
        choices=("observe", "protect", "act"),
    ),
    RunOption("ca-file", "FILE", "certificate authorities in PEM"),
    RunOption("client-cert", "FILE", "client certificate in PEM"),
    RunOption("client-key", "FILE", "its private key in PEM"),
)
_BY_WORD = {f"--{option.name}": option for option in RUN_OPTIONS}


class RunWords:
    """What was asked of `remora run`, in the form that argparse has."""

    def __init__(self, values: dict[str, str | list[str]]) -> None:
        self.handler = RUN_HANDLER
        self.rest: list[str] = []
        for option in RUN_OPTIONS:
            setattr(self, option.key, values.get(option.key))


def read_run(words: Sequence[str]) -> RunWords | None:
    """The plain form of `remora run`, or None where argparse has to look."""
    if not words or words[0] != "run":
        return None
    values: dict[str, str | list[str]] = {}
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=")
        option = _BY_WORD.get(name)
        if option is None:
            return None
        if not equals:
            value = next(rest, "--")
            if value.startswith("-") and value != "-":
                return None
        if option.choices is not None and value not in option.choices:
            return None
        if option.repeats:
            earlier = values.setdefault(option.key, [])
            assert isinstance(earlier, list)
            earlier.append(value)
        else:
            values[option.key] = value
    return RunWords(values)
