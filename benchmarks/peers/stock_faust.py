"""Stock faust-streaming: an agent, a table with its changelog, a topic for what goes out."""

from typing import Any

import faust

from benchmarks.peers.job import Peer, folded, output

peer = Peer.from_environment()
app = faust.App(
    peer.group,
    broker=f"kafka://{peer.bootstrap}",
    store="memory://" if peer.store == "memory" else "rocksdb://",
    datadir=peer.state_dir,
    topic_partitions=4,
    topic_disable_leader=True,
    web_enabled=False,
)
clicks = app.topic(peer.clicks, key_type=bytes, value_type=bytes, value_serializer="raw")
lists = app.topic(peer.output, key_type=str, value_serializer="json")
windows = app.Table("windows", default=list, partitions=4)


@app.agent(clicks)
async def on_clicks(stream: Any) -> None:
    """Fold, store, publish."""
    async for event in stream.events():
        user = event.key.decode()
        window = folded(windows[user], event.value)
        windows[user] = window
        await lists.send(key=user, value=output(user, window))


if __name__ == "__main__":
    app.finalize()
    faust.Worker(app, loglevel="warning").execute_from_commandline()
