"""Real damage is caught and harmless changes are not: faults seeded into copies of the project."""

import pytest
from faults import FAULTS, HARMLESS, TRAINING, Change, copy_of_project

from zslbench.studies.baseline import load, spreads_of
from zslbench.studies.measuring import measurements_of, subjects_of
from zslbench.studies.pinned import check_exact
from zslbench.studies.regression import compare
from zslbench.studies.sides import Side, SideError, ask

SEEDS = range(5)
EXACT = {"exact": True, "methods": ["eszsl", "svip"]}
NETWORK = {"zslbench_methods/svip.py", TRAINING, "zslbench/backbones/vit.py"}


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    return subjects_of("regression", tmp_path_factory.mktemp("no data"))


def reached(change, subjects):
    """What a change can move: networks by theirs, ESZSL and ALE by what all methods share."""
    if change is None:
        return subjects
    return [s for s in subjects if (s.method == "svip") == (change.file in NETWORK)]


def measured(folder, change, subjects):
    """The exact numbers and the measurements of a copy of the project."""
    side = Side(change.name if change else "as it is", "0" * 40, True, copy_of_project(
        folder, *([change] if change else [])))  # fmt: skip
    found = {}
    for name, record in measurements_of(side, reached(change, subjects), SEEDS):
        found.setdefault(name, []).append(record)
    return next(ask(side.folder, EXACT)), found


class Gate:
    """Holds copies of the project against the project as it is."""

    def __init__(self, folder, subjects, spreads):
        self.folder, self.subjects, self.spreads = folder, subjects, spreads
        self.exact, self.before = measured(folder / "as it is", None, subjects)

    def __call__(self, change: Change):
        """Whether the exact and the statistical tier let a change pass: two verdicts."""
        try:
            exact, now = measured(self.folder / change.name, change, self.subjects)
        except SideError:
            return "breaks", "breaks"
        # What the change cannot reach is as it was.
        found = compare(self.before, self.before | now, self.spreads, 1.0, ("before", change.name))
        return "FAIL" if check_exact(self.exact, exact) else "PASS", found.verdict


@pytest.fixture(scope="module")
def gate(tmp_path_factory, subjects, baselines):
    spreads = spreads_of(load(baselines / "regression.toml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield Gate(tmp_path_factory.mktemp("copies"), subjects, spreads)


@pytest.mark.slow
def test_ten_faults_are_caught_seven_by_statistics_alone(gate):
    verdicts = {}
    print(f"\n{'fault':40} {'exact':8} statistical")
    for fault in FAULTS:
        verdicts[fault.name] = exact, statistical = gate(fault)
        print(f"{fault.name:40} {exact:8} {statistical}", flush=True)
    assert len(verdicts) >= 10
    assert all("PASS" not in pair or "FAIL" in pair for pair in verdicts.values()), verdicts
    assert sum(statistical == "FAIL" for _, statistical in verdicts.values()) >= 7


@pytest.mark.slow
@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.name)
def test_harmless_changes_pass_both(gate, change):
    assert gate(change) == ("PASS", "PASS")
