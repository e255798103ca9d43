"""Injector: carries out the steps of a schedule, and counts what it did."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from streams.bench.faults.cluster import FaultyCluster
from streams.bench.faults.crew import Crew
from streams.bench.faults.schedule import Action, Fitness, Step

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.05
_FITNESS_SECONDS = 20.0


class Injector:
    """Does to a cluster and a crew what a schedule says."""

    def __init__(
        self,
        cluster: FaultyCluster,
        crew: Crew,
        topics: Mapping[str, str],
        *,
        is_ready: Callable[[int], bool],
        coordinator: Callable[[], int | None],
        leader_topic: str,
        chance: random.Random,
    ) -> None:
        """`topics`: names of the topics that steps speak of. `is_ready` tells whether the worker
        of that number serves, `coordinator` tells the broker that
        is meant by `coordinator`, `leader_topic` is whose leader is meant by `leader`.
        """
        self._cluster = cluster
        self._crew = crew
        self._topics = topics
        self._is_ready = is_ready
        self._coordinator = coordinator
        self._leader_topic = leader_topic
        self._chance = chance
        self._killed: int | None = None
        self._returning: threading.Thread | None = None
        self.done: Counter[Action] = Counter()
        self.unclean_stops = 0
        """Workers that did not end in order on SIGTERM, most likely for the faults around them."""

    def run(self, steps: Sequence[Step], until: Callable[[], bool]) -> None:
        """Carry out every step at its time, or as soon after as the system is fit for it: what
        follows a step that had to wait keeps its distance. Then wait until `until`.
        """
        begun = time.monotonic()
        for step in steps:
            while time.monotonic() - begun < step.at_seconds:
                self._idle()
            before = time.monotonic()
            self._await_fitness(step)
            log.info(
                "%.1f s (planned for %.1f): %s %s %s",
                time.monotonic() - begun,
                step.at_seconds,
                step.action,
                step.target,
                step.amount or "",
            )
            if self._DO[step.action](self, step):
                self.done[step.action] += 1
            begun += time.monotonic() - before
        while not until():
            self._idle()

    def _await_fitness(self, step: Step) -> None:
        deadline = time.monotonic() + _FITNESS_SECONDS
        while time.monotonic() < deadline and not self._is_fit(step):
            self._idle()

    def _is_fit(self, step: Step) -> bool:
        if step.on is Fitness.TARGET_READY:
            return self._is_ready(int(step.target))
        if step.on is Fitness.ALL_READY:
            return all(
                self._is_ready(number)
                for number, member in enumerate(self._crew.members)
                if member.wanted
            )
        return True

    def _idle(self) -> None:
        self._crew.revive()
        time.sleep(_TICK_SECONDS)

    def heal(self) -> None:
        """End every fault that is still there, and have the workers run that are meant to."""
        self._cluster.heal()
        for topic in self._topics.values():
            self._cluster.slow_down(topic, 0.0)
        self._cluster.accept_all()
        if self._killed is not None:
            self._bring_back()
        self._until_returned()
        self._cluster.wait_until_replicated()

    def _bring_back(self) -> None:
        """Restart the killed broker; traffic and other faults go on meanwhile."""
        assert self._killed is not None
        self._until_returned()
        self._returning = threading.Thread(target=self._cluster.restart, args=(self._killed,))
        self._returning.start()
        self._killed = None

    def _until_returned(self) -> None:
        if self._returning is not None:
            self._returning.join()
            self._returning = None

    # -- actions; each tells whether it was carried out

    def _kill_worker(self, step: Step) -> bool:
        return self._crew[int(step.target)].kill()

    def _stop_worker(self, step: Step) -> bool:
        member = self._crew[int(step.target)]
        if not member.process.alive():
            member.wanted = False
            return False
        if not member.stop():
            self.unclean_stops += 1
        return True

    def _start_worker(self, step: Step) -> bool:
        self._crew[int(step.target)].start(step.amount)
        return True

    def _kill_broker(self, step: Step) -> bool:
        self._until_returned()
        self._cluster.wait_until_replicated()
        if step.target == "leader":
            broker = self._cluster.leader_of(self._leader_topic)
        elif step.target == "coordinator":
            broker = self._coordinator() or 0
        else:
            broker = int(step.target)
        self._cluster.kill(broker)
        self._killed = broker
        return True

    def _restart_broker(self, _step: Step) -> bool:
        if self._killed is None:
            return False
        self._bring_back()
        return True

    def _cut(self, step: Step) -> bool:
        self._cluster.cut(self._cluster.links(int(step.target)))
        return True

    def _silence(self, step: Step) -> bool:
        self._cluster.silence(self._cluster.links(int(step.target)))
        return True

    def _delay(self, step: Step) -> bool:
        for link in self._cluster.links(int(step.target)):
            link.delay_seconds = step.amount
        return True

    def _heal(self, step: Step) -> bool:
        self._cluster.heal(self._cluster.links(int(step.target)))
        return True

    def _slow(self, step: Step) -> bool:
        self._cluster.slow_down(self._topics[step.target], step.amount)
        return True

    def _reject(self, step: Step) -> bool:
        self._cluster.reject_for_now(self._topics[step.target])
        return True

    def _refuse(self, step: Step) -> bool:
        self._cluster.reject_for_good(self._topics[step.target])
        return True

    def _allow(self, step: Step) -> bool:
        self._cluster.accept(self._topics[step.target])
        return True

    def _corrupt(self, step: Step) -> bool:
        return self._crew[int(step.target)].corrupt_state(self._chance) > 0

    def _wipe(self, step: Step) -> bool:
        self._crew[int(step.target)].wipe_state()
        return True

    def _fill_disk(self, step: Step) -> bool:
        return self._crew[int(step.target)].fill_disk()

    _DO: Mapping[Action, Callable[["Injector", Step], bool]] = {
        Action.KILL_WORKER: _kill_worker,
        Action.STOP_WORKER: _stop_worker,
        Action.START_WORKER: _start_worker,
        Action.START_WORKER_SKEWED: _start_worker,
        Action.KILL_BROKER: _kill_broker,
        Action.RESTART_BROKER: _restart_broker,
        Action.CUT: _cut,
        Action.SILENCE: _silence,
        Action.DELAY: _delay,
        Action.HEAL: _heal,
        Action.SLOW: _slow,
        Action.HASTEN: _slow,
        Action.REJECT: _reject,
        Action.REFUSE: _refuse,
        Action.ALLOW: _allow,
        Action.CORRUPT_STATE: _corrupt,
        Action.WIPE_STATE: _wipe,
        Action.FILL_DISK: _fill_disk,
    }
