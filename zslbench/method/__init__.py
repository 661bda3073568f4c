"""What a method is, and what one subclasses to add one."""

from zslbench.data.types import BackboneSource
from zslbench.method.base import Epoch, Float, Method, Need, PublishedCurve, PublishedRule, TrainSet
from zslbench.method.closed_form import ClosedFormMethod
from zslbench.method.settings import (
    AttributeForm,
    ClassForm,
    MethodConfig,
    Settings,
    bounds,
    hyper,
    option,
    tuned,
    undecided,
    weight,
)
from zslbench.metrics.localisation import View

__all__ = [
    "AttributeForm",
    "BackboneSource",
    "ClassForm",
    "ClosedFormMethod",
    "Epoch",
    "Float",
    "Method",
    "MethodConfig",
    "Need",
    "PublishedCurve",
    "PublishedRule",
    "Settings",
    "TrainSet",
    "View",
    "bounds",
    "hyper",
    "option",
    "tuned",
    "undecided",
    "weight",
]
