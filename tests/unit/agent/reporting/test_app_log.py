"""Messages in the app's own log: its handlers decide, and cannot hurt us."""

from __future__ import annotations

import logging
import sys

import pytest

from remora.agent.diagnostics import Diagnostics
from remora.agent.reporting import AppLog

RECORD = {
    "kind": "log",
    "time": 1_700_000_000_123_000_000,
    "probe": "p",
    "site": "shop:charge",
    "thread": 77,
    "message": "100 % of {it}",
    "logger": {"name": "test_app_log.shop", "level": "warning"},
}


@pytest.fixture
def diagnostics() -> Diagnostics:
    return Diagnostics("off")


def test_a_message_goes_to_the_app_s_handlers(diagnostics, caplog) -> None:
    AppLog(diagnostics).tell(RECORD)
    (line,) = caplog.records
    assert line.name == "test_app_log.shop"
    assert line.levelno == logging.WARNING
    assert line.getMessage() == "100 % of {it}"
    assert line.created == pytest.approx(1_700_000_000.123)
    assert line.msecs == 123
    assert line.thread == 77
    assert line.remora_probe == "p"
    assert line.pathname == "shop:charge"


def test_the_app_s_levels_are_obeyed(diagnostics, caplog) -> None:
    caplog.set_level(logging.ERROR, "test_app_log.shop")
    AppLog(diagnostics).tell(RECORD)
    assert caplog.records == []


def test_a_record_without_a_logger_is_none_of_its_business(diagnostics, caplog) -> None:
    AppLog(diagnostics).tell({**RECORD, "logger": None})
    assert caplog.records == []
    assert diagnostics.counters == {}


def test_a_filter_that_fails_is_contained_and_counted(diagnostics) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise KeyError(record.name)

    logger = logging.getLogger("test_app_log.shop")
    logger.addFilter(fail)
    try:
        AppLog(diagnostics).tell(RECORD)
    finally:
        logger.removeFilter(fail)
    assert diagnostics.counters == {"app-log-failures": 1}


def test_logging_is_never_imported_for_it(diagnostics, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "logging")
    AppLog(diagnostics).tell(RECORD)
    assert "logging" not in sys.modules
    assert diagnostics.counters == {"app-log-failures": 1}
