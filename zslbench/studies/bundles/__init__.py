"""Bundles: runs that another lab can put beside its own, and check."""
