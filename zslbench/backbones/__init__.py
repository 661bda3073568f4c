"""Pretrained networks, opened up."""
