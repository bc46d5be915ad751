"""SQL: input that leaves its token in a statement."""

from remora.detection.sql.judge import judge

__all__ = ["judge"]
