"""The embedded default dataset: procedural birds on clutter, with the mask of every part."""

from zslbench.data.plumage.attributes import ATTRIBUTE_NAMES, ATTRIBUTE_PART, GROUPS, Part
from zslbench.data.plumage.classes import is_reserved
from zslbench.data.plumage.config import PlumageConfig
from zslbench.data.plumage.dataset import load_plumage
