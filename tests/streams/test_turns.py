"""Turns: long steps come one at a time, in order, and short steps go between them."""

import asyncio

from streams.turns import Turns


async def long(turns: Turns, log: list[str], name: str) -> None:
    await turns.take()
    log.append(name)


async def urgent(turns: Turns, log: list[str]) -> None:
    await turns.take_first()
    log.append("urgent")


async def short(log: list[str]) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
        log.append("short")


async def test_between_two_long_steps_a_chain_of_short_ones_gets_on() -> None:
    turns = Turns()
    log: list[str] = []
    await asyncio.gather(long(turns, log, "first"), long(turns, log, "second"), short(log))
    first, second = log.index("first"), log.index("second")
    assert first >= 3
    assert second - first > 3


async def test_a_long_step_that_is_given_up_lets_the_next_one_go_on() -> None:
    turns = Turns()
    given_up = asyncio.create_task(turns.take())
    waiting = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait_for(waiting, 5)
    assert given_up.cancelled()


async def test_steps_take_their_turns_in_the_order_in_which_they_asked() -> None:
    turns = Turns()
    log: list[str] = []
    await asyncio.gather(*(long(turns, log, name) for name in "abcde"))
    assert log == list("abcde")


async def test_what_is_nearly_done_goes_before_what_has_waited_for_longer() -> None:
    turns = Turns()
    log: list[str] = []

    waiting = [asyncio.create_task(long(turns, log, name)) for name in "ab"]
    await asyncio.sleep(0)
    await asyncio.gather(*waiting, urgent(turns, log))
    assert log == ["urgent", "a", "b"]


async def test_short_steps_go_between_what_is_nearly_done_and_the_next_long_step() -> None:
    turns = Turns()
    log: list[str] = []
    await asyncio.gather(long(turns, log, "long"), urgent(turns, log), short(log))
    first, second = log.index("urgent"), log.index("long")
    assert first >= 3
    assert second - first > 3


async def test_what_is_nearly_done_and_given_up_holds_nobody_up() -> None:
    turns = Turns()
    urgent = asyncio.create_task(turns.take_first())
    waiting = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    urgent.cancel()
    await asyncio.wait_for(waiting, 5)
    assert urgent.cancelled()
