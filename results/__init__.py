"""The papers' numbers (`published.csv`), which travel in the wheel as `zslbench.published`."""
