"""`freshrec bench scorer`: what it compares is the same encoder, and its figures add up."""

import json

import numpy as np
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner

from model.artifact import Artifact
from model.bench_encoder import plain_onnx, random_encoder
from model.net import EncoderConfig
from model.scorer_bench import ScorerBench, list_flops
from streams.cli import freshrec


def test_the_plain_graph_is_the_encoder():
    encoder = random_encoder(EncoderConfig(items=40, dim=16, max_length=8))
    session = ort.InferenceSession(plain_onnx(encoder, top_k=5), providers=["CPUExecutionProvider"])
    lengths = np.array([8, 3, 1, 5])
    items = np.random.default_rng(0).integers(1, 41, (4, 8)) * (np.arange(8) < lengths[:, None])
    ids, _, scores = session.run(None, {"items": items, "lengths": lengths})
    with torch.no_grad():
        wanted = encoder.last_logits({"items": torch.from_numpy(items)}, torch.from_numpy(lengths))
    np.testing.assert_allclose(scores, wanted.numpy(), rtol=0, atol=1e-4)
    assert (ids == np.argsort(-scores, axis=1)[:, :5] + 1).all()


def test_the_served_graph_is_counted_with_fewer_operations_than_the_plain_one():
    bench = ScorerBench()
    # 2 layers over 50 positions of 64 numbers, by hand, and the scores of 3,416 items.
    assert list_flops(bench, 50, plain=True) == 2 * (
        2 * 50 * (12 * 64 * 64 + 2 * 50 * 64) + 64 * 3416
    )
    assert list_flops(bench, 50, plain=False) < 0.6 * list_flops(bench, 50, plain=True)


def test_one_json_object_says_what_was_measured(artifact: Artifact):
    arguments = ["bench", "scorer", "--short", "--json", "--threads", "1", "--batch", "2"]
    result = CliRunner().invoke(freshrec, [*arguments, "--model", str(artifact.path)])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["engine"] == "CPUExecutionProvider"
    assert figures["ratio"] > 0
    full, single, *by_length = figures["buckets"]
    assert full["lists_per_second"] == figures["lists_per_second"]
    assert (full["events"], full["padding_ratio"], single["batch"]) == ("20", 0.0, 1)
    assert [row["events"] for row in by_length] == ["1-8", "9-16", "17-20", "1-20"]
    share = full["flops_per_second"] / figures["peak_flops_per_second"]
    assert full["peak_share"] == pytest.approx(share, abs=1e-3)
