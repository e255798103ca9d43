"""Stopwatch: the processor time of one thread by stage, each without what it has others do."""

import inspect
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator, Iterable
from functools import wraps
from typing import Any


class Stopwatch:
    """Times functions in the thread that made it; what runs in others is not its matter."""

    def __init__(self, clock: Callable[[], int] = time.thread_time_ns) -> None:
        """`clock`: nanoseconds."""
        self._clock = clock
        self._thread = threading.get_ident()
        self._stages: dict[str, int] = {}
        self._inner: list[int] = []
        """Of each timed function that runs now, the outermost first, what those within it took."""

    @property
    def seconds(self) -> dict[str, float]:
        """By stage, without what runs at the moment."""
        return {stage: nanoseconds / 1e9 for stage, nanoseconds in self._stages.items()}

    def watch(self, stage: str, owner: Any, names: Iterable[str]) -> None:
        """Have these functions of a class or a module timed from now on."""
        for name in names:
            setattr(owner, name, self.timed(stage, getattr(owner, name)))

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed. Of a coroutine its steps, without what it waits for."""
        self._stages.setdefault(stage, 0)
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def stepping(*args: Any, **named: Any) -> Any:
                if threading.get_ident() != self._thread:
                    return await function(*args, **named)
                return await self._steps(stage, function(*args, **named))

            return stepping

        @wraps(function)
        def running(*args: Any, **named: Any) -> Any:
            if threading.get_ident() != self._thread:
                return function(*args, **named)
            began = self._begin()
            try:
                return function(*args, **named)
            finally:
                self._end(stage, began)

        return running

    @types.coroutine
    def _steps(self, stage: str, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = coroutine.send
        given: Any = None
        while True:
            began = self._begin()
            try:
                awaited = step(given)
            except StopIteration as end:
                return end.value
            finally:
                self._end(stage, began)
            try:
                step, given = coroutine.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001  (the coroutine's to handle)
                step, given = coroutine.throw, error

    def _begin(self) -> int:
        self._inner.append(0)
        return self._clock()

    def _end(self, stage: str, began: int) -> None:
        taken = self._clock() - began
        self._stages[stage] += taken - self._inner.pop()
        if self._inner:
            self._inner[-1] += taken
