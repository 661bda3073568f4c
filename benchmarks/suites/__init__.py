"""Published tables and figures as data (`*.toml`), in the wheel as `zslbench.suites`."""
