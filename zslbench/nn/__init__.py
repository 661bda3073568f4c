"""Pieces several methods share."""
