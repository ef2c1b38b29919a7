# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mien_server.diffusion.guidance import Guidance
from mien_server.diffusion.sample import Sample
from mien_server.diffusion.schedule import NoiseSchedule, linear_schedule
from mien_server.diffusion.solvers import DdimVariant, ddim_steps, dpm_solver_steps

SCHEDULE = linear_schedule()
UNGUIDED = Guidance(weight=0.0)
# Images of one pixel, normally distributed: the best prediction and its flow are known exactly.
MEAN, DEVIATION = 0.7, 0.3


def best_eps(z, t):
    alpha_bar = SCHEDULE.alpha_bar[t]
    variance = alpha_bar * DEVIATION**2 + 1 - alpha_bar
    return np.sqrt(1 - alpha_bar) * (z - np.sqrt(alpha_bar) * MEAN) / variance


def end_of_the_flow(z, t):
    """Where the probability flow takes z: its place among all z of a timestep never changes."""
    alpha_bar = SCHEDULE.alpha_bar[t]
    deviation = np.sqrt(alpha_bar * DEVIATION**2 + 1 - alpha_bar)
    return MEAN + DEVIATION * (z - np.sqrt(alpha_bar) * MEAN) / deviation


def sampled(steps, seed=0, shape=(1000,)):
    sample = Sample(steps, UNGUIDED, seed, shape)
    start = sample.latent.astype(np.float64)
    while sample.steps_left:
        question = sample.question()
        sample.take(best_eps(question.z.astype(np.float64), question.t)[None])
    return start, sample.latent


def error_of(steps):
    start, end = sampled(steps)
    return np.abs(end - end_of_the_flow(start, int(steps.t[0]))).mean()


def test_the_schedule_is_the_one_of_the_published_code():
    betas = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(SCHEDULE.alpha_bar, np.cumprod(1 - betas), rtol=1e-12)
    short = linear_schedule(250)
    np.testing.assert_allclose(
        short.alpha_bar, np.cumprod(1 - np.linspace(4e-4, 0.08, 250)), rtol=1e-12
    )


@pytest.mark.parametrize("values", [[0.5], [0.9, 0.9], [0.5, 0.6], [1.0, 0.5], [0.5, 0.0]])
def test_a_schedule_that_does_not_fall_is_refused(values):
    with pytest.raises(ValueError, match="must fall strictly"):
        NoiseSchedule(np.array(values))


def test_ddim_asks_at_the_published_timesteps():
    assert ddim_steps(SCHEDULE, 50).t.tolist() == list(range(980, -1, -20))
    assert ddim_steps(SCHEDULE, 1000).t.tolist() == list(range(999, -1, -1))


def test_ddim_comes_nearer_to_the_flow_in_proportion_to_its_steps():
    errors = [error_of(ddim_steps(SCHEDULE, steps)) for steps in (25, 50, 100)]

    assert 1.6 < errors[0] / errors[1] < 2.6
    assert 1.6 < errors[1] / errors[2] < 2.6
    assert errors[2] < 0.02


def test_dpm_solver_needs_far_fewer_steps():
    ten, twenty = (error_of(dpm_solver_steps(SCHEDULE, steps)) for steps in (10, 20))

    assert max(ten, twenty) < 0.2 * error_of(ddim_steps(SCHEDULE, 50))


def test_dpm_solver_is_of_second_order():
    """A step from one latent to the next, without the last one to the clean image."""
    errors = []
    for steps in (32, 64, 128):
        table = dpm_solver_steps(SCHEDULE, steps)
        sample = Sample(table, UNGUIDED, 0, (1000,))
        start = sample.latent.astype(np.float64)
        while sample.steps_left > 1:
            question = sample.question()
            sample.take(best_eps(question.z.astype(np.float64), question.t)[None])
        now = sample.question()
        place = [
            (z - np.sqrt(SCHEDULE.alpha_bar[t]) * MEAN)
            / np.sqrt(SCHEDULE.alpha_bar[t] * DEVIATION**2 + 1 - SCHEDULE.alpha_bar[t])
            for z, t in ((start, int(table.t[0])), (now.z, now.t))
        ]
        errors.append(np.abs(place[0] - place[1]).mean())

    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3


@pytest.mark.parametrize("steps", [1, 2, 3, 20, 400, 999, 1000])
def test_dpm_solver_asks_at_different_timesteps_however_many(steps):
    t = dpm_solver_steps(SCHEDULE, steps).t

    assert len(t) == steps
    assert (np.diff(t) < 0).all()
    assert t[0] == 999
    assert t[-1] >= 0


def test_the_samples_have_the_distribution_of_the_images():
    for steps in (ddim_steps(SCHEDULE, 1000, eta=1.0), dpm_solver_steps(SCHEDULE, 20)):
        _, end = sampled(steps, shape=(20_000,))
        assert end.mean() == pytest.approx(MEAN, abs=0.01)
        assert end.std() == pytest.approx(DEVIATION, abs=0.01)


def test_one_step_of_any_solver_is_its_prediction():
    for steps in (ddim_steps(SCHEDULE, 1), dpm_solver_steps(SCHEDULE, 1)):
        sample = Sample(steps, UNGUIDED, 3, (5,))
        sample.take(np.full((1, 5), 0.25))
        np.testing.assert_allclose(sample.latent, sample.x0, rtol=1e-6)


def test_ddim_with_eta_one_is_ancestral_sampling():
    steps = ddim_steps(SCHEDULE, 1000, eta=1.0)
    alpha_bar = SCHEDULE.alpha_bar
    before = np.append(1.0, alpha_bar[:-1])
    beta = 1 - alpha_bar / before
    alpha = 1 - beta

    t = steps.t
    posterior = np.sqrt((1 - before) / (1 - alpha_bar) * beta)
    np.testing.assert_allclose(steps.keep_noise, posterior[t], rtol=1e-9, atol=1e-12)
    # Ho et al. 2020, algorithm 2, line 4.
    np.testing.assert_allclose(steps.keep_z, 1 / np.sqrt(alpha[t]), rtol=1e-9)
    expected = -beta[t] / np.sqrt(alpha[t] * (1 - alpha_bar[t]))
    np.testing.assert_allclose(steps.keep_eps, expected, rtol=1e-6)


def test_the_uiface_variant_is_the_loop_with_the_array_shifted_twice():
    """Written as that loop is: alpha_bar of the step before, looked up at the step before."""
    shifted = np.append(1.0, SCHEDULE.alpha_bar[:-1])
    z = expected = np.random.default_rng(0).normal(size=50)
    for t in range(980, -1, -20):
        now = SCHEDULE.alpha_bar[t]
        end = shifted[t - 20] if t - 20 >= 0 else 1.0
        eps = best_eps(expected, t)
        x0 = (expected - np.sqrt(1 - now) * eps) / np.sqrt(now)
        expected = np.sqrt(end) * x0 + np.sqrt(1 - end) * eps

    steps = ddim_steps(SCHEDULE, 50, variant=DdimVariant.UIFACE)
    for k in range(50):
        z = steps.keep_z[k] * z + steps.keep_eps[k] * best_eps(z, int(steps.t[k]))

    np.testing.assert_allclose(z, expected, rtol=1e-9)
    standard = ddim_steps(SCHEDULE, 50)
    assert np.abs(standard.keep_eps - steps.keep_eps).max() > 1e-4


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_numbers_of_steps_are_refused(steps):
    for make in (ddim_steps, dpm_solver_steps):
        with pytest.raises(ValueError, match=f"steps is {steps}; expected 1 to 1000"):
            make(SCHEDULE, steps)


def test_eta_beyond_ancestral_sampling_is_refused():
    with pytest.raises(ValueError, match=r"eta is 1\.5"):
        ddim_steps(SCHEDULE, 10, eta=1.5)
