"""Joint training: after each task, retrain on the images of all tasks so far. The ceiling.

| point | usual | here |
|---|---|---|
| images | all of them, once, for the last accuracy | those of all tasks so far, after each task |
| network, rows, loss, schedule | those of sequential fine-tuning | the same |
"""

from ._classifier import IncrementalClassifier


class Joint(IncrementalClassifier):
    """Trains the pretrained network on all that is known; marked, for it keeps every image."""

    version = 2  # a frozen backbone keeps its batch statistics
    needs = frozenset({"images", "old_images"})
    anew = True
