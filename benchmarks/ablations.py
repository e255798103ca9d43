"""Encoder variants under an equal budget, measured on test events.

    python -m benchmarks.ablations clicks.csv --out ablations --minutes 5 --groups features

Every variant is trained like `freshrec train` would: the same minutes, threads and seeds, early
stop and blend on validation events. Then all are measured on the same test events, full ranking,
under one repeat policy, with bootstrap intervals over users; differences from the base are paired.
`--out` keeps the artefacts, `ablations.json` and `ablations.md`; an artefact that is there already
is measured and not trained again, so that an interrupted run can go on.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from benchmarks.ablation_runs import Setting, run
from benchmarks.ablation_variants import GROUPS
from model.log_features import usable_features
from streams.cli.log_options import Reading, model_failures, reading_options


def markdown(report: Mapping[str, Any]) -> str:
    """The table for people: what changed, NDCG@10 and HR@10 on test events, and the difference."""
    head = "| changed | | encoder NDCG@10 | HR@10 | difference of NDCG@10 | blend NDCG@10 | steps |"
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in report["variants"]:
        gain = row["over_base"]["encoder"]
        steps = round(sum(row["steps"]) / len(row["steps"]))
        cells = (
            "" if row["group"] == "base" else row["group"],
            row["name"],
            f"{row['encoder']['ndcg']['10']:.4f}",
            f"{row['encoder']['hit_rate']['10']:.4f}",
            "" if gain is None else _difference(gain),
            f"{row['blend']['ndcg']['10']:.4f}",
            f"{steps:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _difference(gain: Mapping[str, Any]) -> str:
    low, high = gain["interval_95"]
    return f"{gain['ndcg@10']:+.4f} ({low:+.4f} to {high:+.4f})"


@click.command()
@click.argument("data")
@reading_options
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="Directory of the artefacts, ablations.json and ablations.md.")  # fmt: skip
@click.option("--groups", default=",".join(GROUPS), show_default=True,
              help="What is changed, comma-separated.")  # fmt: skip
@click.option("--minutes", "max_minutes", type=click.FloatRange(0, min_open=True), default=5.0,
              show_default=True, help="Bound of each fit.")  # fmt: skip
@click.option("--max-steps", type=click.IntRange(1), default=1_000_000,
              help="Bound of each fit in steps, to be the same on every machine.")  # fmt: skip
@click.option("--seeds", default="0", show_default=True, help="Comma-separated.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="Of one training.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True,
              help="Variants trained at once.")  # fmt: skip
@click.option("--protocol", type=click.Choice(["leave-one-out", "temporal"]), default="temporal",
              show_default=True)  # fmt: skip
@click.option("--test-fraction", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              default=0.2, show_default=True)  # fmt: skip
@click.option("--max-examples", type=click.IntRange(1), help="Measure on a sample of this size.")
@click.option("--repeat-policy", type=click.Choice(["allow", "exclude"]),
              help="[default: as users do]")  # fmt: skip
@click.option("--features", help="Of the base, comma-separated.  [default: all usable]")
@click.option("--also", default="", help="Features to add to the base, one at a time.")
@click.option("--objective", type=click.Choice(["next", "masked+next"]), default="next")
@click.option("--dim", type=int, default=64, show_default=True)
@click.option("--layers", type=int, default=2, show_default=True)
@click.option("--heads", type=int, default=2, show_default=True)
@click.option("--max-length", type=int, default=50, show_default=True)
@click.option("--dropout", type=float, default=0.2, show_default=True)
@click.option("--batch-size", type=int, default=64, show_default=True)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def main(
    data: str,
    reading: Reading,
    out: Path,
    groups: str,
    seeds: str,
    jobs: int,
    protocol: str,
    test_fraction: float,
    max_examples: int | None,
    repeat_policy: str | None,
    features: str | None,
    also: str,
    as_json: bool,
    **base: Any,
) -> None:
    """Train variants of one encoder on DATA under an equal budget and measure what each costs."""
    chosen = _words(groups)
    if not set(chosen) <= set(GROUPS):
        raise click.UsageError(f"--groups knows {', '.join(GROUPS)}.")
    with model_failures():
        log = reading.log(data)
        base["features"] = list(
            usable_features(log, None if features is None else _words(features))
        )
        setting = Setting(base, protocol, test_fraction, max_examples, repeat_policy)
        report = run(
            log,
            setting,
            chosen,
            [int(seed) for seed in _words(seeds)],
            out,
            also=usable_features(log, _words(also)),
            jobs=jobs,
            say=lambda words: click.echo(words, err=True),
        )
    report = {"data": Path(data).name, **report}
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=2)
    table = markdown(report)
    out.mkdir(parents=True, exist_ok=True)
    (out / "ablations.json").write_bytes(encoded + b"\n")
    (out / "ablations.md").write_text(table, encoding="utf-8")
    click.echo(encoded.decode() if as_json else table, nl=as_json)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


if __name__ == "__main__":
    sys.exit(main())
