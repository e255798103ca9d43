"""On the wire: no offset is committed before all that its click caused is acknowledged."""

from itertools import cycle
from pathlib import Path

import pytest

from streams.bench.faults.cluster import FaultyCluster
from streams.bench.faults.worker_job import WorkerJob
from streams.bench.oracle import judge, read_topic
from streams.bench.workload import Workload
from tests.integration.commit_order import Commit, Passed, Witness, premature
from tests.integration.running import publishing_steadily, wait_until

pytestmark = pytest.mark.kafka

SLOW_SECONDS = 0.4


def ending_early(passed: list[Passed], topic: str) -> list[Passed]:
    """The same, but from the middle on no acknowledgement for the topic came."""
    return [
        event
        for number, event in enumerate(passed)
        if number < len(passed) // 2 or isinstance(event, Commit) or event.records[0].topic != topic
    ]


@pytest.mark.timeout(300)
def test_every_commit_follows_the_acknowledgement_of_all_that_its_clicks_caused(
    tmp_path: Path,
) -> None:
    witness = Witness()
    with FaultyCluster(2, 1, witness) as cluster:
        job = WorkerJob(cluster.bootstrap, "memory", replication_factor=1)
        job.prepare()
        settings = job.settings
        workers = [job.member(n, cluster.bootstrap_for(n), tmp_path) for n in range(2)]
        slice_ = Workload(clicks=150, users=60, items=40, bad_share=0.03)
        try:
            for number, worker in enumerate(workers):
                worker.start()
                wait_until(lambda n=number: job.is_ready(n), "ready", worker.process, 90)
            with publishing_steadily(settings, slice_) as tallies:
                # Each topic in turn answers late, so that an early commit would be early by far.
                for topic, _ in zip(cycle(job.topics.values()), range(12), strict=False):
                    cluster.slow_down(topic, SLOW_SECONDS)
                    before = len(tallies)
                    wait_until(lambda b=before: len(tallies) > b + 2, "clicks")
                    cluster.slow_down(topic, 0.0)
                    if topic == settings.transitions_topic:
                        workers[0].kill()
                        workers[0].start()
            wait_until(job.is_caught_up, "all clicks", seconds=90)
        finally:
            for worker in workers:
                worker.kill()
        verdict = judge(settings, job.partitions)
        clicks = read_topic(settings, settings.clicks)
        transitions = read_topic(settings, settings.transitions_topic)
    assert verdict.clean, verdict
    commits = [event for event in witness.passed if isinstance(event, Commit)]
    assert len(commits) > 20
    checked, findings = premature(settings, witness.passed, clicks, transitions)
    assert findings == []
    assert checked >= sum(map(len, clicks)) > 2_000

    # Had those of any topic not come, it would have been noticed.
    for name in ("windows", "graph", "transitions", "recommendations", "dead letters"):
        holed = ending_early(witness.passed, job.topics[name])
        assert premature(settings, holed, clicks, transitions)[1], name
