"""Pseudonyms: the same for one key, unlike for another, and nothing of the user in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.erase import EraseError, erase
from streams.pseudonym import MIN_KEY_CHARACTERS, PSEUDONYM_CHARACTERS, Pseudonyms
from streams.setting_sources import load_settings
from streams.settings import Settings, SettingsError

KEY, OTHER = "k" * MIN_KEY_CHARACTERS, "o" * MIN_KEY_CHARACTERS


def test_a_pseudonym_never_changes() -> None:
    # State of years is kept under these: a change here orphans it.
    assert Pseudonyms(KEY).of("ann") == "RY_y.it7jC8fwM3PqYqeDIONvGw"


@given(st.text(min_size=1), st.text(min_size=1))
def test_users_have_pseudonyms_of_their_own_that_are_plain_ids(one: str, other: str) -> None:
    pseudonyms = Pseudonyms(KEY)
    name = pseudonyms.of(one)
    assert (name == pseudonyms.of(other)) == (one == other)
    assert pseudonyms.is_ours(name)
    assert len(name) == PSEUDONYM_CHARACTERS
    assert name.isascii()
    assert name.isprintable()


def test_another_key_is_told_apart() -> None:
    assert not Pseudonyms(OTHER).is_ours(Pseudonyms(KEY).of("ann"))
    assert not Pseudonyms(KEY).is_ours("ann")


def test_a_key_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Pseudonyms("k" * 31)
    with pytest.raises(SettingsError, match="openssl rand -hex 32") as caught:
        load_settings({}, {"FRESHREC_PSEUDONYM_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(SettingsError, match="max_id_bytes"):
        load_settings({"max_id_bytes": 26}, {"FRESHREC_PSEUDONYM_KEY": KEY})


def test_a_user_is_known_by_id_or_by_pseudonym() -> None:
    assert Settings().known_as("ann") == "ann"
    settings = Settings(pseudonym_key=KEY)
    pseudonym = Pseudonyms(KEY).of("ann")
    assert settings.known_as("ann") == settings.known_as(pseudonym) == pseudonym


def test_a_pseudonym_erases_nobody_since_it_leads_to_no_partition() -> None:
    settings = Settings(pseudonym_key=KEY, bootstrap="127.0.0.1:1")
    with pytest.raises(EraseError, match="give the user's id"):
        erase(settings, Pseudonyms(KEY).of("ann"), timeout_seconds=1)
