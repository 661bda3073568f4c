"""Runs that leaderboards are made of."""

import pytest
from boards import stored_run


@pytest.fixture(scope="package")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("stored")
    runs = [stored_run(root / f"s{seed}", seed=seed) for seed in range(2)]
    return [*runs, stored_run(root / "raw", features="raw", reg_x=1000.0, reg_s=1000.0)]
