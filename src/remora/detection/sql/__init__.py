"""SQL: input that leaves its token in a statement."""

from remora.detection.sql.judge import judge, words_in
from remora.detection.sql.tokens import lexer_of

__all__ = ["judge", "lexer_of", "words_in"]
