# SPDX-License-Identifier: Apache-2.0
import threading

import numpy as np
import pytest

from mien_server.diffusion.crowd import Member
from mien_server.diffusion.guidance import Guidance
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.sampling_loop import SamplingLoop
from mien_server.diffusion.schedule import linear_schedule
from mien_server.diffusion.solvers import ddim_steps

SCHEDULE = linear_schedule()
CONTEXT = np.zeros(4, np.float32)


class Job:
    def __init__(self, *steps, cancel_after=None):
        self.members = [
            Member(Sample(ddim_steps(SCHEDULE, n), Guidance(), 0, (3,)), CONTEXT, CONTEXT)
            for n in steps
        ]
        self.steps, self.error, self.done = [], None, threading.Event()
        self.has_left = False
        self.cancel_after = cancel_after
        self.left = len(steps)

    def is_cancelled(self):
        return self.cancel_after is not None and len(self.steps) >= self.cancel_after

    def moved(self, samples):
        self.steps += [(number, sample.steps_done) for number, sample in samples]
        self.left -= sum(not sample.steps_left for _, sample in samples)
        if not self.left:
            self.done.set()

    def cancelled(self):
        self.has_left = True

    def failed(self, error):
        self.error = error
        self.done.set()


class Network:
    """Counts its calls, and can be held."""

    def __init__(self):
        self.calls, self.may_run = [], threading.Event()
        self.may_run.set()
        self.called = threading.Semaphore(0)

    def __call__(self, step):
        self.calls.append({job for job, _ in step.members})
        self.called.release()
        assert self.may_run.wait(10)
        return 0.1 * step.z


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def loop(network):
    running = SamplingLoop(network, max_rows=16)
    running.start()
    yield running
    network.may_run.set()
    running.stop()


def test_every_step_of_every_sample_is_told_in_order(loop):
    job = Job(3, 2)

    loop.submit(job)

    assert job.done.wait(10)
    assert job.steps == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3)]


def test_a_newcomer_joins_at_the_next_step(loop, network):
    long, short = Job(30), Job(2)
    network.may_run.clear()
    loop.submit(long)
    assert network.called.acquire(timeout=10)

    loop.submit(short)
    network.may_run.set()

    assert short.done.wait(10)
    assert network.calls[0] == {long}
    assert network.calls[1] == network.calls[2] == {long, short}
    assert long.done.wait(10)


def test_a_cancelled_job_asks_for_no_further_step(loop, network):
    stays, goes = Job(20), Job(20, 20, cancel_after=6)

    loop.submit(goes)
    loop.submit(stays)

    assert stays.done.wait(10)
    assert len(goes.steps) == 6
    assert goes.has_left
    assert not stays.has_left
    assert not goes.done.is_set()
    assert sum(goes in jobs for jobs in network.calls) == 3


def test_a_failing_network_fails_those_who_asked_and_nobody_after_them():
    def network(step):
        if any(len(job.members) == 3 for job, _ in step.members):
            raise RuntimeError("out of order")
        return step.z

    loop = SamplingLoop(network, max_rows=16)
    bad, good = Job(2, 2, 2), Job(2)
    loop.submit(bad)
    loop.start()
    assert bad.done.wait(10)
    loop.submit(good)

    assert good.done.wait(10)
    assert str(bad.error) == "out of order"
    assert good.error is None
    loop.stop()


def test_a_job_that_cannot_take_its_step_fails_alone(loop):
    class Broken(Job):
        def moved(self, samples):
            raise RuntimeError("no room")

    broken, good = Broken(3), Job(5)
    loop.submit(broken)
    loop.submit(good)

    assert broken.done.wait(10)
    assert good.done.wait(10)
    assert str(broken.error) == "no room"
    assert good.error is None


@pytest.mark.parametrize("method", ["is_cancelled", "cancelled"])
def test_a_job_whose_stream_is_broken_fails_alone(loop, method):
    class Broken(Job):
        def failed(self, error):
            super().failed(error)
            raise ConnectionError("nobody can be told")

    def breaks():
        raise ConnectionError("the stream is broken")

    broken, good = Broken(3, cancel_after=1), Job(5)
    setattr(broken, method, breaks)
    loop.submit(broken)
    loop.submit(good)

    assert broken.done.wait(10)
    assert good.done.wait(10)
    assert str(broken.error) == "the stream is broken"
    assert good.error is None


def test_stopping_finishes_what_was_submitted(network):
    loop = SamplingLoop(network, max_rows=4)
    jobs = [Job(5, 5) for _ in range(4)]
    for job in jobs:
        loop.submit(job)
    loop.start()

    loop.stop()

    assert all(job.done.is_set() for job in jobs)


def test_an_idle_loop_does_not_turn(loop, network):
    job = Job(1)
    loop.submit(job)
    assert job.done.wait(10)

    assert len(network.calls) == 1
