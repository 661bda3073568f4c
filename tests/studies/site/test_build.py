"""The repository and the page of a public leaderboard: what is verified, claimed, left out."""

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from browser import browser, missing
from fakes import centroid_spec, run_softmax, toy_with_source, use_centroid, use_softmax

from zslbench.protocol.run_tasks import run_tasks
from zslbench.records import Opening
from zslbench.store import Store
from zslbench.studies.archive import pack, unpack
from zslbench.studies.bundles.contents import write_bundle
from zslbench.studies.bundles.own_data import OwnData
from zslbench.studies.incremental.plan import write_course
from zslbench.studies.site.build import build_site
from zslbench.studies.site.folder import FILES, make_site


@pytest.fixture(scope="module")
def labs(tiny_root, tmp_path_factory):
    """Bundles of two labs, each of a seed of its own, by name."""
    folder = tmp_path_factory.mktemp("labs")
    with pytest.MonkeyPatch.context() as patch:
        use_softmax(patch)
        for name, seed in (("a", 0), ("b", 1)):
            store = run_softmax(folder / name, tiny_root, (seed,))
            write_bundle(folder / f"{name}.tar.xz", store, [], f"Lab {name.upper()}")
        yield SimpleNamespace(folder=folder, a=folder / "a.tar.xz", b=folder / "b.tar.xz")


@pytest.fixture
def site(tmp_path, tiny_root):
    """A repository; `add` puts a bundle in, `build` builds it with the data or without."""
    folder = tmp_path / "site"
    make_site(folder)

    def add(name, members):
        pack(folder / "bundles" / f"{name}.tar.xz", members)

    def build(root=tiny_root):
        made = build_site(folder, OwnData(root))
        return made, made.page.read_text()

    return SimpleNamespace(folder=folder, add=add, build=build)


def edited(members, change):
    """Members with a change in the record of the run."""
    (name,) = [n for n in members if "/run-" in n and n.endswith("record.json")]
    record = json.loads(members[name])
    change(record)
    return {**members, name: json.dumps(record).encode()}


def test_init_writes_a_repository_whole_or_nothing(zslbench, tmp_path):
    folder = tmp_path / "new" / "board"
    assert zslbench("site", "init", folder)[0] == 0
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {*FILES}
    assert "OWNER/zslbench" in (folder / ".github/workflows/leaderboard.yml").read_text()
    (folder / "README.md").write_text("mine")
    status, out, err = zslbench("site", "init", folder)
    assert (status, out) == (2, "")
    assert "is not empty, and nothing was written" in err
    assert (folder / "README.md").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == ["board"]


def test_a_folder_without_bundles_is_no_repository(zslbench, tmp_path):
    status, _, err = zslbench("site", "build", tmp_path)
    assert (status, "has no bundles/" in err) == (2, True)


def test_a_repository_without_a_bundle_has_a_page(site):
    made, page = site.build()
    assert (made.verified, made.claimed, made.left_out) == (0, 0, {})
    assert "0 runs verified and 0 claimed, by 0 submitters." in page


def test_with_labels_rows_are_verified_and_show_all_that_a_leaderboard_shows(site, labs):
    site.add("a", unpack(labs.a))
    site.add("b", unpack(labs.b))
    made, page = site.build()
    assert (made.verified, made.claimed, made.left_out) == (2, 0, {})
    assert page.count('<span class="mark verified">') == 4  # each rule's row, and it in full
    assert 'data-by="Lab A, Lab B"' in page
    assert "by <b>Lab A, Lab B</b>, 20" in page
    assert "<figcaption>S over U" in page and "<h2>Inflation</h2>" in page
    assert "H by lab: Lab A" in page
    assert "the chosen gamma is taken as stated" in page


def test_without_labels_rows_are_claimed_and_no_path_is_on_the_page(site, labs, tmp_path):
    site.add("a", unpack(labs.a))
    made, page = site.build(tmp_path / "nowhere")
    assert (made.verified, made.claimed, made.left_out) == (0, 1, {})
    assert page.count('<span class="mark test">claimed</span>') == 4
    assert "did not have the test labels" in page
    assert page.count("<small>as stated</small>") == 10
    assert str(tmp_path) not in page and "verified</span>" not in page


def raised(record):
    record["rules"]["validation"]["scores"]["h"] += 1


def impossible(record):
    record["rules"]["validation"]["scores"].update(t1=101.0)


def nobody(record):
    del record["environment"]["by"]


def strange(record):
    record["environment"]["by"] = "<b>, Lab A"


@pytest.mark.parametrize(
    ("change", "labelled", "reason"),
    [
        (raised, True, "validation.scores.h: "),
        (raised, False, "of its U and S"),
        (impossible, False, "it has scores that there cannot be"),
        (nobody, True, "does not say who ran it"),
        (strange, True, "does not say who ran it"),
    ],
    ids=["contradicted", "H", "T1", "nobody", "strange"],
)
def test_what_does_not_hold_is_left_out_whole_and_named(
    site, labs, tmp_path, change, labelled, reason
):
    site.add("b", unpack(labs.b))
    site.add("new", edited(unpack(labs.a), change))
    made, page = site.build() if labelled else site.build(tmp_path / "nowhere")
    assert made.verified + made.claimed == 1
    assert reason in made.left_out["new.tar.xz"]
    assert "<h2>Left out</h2>" in page and "new.tar.xz" in page
    assert "Lab A</b>" not in page


def test_a_run_that_is_here_with_other_numbers_is_left_out(site, labs, tmp_path):
    site.add("a", unpack(labs.a))
    site.add("z", edited(unpack(labs.a), lambda r: r.update(oracle_h=99.0)))
    made, _ = site.build(tmp_path / "nowhere")
    (reason,) = made.left_out.values()
    assert "softmax on tiny, seed 0 has oracle_h 99, and " in reason
    assert " in a.tar.xz" in reason


def test_the_run_of_another_lab_is_not_ones_own(site, labs):
    site.add("a", unpack(labs.a))
    site.add("z", edited(unpack(labs.a), lambda r: r["environment"].update(by="Lab Z")))
    made, page = site.build()
    assert "is the run of Lab A in a.tar.xz, by Lab Z" in made.left_out["z.tar.xz"]
    assert 'data-by="Lab A"' in page


def test_a_run_that_two_labs_made_is_of_both(site, labs, tiny_root):
    site.add("a", unpack(labs.a))
    again = run_softmax(site.folder.parent / "again", tiny_root, (0,))
    write_bundle(site.folder / "bundles" / "c.tar.xz", again, [], "Lab C")
    made, page = site.build()
    assert (made.verified, made.left_out) == (1, {})
    assert 'data-by="Lab A, Lab C"' in page


def test_openings_are_counted_for_each_submitter_those_of_other_runs_too(site, labs, tiny_root):
    store = run_softmax(site.folder.parent / "lab", tiny_root, (5,))
    (entry,) = store.openings().values()
    for number in range(3):  # of runs that are kept back
        store.commit(Opening(**{**entry, "key": str(number), "run_key": "0" * 64}))
    write_bundle(site.folder / "bundles" / "d.tar.xz", store, [], "Lab D")
    site.add("a", unpack(labs.a))
    _, page = site.build()
    assert "<b>tiny 4</b>" in page and "<b>tiny 1</b>" in page
    assert 'aria-label="softmax on tiny 5"' in page


def test_openings_of_a_bundle_by_several_count_for_each(site, labs, tiny_root):
    """It does not say whose the runs were that were kept back."""
    members = unpack(labs.a)
    (entry,) = map(json.loads, members["ledger.jsonl"].decode().splitlines())
    kept_back = [{**entry, "key": str(n), "run_key": "0" * 64} for n in range(40)]
    lines = [json.dumps(line) + "\n" for line in (entry, *kept_back)]
    members |= {n: c for n, c in unpack(labs.b).items() if n.startswith("runs/")}
    (other,) = map(json.loads, unpack(labs.b)["ledger.jsonl"].decode().splitlines())
    lines.append(json.dumps(other) + "\n")
    site.add("both", {**members, "ledger.jsonl": "".join(lines).encode()})
    made, page = site.build()
    assert not made.left_out
    assert page.count("<b>tiny 41</b>") == 2


def test_runs_along_task_sequences_are_shown(site, monkeypatch, tmp_path):
    use_centroid(monkeypatch)
    dataset, store = toy_with_source(), Store(tmp_path / "results", uri="")
    dataset = replace(dataset, backbone=dataset.source.record)
    course = run_tasks(centroid_spec(dataset), dataset, store.commit)
    store.commit(course.record, partial(write_course, course=course))
    write_bundle(site.folder / "bundles" / "a.tar.xz", store, [], "Lab A")
    made, page = site.build(tmp_path / "nowhere")
    assert (made.claimed, "<h2>Claimed along task sequences</h2>" in page) == (1, True)
    own = OwnData(tmp_path)
    own._found["toy"] = dataset
    assert build_site(site.folder, own).verified == 1
    assert "Accuracy after each task:<wbr> toy" in made.page.read_text()


def test_rows_of_a_submitter_are_chosen_on_the_page(site, labs, tiny_root):
    if missing():
        pytest.skip(missing())
    site.add("a", unpack(labs.a))
    other = run_softmax(site.folder.parent / "other", tiny_root, (0,), passes=3)
    write_bundle(site.folder / "bundles" / "c.tar.xz", other, [], "Lab C")
    made, _ = site.build()
    shown = "[...document.querySelectorAll('#board tbody tr')].filter(r => r.checkVisibility())"
    with browser() as window:
        window.open(made.page.as_uri())
        window.run(
            "const s = document.getElementById('by'); s.value = 'Lab C';"
            "s.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        assert window.run(f"return {shown}.map(r => r.dataset.by)") == ["Lab C", "Lab C"]
        window.type("#filter", "publ passes=3")
        assert window.run(f"return {shown}.length") == 1
        assert window.log("browser") == []
        assert window.requests() == [made.page.as_uri()]


def test_the_command_names_what_it_leaves_out(zslbench, site, labs, tiny_root):
    site.add("a", edited(unpack(labs.a), nobody))
    status, out, err = zslbench("site", "build", site.folder, "--data-root", tiny_root)
    assert (status, out) == (1, f"{site.folder}/page/index.html: 0 runs verified, 0 claimed\n")
    assert "left out: a.tar.xz: softmax on tiny, seed 0 does not say who ran it" in err
