"""Scores from elsewhere, read in our protocol."""
