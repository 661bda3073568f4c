"""Presets of the methods of attribute attention: the released settings of each dataset."""

import pytest

from zslbench.method.registry import load_method

RELEASED = {
    ("apn", "CUB"): {
        "softmax": "twice", "pooling": "max", "regression_global": 0.01, "regression_local": 0.1,
        "decorrelation_local": 4e-2, "decorrelation_global": 5e-5, "compactness": 1e-9,
        "epochs": 30, "augment": False, "frozen_epochs": 6, "batch_size": 64,
    },
    ("apn", "AWA2"): {
        "softmax": "twice", "pooling": "mean", "regression_global": 1e-4, "regression_local": 0.01,
        "decorrelation_local": 5e-7, "decorrelation_global": 5e-4, "compactness": 0, "epochs": 30,
        "augment": False, "frozen_epochs": 2, "batch_size": 64,
    },
    ("apn", "SUN"): {
        "softmax": "twice", "pooling": "mean", "regression_global": 1e-4, "regression_local": 0.05,
        "decorrelation_local": 5e-3, "decorrelation_global": 1e-3, "compactness": 2e-7,
        "epochs": 30, "augment": False, "frozen_epochs": 4, "batch_size": 64,
    },
    ("dazle", "CUB"): {"gate": True, "unit_words": False, "epochs": 20, "calibration": 0.1},
    ("dazle", "AWA2"): {"gate": True, "unit_words": True, "epochs": 20, "calibration": 0.1},
    ("dazle", "SUN"): {"gate": False, "unit_words": False, "epochs": 100, "calibration": 0.1},
    ("gem_zsl", "CUB"): {
        "scale": 20, "regression": 1, "sampling": "2-shot", "batch_size": 8, "epochs": 15,
    },
    ("gem_zsl", "AWA2"): {
        "scale": 20, "regression": 1, "sampling": "2-shot", "batch_size": 8, "epochs": 12,
    },
    ("gem_zsl", "SUN"): {
        "scale": 25, "regression": 0.5, "sampling": "2-shot", "batch_size": 8, "epochs": 20,
    },
    ("msdn", "CUB"): {"calibration": 0.1, "distillation": 0.001, "mixing": 0.9, "epochs": 30},
    ("msdn", "AWA2"): {"calibration": 0.12, "distillation": 1e-7, "mixing": 1, "epochs": 50},
    ("msdn", "SUN"): {"calibration": 1e-4, "distillation": 0.01, "mixing": 0.7, "epochs": 70},
    ("psvma", "CUB"): {"debiasing": 0.001, "sampling": "2-shot", "batch_size": 32, "epochs": 25},
    ("psvma", "AWA2"): {"debiasing": 0.1, "sampling": "3-shot", "batch_size": 48, "epochs": 20},
    ("psvma", "SUN"): {"debiasing": 0.02, "sampling": "3-shot", "batch_size": 48, "epochs": 25},
    ("transzero", "CUB"): {
        "width": 300, "hidden": 512, "dropout": 0.4, "calibration": 0.3, "regression": 0.005,
        "epochs": 200,
    },
    ("transzero", "AWA2"): {
        "unit_words": True, "dropout": 0.5, "calibration": 2, "regression": 0.0005, "epochs": 200,
    },
    ("transzero", "SUN"): {
        "width": 128, "hidden": 2048, "dropout": 0.3, "talk": False, "calibration": 0.25,
        "regression": 0.001, "epochs": 400,
    },
}  # fmt: skip
EXTRACTED = ("dazle", "msdn", "transzero")  # their code reads maps from files, 50 a batch


@pytest.mark.parametrize(("name", "dataset"), RELEASED)
def test_a_preset_has_the_released_settings(name, dataset):
    config = load_method(name).Config.parse({"preset": dataset}, name)
    expected = RELEASED[name, dataset]
    assert {key: getattr(config, key) for key in expected} == expected


@pytest.mark.parametrize("name", EXTRACTED)
@pytest.mark.parametrize("dataset", ["CUB", "AWA2", "SUN"])
def test_methods_whose_code_reads_extracted_maps_do_not_augment(name, dataset):
    config = load_method(name).Config.parse({"preset": dataset}, name)
    assert (config.augment, config.batch_size, config.backbone_lr) == (False, 50, 0)
