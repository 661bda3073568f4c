"""Files of scores that someone else has made: what is taken, and what is refused."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zslbench.errors import DataError, ZslbenchError
from zslbench.method.conformance import toy_dataset
from zslbench.protocol import final_world
from zslbench.studies.submit.submission import read_submission, write_template

WORLD = final_world(toy_dataset())
SHAPE = len(WORLD.test), len(WORLD.classes)


def filled(**changes):
    """The arrays of a good file, with changes; None takes an array away."""
    arrays = {
        "items": WORLD.test,
        "classes": np.array([WORLD.dataset.classes.names[c] for c in WORLD.classes]),
        "scores": np.random.default_rng(0).normal(size=SHAPE).astype(np.float32),
        "gamma": np.float64(0.25),
    }
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def saved(path, arrays):
    np.savez(path, **arrays)
    return path


def with_value(value):
    scores = filled()["scores"].copy()
    scores[3, 2] = value
    return scores


def swapped(array, a=0, b=1):
    array = array.copy()
    array[[a, b]] = array[[b, a]]
    return array


REFUSED = {
    "no scores": ({"scores": None}, "has no array `scores`"),
    "no items": ({"items": None}, "has no array `items`"),
    "no classes": ({"classes": None}, "has no array `classes`"),
    "transposed": ({"scores": filled()["scores"].T}, f"not numbers of shape {SHAPE}"),
    "a row less": ({"scores": filled()["scores"][1:]}, f"not numbers of shape {SHAPE}"),
    "text": ({"scores": np.full(SHAPE, "0.5")}, "not numbers of shape"),
    "complex": ({"scores": np.ones(SHAPE, dtype=complex)}, "not numbers of shape"),
    "objects": ({"scores": np.ones(SHAPE, dtype=object)}, "Object arrays cannot be loaded"),
    "NaN": ({"scores": with_value(np.nan)}, "the first is nan in row 3, column 2"),
    "infinite": ({"scores": with_value(-np.inf)}, "the first is -inf in row 3, column 2"),
    "too large": ({"scores": with_value(1.0).astype(float) * 1e60}, "no finite float32"),
    "items twice": (
        {"items": np.r_[WORLD.test[:1], WORLD.test[:-1]]},
        f"names item {WORLD.test[0]} more than once",
    ),
    "items in another order": ({"items": swapped(WORLD.test)}, "at place 0, not"),
    "other items": ({"items": WORLD.test + 1000}, "at place 0, not"),
    "too few items": ({"items": WORLD.test[:-1]}, f"{len(WORLD.test)} are on test"),
    "items as floats": ({"items": WORLD.test.astype(float)}, "not a list of item numbers"),
    "classes in another order": ({"classes": swapped(filled()["classes"])}, "'class 1' at place 0"),
    "too few classes": ({"classes": filled()["classes"][1:]}, "names 15 classes; there are 16"),
    "numbered classes": ({"classes": np.arange(SHAPE[1])}, "not a list of names"),
    "gamma is NaN": ({"gamma": np.nan}, "`gamma` is not one finite number"),
    "two gammas": ({"gamma": np.zeros(2)}, "`gamma` is not one finite number"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_with_its_place(tmp_path, changes, said):
    path = saved(tmp_path / "bad.npz", filled(**changes))
    with pytest.raises(DataError, match=r"bad\.npz") as refusal:
        read_submission(path, WORLD)
    assert said in str(refusal.value)
    assert "--template" in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x05\x06", b"scores", np.lib.format.magic(1, 0)],
    ids=["empty", "cut archive", "text", "npy"],
)
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        read_submission(tmp_path / "bad.npz", WORLD)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_submission(tmp_path / "none.npz", WORLD)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **filled(more=np.zeros(2**23)))
    with pytest.raises(DataError, match="more than a submission"):
        read_submission(path, WORLD)


GOOD = io.BytesIO()
np.savez(GOOD, **filled())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_refused_or_read_never_executed(tmp_path, data):
    """Cut anywhere, or with bytes changed, a file raises nothing but what the user can fix."""
    content = bytearray(GOOD.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = read_submission(path, WORLD)
    except DataError:
        return
    assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8"])
def test_scores_of_any_real_kind_are_taken(tmp_path, kind):
    scores = (10 * filled()["scores"]).astype(kind)
    found = read_submission(saved(tmp_path / "good.npz", filled(scores=scores)), WORLD)
    assert np.array_equal(found.scores, scores.astype(float))
    assert found.gamma == 0.25


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused(tmp_path):
    path = saved(tmp_path / "mine.npz", filled())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("scores.npy", archive.read("scores.npy"))
    with pytest.raises(DataError, match=r"array 'scores.npy' stands there twice, in places 3 and"):
        read_submission(path, WORLD)


def test_without_a_gamma_it_is_0(tmp_path):
    assert read_submission(saved(tmp_path / "good.npz", filled(gamma=None)), WORLD).gamma == 0


def test_a_template_filled_in_is_a_submission_and_not_filled_in_is_none(tmp_path):
    path = tmp_path / "folder" / "mine.npz"
    write_template(path, WORLD)
    with pytest.raises(DataError, match=f"holds {SHAPE[0] * SHAPE[1]} values that are no finite"):
        read_submission(path, WORLD)
    with np.load(path) as content:
        arrays = dict(content)
    arrays["scores"][:] = 1
    assert read_submission(saved(tmp_path / "filled.npz", arrays), WORLD).gamma == 0


def test_a_template_overwrites_nothing(tmp_path):
    path = saved(tmp_path / "mine.npz", filled())
    with pytest.raises(ZslbenchError, match="there is such a file"):
        write_template(path, WORLD)
