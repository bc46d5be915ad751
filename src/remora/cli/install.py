"""`remora install` and `remora uninstall`: the agent in all of an environment."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from remora.boot.install import find_environment, python_of
from remora.boot.install import install as install_file
from remora.boot.install import uninstall as uninstall_file

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from remora.boot.install import Environment


def install(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora install`."""
    del environ
    environment = _find(arguments)
    changed = install_file(environment)
    done = "installed" if changed else "already installed"
    _tell(arguments, environment, f"{done}: {environment.file}", changed=changed)
    if not arguments.json:
        print("processes with REMORA_ENABLED=1 start with the agent from now on")
    return 0


def uninstall(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora uninstall`."""
    del environ
    environment = _find(arguments)
    changed = uninstall_file(environment)
    done = "removed" if changed else "not installed"
    _tell(arguments, environment, f"{done}: {environment.file}", changed=changed)
    return 0


def _find(arguments: Namespace) -> Environment:
    python: str = arguments.python or sys.executable
    if arguments.prefix is not None:
        python = python_of(arguments.prefix)
    return find_environment(python, allow_system=arguments.system)


def _tell(
    arguments: Namespace, environment: Environment, sentence: str, *, changed: bool
) -> None:
    if not arguments.json:
        print(sentence)
        return
    answer = {
        "file": environment.file,
        "python": environment.python,
        "version": environment.version,
        "changed": changed,
    }
    print(json.dumps(answer))
