"""Real damage is caught and harmless changes are not: faults seeded into copies of the project."""

import pytest
from faults import FAULTS, HARMLESS, ROOT, Change, copy_of_project

from zslbench.studies.regression.baseline import load, spreads_of
from zslbench.studies.regression.compare import compare
from zslbench.studies.regression.entries import numbers_of
from zslbench.studies.regression.exact_verdict import check_exact
from zslbench.studies.regression.measure import measurements_of, subjects_of
from zslbench.studies.regression.sides import Side, SideError, ask

SEEDS = 10  # the default of `zslbench regress`
QUICK, SLOW = ("eszsl", "ale"), ("svip",)
EXACT = {"exact": True, "methods": ["eszsl", "svip"]}


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    return subjects_of("regression", tmp_path_factory.mktemp("no data"))


class Gate:
    """Holds copies of the project against the project as it is."""

    def __init__(self, folder, subjects, spreads):
        self.folder, self.subjects, self.spreads = folder, subjects, spreads
        side = self.copy("as it is")
        self.exact = {n: [found] for n, found in self.measured_exactly(side).items()}
        self.before = {}
        for methods in (QUICK, SLOW):
            self.before |= self.measured(side, methods)

    def copy(self, name, *changes):
        return Side(name, "0" * 40, True, copy_of_project(self.folder / name, *changes))

    def measured_exactly(self, side):
        return numbers_of(next(ask(side.folder, EXACT)))

    def measured(self, side, methods):
        chosen = [subject for subject in self.subjects if subject.method in methods]
        found = {}
        for name, record in measurements_of(side, chosen, range(SEEDS)):
            found.setdefault(name, []).append(record)
        return found

    def statistical(self, side):
        """The verdict. What is slow is measured unless the rest FAILs: by Holm, that stays so."""
        now = dict(self.before)
        for methods in (QUICK, SLOW):
            now |= self.measured(side, methods)
            verdict = compare(self.before, now, self.spreads, 1.0, ("before", side.name)).verdict
            if verdict == "FAIL":
                break
        return verdict

    def __call__(self, change: Change):
        """Whether the exact and the statistical tier let a change pass: two verdicts."""
        side = self.copy(change.name, change)
        try:
            held = check_exact(self.exact, self.measured_exactly(side))
            return held.verdict, self.statistical(side)
        except SideError:
            return "breaks", "breaks"


@pytest.fixture(scope="module")
def gate(tmp_path_factory, subjects, baselines):
    spreads = spreads_of(load(baselines / "regression.toml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield Gate(tmp_path_factory.mktemp("copies"), subjects, spreads)


@pytest.mark.parametrize("change", (*FAULTS, *HARMLESS), ids=lambda change: change.name)
def test_every_change_finds_the_text_that_it_replaces(tmp_path, change):
    source, copy = ROOT / change.file.replace("zslbench/methods", "methods"), tmp_path / change.file
    copy.parent.mkdir(parents=True)
    copy.write_text(source.read_text())
    change.apply(tmp_path)
    assert copy.read_text() != source.read_text()


@pytest.mark.long
def test_ten_faults_are_caught_seven_by_statistics_alone(gate):
    verdicts = {}
    print(f"\n{'fault':40} {'exact':8} statistical")
    for fault in FAULTS:
        verdicts[fault.name] = exact, statistical = gate(fault)
        print(f"{fault.name:40} {exact:8} {statistical}", flush=True)
    assert len(verdicts) >= 10
    assert all("FAIL" in pair for pair in verdicts.values()), verdicts
    assert sum(statistical == "FAIL" for _, statistical in verdicts.values()) >= 7


@pytest.mark.long
@pytest.mark.parametrize("change", HARMLESS, ids=lambda change: change.name)
def test_harmless_changes_pass_both(gate, change):
    assert gate(change) == ("PASS", "PASS")
