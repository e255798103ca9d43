"""`freshrec bench growth`: its shard holds what a worker would, and its figures add up."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from model.catalogue_bench import CatalogueFigures, TwoStages
from streams.bench.growth.clicks import Clicks, user_id
from streams.bench.growth.picture import growth_png
from streams.bench.growth.point import PointPlan, measure
from streams.bench.growth.run import GrowthFigures, GrowthPlan, PartitionFigures
from streams.bench.growth.shard import Shard
from streams.cli import freshrec
from streams.core import Core
from streams.settings import Settings
from streams.stores import MemoryStores

ITEMS = [f"item{number}" for number in range(50)]
NOW_MS = 1_769_860_800_000
SETTINGS = Settings(window_events=10)


def test_a_shard_has_the_windows_and_the_graph_of_the_core() -> None:
    core = Core(SETTINGS.pipeline_config(1))
    shard = Shard(SETTINGS, MemoryStores())
    for folding in (core, shard):
        clicks = Clicks(20, ITEMS, NOW_MS)
        folding.fold(list(clicks.visits(1)))
        folding.fold(clicks.take(300))
    assert dict(shard.replica.blobs()) == dict(core.replica.blobs())
    assert shard.replica.edges > 100
    for user, window in core.windows.items():
        assert shard.window(user) == window


def test_clicks_follow_the_windows_that_were_there_and_none_is_a_repeat() -> None:
    shard = Shard(SETTINGS, MemoryStores())
    clicks = Clicks(20, ITEMS, NOW_MS)
    shard.fill(clicks.windows(10, SETTINGS.window_config()))
    assert all(len(shard.window(user_id(number))) == 10 for number in range(20))
    visits = list(clicks.visits(1))
    shard.fold(visits)
    newest = {record.key: json.loads(record.value or b"")["item_id"] for record in visits}
    assert sorted(json.loads(record.value or b"")["item_id"] for record in visits) == sorted(ITEMS)
    for key, item in newest.items():
        window = shard.window((key or b"").decode())
        assert (window.items[-1], len(window)) == (item, 10)


def test_what_a_shard_has_written_is_counted_with_its_keys() -> None:
    shard = Shard(SETTINGS, MemoryStores())
    shard.fold(Clicks(20, ITEMS, NOW_MS).take(1))
    ((user, window),) = shard.partition.windows.blobs()
    assert shard.written.window_bytes == len(user) + len(window)
    assert (shard.written.windows, shard.written.items) == (1, 1)


def test_a_click_that_a_worker_would_reject_ends_the_measurement() -> None:
    shard = Shard(SETTINGS, MemoryStores())
    (record,) = Clicks(1, ITEMS, NOW_MS).take(1)
    bad = type(record)(record.offset, record.timestamp, record.key, b"[]")
    with pytest.raises(ValueError, match="a worker would reject"):
        shard.fold([bad])


def test_a_point_without_the_encoder_has_its_catalogue_in_the_graph() -> None:
    plan = PointPlan(users=30, items=60, window=5, warm_clicks=100, clicks=200, lists=5)
    figures = measure(plan)
    assert (figures.users, figures.items, figures.window) == (30, 60, 5)
    assert figures.encoder_microseconds_per_list is None
    assert figures.cpu_microseconds_per_click > 0
    assert figures.edges > 60
    assert 0 < figures.list_milliseconds.p50 <= figures.list_milliseconds.longest
    assert figures.cached_windows <= 30


def test_many_users_are_warmed_up_with_more_clicks_up_to_a_bound() -> None:
    plan = GrowthPlan(users=(1_000, 40_000, 1_000_000))
    warm = [point.warm_clicks for point in plan.points("users")]
    assert warm == [40_000, 160_000, 200_000]
    assert [point.window for point in plan.points("window")] == [10, 50, 200, 500]
    assert [point.items for point in plan.points("items")] == [1_000, 10_000, 100_000, 1_000_000]


def test_one_json_object_and_a_picture_have_the_axes_that_were_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "growth.png"
    arguments = ["bench", "growth", "--axis", "window", "--short", "--json", "--png", str(picture)]
    result = CliRunner().invoke(freshrec, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert list(figures["axes"]) == ["window"]
    small, large = figures["axes"]["window"]
    assert (small["window"], large["window"]) == (10, 50)
    assert small["window_bytes"] < large["window_bytes"]
    assert large["encoder_microseconds_per_list"] > 0
    assert figures["exact_scoring"] == []
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_picture_has_room_for_partitions_and_for_exact_scores() -> None:
    stages = [TwoStages(32, 0.9, 0.1, 0.2), TwoStages(64, 0.995, 0.2, 0.3)]
    exact: list[Any] = [
        CatalogueFigures(items, kind, 0.1, items / 1e5, 0.5, 1.0, 1, stages)
        for items in (1_000, 100_000)
        for kind in ("clustered", "chance")
    ]
    partitions = [PartitionFigures(number, 10_000.0, 50.0, 2.0, 10**8) for number in (1, 4)]
    png = growth_png(GrowthFigures({"partitions": partitions}, exact))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 150_000
