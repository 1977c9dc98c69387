"""A simulated Xen of each kind."""

from __future__ import annotations

import pytest
from caller import COMBINATIONS, Caller


@pytest.fixture(params=COMBINATIONS, ids=lambda pair: "-".join(pair))
def xen(request: pytest.FixtureRequest) -> Caller:
    """A caller on each release and architecture in turn."""
    release, arch = request.param
    return Caller(f"xen={release},arch={arch}")


@pytest.fixture
def x86() -> Caller:
    """A caller on the host that the simulator is without settings."""
    return Caller()
