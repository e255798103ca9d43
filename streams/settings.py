"""One frozen settings object, read from flags, environment and a TOML file, in this order.

The fields of `Settings` are the one table of settings: the flags of the command line, the
`FRESHREC_*` environment names, the keys of the TOML file and the help text all come from it.
Every error is one sentence that names the setting, where its value came from and what is allowed.
"""

# ruff: noqa: RUF009 (the calls of `setting` make dataclass fields)
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from streams.setting_checks import check_together
from streams.setting_fields import (
    EventTypeChange,
    SettingField,
    SettingsError,
    fields_of,
    setting,
)
from streams.setting_secrets import FILE_SUFFIX, read_secret

if TYPE_CHECKING:
    from streams.event_types import EventTypes
    from streams.events import ClickLimits
    from streams.graph import GraphConfig
    from streams.pipeline import PipelineConfig
    from streams.pseudonym import Pseudonyms
    from streams.window import WindowConfig

__all__ = ["FIELDS", "EventTypeChange", "Settings", "SettingsError"]

ENVIRONMENT_PREFIX = "FRESHREC_"


def _retention(default: int, what: str) -> Any:
    words = f"how long topics that freshrec creates keep {what}; 0: no end, -1: as brokers say"
    return setting(default, words, -1, 315_360_000)


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a worker and the tools around it can be told. Durations are in seconds, sizes in bytes.

    An instance is complete and checked: its constructor raises `SettingsError` where two settings
    contradict each other. Use `setting_sources.load_settings` to read one from outside.
    """

    # Kafka
    bootstrap: str = setting("127.0.0.1:9092", "Kafka brokers, HOST:PORT[,HOST:PORT ...]")
    group: str = setting("freshrec", "consumer group; workers of one group share the partitions")
    topic_prefix: str = setting("", "put before every topic name", optional=True)
    clicks_topic: str = setting(
        "clicks", "topic of clicks; its dead letters go to NAME.dead-letter"
    )
    items_topic: str = setting("items", "compacted topic of the catalogue")
    recommendations_topic: str = setting("recommendations", "compacted topic of published lists")
    partitions: int = setting(4, "partitions of a topic that freshrec creates", 1, 10_000)
    replication_factor: int = setting(1, "replicas of a topic that freshrec creates", 1, 100)
    clicks_retention_seconds: int = _retention(-1, "clicks and forwarded clicks")
    transitions_retention_seconds: int = _retention(259_200, "transitions")
    dead_letter_retention_seconds: int = _retention(0, "dead letters")
    recommendations_retention_seconds: int = setting(
        0, "how long the topic of lists keeps those of idle users; 0: no end", 0, 315_360_000
    )
    receipts_retention_seconds: int = _retention(0, "receipts of erasures")
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = setting(
        "plaintext", "how to talk to the brokers"
    )
    sasl_mechanism: Literal["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"] = setting(
        "plain", "SASL mechanism, with a sasl_* security protocol"
    )
    sasl_username: str | None = setting(None, "SASL user name; oauthbearer has it in the token")
    sasl_password: str | None = setting(None, "SASL password", secret=True)
    sasl_password_file: Path | None = setting(None, "file that holds the SASL password")
    sasl_token: str | None = setting(None, "OAuth bearer token", secret=True)
    sasl_token_file: Path | None = setting(
        None, "file that holds the OAuth bearer token; read anew for every connection"
    )
    ssl_ca_file: Path | None = setting(None, "PEM file of the authorities that sign the brokers")
    ssl_certificate_file: Path | None = setting(None, "PEM file of this client's certificate")
    ssl_key_file: Path | None = setting(None, "PEM file of the certificate's key")
    ssl_key_password: str | None = setting(None, "password of the key's file", secret=True)
    ssl_key_password_file: Path | None = setting(None, "file that holds that password")

    pseudonym_key: str | None = setting(
        None, "users are known by hashes under this key, not by their ids", secret=True
    )
    pseudonym_key_file: Path | None = setting(None, "file that holds the pseudonym key")

    # Model
    model_dir: Path | None = setting(None, "artefact directory of the encoder", flag="--model")
    encoder: bool = setting(True, "score with the encoder; off: graph lists only")
    engine: Literal["auto", "cpu", "cuda"] = setting("auto", "where the encoder runs")
    inference_threads: int = setting(1, "threads of one CPU inference", 1, 256)

    # State
    store: Literal["rocksdb", "memory"] = setting("rocksdb", "where state lives")
    state_dir: Path = setting(Path("freshrec-state"), "directory of local state", flag="--state")
    instance_id: str | None = setting(
        None, "static group membership: a name that survives restarts of this worker"
    )
    window_events: int = setting(200, "newest events kept for a user", 1, 10_000)
    window_seconds: int = setting(2_592_000, "oldest event kept or accepted", 60, 315_360_000)
    predecessors: int = setting(5, "preceding items that a click is linked with", 0, 100)
    max_neighbours: int = setting(100, "neighbours kept for an item", 1, 10_000)
    popularity_half_life_seconds: float = setting(604_800.0, "half-life of popularity", 1, 1e9)
    trending_half_life_seconds: float = setting(21_600.0, "half-life of trends", 1, 1e9)
    event_types: tuple[EventTypeChange, ...] = setting(
        (),
        "TOML table: [event_types.NAME] with weight, half_life_seconds, polarity; adds to or"
        " changes the built-in types",
    )

    # Limits
    max_record_bytes: int = setting(65_536, "largest click record accepted", 64, 1_048_576)
    max_id_bytes: int = setting(256, "longest id accepted", 1, 4_096)
    max_future_seconds: float = setting(300.0, "furthest event time ahead of its record", 0, 1e8)
    max_clicks_per_second: float = setting(
        0.0, "clicks of one user beyond this are refused as rate_limited; 0: no limit", 0, 1e6
    )
    click_burst: int = setting(100, "clicks that a user may send at once all the same", 1, 100_000)
    max_graph_clicks_per_day: int = setting(
        5_000, "clicks of one user beyond this do not reach the graph; 0: no limit", 0, 86_400_000
    )

    # Lists
    list_size: int = setting(10, "items of a list", 1, 1_000)
    lists: bool = setting(True, "publish lists; off: keep state only")
    repeat_policy: Literal["allow", "discount", "exclude"] | None = setting(
        None, "items the user already has in the window; unset: as the artefact says"
    )
    suppress_unchanged: bool = setting(False, "do not publish a list equal to the user's last one")

    # Batches and delivery
    batch_max_users: int = setting(256, "most users scored in one batch", 1, 4_096)
    batch_max_wait_seconds: float = setting(0.002, "longest wait for a batch to fill", 0, 10)
    list_deadline_seconds: float = setting(
        1.0, "a list that waited longer is served from the graph", 0.001, 600
    )
    max_in_flight_batches: int = setting(6, "record batches in flight for a partition", 1, 256)
    max_poll_records: int = setting(20_000, "records of one fetched batch", 1, 100_000)
    fetch_max_wait_seconds: float = setting(
        0.5,
        "longest wait of an empty fetch; Kafka answers at once when clicks arrive, the embedded"
        " broker only then",
        0.001,
        30,
    )
    commit_interval_seconds: float = setting(
        0.5, "longest time between offset commits; shorter while it keeps up", 0.01, 60
    )
    session_timeout_seconds: float = setting(15.0, "a silent worker is out after this", 1, 1_800)
    heartbeat_seconds: float = setting(3.0, "time between heartbeats", 0.1, 600)
    request_timeout_seconds: float = setting(30.0, "a send retried longer than this fails", 1, 600)
    broker_deadline_seconds: float = setting(
        60.0, "longest wait for a broker that is down at start", 0, 86_400
    )
    producer_partitioner: Literal["murmur2", "crc32"] = setting(
        "murmur2", "how keyed producers choose partitions (Java: murmur2, librdkafka: crc32)"
    )

    # Serving
    metrics_host: str = setting("127.0.0.1", "address of /metrics, /livez, /readyz and look-ups")
    metrics_port: int = setting(9464, "port of the same; 0: any free port", 0, 65_535)
    lookup_token: str | None = setting(
        None,
        "bearer token that opens look-ups of users and items; unset: off",
        secret=True,
    )
    lookup_token_file: Path | None = setting(None, "file that holds the look-up token")
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "least log level")

    def __post_init__(self) -> None:
        check_together(self)

    def __repr__(self) -> str:
        shown = (
            f"{f.name}={'***' if f.secret and getattr(self, f.name) else getattr(self, f.name)!r}"
            for f in FIELDS
        )
        return f"Settings({', '.join(shown)})"

    def secret(self, name: str) -> str | None:
        """A secret by its field's name: as given, or what its file holds now; None: neither.

        Files are read each time, so that a secret can be changed under a running process. Raises
        `SettingsError`, which never shows a secret.
        """
        given: str | None = getattr(self, name)
        path: Path | None = getattr(self, name + FILE_SUFFIX)
        return given if path is None else read_secret(name + FILE_SUFFIX, path)

    def pseudonyms(self) -> Pseudonyms | None:
        """What users are known by; None: their own ids. Raises `SettingsError`."""
        from streams.pseudonym import MIN_KEY_CHARACTERS, PSEUDONYM_CHARACTERS, Pseudonyms

        key = self.secret("pseudonym_key")
        if key is None:
            return None
        if len(key) < MIN_KEY_CHARACTERS:
            raise SettingsError(
                f"pseudonym_key must have at least {MIN_KEY_CHARACTERS} characters: take those of"
                " openssl rand -hex 32."
            )
        if self.max_id_bytes < PSEUDONYM_CHARACTERS:
            raise SettingsError(
                f"max_id_bytes {self.max_id_bytes} must be at least {PSEUDONYM_CHARACTERS} with a"
                " pseudonym_key: pseudonyms have that length."
            )
        return Pseudonyms(key)

    def known_as(self, user_id: str) -> str:
        """What this user is called in state and topics; a pseudonym stays what it is."""
        pseudonyms = self.pseudonyms()
        if pseudonyms is None or pseudonyms.is_ours(user_id):
            return user_id
        return pseudonyms.of(user_id)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)

    # Topic names, prefix included.
    @property
    def clicks(self) -> str:
        """Topic of clicks."""
        return self.topic_prefix + self.clicks_topic

    @property
    def items(self) -> str:
        """Topic of the catalogue."""
        return self.topic_prefix + self.items_topic

    @property
    def recommendations(self) -> str:
        """Topic of published lists."""
        return self.topic_prefix + self.recommendations_topic

    @property
    def dead_letter_topic(self) -> str:
        """Topic of clicks that were rejected."""
        return self.clicks + ".dead-letter"

    @property
    def rekeyed_topic(self) -> str:
        """Internal topic of clicks whose record key was not their user id."""
        return self.topic_prefix + "freshrec-rekeyed"

    @property
    def transitions_topic(self) -> str:
        """Internal topic of transitions, partitioned by source item."""
        return self.topic_prefix + "freshrec-transitions"

    @property
    def receipts_topic(self) -> str:
        """Internal topic of erasure receipts."""
        return self.topic_prefix + "freshrec-receipts"

    # Configurations of the pure core. Imported late, so that `freshrec --help` stays fast.
    def event_type_registry(self) -> EventTypes:
        """The built-in event types with the configured ones added or changed."""
        from streams.event_types import DEFAULT_EVENT_TYPES, EventType, EventTypes

        types = {known.name: known for known in DEFAULT_EVENT_TYPES}
        for change in self.event_types:
            base = types.get(change.name, types["click"])
            types[change.name] = EventType(
                name=change.name,
                weight=base.weight if change.weight is None else change.weight,
                half_life_seconds=change.half_life_seconds or base.half_life_seconds,
                polarity=base.polarity if change.polarity is None else change.polarity,
            )
        return EventTypes(tuple(types.values()))

    def window_config(self) -> WindowConfig:
        """Bounds and event types of a user's window."""
        from streams.window import WindowConfig

        return WindowConfig(
            max_events=self.window_events,
            max_age_ms=self.window_seconds * 1000,
            predecessors=self.predecessors,
            event_types=self.event_type_registry(),
            graph_click_ms=_share(86_400_000, self.max_graph_clicks_per_day),
            click_us=_share(1e6, self.max_clicks_per_second),
            burst=self.click_burst,
        )

    def graph_config(self) -> GraphConfig:
        """Bounds, half-lives and event types of an item's state."""
        from streams.graph import GraphConfig

        return GraphConfig(
            max_neighbours=self.max_neighbours,
            event_types=self.event_type_registry(),
            popularity_half_life_seconds=self.popularity_half_life_seconds,
            trending_half_life_seconds=self.trending_half_life_seconds,
        )

    def click_limits(self) -> ClickLimits:
        """What a click must satisfy to be accepted."""
        from streams.events import ClickLimits

        return ClickLimits(
            max_record_bytes=self.max_record_bytes,
            max_id_bytes=self.max_id_bytes,
            max_age_ms=self.window_seconds * 1000,
            max_future_ms=round(self.max_future_seconds * 1000),
            event_types=self.event_type_registry().names,
        )

    def pipeline_config(self, partitions: int) -> PipelineConfig:
        """What the folds of a worker need to know; `partitions`: of the transitions topic."""
        from streams.pipeline import PipelineConfig

        return PipelineConfig(
            window=self.window_config(),
            graph=self.graph_config(),
            limits=self.click_limits(),
            event_types=self.event_type_registry(),
            partitions=partitions,
            pseudonym_key=self.secret("pseudonym_key"),
        )

    def librdkafka(self, **more: Any) -> dict[str, Any]:
        """Options of a confluent-kafka client for these brokers; `more` is added as it is."""
        from streams.client_options import librdkafka_options

        return librdkafka_options(self) | more


FIELDS: tuple[SettingField, ...] = fields_of(Settings)


def _share(period: float, count: float) -> int:
    """What one of `count` takes of a period, in whole units of it; 0 where there is no limit."""
    return max(1, round(period / count)) if count else 0
