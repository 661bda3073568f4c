"""A verdict for each run of a bundle, by the reader's own labels where they are here."""

from collections import Counter
from collections.abc import Iterator, Mapping

from zslbench.data.types import Dataset
from zslbench.errors import DataError, ZslbenchError
from zslbench.records import Opening
from zslbench.store import Stored
from zslbench.studies.bundles.checks import faults_of, score_faults
from zslbench.studies.bundles.contents import AnyStored, Bundle
from zslbench.studies.bundles.own_data import OwnData, comparable, submitted
from zslbench.studies.bundles.recompute import contradictions, known, other_worlds
from zslbench.studies.bundles.results import Judgement, RunVerdict, Verification
from zslbench.studies.groups import BY

PIXELS = "its data digest is of pixels too, which were not decoded"


def verify_bundle(bundle: Bundle, own: OwnData) -> Verification:
    """Check every run of a bundle, and recompute its numbers where its labels are here."""
    opened = Counter(entry.dataset for entry in bundle.openings.values())
    verdicts = [_verdict(run, bundle.openings, own) for run in bundle.runs]
    return Verification(bundle.path.name, verdicts, dict(sorted(opened.items())))


def _verdict(run: AnyStored, openings: Mapping[str, Opening], own: OwnData) -> RunVerdict:
    record, spec = run.record, run.record.spec
    faults = _faults(run, openings, None)
    dataset: Dataset | None = None
    absent: tuple[str, ...] = ()
    if not faults:
        try:
            dataset = own.of(record)
            faults = _faults(run, openings, dataset)
        except ZslbenchError as error:
            absent = (f"its test labels are not here: {error}",)
            faults = list(score_faults(record))
    open_ends = tuple(_open_ends(run, dataset)) if dataset else absent
    status: Judgement = "contradicted" if faults else "consistent" if open_ends else "verified"
    return RunVerdict(
        key=record.key,
        method=spec.method,
        dataset=spec.dataset,
        seed=spec.seed,
        by=record.environment.get(BY, ""),
        status=status,
        reasons=tuple(faults) or open_ends or (() if comparable(record) else (PIXELS,)),
        openings=sum(entry.run_key == record.key for entry in openings.values()),
        labelled=dataset is not None,
    )


def _faults(run: AnyStored, openings: Mapping[str, Opening], dataset: Dataset | None) -> list[str]:
    """Return what contradicts: without labels, or by those of a dataset."""
    try:
        return list(contradictions(run, dataset) if dataset else faults_of(run, openings))
    except DataError as error:  # one of its files
        return [f"{error.where.rpartition('/')[2]} {error.what}"]


def _open_ends(run: AnyStored, dataset: Dataset) -> Iterator[str]:
    """Yield what was not recomputed though the labels are here."""
    record = run.record
    if comparable(record) and record.spec.data_digest != dataset.digest:
        yield (
            f"data digest {record.spec.data_digest[:12]} stated, {dataset.digest[:12]} here: other "
            "attributes, training items or class splits"
        )
    if (
        isinstance(run, Stored)
        and not comparable(record)
        and any(other_worlds(run.record, dataset))
    ):
        yield "its tuning worlds are not those that the class splits here are cut into"
    if not submitted(record) and not known(record):
        yield f"{record.spec.method} is not here in the version of the run"
