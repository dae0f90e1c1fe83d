"""Waiting for a cluster.

Most conditions start kubectl, and one asked without a pause takes a core from what is measured.
"""

from __future__ import annotations

from functools import partial

from tests.support.waiting import wait_until as _wait_until

wait_until = partial(_wait_until, every=0.5)
