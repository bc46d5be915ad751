"""The demo: a real shop, its traffic, and probes put into it while it runs."""

from remora.demo.scenario import run

__all__ = ["run"]
