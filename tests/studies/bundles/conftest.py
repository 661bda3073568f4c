"""Two labs: what they ran on the tiny dataset, what they export, and what a third reads."""

import json
from types import SimpleNamespace

import pytest
from fakes import Softmax, run_softmax, use_softmax

from zslbench.records import RunRecord
from zslbench.studies.archive import pack, unpack
from zslbench.studies.bundles.contents import opened_bundle, write_bundle
from zslbench.studies.bundles.measure import verify_bundle
from zslbench.studies.bundles.own_data import OwnData


@pytest.fixture(scope="module")
def softmax():
    """The one method there is."""
    with pytest.MonkeyPatch.context() as patch:
        use_softmax(patch)
        yield patch


@pytest.fixture(scope="module")
def lab(softmax, tiny_root, tmp_path_factory):
    """A lab with two seeds, its bundle, and the data of whoever reads that."""
    folder = tmp_path_factory.mktemp("lab")
    store, path = run_softmax(folder / "results", tiny_root, (0, 1)), folder / "a.tar.xz"
    write_bundle(path, store, [], "Lab A")
    return SimpleNamespace(
        store=store, path=path, own=OwnData(tiny_root), root=tiny_root, members=unpack(path)
    )


@pytest.fixture
def elsewhere(monkeypatch):
    """Other hardware: the same seeds begin elsewhere."""
    real = Softmax.fit

    def fit(self, prepared, after=None):
        self.seed += 1000
        yield from real(self, prepared, after)

    monkeypatch.setattr(Softmax, "fit", fit)


@pytest.fixture
def verified(lab, tmp_path):
    """Return a function that verifies a bundle of some members."""

    def call(members, own=lab.own):
        path = tmp_path / "bundle.tar.xz"
        pack(path, members)
        with opened_bundle(path) as bundle:
            return verify_bundle(bundle, own)

    return call


@pytest.fixture
def edited(lab):
    """Return a function that gives the members with a change in one record of a kind."""

    def call(kind, change):
        members = dict(lab.members)
        name = next(n for n in sorted(members) if n.startswith(f"runs/{kind}-") and "record" in n)
        content = json.loads(members[name])
        change(content)
        members[name] = json.dumps(content).encode()
        return members

    return call


@pytest.fixture
def forged(lab):
    """Return a function that changes a run and its choice, and makes keys and ledger anew.

    As someone would who means to deceive.
    """

    def call(change, change_choice=lambda content: None):
        name = next(n for n in sorted(lab.members) if "/run-" in n and n.endswith("record.json"))
        run = json.loads(lab.members[name])
        kept = f"runs/choice-{run['choice']}/record.json"
        choice = json.loads(lab.members[kept])
        old = run["key"]
        change(run)
        change_choice(choice)
        spec = RunRecord.model_validate({**run, "choice": choice}).spec
        run |= {"key": spec.key, "choice": spec.choice_key}
        choice["key"] = spec.choice_key
        stem = f"runs/run-{old}/"
        members = {
            n.replace(old, spec.key): content
            for n, content in lab.members.items()
            if n.startswith(stem) and n != name
        }
        members[f"runs/run-{spec.key}/record.json"] = json.dumps(run).encode()
        members[f"runs/choice-{spec.choice_key}/record.json"] = json.dumps(choice).encode()
        entries = map(json.loads, lab.members["ledger.jsonl"].decode().splitlines())
        own = {"run_key": spec.key, "method": spec.method, "dataset": spec.dataset}
        lines = [json.dumps(e | own) + "\n" for e in entries if e["run_key"] == old]
        return {**members, "ledger.jsonl": "".join(lines).encode()}

    return call
