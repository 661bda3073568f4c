"""What pretraining and class vectors know: by names, on the published splits, in the choice."""

from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from zslbench.data.exposure import class_vectors_saw, imagenet_classes
from zslbench.data.verify import verify
from zslbench.method.conformance import toy_dataset
from zslbench.methods.eszsl import ESZSL
from zslbench.metrics import Outcome
from zslbench.protocol import Tuning, choose, tuning_worlds

KNOWN = ["014.Indigo_Bunting", "073.Blue_Jay", "killer+whale", "Red-breasted_Merganser", "Zebra"]
UNKNOWN = ["035.Purple_Finch", "Jay_of_the_north", "blue+whale", "zebras", "", "043."]


def test_a_class_is_known_by_its_whole_name_or_by_what_it_is_a_kind_of():
    assert imagenet_classes([*KNOWN, *UNKNOWN]) == tuple(KNOWN)


def test_the_names_are_those_of_timm():
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    told = [info.index_to_description(index).split(",") for index in range(info.num_classes())]
    names = (files("zslbench.data") / "imagenet_names.txt").read_text(encoding="utf-8")
    assert names.splitlines() == sorted({name.strip() for each in told for name in each})


@pytest.mark.parametrize(("name", "validation"), [("CUB", 18), ("AWA2", 26)])
def test_no_unseen_class_of_the_proposed_splits_is_in_imagenet(real_data, name, validation):
    (note,) = (n for n in verify(name, real_data / "xlsa17").notes if "ImageNet" in n)
    assert note.startswith(f"ImageNet-1k has {validation} seen classes by name")


def test_sentences_of_flo_come_from_an_encoder_that_saw_images(real_data):
    assert class_vectors_saw("FLO") == class_vectors_saw("flo89") != ""
    assert class_vectors_saw("CUB") == class_vectors_saw("florida") == ""
    assert any(class_vectors_saw("FLO") in note for note in verify("flo89", real_data).notes)


@pytest.mark.parametrize(("exposure", "told"), [("1k", 1), ("21k", 1), ("web", 0), ("unknown", 0)])
def test_a_choice_names_the_validation_classes_that_pretraining_knows(exposure, told):
    dataset = toy_dataset()
    (world,) = tuning_worlds(dataset, 1)
    names = list(dataset.classes.names)
    for of in (0, world.seen):  # a class to learn from, and a validation class
        names[world.classes[of]] = f"{of}.Zebra"
    backbone = dataset.backbone.model_copy(update={"exposure": exposure})
    classes = replace(dataset.classes, names=tuple(names))
    world = replace(world, dataset=replace(dataset, classes=classes, backbone=backbone))
    yes = np.ones(2, bool)
    outcome = Outcome(np.array([0, world.seen]), world.seen, yes, yes, np.zeros(2))
    about = {"key": "k", "method": "m", "dataset": "d", "seconds": 1.0}
    choice = choose([ESZSL.Config()], [Tuning(world, [[[outcome]]])], **about)
    assert choice.worlds[0].pretrained == (f"{world.seen}.Zebra",) * told
