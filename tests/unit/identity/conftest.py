"""An issuer of tokens, for every test that wants one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.issuer import Issuer, issuer


@pytest.fixture
def idp() -> Iterator[Issuer]:
    with issuer() as made:
        yield made
