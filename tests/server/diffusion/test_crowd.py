# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.diffusion.crowd import Crowd, Member
from mien_server.diffusion.guidance import Guidance
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.schedule import linear_schedule
from mien_server.diffusion.solvers import ddim_steps

SCHEDULE = linear_schedule()
SHAPE = (2, 3)


def member(steps=5, seed=0, weight=0.5):
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(2, 4)).astype(np.float32)
    return Member(Sample(ddim_steps(SCHEDULE, steps), Guidance(weight), seed, SHAPE), *contexts)


def network(step):
    """Any function that looks at nothing but its own row."""
    pushed = step.identity * step.keep_identity - step.style * step.keep_style
    return np.tanh(step.z + step.t[:, None, None] / 1000 + pushed[:, :1, None])


def move(crowd):
    step = crowd.next_step()
    assert len(step.z) == sum(step.rows_of)
    return crowd.take(step, network(step))


def test_everybody_who_fits_is_in_a_step():
    crowd = Crowd(max_rows=16)
    crowd.join("a", [member(seed=1), member(seed=2)])
    crowd.join("b", [member(seed=3, weight=0.0)])

    step = crowd.next_step()

    assert set(step.members) == {("a", 0), ("a", 1), ("b", 0)}
    assert len(step.z) == 5
    assert step.keep_identity.shape == step.keep_style.shape == (5, 1)
    assert step.keep_identity.sum() + step.keep_style.sum() == 8  # each guided one lacks one


def test_a_step_never_has_more_rows_than_allowed():
    crowd = Crowd(max_rows=5)
    for job in range(6):
        crowd.join(job, [member(seed=job) for _ in range(3)])

    while len(crowd):
        assert len(crowd.next_step().z) <= 5
        move(crowd)


def test_a_newcomer_is_in_the_very_next_step():
    crowd = Crowd(max_rows=4)
    crowd.join("long", [member(steps=50, seed=s) for s in range(40)])
    for _ in range(25):
        move(crowd)

    crowd.join("short", [member(steps=3, seed=9)])

    moved = [move(crowd) for _ in range(3)]
    assert all("short" in {job for job, _, _ in step} for step in moved)
    assert [s.steps_left for step in moved for job, _, s in step if job == "short"][-1] == 0


def test_jobs_are_served_alike_however_many_samples_they_have():
    crowd = Crowd(max_rows=8)
    crowd.join("many", [member(steps=100, seed=s) for s in range(30)])
    crowd.join("few", [member(steps=100, seed=s) for s in range(4)])
    served = {"many": 0, "few": 0}
    for _ in range(60):
        for job, _, _ in move(crowd):
            served[job] += 1

    assert abs(served["many"] - served["few"]) <= 2


def test_a_newcomer_does_not_claim_what_it_missed():
    """Nor is whoever has been there long served twice as much."""
    crowd = Crowd(max_rows=4)
    crowd.join("old", [member(steps=200, seed=s) for s in range(4)])
    for _ in range(50):
        move(crowd)
    crowd.join("new", [member(steps=200, seed=s) for s in range(4)])
    served = {"old": 0, "new": 0}
    for _ in range(20):
        for job, _, _ in move(crowd):
            served[job] += 1

    assert abs(served["old"] - served["new"]) <= 2


def test_what_fits_is_taken_where_the_next_in_turn_does_not_fit():
    crowd = Crowd(max_rows=3)
    crowd.join("a", [member(seed=1)])
    crowd.join("b", [member(seed=2)])
    crowd.join("c", [member(seed=3, weight=0.0)])

    assert set(crowd.next_step().members) == {("a", 0), ("c", 0)}


def test_leaving_frees_the_place_at_once():
    crowd = Crowd(max_rows=4)
    crowd.join("a", [member(seed=1), member(seed=2)])
    crowd.join("b", [member(seed=3)])
    asked = crowd.next_step()

    crowd.leave("a")
    moved = crowd.take(asked, network(asked))

    assert [job for job, _, _ in moved] == ["b"] * len(moved)
    assert len(crowd) == 1
    crowd.leave("a")


def test_the_finished_are_told_once_and_gone():
    crowd = Crowd(max_rows=4)
    crowd.join("a", [member(steps=1, seed=1), member(steps=2, seed=2)])

    moved = [[(n, s.steps_left) for _, n, s in move(crowd)] for _ in range(2)]

    assert moved == [[(0, 0), (1, 1)], [(1, 0)]]
    assert crowd.next_step() is None
    crowd.join("a", [member(seed=5)])  # the name is free again
    assert len(crowd) == 1


def test_the_same_job_cannot_join_twice():
    crowd = Crowd(max_rows=4)
    crowd.join("a", [member()])

    with pytest.raises(ValueError, match="joined already"):
        crowd.join("a", [member()])


def test_a_step_too_small_for_guidance_is_refused():
    with pytest.raises(ValueError, match="needs 2"):
        Crowd(max_rows=1)


def alone(**what):
    crowd = Crowd(max_rows=2)
    it = member(**what)
    crowd.join(0, [it])
    while len(crowd):
        move(crowd)
    return it.sample.latent.tobytes()


@pytest.mark.parametrize("seed", range(5))
def test_results_do_not_depend_on_the_crowd(seed):
    rng = np.random.default_rng(seed)
    kinds = [
        {"steps": int(rng.integers(1, 9)), "seed": n, "weight": float(rng.choice([0, 0.5, 2]))}
        for n in range(15)
    ]
    crowd, members, waiting = Crowd(max_rows=int(rng.integers(2, 9))), {}, list(range(15))
    while waiting or len(crowd):
        if waiting and rng.random() < 0.5:
            job = waiting.pop()
            members[job] = member(**kinds[job])
            crowd.join(job, [members[job]])
        if len(crowd):
            move(crowd)

    for job, kind in enumerate(kinds):
        assert members[job].sample.latent.tobytes() == alone(**kind)
