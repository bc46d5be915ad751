"""What the name and the options of a Python say: which one it is, whom it shuts out."""

from __future__ import annotations

from remora.values import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OLDEST = (3, 11)
"""The oldest CPython that is served: 3.10 has reached its end of life."""

_NAMES = {"python": "cpython", "pypy": "pypy"}
_WITH_VALUE = "WXcm"
"""Letters of Python's options that take a value; `-c` and `-m` end the options."""


@frozen
class Interpreter:
    """A Python that a command will run.

    `ignores` is its option that shuts the boot folder out (`-I`, `-E`, `-S`), or empty.
    """

    path: str
    implementation: str
    version: str
    ignores: str = ""

    @property
    def name(self) -> str:
        """Implementation and version, as people write them."""
        name = {"cpython": "CPython", "pypy": "PyPy"}.get(self.implementation)
        return f"{name or self.implementation} {self.version}"

    @property
    def refusal(self) -> str | None:
        """Why the agent cannot get into it, or None."""
        number = tuple(int(part) for part in self.version.split(".")[:2])
        if self.implementation != "cpython" or number < OLDEST:
            return (
                f"{self.path} is {self.name} and runs without the agent, which "
                "needs CPython 3.11 or newer"
            )
        if self.ignores:
            return (
                f"{self.path} is started with {self.ignores}, which shuts the agent "
                "out: start it without that option"
            )
        return None


def split_name(name: str) -> tuple[str, str] | None:
    """Implementation and version as a program's name says them, or None."""
    for start, implementation in _NAMES.items():
        version = name.removeprefix(start)
        if name.startswith(start) and not version.strip("0123456789."):
            return implementation, version
    return None


def is_version(text: str, *, parts: int) -> bool:
    """Whether it is a version of so many numbers."""
    numbers = text.split(".")
    return len(numbers) == parts and all(number.isdecimal() for number in numbers)


def shut_out_by(arguments: Sequence[str]) -> str:
    """The option among Python's own that keeps PYTHONPATH or `site` away, or empty."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
            continue
        if not argument.startswith("-") or argument in {"-", "--"}:
            return ""
        if argument.startswith("--"):
            skip = argument == "--check-hash-based-pycs"
            continue
        for position, letter in enumerate(argument[1:], 1):
            if letter in "IES":
                return f"-{letter}"
            if letter in _WITH_VALUE:
                if letter in "cm":
                    return ""
                skip = position == len(argument) - 1
                break
    return ""
