"""The data directory: what lies in it, and that one server alone uses it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataPaths:
    """The files of a server. The tokens are written at the first start only."""

    directory: Path
    database: Path
    agent_token: Path
    operator_token: Path
    lock: Path


def data_paths(directory: Path) -> DataPaths:
    """Where the files of a server lie, whether or not they exist."""
    return DataPaths(
        directory=directory,
        database=directory / "remora.db",
        agent_token=directory / "agent.token",
        operator_token=directory / "operator.token",
        lock=directory / "server.lock",
    )


def claim_directory(paths: DataPaths) -> int:
    """Make the directory and lock it; closing the descriptor gives it back.

    A second server on the same files would not see what the first pushes. Raises
    ConfigError.
    """
    try:
        paths.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the data directory {str(paths.directory)!r} cannot be used: {error}; "
            "give another one"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigError(
            f"another server uses the data directory {str(paths.directory)!r}: stop "
            "it, or give this one a directory of its own"
        ) from None
    return descriptor
