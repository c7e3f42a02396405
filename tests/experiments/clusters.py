"""A real cluster of Dask's on this machine: processes, on loopback only."""

from __future__ import annotations

from typing import Any

import pytest


def local_cluster(**options: Any) -> Any:
    """Start two worker processes of two threads; skip the test where Dask is not installed."""
    distributed = pytest.importorskip("distributed")
    # None for a dashboard would serve metrics on all addresses of the machine, at a port that is often taken
    fixed = {"n_workers": 2, "threads_per_worker": 2, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    return distributed.LocalCluster(**fixed, **options)
