"""231 damaged copies of a real `att_splits.mat`: refused, or read as the original is."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from zslbench.data.load import DataRequest, load_dataset
from zslbench.errors import DataError

LOCS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))]


def read(path):
    return {k: v for k, v in loadmat(path).items() if not k.startswith("__")}


class Bench:
    """A copy of cub20 without images, whose `att_splits.mat` a test replaces."""

    def __init__(self, real, folder):
        self.folder, self.root = folder / "cub20", folder
        self.folder.mkdir()
        for path in real.glob("*classes*.txt"):
            (self.folder / path.name).symlink_to(path)
        labels = loadmat(real / "mobilenetv2.mat")["labels"]
        savemat(self.folder / "few.mat", {"labels": labels, "features": np.ones((2, len(labels)))})
        self.packed = (real / "att_splits.mat").read_bytes()
        self.content = read(real / "att_splits.mat")
        self.plain = self.save(self.content)
        self.original = self.load(self.packed)

    def save(self, content):
        path = self.root / "saved.mat"
        savemat(path, content)
        return path.read_bytes()

    def load(self, data):
        (self.folder / "att_splits.mat").write_bytes(data)
        return load_dataset(DataRequest("cub20", self.root))

    def is_refused(self, data):
        """Tell whether a damaged file is refused; one that is not must read as the original."""
        try:
            found = self.load(data)
        except DataError as refused:
            assert refused.where.startswith(str(self.folder))
            assert str(refused).isprintable()
            return True
        expected = self.original
        assert found.classes.names == expected.classes.names
        assert found.classes.attributes.shape == expected.classes.attributes.shape
        assert np.abs(found.classes.attributes - expected.classes.attributes).max() < 1e-6
        for name in ("trainval", "test_seen", "test_unseen"):
            loc = getattr(found.splits, name)
            assert set(loc) == set(getattr(expected.splits, name))
            assert len(loc) == len(set(loc))
        return False


@pytest.fixture(scope="module")
def bench(real_data, tmp_path_factory):
    return Bench(real_data / "cub20", tmp_path_factory.mktemp("mutated"))


def flip(data, rng, count):
    damaged = bytearray(data)
    for position in rng.integers(len(data), size=count):
        damaged[position] ^= 1 << rng.integers(8)
    return bytes(damaged)


def overwrite(data, rng, begin, end, fill):
    """Put other bytes in place of up to 64 that begin in a stretch of the file."""
    begin = int(rng.integers(begin, end))
    length = len(data[begin : begin + int(rng.integers(1, 65))])
    return data[:begin] + fill(length) + data[begin + length :]


def insert(data, rng):
    begin, end = sorted(rng.integers(len(data), size=2))
    return data[:end] + data[begin:end] + data[end:]


def pick(bench, rng, names=None):
    """Return a copy of the content, and the name of one variable to damage."""
    names = list(names or bench.content)
    return dict(bench.content), names[rng.integers(len(names))]


def with_other_dtype(bench, rng):
    content, name = pick(bench, rng, ("att", "original_att", *LOCS))
    dtype = rng.choice(["i1", "u1", "i2", "i4", "f4", "c16", "U3", "O"])
    with np.errstate(invalid="ignore"):
        content[name] = content[name].astype(dtype)
    return bench.save(content)


def with_other_shape(bench, rng):
    content, name = pick(bench, rng)
    value = content[name]
    shapes = [value.T, value[:-1], value[:, :-1], value[None], value.reshape(1, -1), value[1:]]
    content[name] = shapes[rng.integers(len(shapes))]
    return bench.save(content)


def without_a_variable(bench, rng):
    content, name = pick(bench, rng, ("att", "allclasses_names", *LOCS))
    del content[name]
    return bench.save(content)


def with_a_variable_renamed(bench, rng):
    content, name = pick(bench, rng, ("att", "allclasses_names", *LOCS))
    content[str(rng.choice(["val_loc", "other", name.upper()]))] = content.pop(name)
    return bench.save(content)


def with_a_variable_twice(bench, rng):
    content, name = pick(bench, rng)
    again = bench.save({name: content[name]})
    return bench.packed + again[128:]


def with_an_entry_repeated(bench, rng):
    content, name = pick(bench, rng, ("allclasses_names", *LOCS))
    value = content[name].copy()
    first, second = rng.choice(len(value), size=2, replace=False)
    value[first] = value[second]
    content[name] = value
    return bench.save(content)


def with_values_permuted(bench, rng):
    content, name = pick(bench, rng, ("att", "original_att", "allclasses_names"))
    content[name] = rng.permuted(content[name].ravel()).reshape(content[name].shape)
    return bench.save(content)


def with_a_loc_shuffled(bench, rng):
    content, name = pick(bench, rng, LOCS)
    content[name] = rng.permutation(content[name])
    return bench.save(content)


def with_two_locs_exchanged(bench, rng):
    content = dict(bench.content)
    first, second = rng.choice(LOCS, size=2, replace=False)
    content[first], content[second] = content[second], content[first]
    return bench.save(content)


def with_a_value_that_is_none(bench, rng):
    content, name = pick(bench, rng, ("att", "original_att", *LOCS))
    value = content[name].astype(float)
    value[rng.integers(len(value)), 0] = rng.choice([np.nan, np.inf, -np.inf, -7, 1.5, 1e300])
    content[name] = value
    return bench.save(content)


MUTATIONS = {
    "a bit of the packed file": lambda b, rng: flip(b.packed, rng, 1),
    "a bit of the plain file": lambda b, rng: flip(b.plain, rng, 1),
    "twenty bits of the plain file": lambda b, rng: flip(b.plain, rng, 20),
    "bits of the header": lambda b, rng: flip(b.plain[:128], rng, 4) + b.plain[128:],
    "header overwritten": lambda b, rng: overwrite(b.packed, rng, 0, 128, rng.bytes),
    "zeros in the packed file": lambda b, rng: overwrite(b.packed, rng, 0, len(b.packed), bytes),
    "zeros in the plain file": lambda b, rng: overwrite(b.plain, rng, 0, len(b.plain), bytes),
    "noise in the plain file": lambda b, rng: overwrite(b.plain, rng, 0, len(b.plain), rng.bytes),
    "noise among the names": lambda b, rng: overwrite(b.plain, rng, 128, 1800, rng.bytes),
    "a stretch doubled": lambda b, rng: insert(b.plain, rng),
    "another dtype": with_other_dtype,
    "another shape": with_other_shape,
}
REFUSED = {
    "cut packed file": lambda b, rng: b.packed[: rng.integers(len(b.packed))],
    "cut plain file": lambda b, rng: b.plain[: rng.integers(len(b.plain))],
    "a variable missing": without_a_variable,
    "a variable renamed": with_a_variable_renamed,
    "a variable twice": with_a_variable_twice,
    "an entry repeated": with_an_entry_repeated,
    "values permuted": with_values_permuted,
    "locs exchanged": with_two_locs_exchanged,
    "no number": with_a_value_that_is_none,
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_load_refuses_a_damaged_file_or_reads_it_as_the_original(bench, mutate, seed):
    damaged = mutate(bench, np.random.default_rng(seed))
    bench.is_refused(damaged)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mutate", REFUSED.values(), ids=REFUSED)
def test_load_refuses_a_file_whose_content_cannot_be_right(bench, mutate, seed):
    assert bench.is_refused(mutate(bench, np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", SEEDS)
def test_load_takes_locs_in_any_order(bench, seed):
    assert not bench.is_refused(with_a_loc_shuffled(bench, np.random.default_rng(seed)))


def test_load_reads_the_plain_file_as_the_packed_one(bench):
    assert bench.load(bench.plain).digest == bench.original.digest


@pytest.mark.parametrize("name", ["att", "original_att"])
@pytest.mark.parametrize("bit", [63, 62, 57, 52, 51], ids=lambda bit: f"bit {bit}")
def test_load_refuses_a_flipped_sign_exponent_or_leading_digit(bench, name, bit):
    values = bench.content[name].ravel(order="F")
    begin = bench.plain.index(values.tobytes())
    for entry in np.random.default_rng(bit).choice(np.flatnonzero(values), size=4):
        damaged = bytearray(bench.plain)
        damaged[begin + 8 * entry + bit // 8] ^= 1 << bit % 8
        assert bench.is_refused(bytes(damaged))
