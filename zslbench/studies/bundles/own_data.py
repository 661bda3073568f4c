"""The reader's own data, which hold the labels that a bundle does not."""

from dataclasses import dataclass, field
from pathlib import Path

from zslbench.data.load import DataRequest, embedded_config, is_embedded, load_dataset
from zslbench.data.types import Dataset, OnProgress, no_progress
from zslbench.errors import DataError, ZslbenchError
from zslbench.records import IncrementalRecord, RunRecord
from zslbench.studies.groups import SUBMITTED

OTHER_LABELS = "has other test items, classes or labels here"
MOST_DRAWN = 100_000  # images of plumage: a bundle cannot ask for more to be drawn


@dataclass
class OwnData:
    """Datasets below a folder, and plumage; each is read once.

    Attributes:
        root: The folder that holds the datasets' folders.
        on_progress: Called with (done, total) while birds are drawn.
    """

    root: Path
    on_progress: OnProgress = no_progress
    _found: dict[str, Dataset | ZslbenchError] = field(default_factory=dict)

    def of(self, record: RunRecord | IncrementalRecord) -> Dataset:
        """Return the dataset with the test labels that a run was measured on.

        Raises:
            ZslbenchError: If it is not here, with the reason.
        """
        name = record.spec.dataset
        if name not in self._found:
            self._found[name] = self._load(name)
        found = self._found[name]
        if isinstance(found, ZslbenchError):
            raise found
        if found.test_digest != record.test_digest:
            raise DataError(name, OTHER_LABELS, "")
        return found

    def _load(self, name: str) -> Dataset | ZslbenchError:
        try:
            if is_embedded(name):
                config = embedded_config(name)
                if config.classes * config.images_per_class > MOST_DRAWN:
                    return ZslbenchError(f"{name} has more than {MOST_DRAWN} images to draw.")
            request = DataRequest(name, self.root, resplit=True, bare=True)
            return load_dataset(request, self.on_progress)
        except ZslbenchError as error:
            return error


def comparable(record: RunRecord | IncrementalRecord) -> bool:
    """Return whether a run's data digest follows from classes, splits and labels alone.

    That of a run on image files is of their pixels too, which are not decoded to check it.
    """
    features = record.spec.backbone.name.startswith("features:")
    return is_embedded(record.spec.dataset) or features or submitted(record)


def submitted(record: RunRecord | IncrementalRecord) -> bool:
    """Return whether a run is a matrix of scores that was handed in: no method made it here."""
    return isinstance(record, RunRecord) and record.rules.keys() == {SUBMITTED}
