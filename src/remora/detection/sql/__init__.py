"""SQL: input that leaves its token in a statement."""

from remora.detection.sql.judge import judge, words_in

__all__ = ["judge", "words_in"]
