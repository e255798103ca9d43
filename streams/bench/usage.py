"""Usage: what a worker has used of the processors so far, by what it did."""

import urllib.request
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from streams.worker_process import WorkerProcess

STAGE_METRIC = "freshrec_bench_stage_seconds"
"""Of a worker that times its stages (`streams.bench.stages`), without the suffix of a counter."""
_INFERENCE_SECONDS = "freshrec_inference_seconds_sum"


class Usage(NamedTuple):
    """Seconds. `encoder_elapsed` is the time that the encoder's calls took, by the clock."""

    event_loop: float
    other_threads: float
    encoder_elapsed: float
    stages: dict[str, float]
    """Of the event loop, where the worker times them; `other` is what no stage claims."""

    @classmethod
    def of(cls, worker: WorkerProcess, port: int) -> "Usage":
        """What its metrics and the machine tell of a worker."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        event_loop = worker.event_loop_seconds()
        encoder = 0.0
        stages: dict[str, float] = {}
        for family in text_string_to_metric_families(metrics):
            for sample in family.samples:
                if sample.name == _INFERENCE_SECONDS:
                    encoder += sample.value
                elif sample.name == f"{STAGE_METRIC}_total":
                    stages[sample.labels["stage"]] = sample.value
        if stages:
            stages["other"] = event_loop - sum(stages.values())
        return cls(event_loop, worker.cpu_seconds() - event_loop, encoder, stages)

    def since(self, before: "Usage") -> "Usage":
        """What was used between two."""
        return Usage(
            self.event_loop - before.event_loop,
            self.other_threads - before.other_threads,
            self.encoder_elapsed - before.encoder_elapsed,
            {stage: seconds - before.stages[stage] for stage, seconds in self.stages.items()},
        )
