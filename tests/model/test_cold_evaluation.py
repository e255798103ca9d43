"""Items held out of training, on a log where what comes next follows from the colour."""

import json
from pathlib import Path

import numpy as np
import pytest

from model import text
from model.artifact import DEMO_ARTIFACT
from model.cold_evaluation import evaluate_cold_items
from model.data import DataError
from model.held_out import HeldOutItems
from model.train import train
from tests.model.text_samples import tiny_pretrained

COLOURS, THINGS = ("red", "green", "blue"), ("desk", "lamp", "rug")
ITEMS = 120


def colour(item: int) -> str:
    return COLOURS[item % 3]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A click log whose users stay with a colour, and the catalogue."""
    folder = tmp_path_factory.mktemp("shop")
    random = np.random.default_rng(1)
    lines = ["user_id,item_id,timestamp"]
    for user in range(150):
        favourite = int(random.integers(3))
        start = int(random.integers(1000))
        for step in range(20):
            item = 3 * int(random.integers(ITEMS // 3)) + favourite
            lines.append(f"u{user},i{item},{1_700_000_000 + start + 100 * step}")
    clicks, items = folder / "clicks.csv", folder / "items.jsonl"
    clicks.write_text("\n".join(lines) + "\n")
    rows = [
        {"item_id": f"i{n}", "title": THINGS[n % 7 % 3], "categories": [colour(n)] * 3}
        for n in range(ITEMS)
    ]
    items.write_text("\n".join(map(json.dumps, rows)))
    return clicks, items


OPTIONS = {
    "split": "temporal", "dim": 16, "layers": 1, "features": (), "max_length": 10,
    "learning_rate": 5e-3, "patience": 6, "max_steps": 150, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(shop: tuple[Path, Path]) -> Path:
    clicks, items = shop
    out = clicks.parent / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "load_minilm", tiny_pretrained)
        train(clicks, out, items=items, hold_out_items=0.25, **OPTIONS)
    return out


def test_an_item_that_training_never_saw_is_found_by_its_text(shop, trained):
    report = evaluate_cold_items(shop[0], trained, shop[1])
    held_out = [n for n in range(ITEMS) if HeldOutItems(0.25).has(f"i{n}")]
    assert report["held_out_items"] == {"share": 0.25, "seed": 0, "items": len(held_out), "of": 120}
    among = report["among_new_items"]
    # A third of the held-out items have the user's colour: that is what a text can tell.
    assert among["text"]["recall@10"] > 1.6 * among["random"]["recall@10"]
    assert among["popularity"] == {"recall@10": 0.0, "recall@20": 0.0}
    full = report["full_catalogue"]
    assert full["popularity"]["recall@10"] == 0.0
    assert full["text"]["recall@20"] <= among["text"]["recall@20"]
    assert report["known_items"]["examples"] > report["examples"] > 100


def test_nothing_of_a_held_out_item_is_in_the_artefact(shop, trained):
    items = json.loads((trained / "items.json").read_bytes())
    assert len(items) > 50
    assert not any(map(HeldOutItems(0.25).has, items))


def test_the_training_says_how_items_are_placed(trained):
    training = json.loads((trained / "manifest.json").read_bytes())["training"]
    assert training["held_out_items"] == {"share": 0.25, "seed": 0}
    assert training["text"]["items"] > 50
    assert training["text"]["calibration"]["events"] > 100


def test_a_sample_of_the_examples_can_be_measured(shop, trained):
    report = evaluate_cold_items(shop[0], trained, shop[1], max_examples=20)
    assert (report["examples"], report["known_items"]["examples"]) == (20, 20)


def test_another_log_than_that_of_the_training_is_refused(shop, trained, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("\n".join(shop[0].read_text().splitlines()[:-300]) + "\n")
    with pytest.raises(ValueError, match="other data"):
        evaluate_cold_items(other, trained, shop[1])


def test_more_of_the_log_than_training_held_out_is_refused(shop, trained):
    with pytest.raises(ValueError, match="ask for no more"):
        evaluate_cold_items(shop[0], trained, shop[1], test_fraction=0.5)


def test_an_artefact_that_was_not_trained_for_it_is_refused(shop):
    with pytest.raises(ValueError, match="--hold-out-items"):
        evaluate_cold_items(shop[0], DEMO_ARTIFACT, shop[1])


def test_items_that_have_no_text_are_an_error_before_training(shop, tmp_path):
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\nnobody,Desk\n")
    with pytest.raises(DataError, match="check the item ids of --items"):
        train(shop[0], tmp_path / "m", items=items, **(OPTIONS | {"max_steps": 2}))
