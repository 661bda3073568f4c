"""Sequential fine-tuning: each task's images, one after the other, nothing kept. The floor.

| point | usual | here |
|---|---|---|
| network | all of it is trained | the same; class weights in rows, cosine logits |
| new rows | drawn at random | means of the classes' features (Qi et al., CVPR 2018) |
| loss | cross-entropy over all classes known | the same |
| schedule | SGD, of each paper's own | AdamW with warm-up and cosine, anew for each task |
"""

from ._classifier import IncrementalClassifier


class FineTuning(IncrementalClassifier):
    """Continues training the network on the images of the task at hand."""

    version = 2  # a frozen backbone keeps its batch statistics
