"""The command line: parses, asks the server, prints. It decides nothing else."""

from remora.cli.dispatch import run_command

__all__ = ["run_command"]
