"""Sentences and commands that findings are made of."""

import pytest

from streams.findings import alter_topic, listed
from streams.settings import Settings


@pytest.mark.parametrize(
    ("names", "words"), [("ab", "a, b"), ("abcd", "a, b, c, d"), ("abcde", "a, b, c and 2 more")]
)
def test_of_many_names_some_are_said_and_the_others_counted(names: str, words: str) -> None:
    assert listed(list(names)) == words


def test_the_command_for_one_topic_says_when_there_are_more() -> None:
    command = alter_topic(Settings(), ["a"], "retention.ms=1")
    assert command.endswith("--entity-name a --add-config retention.ms=1")
    assert alter_topic(Settings(), ["a", "b"], "retention.ms=1") == f"{command}; so for the others"
