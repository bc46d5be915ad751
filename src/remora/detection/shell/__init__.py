"""Commands: input that leaves its word, or that is an option of a known program."""

from remora.detection.shell.judge import judge, judge_arguments

__all__ = ["judge", "judge_arguments"]
