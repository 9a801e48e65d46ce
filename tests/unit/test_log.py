"""Logging by the environment."""

from __future__ import annotations

import logging

import pytest

from rtcpeer.log import StderrHandler, configure, parse


@pytest.fixture
def loggers():
    """Levels and handlers of rtcpeer's loggers are as before when the test is over."""
    names = ("rtcpeer", "rtcpeer.ice")
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    root = logging.getLogger("rtcpeer")
    handlers = list(root.handlers)
    yield root
    root.handlers[:] = handlers
    for logger, level in before:
        logger.setLevel(level)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {}),
        ("debug", {"rtcpeer": logging.DEBUG}),
        (
            "rtcpeer.ice=DEBUG, rtcpeer=info,",
            {"rtcpeer.ice": logging.DEBUG, "rtcpeer": logging.INFO},
        ),
        ("off", {"rtcpeer": logging.CRITICAL + 10}),
    ],
)
def test_levels_by_logger(text, levels):
    assert parse(text) == levels


@pytest.mark.parametrize("text", ["loud", "asyncio=debug", "rtcpeerx=debug", "rtcpeer.ice="])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"is no (level|logger)"):
        parse(text)


def test_a_text_that_cannot_be_read_is_a_warning_and_changes_nothing(loggers, caplog):
    before = loggers.level
    with caplog.at_level(logging.WARNING, logger="rtcpeer"):
        configure("loud")
    assert "RTCPEER_LOG is ignored" in caplog.text
    assert loggers.level == before


def test_levels_are_set_and_one_handler_is_added(loggers):
    loggers.handlers[:] = []
    configure("rtcpeer.ice=debug")
    configure("info")
    assert logging.getLogger("rtcpeer.ice").level == logging.DEBUG
    assert loggers.level == logging.INFO
    assert [type(handler) for handler in loggers.handlers] == [StderrHandler]
