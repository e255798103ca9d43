"""quixstreams: a streaming dataframe with state in RocksDB, its only store."""

from typing import Any

from quixstreams import Application, State

from benchmarks.peers.job import Peer, folded, output

peer = Peer.from_environment()
app = Application(
    broker_address=peer.bootstrap,
    consumer_group=peer.group,
    auto_offset_reset="earliest",
    commit_interval=1.0,
    state_dir=peer.state_dir,
    loglevel="WARNING",
)


def on_click(click: dict[str, Any], state: State) -> dict[str, Any]:
    """Fold, store, and what to publish."""
    window = folded(state.get("window", []), click)
    state.set("window", window)
    return output(click["user_id"], window)


if __name__ == "__main__":
    frame = app.dataframe(app.topic(peer.clicks, value_deserializer="json"))
    frame = frame.apply(on_click, stateful=True)
    frame.to_topic(app.topic(peer.output, value_serializer="json"))
    app.run()
