"""Numbers, paths and names, as users write them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zslbench.errors import ZslbenchError
from zslbench.inputs import expanded, finite, folded, on_disk, one_line, recordable, whole

NO_WHOLE = ["", "²", "１", "٣", "1_000", "1.0", "0x10", "1e3", "one", "1 2", "9" * 5000]
NO_NUMBER = ["", "²", "１.5", "1_0", "nan", "inf", "-Infinity", "1e999", "0x1p3", "1,5", "1" * 9999]


@pytest.mark.parametrize("text", NO_WHOLE, ids=lambda text: text[:8])
def test_a_whole_number_has_digits_0_to_9_alone(text):
    assert whole(text) is None


@pytest.mark.parametrize("text", NO_NUMBER, ids=lambda text: text[:8])
def test_a_number_is_finite_and_has_digits_0_to_9_alone(text):
    assert finite(text) is None


@given(st.integers(-(10**17), 10**17))
def test_every_whole_number_is_read(number):
    assert whole(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_read_as_python_prints_it(number):
    assert finite(repr(number)) == number


def test_a_path_begins_at_home_where_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/data") == expanded(Path("~/data")) == tmp_path / "data"
    assert expanded("data/~x") == Path("data/~x")


@pytest.mark.parametrize(
    ("home", "path", "said"),
    [
        ("/home/a", "~nosuchuser/x", "~nosuchuser/x: the home folder that ~ means is not known."),
        (os.devnull, "~/x", "~/x: the home folder that ~ means is not known."),
        ("/home/a", "", "A path is empty"),
    ],
)
def test_a_path_without_a_home_is_refused(monkeypatch, home, path, said):
    monkeypatch.setenv("HOME", home)
    with pytest.raises(ZslbenchError) as error:
        expanded(path)
    assert str(error.value).startswith(said)


@given(st.binary(min_size=1).filter(lambda name: b"/" not in name).map(os.fsdecode))
def test_every_file_name_can_be_recorded_and_found_again(name):
    recordable(name).encode()
    line = one_line(name)
    assert len([*line.splitlines(), ""]) <= 2
    assert line == name or on_disk(line) == name
    line.encode()


def test_no_encoded_name_leads_out_of_its_folder():
    assert on_disk("%2Fetc%2Fpasswd") == "%2Fetc%2Fpasswd"


def test_names_in_another_case_or_normal_form_are_alike():
    assert folded("MÖWEN") == folded("mo\u0308wen")
    assert folded("CUB") != folded("CUBS")
