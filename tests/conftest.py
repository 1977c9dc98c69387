"""What every test stands on: no log record of WARNING or above that was not announced, and hosts to try things on."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Iterator

import pytest
from children import end_all
from hypothesis import HealthCheck, settings
from worlds import Host

# A shared machine is slow at times; what is slow for good shows in the time-out.
settings.register_profile("xenfs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("xenfs")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "last: runs after all others, for it leaves something behind")
    config.addinivalue_line(
        "markers",
        "once_a_dom0(reason): what it sees is not of the hypervisor, so one Xen with this dom0 sees it for all",
    )
    config.addinivalue_line("markers", "once(reason): nor is it of dom0's system, so one Xen sees it for all")
    config.addinivalue_line("markers", "logs(pattern): the test announces log records of WARNING or above like this")
    _children_hear_signals()


def _children_hear_signals() -> None:
    """Programs under test begin with every signal as usual, also where we ignore some: under nohup, or in a script's
    background. A handler of ours ignores as well, and unlike SIG_IGN it is not inherited."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_unannounced_log_records(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that logs a warning, unless @pytest.mark.logs("pattern") said so, or it looks at caplog itself."""
    kept, root = _Kept(), logging.getLogger()
    root.addHandler(kept)
    try:
        yield
    finally:
        root.removeHandler(kept)
    patterns = [pattern for mark in request.node.iter_markers("logs") for pattern in mark.args]
    said = [f"{record.levelname} {record.name}: {record.getMessage()}" for record in kept.records]
    for pattern in patterns:
        assert any(re.search(pattern, line) for line in said), f"announced, but not logged: {pattern}"
    if "caplog" not in request.fixturenames:
        odd = [line for line in said if not any(re.search(pattern, line) for pattern in patterns)]
        assert not odd, f"not announced: {odd}"


@pytest.fixture(autouse=True)
def nobody_outlives_the_test() -> Iterator[None]:
    """What was said to be `mortal` has ended."""
    yield
    end_all()


@pytest.fixture
def host() -> Iterator[Host]:
    """The simulator's default host with every option, time standing still until the test moves it."""
    with Host() as made:
        yield made
