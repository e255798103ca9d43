"""Options of how a log is read: what they say is what is read."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from streams.cli import freshrec


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
