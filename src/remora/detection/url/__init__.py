"""URLs: input that decides where the app connects to."""

from remora.detection.url.hosts import host_of
from remora.detection.url.judge import chosen_by, judge, judge_host

__all__ = ["chosen_by", "host_of", "judge", "judge_host"]
