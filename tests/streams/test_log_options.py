"""Options of how a log is read: what they say is what is read."""

import json
import random
from pathlib import Path

from click.testing import CliRunner, Result

from streams.cli import freshrec
from streams.cli.log_options import Reading
from tests.streams.click_samples import GOOD, accepted


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(freshrec, list(arguments))


def test_columns_time_unit_and_rare_items_are_read_as_the_options_say(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"{user},{item},{14_000 + day}" for user in "abcd" for day, item in enumerate("xyz")]
    log.write_text("\n".join(["who,what,day", *rows, "a,rare,14009"]) + "\n")
    done = _run(
        "train", str(log), "--check", "--json", "--map", "user_id=who,item_id=what",
        "--map", "timestamp=day", "--time-unit", "day", "--min-item-events", "2",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert (report["events"], report["users"], report["items"]) == (12, 4, 3)
    found = {finding["name"]: finding for finding in report["findings"]}
    assert found["old_times"]["count"] == 0  # as seconds these would be hours of 1970
    assert found["time_resolution"]["share"] == 1.0


def test_a_mapping_of_another_form_is_wrong_use(tmp_path: Path) -> None:
    for command in (["train", "x.csv", "--check"], ["evaluate", "x.csv"], ["export", "c"]):
        done = _run(*command, "--map", "user_id")
        assert done.exit_code == 2
        assert "field=column" in done.stderr


def test_a_place_has_the_cell_in_training_that_it_has_in_a_click(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows, columns = 180 / 2**15, 360 / 2**15
    places = [(lat, lon) for lat in (-90.0, 0.0, 90.0) for lon in (-180.0, 0.0, 180.0)]
    places += [(rng.uniform(-90, 90), rng.uniform(-180, 180)) for _ in range(200)]
    # On the borders of cells, where one bit more or less makes another cell.
    places += [(rng.randrange(2**15) * rows - 90, rng.uniform(-180, 180)) for _ in range(100)]
    places += [(rng.uniform(-90, 90), rng.randrange(2**15) * columns - 180) for _ in range(100)]
    log = tmp_path / "log.csv"
    lines = [f"u,i,{time},{lat},{lon}" for time, (lat, lon) in enumerate(places)]
    log.write_text("\n".join(["user_id,item_id,timestamp,lat,lon", *lines]) + "\n")
    learned = Reading({}, "s", min_item_events=1).log(str(log)).place_cell.tolist()
    served = [accepted({**GOOD, "place": {"lat": lat, "lon": lon}}) for lat, lon in places]
    assert learned == [click.place_cell for click in served]
