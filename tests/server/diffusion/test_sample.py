# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.diffusion.guidance import BlendingOrder, Guidance
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.schedule import linear_schedule
from mien_server.diffusion.solvers import ddim_steps, dpm_solver_steps

SCHEDULE = linear_schedule()
SHAPE = (3, 4, 4)
BOTH, WITHOUT_STYLE, WITHOUT_IDENTITY = (True, True), (True, False), (False, True)


def test_the_noisy_half_strengthens_style_and_the_clean_half_identity():
    guidance = Guidance(weight=0.5, switch_at=500)

    assert guidance.rows(501) == (BOTH, WITHOUT_STYLE)
    assert guidance.rows(500) == (BOTH, WITHOUT_IDENTITY)
    assert guidance.rows(0) == (BOTH, WITHOUT_IDENTITY)


def test_the_order_can_be_turned_round():
    guidance = Guidance(order=BlendingOrder.IDENTITY_FIRST)

    assert guidance.rows(501) == (BOTH, WITHOUT_IDENTITY)
    assert guidance.rows(500) == (BOTH, WITHOUT_STYLE)


def test_no_weight_asks_for_one_row():
    guidance = Guidance(weight=0.0)

    assert guidance.rows(700) == (BOTH,)
    np.testing.assert_array_equal(guidance.blend(np.full((1, 2), 3, np.float32)), [3, 3])


def test_blending_is_equation_10():
    eps = np.array([[1.0, 2.0], [0.5, -1.0]], np.float32)

    found = Guidance(weight=0.25).blend(eps)

    np.testing.assert_allclose(found, 1.25 * eps[0] - 0.25 * eps[1], rtol=1e-6)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ValueError, match="guidance weight"):
        Guidance(weight=weight)


def network(z, t, keep):
    """Any function of its own row."""
    keep_id, keep_style = keep
    return np.tanh(z * (1 + t / 1000) + 0.3 * keep_id - 0.2 * keep_style).astype(np.float32)


def step_together(samples):
    questions = [sample.question() for sample in samples]
    rows = [(q.z, q.t, keep) for q in questions for keep in q.keep]
    answers = iter([network(*row) for row in rows])
    for sample, q in zip(samples, questions, strict=True):
        sample.take(np.stack([next(answers) for _ in q.keep]))


def make(kind):
    return [
        lambda: Sample(ddim_steps(SCHEDULE, 12), Guidance(), 1, SHAPE),
        lambda: Sample(ddim_steps(SCHEDULE, 7, eta=0.8), Guidance(weight=0.0), 2, SHAPE),
        lambda: Sample(
            dpm_solver_steps(SCHEDULE, 9), Guidance(weight=2.0, switch_at=200), 1, SHAPE
        ),
        lambda: Sample(dpm_solver_steps(SCHEDULE, 3), Guidance(), 2**64 - 1, SHAPE),
    ][kind]()


def alone(kind):
    sample = make(kind)
    while sample.steps_left:
        step_together([sample])
    return sample.latent


@pytest.mark.parametrize("arrival", [1, 2, 3])
def test_a_sample_does_not_know_its_company(arrival):
    """Samples of all kinds join and leave at step boundaries, as the seed has it."""
    rng = np.random.default_rng(arrival)
    waiting = [int(kind) for kind in rng.integers(0, 4, 20)]
    running, finished = [], []
    while waiting or running:
        for _ in range(int(rng.integers(0, 4))):
            if waiting:
                kind = waiting.pop()
                running.append((kind, make(kind)))
        if running:
            step_together([sample for _, sample in running])
        finished += [pair for pair in running if not pair[1].steps_left]
        running = [pair for pair in running if pair[1].steps_left]

    assert len(finished) == 20
    for kind, sample in finished:
        assert sample.latent.tobytes() == alone(kind).tobytes()


def test_a_sample_starts_from_its_seed_and_counts_its_steps():
    one, same, other = (
        Sample(ddim_steps(SCHEDULE, 5), Guidance(), seed, SHAPE) for seed in (4, 4, 5)
    )

    assert one.latent.tobytes() == same.latent.tobytes()
    assert np.abs(one.latent - other.latent).max() > 0.5
    assert (one.steps_done, one.steps_left) == (0, 5)
    step_together([one])
    assert (one.steps_done, one.steps_left) == (1, 4)
    assert one.latent.dtype == one.x0.dtype == np.float32


def test_a_finished_sample_has_no_question():
    sample = Sample(dpm_solver_steps(SCHEDULE, 1), Guidance(), 0, SHAPE)
    step_together([sample])

    with pytest.raises(IndexError):
        sample.question()
