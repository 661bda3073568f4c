"""The GPU check on a processor: what it puts on the path, reports and counts as failed."""

import os
import subprocess
import sys
from zipfile import ZipFile

import pytest
from scripts import BENCHMARKS, load_script

SCRIPT = BENCHMARKS / "device.py"


@pytest.fixture(scope="module")
def device():
    return load_script("device.py")


def told(*checks):
    return [{"what": what, "ok": ok, "found": found} for what, ok, found in checks]


def test_the_checkout_and_wheels_are_found_without_an_installation(device, tmp_path):
    site, wheels = tmp_path / "site", tmp_path / "wheels"
    site.mkdir()
    wheels.mkdir()
    with ZipFile(wheels / "carried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried.py", "here = True")
    device.site_of(site, wheels)
    found = subprocess.run(
        [sys.executable, "-c", "import carried, zslbench.methods.incremental as m, zslbench.suites;"
         "from importlib.metadata import distribution as d; from zslbench.method import registry;"
         "print(m.__file__, 'svip' in registry.method_modules(), d('zslbench').version)"],
        env=os.environ | {"PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    assert found == [str(site / "zslbench/methods/incremental/__init__.py"), "True", "0"]


def test_a_check_that_raises_is_reported_and_the_next_goes_on(device):
    def breaks(what):
        raise ValueError(f"{what}\nis broken")

    assert device._tried("it", breaks, "this") == told(
        ("it", False, "ValueError: this is broken")
    )[0]  # fmt: skip
    assert device._tried("it", lambda: None) == told(("it", True, "passes"))[0]


def test_the_report_names_what_failed_and_what_was_not_checked(device):
    parts = {
        "exact": (told(("svip", True, "off by 1e-6"), ("sje", False, "off by 1")), ""),
        "conformance": (told(("svip, seed", True, "passes")), "it was stopped after 130 s"),
    }
    lines = device.report("cpu", parts, "cpu").splitlines()
    assert "* svip: off by 1e-6" in lines
    assert "* FAILED sje: off by 1" in lines
    assert "* FAILED: it was stopped after 130 s; what would follow was not checked" in lines
    unchecked = lines[lines.index("## Not checked") :]
    assert "* epochs: was not asked for" in unchecked
    assert "* anything of a GPU: this ran on a processor, in small" in unchecked
    on_gpu = device.report("H200", parts, "cuda")
    assert "this ran on a processor" not in on_gpu


def test_the_parts_end_within_eight_minutes(device):
    assert sum(limit for *_, limit in device.PARTS.values()) <= 480


def test_without_a_gpu_it_says_so(device, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    with pytest.raises(SystemExit) as end:
        device.main()
    assert end.value.code == 2
    assert "torch sees no GPU here" in capsys.readouterr().err


@pytest.mark.long
def test_all_parts_run_on_a_processor(tmp_path):
    report = tmp_path / "device.md"
    command = [sys.executable, SCRIPT, "--device", "cpu", "--report", report]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, report.read_text() if report.exists() else done.stderr
    text = report.read_text()
    assert "FAILED" not in text
    for line in (
        "* svip over vit_attr_head",
        "* svip, 16 images",
        "* svip: off by",
        "* svip, seed",
    ):
        assert line in text
