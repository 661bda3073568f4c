"""Records: what is part of a key, what is refused, what survives writing and reading."""

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zslbench.records import (
    Backbone,
    Candidate,
    Choice,
    Cost,
    Failure,
    Opening,
    RuleResult,
    RunRecord,
    RunSpec,
    Scores,
    Sweep,
    Trial,
    TuningWorld,
    WordVectors,
    canonical_json,
    digest,
)

BACKBONE = Backbone(name="features:res101", weights_digest="feed", exposure="1k")
SPEC = RunSpec(
    method="eszsl",
    method_version=1,
    config={"reg_x": 1.0, "reg_s": None, "features": "l2"},
    settings={"reg_x": 1.0},
    dataset="CUB",
    data_digest="cafe",
    backbone=BACKBONE,
    words=None,
    seed=0,
    precision="float64",
)
SCORES = Scores(t1=55.5, u=40.0, s=60.0, h=48.0, ausuc=0.25)

# One change of each field, and whether it makes another run and another choice.
CHANGES = {
    "method": ("dap", True, True),
    "method_version": (2, True, True),
    "config": ({**SPEC.config, "reg_s": 0.1}, True, True),
    "settings": ({"reg_x": 1.0, "features": "l2"}, False, False),
    "dataset": ("cub", False, False),
    "data_digest": ("cafd", True, True),
    "backbone": (BACKBONE.model_copy(update={"weights_digest": "food"}), True, True),
    "words": (WordVectors(digest="beef", description="GloVe"), True, True),
    "descriptions": (WordVectors(digest="beef", description="names"), True, True),
    "seed": (1, True, False),
    "precision": ("bfloat16", True, True),
    "tuning_worlds": (1, True, True),
    "tuning_seeds": (2, True, True),
    "rules": (("validation", "last", "published"), True, False),
    "tuned": (20, True, True),
    "protocol_version": (SPEC.protocol_version + 1, True, True),
}


def changed(field, value):
    return SPEC.model_copy(update={field: value})


def test_changes_are_tried_for_every_field():
    assert CHANGES.keys() == RunSpec.model_fields.keys()


@pytest.mark.parametrize("field", CHANGES)
def test_key_follows_every_field_that_may_change_numbers(field):
    value, moves_key, _ = CHANGES[field]
    assert getattr(SPEC, field) != value
    assert (changed(field, value).key != SPEC.key) == moves_key


@pytest.mark.parametrize("field", CHANGES)
def test_choice_key_follows_all_but_seed_and_rules(field):
    value, _, moves_choice = CHANGES[field]
    assert (changed(field, value).choice_key != SPEC.choice_key) == moves_choice


@pytest.mark.parametrize(
    ("field", "value", "moves"),
    [("name", "vit", True), ("weights_digest", "food", True), ("exposure", "21k", False)],
)
def test_key_follows_the_backbone_but_not_its_exposure(field, value, moves):
    """Exposure is what is known about weights that their digest already identifies."""
    other = changed("backbone", BACKBONE.model_copy(update={field: value}))
    assert (other.key != SPEC.key) == moves
    assert (other.choice_key != SPEC.choice_key) == moves


def test_key_follows_the_word_vectors_but_not_their_description():
    specs = [
        changed("words", WordVectors(digest=digest, description=description))
        for digest, description in [("beef", "GloVe"), ("beef", "GloVe 6B"), ("bee", "GloVe")]
    ]
    assert specs[0].key == specs[1].key != specs[2].key
    assert specs[0].choice_key == specs[1].choice_key != specs[2].choice_key


def test_key_follows_the_class_descriptions_but_not_where_they_are_from():
    specs = [
        changed("descriptions", WordVectors(digest=digest, description=description))
        for digest, description in [("beef", "names"), ("beef", "a.json"), ("bee", "names")]
    ]
    assert specs[0].key == specs[1].key != specs[2].key
    assert len({SPEC.choice_key, *(spec.choice_key for spec in specs)}) == 3


def test_key_is_the_sha256_of_what_is_documented():
    """Spelt out, so that a new release of pydantic cannot move every key unseen."""
    text = (
        '{"backbone":{"name":"features:res101","weights_digest":"feed"},'
        '"config":{"features":"l2","reg_s":null,"reg_x":1.0},"data_digest":"cafe",'
        '"method":"eszsl","method_version":1,"precision":"float64","protocol_version":1,'
        '"rules":["validation","last"],"seed":0,"tuning_worlds":3,"words":null}'
    )
    assert SPEC.key == hashlib.sha256(text.encode()).hexdigest()


def test_key_is_the_same_for_the_same_content():
    """However it was reached: other order, other copy, through JSON."""
    reordered = dict(reversed(SPEC.config.items()))
    read = RunSpec.model_validate_json(SPEC.model_dump_json())
    assert changed("config", reordered).key == SPEC.key
    assert read.key == SPEC.key
    assert read.choice_key == SPEC.choice_key != SPEC.key


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["key", "choice_key"])
def test_key_refuses_a_config_with_numbers_that_json_has_not(name, value):
    """Else infinity, its negative and "chosen in the tuning worlds" would share one key."""
    with pytest.raises(ValueError, match="JSON compliant"):
        getattr(changed("config", {"reg_x": value}), name)


# ---------------------------------------------------------------- canonical JSON

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()
    ).filter(lambda value: not isinstance(value, float) or math.isfinite(value)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


def reversed_throughout(value):
    """The same value, its dictionaries filled in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_throughout(value[key]) for key in reversed(value)}
    return [reversed_throughout(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.5, None, True]}, '{"a":[1.5,null,true],"b":1}'),
        ({"é": "ü"}, '{"\\u00e9":"\\u00fc"}'),
        ((1, 2), "[1,2]"),
        (1e-5, "1e-05"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_canonical_json_cases(value, text):
    assert canonical_json(value) == text


@given(json_values)
def test_canonical_json_is_one_text_for_one_value(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(reversed_throughout(value)) == text
    assert digest(value) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, [math.nan], {"a": math.nan}])
def test_canonical_json_refuses_numbers_that_json_has_not(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


# ---------------------------------------------------------------- validation


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sed", 0),
        ("seed", -1),
        ("seed", 1.5),
        ("tuning_worlds", 0),
        ("tuning_worlds", -1),
        ("rules", ("test",)),
        ("config", None),
        ("backbone", {"name": "vit", "weights_digest": "feed", "exposure": "2k"}),
        ("backbone", {"name": "vit", "weights_digest": "feed", "weights": "vit.pt"}),
    ],
)
def test_run_spec_refuses(field, value):
    with pytest.raises(ValidationError, match=field):
        RunSpec.model_validate({**SPEC.model_dump(), field: value})


def test_only_a_submission_has_no_tuning_worlds():
    submitted = {**SPEC.model_dump(), "rules": ("submitted",)}
    assert RunSpec.model_validate(submitted | {"tuning_worlds": 0}).tuning_worlds == 0
    with pytest.raises(ValidationError, match="for nothing else"):
        RunSpec.model_validate(submitted)


@pytest.mark.parametrize("record", [SPEC, BACKBONE, SCORES])
def test_records_are_immutable(record):
    field = next(iter(type(record).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, field, getattr(record, field))


# ---------------------------------------------------------------- writing and reading


def run_record(**changes):
    choice = Choice(
        key=SPEC.choice_key,
        method="eszsl",
        dataset="CUB",
        config={"reg_x": 1.0, "reg_s": 0.1, "features": "l2"},
        epoch=1,
        t1_epoch=1,
        gamma=0.7,
        last_gamma=0.7,
        gain=12.5,
        gain_error=None,
        worlds=(
            TuningWorld(
                name="1", train_classes=100, validation_classes=50, scores=SCORES, plain=SCORES
            ),
        ),
        candidates=(Candidate(config={"reg_x": 1.0}, epoch=1, ausuc=0.2, t1=50.0, h=10.0),),
        seconds=1.5,
    )
    rule = RuleResult(
        scores=SCORES, epoch=1, t1_best=55.5, t1_epoch=1, gamma=0.7, gamma_raw=0.1 + 0.2
    )
    content = {
        "key": SPEC.key,
        "spec": SPEC,
        "choice": choice,
        "rules": {"validation": rule, "last": rule},
        "plain": SCORES,
        "oracle_h": 1 / 3,
        "losses": {"loss": [2.0, 1e-300]},
        "opening": "1",
        "test_digest": "t",
        "transductive": False,
        "deterministic": True,
        "cost": Cost(fit_seconds=1, score_seconds=2, images_per_second=3, peak_memory_mib=4),
        "environment": {"python": "3.11"},
    }
    return RunRecord(**{**content, **changes})


RECORDS = [
    pytest.param(SPEC, id="spec"),
    pytest.param(run_record(), id="run"),
    pytest.param(run_record(losses={"loss": [1.0, math.inf]}), id="run whose loss diverged"),
    pytest.param(
        Failure(key=SPEC.key, spec=SPEC, error="ValueError: é", traceback="a\nb"), id="failure"
    ),
    pytest.param(
        Opening(run_key=SPEC.key, method="eszsl", dataset="CUB", test_digest="cafe"), id="opening"
    ),
    pytest.param(
        Sweep(key="k", name="mine", method="eszsl", dataset="CUB", about={"space": [{"low": 0.1}]}),
        id="sweep",
    ),
    pytest.param(
        Trial(
            key="t",
            sweep="k",
            number=3,
            state="pruned",
            params={"reg_x": 0.1, "features": "l2"},
            spec=SPEC,
            value=1 / 3,
            steps=7,
            seconds=0.5,
        ),
        id="trial",
    ),
]


@pytest.mark.parametrize("record", RECORDS)
def test_record_reads_back_as_it_was_written(record):
    assert type(record).model_validate_json(record.model_dump_json()) == record


def test_openings_are_entries_of_their_own():
    """The ledger counts looks at the test labels: two looks of one run are two."""
    about = {"run_key": SPEC.key, "method": "eszsl", "dataset": "CUB", "test_digest": "cafe"}
    assert Opening(**about).key != Opening(**about).key
