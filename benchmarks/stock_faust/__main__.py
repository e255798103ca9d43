"""`python -m benchmarks.stock_faust`: the fault run of `freshrec bench faults`, on stock Faust."""

import click

from benchmarks.stock_faust import NAME
from benchmarks.stock_faust.job import StockFaustJob
from streams.bench.faults.run import FaultPlan, run
from streams.bench.faults.schedule import Faults
from streams.cli.options import emit, json_option, set_up_logging

# Kinds that stock Faust can come back from; a damaged RocksDB directory is none.
FAULTS = Faults(kills=4, stops=2, joins=2, broker_kills=2, cuts=1, slow=2, rejects=2)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--clicks", type=click.IntRange(1000), default=20_000, show_default=True)
@click.option("--store", type=click.Choice(["memory", "rocksdb"]), default="memory")
@click.option("--calm", is_flag=True, help="No fault at all: the harness itself, checked.")
@click.option("--verbose", is_flag=True)
@json_option
def main(seed: int, clicks: int, store: str, calm: bool, verbose: bool, as_json: bool) -> None:
    """What stock Faust loses and doubles under the faults that freshrec survives."""
    set_up_logging("info" if verbose else "warning")
    plan = FaultPlan(
        clicks=clicks,
        faults=Faults(slow=1) if calm else FAULTS,
        store=store,
        seed=seed,
        pause_seconds=20.0 if calm else 4.0,
        check_mismatch=False,
    )
    emit(run(plan, StockFaustJob, NAME), as_json=as_json)


if __name__ == "__main__":
    main()
