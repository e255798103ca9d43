"""On three real brokers: no fault of workers, brokers, network or disk costs a click or a list."""

import json

import msgspec
import pytest

from streams.bench.faults.figures import FaultFigures
from streams.bench.faults.run import FaultPlan, run
from streams.bench.faults.schedule import Faults
from streams.bench.faults.worker_job import WorkerJob

pytestmark = pytest.mark.kafka

# A few of each kind, so that it ends in a minute or two; `freshrec bench faults` has them all.
FEW = Faults(
    kills=2,
    joins=1,
    broker_kills=1,
    cuts=1,
    silences=1,
    slow=1,
    rejects=1,
    refusals=1,
    corruptions=1,
    full_disks=1,
)


@pytest.mark.timeout(600)
def test_faults_of_every_kind_lose_and_double_nothing() -> None:
    plan = FaultPlan(clicks=8_000, faults=FEW, users=800, items=200, pause_seconds=1.5)
    figures: FaultFigures = run(plan, WorkerJob, "freshrec")
    told = json.dumps(msgspec.to_builtins(figures), indent=1)
    assert figures.kept, told
    assert figures.clicks >= plan.clicks
    assert figures.worker_kills >= 3, told
    assert figures.broker_kills == 1, told
    assert figures.rebalances >= 1, told
    assert figures.dead_letters > 0, told
    assert figures.mismatch_refused, told
    # The refused sends and the full disk have met work: workers ended and came back.
    assert figures.ends, told
