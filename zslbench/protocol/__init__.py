"""The protocol: worlds, the choice made in tuning worlds, the rules that read a run."""

from zslbench.protocol.choice import Tuning, choose, choose_gamma
from zslbench.protocol.rules import RULES, Trajectory, epochs_needed
from zslbench.protocol.worlds import World, final_world, fresh_worlds, tuning_worlds

__all__ = [
    "RULES",
    "Trajectory",
    "Tuning",
    "World",
    "choose",
    "choose_gamma",
    "epochs_needed",
    "final_world",
    "fresh_worlds",
    "tuning_worlds",
]
