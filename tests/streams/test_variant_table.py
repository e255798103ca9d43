from typing import Any

import pytest

from streams.cli.variant_table import print_variants


def test_every_variant_is_a_row_and_every_refusal_a_sentence(capsys: pytest.CaptureFixture[str]):
    whole: dict[str, Any] = {
        "variant": "fp32", "layers": 2, "model_bytes": 915_497, "lists_per_second": 6152,
        "overlap_at_10": 1.0, "ndcg_at_10": 0.1075, "ndcg_at_10_fp32": 0.1075, "refused": None,
    }  # fmt: skip
    small = {
        **whole,
        "variant": "int8-static",
        "model_bytes": 344_527,
        "ndcg_at_10": 0.1063,
        "refused": "int8-static loses too much",
    }
    print_variants({"variants": [whole, small]})
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].split() == ["fp32", "2", "915", "6,152", "1.000", "0.1075", "+0.0%", "no"]
    assert rows[2].split()[0] == "int8-static"
    assert rows[2].split()[-2:] == ["-1.1%", "yes"]
    assert rows[3] == "refused: int8-static loses too much"


def test_an_encoder_that_hits_nothing_has_no_change_to_show(capsys: pytest.CaptureFixture[str]):
    figures = {
        "variant": "fp16", "layers": 1, "model_bytes": 1000, "lists_per_second": 1,
        "overlap_at_10": 1.0, "ndcg_at_10": 0.0, "ndcg_at_10_fp32": 0.0, "refused": None,
    }  # fmt: skip
    print_variants({"variants": [figures]})
    assert "+0.0%" in capsys.readouterr().out
