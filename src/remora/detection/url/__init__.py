"""URLs: input that decides where the app connects to."""

from remora.detection.url.judge import judge, judge_host

__all__ = ["judge", "judge_host"]
