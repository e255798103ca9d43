"""Turns: long steps come one at a time, in order, and short steps go between them."""

import asyncio

from streams.turns import Turns


async def test_between_two_long_steps_a_chain_of_short_ones_gets_on() -> None:
    turns = Turns()
    log: list[str] = []

    async def long(name: str) -> None:
        await turns.take()
        log.append(name)

    async def short() -> None:
        for step in range(3):
            await asyncio.sleep(0)
            log.append(f"short {step}")

    await asyncio.gather(long("first"), long("second"), short())
    assert log == ["short 0", "short 1", "short 2", "first", "second"]


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
    order: list[int] = []

    async def step(number: int) -> None:
        await turns.take()
        order.append(number)

    await asyncio.gather(*(step(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
