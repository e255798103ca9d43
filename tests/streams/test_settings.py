"""Settings: precedence, errors that say what to do, and configurations that follow."""

import dataclasses
from pathlib import Path

import pytest

from streams.setting_secrets import SECRETS_OF_FILES
from streams.setting_sources import load_settings
from streams.settings import FIELDS, EventTypeChange, Settings, SettingsError


def _toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "freshrec.toml"
    path.write_text(text)
    return path


def test_a_flag_wins_over_environment_over_toml_over_default(tmp_path: Path) -> None:
    path = _toml(tmp_path, 'group = "toml"\npredecessors = 2\nlist_size = 3\n')
    environ = {"FRESHREC_GROUP": "environment", "FRESHREC_PREDECESSORS": "4"}
    found = load_settings({"group": "flag"}, environ, path)
    assert (found.group, found.predecessors, found.list_size) == ("flag", 4, 3)
    assert found.window_events == Settings().window_events


def test_a_flag_that_was_not_given_does_not_count() -> None:
    assert load_settings({"group": None}, {"FRESHREC_GROUP": "g"}).group == "g"


def test_every_field_can_be_set_by_environment_with_its_own_default() -> None:
    for field in FIELDS:
        if field.kind == "table":
            continue
        text = "" if field.default is None else str(field.default)
        found = load_settings({}, {f"FRESHREC_{field.name.upper()}": text})
        assert getattr(found, field.name) == field.default, field.name
        assert type(getattr(found, field.name)) is type(field.default), field.name


def test_every_field_has_help_and_numbers_have_bounds() -> None:
    assert {field.name for field in FIELDS} == {f.name for f in dataclasses.fields(Settings)}
    for field in FIELDS:
        assert field.help
        if field.kind in ("integer", "number"):
            assert field.minimum is not None, field.name
            assert field.maximum is not None, field.name
            assert field.minimum <= field.default <= field.maximum


def test_flags_are_unique_and_secrets_have_none() -> None:
    flags = [field.flag for field in FIELDS if field.flag]
    assert len(flags) == len(set(flags))
    by_name = {field.name: field for field in FIELDS}
    assert by_name["model_dir"].flag == "--model"
    assert by_name["state_dir"].flag == "--state"
    assert by_name["batch_max_users"].flag == "--batch-max-users"
    assert by_name["sasl_password"].flag is None
    assert by_name["lookup_token"].flag is None
    assert {name for name, field in by_name.items() if field.secret} == set(SECRETS_OF_FILES)
    assert all(by_name[name + "_file"].kind == "path" for name in SECRETS_OF_FILES)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"FRESHREC_ENGINE": "gpu"}, ["engine", "FRESHREC_ENGINE", "'gpu'", "auto, cpu or cuda"]),
        ({"FRESHREC_PREDECESSORS": "-1"}, ["predecessors", "0 to 100"]),
        ({"FRESHREC_PREDECESSORS": "2.5"}, ["predecessors", "whole number"]),
        ({"FRESHREC_LISTS": "maybe"}, ["lists", "true or false"]),
        ({"FRESHREC_COMMIT_INTERVAL_SECONDS": "nan"}, ["commit_interval_seconds", "0.01 to 60"]),
        ({"FRESHREC_GROUP": "a\nb"}, ["group", "control characters"]),
        ({"FRESHREC_METRICS_PORT": "tcp://10.0.0.1:80"}, ["metrics_port", "enableServiceLinks"]),
    ],
)
def test_a_bad_value_is_named_with_its_source_and_what_is_allowed(
    environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, environ)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.endswith(".")
    assert "\n" not in message


def test_toml_values_must_have_the_right_type(tmp_path: Path) -> None:
    for text in ("list_size = true", "list_size = 1.0", "group = 7", 'lists = ["a"]'):
        with pytest.raises(SettingsError, match=text.split()[0]):
            load_settings({}, {}, _toml(tmp_path, text))


def test_an_unknown_toml_key_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'bootstrp'; did you mean 'bootstrap'"):
        load_settings({}, {}, _toml(tmp_path, 'bootstrp = "a:1"'))


def test_an_unknown_environment_name_is_left_alone() -> None:
    assert load_settings({}, {"FRESHREC_SERVICE_HOST": "10.0.0.1"}) == Settings()


def test_a_file_that_cannot_be_read_or_parsed_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Cannot read the settings file"):
        load_settings({}, {}, tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="is not a TOML file"):
        load_settings({}, {}, _toml(tmp_path, "= 1"))


def test_settings_that_contradict_each_other_are_refused() -> None:
    for changes, word in (
        ({"heartbeat_seconds": 6.0}, "heartbeat_seconds"),
        ({"items_topic": "clicks"}, "three different names"),
        ({"clicks_topic": "a b"}, "clicks_topic"),
        ({"trending_half_life_seconds": 1e6}, "trending_half_life_seconds"),
        ({"security_protocol": "sasl_ssl"}, "sasl_password"),
        ({"security_protocol": "sasl_ssl", "sasl_mechanism": "oauthbearer"}, "sasl_token_file"),
        ({"lookup_token": "t", "lookup_token_file": Path("t")}, "not both"),
        ({"ssl_key_file": Path("k")}, "ssl_certificate_file"),
    ):
        with pytest.raises(SettingsError, match=word):
            Settings().replace(**changes)


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    shown = Settings(sasl_password="hunter2", lookup_token="t0ken")
    assert "hunter2" not in repr(shown)
    assert "t0ken" not in f"{shown}"
    assert "lookup_token='***'" in repr(shown)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"FRESHREC_SASL_PASSWORD": "hun\nter2"})
    assert "hun" not in str(caught.value)


def test_a_secret_can_stand_in_a_file_which_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    found = load_settings({}, {"FRESHREC_SASL_PASSWORD_FILE": str(path)})
    assert found.secret("sasl_password") == "hunter2"
    assert "hunter2" not in repr(found)
    path.write_text("hunter3")
    assert found.secret("sasl_password") == "hunter3"
    assert found.secret("lookup_token") is None
    assert Settings(lookup_token="t").secret("lookup_token") == "t"


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff", b"x" * 70_000])
def test_a_secret_file_that_holds_no_secret_is_refused_without_showing_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="sasl_password_file") as caught:
        load_settings({}, {"FRESHREC_SASL_PASSWORD_FILE": str(path)})
    assert "lines" not in str(caught.value)
    path.unlink()
    with pytest.raises(SettingsError, match="Cannot read sasl_password_file"):
        load_settings({}, {"FRESHREC_SASL_PASSWORD_FILE": str(path)})


def test_topic_names_carry_the_prefix() -> None:
    found = Settings(topic_prefix="eu.")
    assert found.clicks == "eu.clicks"
    assert found.items == "eu.items"
    assert found.recommendations == "eu.recommendations"
    assert found.dead_letter_topic == "eu.clicks.dead-letter"
    assert found.rekeyed_topic == "eu.freshrec-rekeyed"
    assert found.transitions_topic == "eu.freshrec-transitions"
    assert found.receipts_topic == "eu.freshrec-receipts"


def test_event_types_of_the_file_change_known_types_and_add_new_ones(tmp_path: Path) -> None:
    text = """
        [event_types.purchase]
        weight = 9
        [event_types.tap]
        half_life_seconds = 60
        [event_types.mute]
        polarity = -1
    """
    found = load_settings({}, {}, _toml(tmp_path, text))
    assert found.event_types[1] == EventTypeChange("tap", half_life_seconds=60)
    registry = found.event_type_registry()
    click = registry.get("click")
    assert click is not None
    assert registry.weight("purchase") == 9
    assert registry.weight("tap") == click.weight
    assert registry.half_life_ms("tap") == 60_000
    assert not registry.is_positive("mute")
    assert {"tap", "mute", "view"} <= registry.names
    assert {"tap", "mute", "view"} <= found.click_limits().event_types


@pytest.mark.parametrize(
    "text",
    [
        "event_types = 1",
        "[event_types]\nclick = 1",
        "[event_types.click]\nweight = -1",
        "[event_types.click]\nweight = true",
        "[event_types.click]\npolarity = 0.5",
        "[event_types.click]\nhalflife = 1",
    ],
)
def test_a_bad_event_type_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="event_types"):
        load_settings({}, {}, _toml(tmp_path, text))


def test_core_configurations_follow_the_settings() -> None:
    found = Settings(
        window_events=7, window_seconds=61, predecessors=2, max_neighbours=9,
        max_record_bytes=1000, max_id_bytes=10, max_future_seconds=1.5,
        popularity_half_life_seconds=100.0, trending_half_life_seconds=10.0,
    )  # fmt: skip
    window, graph, limits = found.window_config(), found.graph_config(), found.click_limits()
    assert (window.max_events, window.max_age_ms, window.predecessors) == (7, 61_000, 2)
    assert graph.max_neighbours == 9
    assert (graph.popularity_half_life_seconds, graph.trending_half_life_seconds) == (100, 10)
    assert (limits.max_record_bytes, limits.max_id_bytes) == (1000, 10)
    assert (limits.max_age_ms, limits.max_future_ms) == (61_000, 1500)
