"""Accuracies, the seen-unseen curve, forgetting and localisation. Pure numpy."""

from zslbench.metrics.accuracy import (
    Average,
    Bool,
    Float,
    Int,
    Space,
    harmonic_mean,
    per_class_accuracy,
    score_unit,
)
from zslbench.metrics.curve import Outcome, plateau_middle
from zslbench.metrics.summary import ScoreSummary, summarise
