"""What methods share that read images with the backbone as pretrained."""

from zslbench.backbones.features import Frozen, frozen
from zslbench.method.incremental import IncrementalMethod


class OnFrozen(IncrementalMethod):
    """A method on what a frozen backbone says of images."""

    @property
    def frozen(self) -> Frozen:
        """The backbone, built once for all tasks."""
        return frozen(self.source)
