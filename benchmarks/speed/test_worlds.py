"""Full-size datasets: files to worlds in 5 s, ESZSL chosen and evaluated within a minute."""

import pytest
from datasets import SHARED, write_full_size

from zslbench.data.load import DataRequest, load_dataset
from zslbench.protocol import final_world, tuning_worlds
from zslbench.protocol.run import evaluate, select
from zslbench.studies.plan import plan


@pytest.fixture(scope="module", params=["CUB", "SUN", "AWA2"])
def request_(request, tmp_path_factory):
    source = SHARED / "xlsa17" / request.param
    if not source.is_dir():
        pytest.skip("real data are absent: no ../shared/data beside the project")
    root = tmp_path_factory.mktemp("full_size")
    folder = write_full_size(source, root / request.param)
    yield DataRequest(request.param, root)
    (folder / "res101.mat").unlink()


def test_worlds_are_built_in_five_seconds(benchmark, request_):
    def build():
        dataset = load_dataset(request_)
        return [final_world(dataset), *tuning_worlds(dataset, 3)]

    assert len(benchmark.pedantic(build, rounds=3)) == 4
    print(f"\n{request_.name}: worlds in {benchmark.stats.stats.median:.2f} s")
    assert benchmark.stats.stats.median < 5


def test_eszsl_ends_within_a_minute(benchmark, request_):
    (job,) = plan(["eszsl"], [request_], settings={}, seeds=None, worlds=3)

    def run():
        choice = select(job.spec, job.dataset)
        return evaluate(job.spec, choice, job.dataset, announce=lambda opening: None)

    assert benchmark.pedantic(run, rounds=1).record.key == job.spec.key
    print(f"\n{request_.name}: ESZSL in {benchmark.stats.stats.median:.1f} s")
    assert benchmark.stats.stats.median < 60
