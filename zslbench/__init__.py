"""zslbench: the honest benchmark for (generalised) zero-shot learning."""

__version__ = "0.1.0"
