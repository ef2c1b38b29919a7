# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from mien_export.networks.hair_vae import HairVae
from mien_export.networks.hair_vae_config import HAIR_VAE_STARTER, HairVaeConfig
from mien_export.networks.hair_vae_decoder import Decoded
from mien_export.networks.hair_vae_strands import LatentOfMap, StrandsOfLatent, features_of
from mien_export.registry import SPECS
from mien_server.hair.orientation import decoded_map, encoded_map
from mien_starter.errors import StarterError
from mien_starter.evaluation.examples import example_inputs
from mien_starter.evaluation.held_out import facts_about, held_out
from mien_starter.evaluation.measures import measure_of
from mien_starter.evaluation.strands import MeanStyle, measure_strands
from mien_starter.groom_making import GroomPlan, write_grooms
from mien_starter.grooms import Grooms
from mien_starter.recipes import network_of
from mien_starter.recipes.hair_vae import (
    HairVaeTask,
    as_if_found,
    make_task,
    mirrored_map,
    mirrored_steps,
    network_states,
)
from mien_starter.training.recipe import Recipe
from mien_starter.training.strand_losses import StrandTruth, StrandWeights, strand_losses
from tests.starter.planted_wigs import ROOTS, PlantedWigs, length_of, tilt_of

TINY = HairVaeConfig(
    widths=(8, 8, 8, 16, 16),
    blocks=(1, 1, 1, 1),
    squeezed=4,
    latent=8,
    rises=(8, 8, 8, 8),
    strand_width=2,
    step_points=3,
)
RECIPE = Recipe(steps=10, batch=4, learning_rate=3e-3, seed=8)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def grooms(tmp_path_factory):
    directory = tmp_path_factory.mktemp("grooms")
    write_grooms(GroomPlan("train", styles=12, views=2), directory, PlantedWigs)
    return Grooms([directory])


def truth_of(grooms, indices):
    found = [(grooms.groom(i), grooms.seen(i)) for i in indices]
    steps, grows, seen = (
        torch.from_numpy(np.stack(arrays))
        for arrays in zip(*((g.steps, g.grows, s) for g, s in found), strict=True)
    )
    return StrandTruth(steps, grows, seen)


def losses_of(steps, truth, grows=None, weights=None):
    """With a latent that costs nothing."""
    sure = torch.where(truth.grows, 50.0, -50.0) if grows is None else grows
    nothing = torch.zeros(len(steps), 4)
    return strand_losses(Decoded(steps, sure), nothing, nothing, truth, weights or StrandWeights())


def test_the_truth_costs_nothing(grooms):
    truth = truth_of(grooms, [0, 5])
    losses = losses_of(truth.steps, truth)

    assert losses["loss"] < 1e-3
    assert losses["position_mm"] < 2e-3
    assert losses["direction_deg"] < 0.2  # acos near 1


def test_a_longer_strand_is_off_in_places_and_not_in_directions(grooms):
    truth = truth_of(grooms, [0])
    steps = truth.steps.clone()
    steps[:, :3] *= 1.5
    losses = losses_of(steps, truth)
    # Places are off by half of the way from the root: a quarter of the length, on average.
    share = np.arange(1, 34).mean() / 33

    assert losses["position_mm"] == pytest.approx(500 * length_of(0) * share, rel=2e-3)
    assert losses["direction"] < 1e-4


def test_what_is_seen_counts_ten_times_as_much(grooms):
    truth = truth_of(grooms, [0])
    shift = torch.zeros_like(truth.steps)
    shift[:, 0, 0] = 0.01  # the first step, and with it all that follows
    seen, hidden = truth.seen[:, None].float(), (~truth.seen)[:, None].float()
    losses = [losses_of(truth.steps + shift * where, truth) for where in (seen, hidden)]
    counts = [(where[:, 0] * truth.grows[:, None]).sum() for where in (seen, hidden)]

    ratio = losses[0]["position"] / losses[1]["position"]
    assert ratio == pytest.approx(10 * float(counts[0] / counts[1]), rel=1e-3)
    everywhere = losses_of(truth.steps + shift, truth)
    assert everywhere["position"] == pytest.approx(0.01 / StrandWeights().position_unit_m, rel=1e-3)


def test_cells_without_a_strand_count_only_for_there_being_none(grooms):
    truth = truth_of(grooms, [0])
    steps = truth.steps.clone()
    steps[:, :, :, ~truth.grows[0]] = 7.0
    losses = losses_of(steps, truth)
    wrong = losses_of(steps, truth, grows=torch.full_like(truth.steps[:, 0, 0], 50.0))

    assert losses["loss"] < 1e-3
    assert wrong["growth"] == pytest.approx(50 * float((~truth.grows).float().mean()), rel=1e-3)


def test_the_latent_costs_what_it_tells_beyond_a_normal_one(grooms):
    truth = truth_of(grooms, [0])
    mean, log_variance = torch.full((1, 4), 2.0), torch.full((1, 4), -1.0)
    decoded = Decoded(truth.steps, torch.where(truth.grows, 50.0, -50.0))
    losses = strand_losses(decoded, mean, log_variance, truth, StrandWeights())
    one = torch.distributions.Normal(2.0, np.exp(-0.5))
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0))

    assert losses["kl"] == pytest.approx(float(expected), rel=1e-5)


def test_mirroring_twice_changes_nothing_and_once_turns_left_to_right(grooms):
    angles = np.full((256, 256), np.deg2rad(70.0))
    hair = np.zeros((256, 256), bool)
    hair[50:100, 20:90] = True
    map_rgb = encoded_map(angles, hair, ~hair)
    turned, shown, _ = decoded_map(mirrored_map(map_rgb))

    np.testing.assert_array_equal(shown, hair[:, ::-1])
    np.testing.assert_allclose(np.rad2deg(turned[shown]), 110, atol=0.5)
    twice = mirrored_map(mirrored_map(map_rgb)).astype(int)
    assert np.abs(twice - map_rgb).max() <= 1
    steps = grooms.groom(4).steps
    np.testing.assert_array_equal(mirrored_steps(mirrored_steps(steps)), steps)
    np.testing.assert_array_equal(mirrored_steps(steps)[0, :, 3, 5], -steps[0, :, 3, 26])
    np.testing.assert_array_equal(mirrored_steps(steps)[1:, :, 3, 5], steps[1:, :, 3, 26])


def test_errors_of_finding_are_small_and_turn_what_they_turn():
    """A disc of hair around the middle, radiating: turning it changes neither place nor colour."""
    rows, columns = np.mgrid[:256, :256] - 127.5
    hair = np.hypot(rows, columns) < 80
    angles = np.arctan2(-rows, columns)
    map_rgb = encoded_map(angles, hair, ~hair)
    off, moved = [], []
    for seed in range(20):
        found, shown, body = decoded_map(as_if_found(map_rgb, np.random.default_rng(seed)))
        both = hair & shown
        apart = np.abs(found - angles)[both] % np.pi
        off.append(np.rad2deg(np.minimum(apart, np.pi - apart)).mean())
        moved.append((hair ^ shown).sum() / hair.sum())
        assert not (body & shown).any()

    assert 1 < np.mean(off) < 12
    assert 0.01 < np.mean(moved) < 0.25


def test_an_untrained_network_gives_the_mean_style_on_the_roots(grooms):
    task = HairVaeTask(RECIPE, TINY, grooms)
    with torch.no_grad():
        for part in task.network.decoder.block[-1].parameters():
            part.zero_()
    task.network.eval()
    maps = torch.from_numpy(grooms.map_rgb(0)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        strands = served(task.network, maps)[0].numpy()
    there = strands.any(axis=(2, 3))
    # Every style and its mirror image: tilts cancel, lengths do not.
    down = np.mean([np.cos(tilt_of(n)) * length_of(n) for n in range(12)]) / np.sqrt(1.04)

    assert there[2:-2, 2:-2].all()
    np.testing.assert_allclose(strands[there][:, 0, :3], ROOTS[there], atol=1e-6)
    tips = (strands[there][:, -1] - strands[there][:, 0])[:, :3]
    assert np.abs(tips[:, 0]).max() < 0.02  # some cells are bare in some styles
    assert np.median(tips[:, 1]) == pytest.approx(-down, rel=0.1)


def test_a_batch_is_always_the_same_one_and_a_task_learns_it(grooms):
    torch.manual_seed(0)
    task = HairVaeTask(RECIPE, TINY, grooms)
    arrays = task.batch(0)
    for name, again in task.batch(0).items():
        np.testing.assert_array_equal(arrays[name], again)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    optimizer = torch.optim.AdamW(task.trained.parameters(), lr=1e-2)
    rows = []
    for step in range(12):
        losses = task.losses(batch, step)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        rows.append({name: value.item() for name, value in losses.items()})

    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[-1]["direction"] < 0.8 * rows[0]["direction"]
    assert arrays["maps"].shape == (4, 256, 256, 3)


def test_features_of_the_map_reach_the_network_that_is_served(grooms):
    """What the task trains is what the graph computes, but for the noise of the latent."""
    task = HairVaeTask(RECIPE, TINY, grooms)
    network = task.network.eval()
    maps = torch.from_numpy(grooms.map_rgb(3)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        decoded = network(features_of(maps))
        strands = served(network, maps)[0]
    places = decoded.steps[0, :3].cumsum(dim=1).permute(2, 3, 1, 0)
    places = places + network.decoder.roots.reshape(32, 32, 1, 3)

    there = decoded.grows[0] > 0
    assert there.any()
    torch.testing.assert_close(strands[there][:, 3::3, :3], places[there], rtol=0, atol=1e-5)


def served(network, maps):
    """(B, 32, 32, 100, 4) by way of the two graphs."""
    return StrandsOfLatent(network.decoder)(LatentOfMap(network.encoder)(maps))


def exact(grooms):
    """A network that knows the style of every view, in order."""
    wigs, asked = PlantedWigs(), iter(range(len(grooms)))

    def predict(maps):
        numbers = [grooms.numbers[next(asked) // grooms.views] for _ in maps]
        return (np.stack([wigs.groom(int(number)) for number in numbers]),)

    return predict


def test_the_truth_has_no_errors(grooms):
    figures = measure_strands(exact(grooms), grooms)

    assert figures["position_mm"] < 0.05
    assert figures["direction_deg"] < 0.2
    assert figures["length_mm"] < 0.05
    assert figures["hair_iou"] == 1
    assert figures["position_share"] < 0.01


def test_the_mean_style_is_measured_against_itself(grooms):
    mean = MeanStyle(grooms)
    offsets = np.concatenate([np.zeros((3, 1, 32, 32)), mean.steps[:3].cumsum(axis=1)], axis=1)
    strands = np.zeros((1, 32, 32, 100, 4), np.float32)
    strands[0, :, :, ::3, :3] = offsets.transpose(2, 3, 1, 0) + ROOTS[:, :, None]
    figures = measure_strands(lambda maps: (np.repeat(strands, len(maps), axis=0),), grooms)

    assert figures["position_share"] == pytest.approx(1, abs=1e-3)
    assert figures["direction_share"] == pytest.approx(1, abs=1e-2)
    assert figures["position_mm_of_mean_style"] > 10


def test_curls_are_no_part_of_the_course(grooms):
    """Strands that zigzag about the truth: five steps together are nearly those of the truth."""
    wigs, asked = PlantedWigs(), iter(range(len(grooms)))
    points = np.arange(100)[:, None] // 3 % 2 * np.array([0, 0, 0.01])

    def zigzag(maps):
        numbers = [grooms.numbers[next(asked) // grooms.views] for _ in maps]
        strands = np.stack([wigs.groom(int(number)) for number in numbers])
        strands[..., :3] += points * strands.any(axis=(3, 4))[..., None, None]
        return (strands,)

    figures = measure_strands(zigzag, grooms)

    assert figures["direction_deg"] > 60
    assert figures["course_deg"] < 0.5 * figures["direction_deg"]
    assert figures["course_share"] == figures["course_deg"] / figures["course_deg_of_mean_style"]


def test_strands_that_are_not_found_cost_their_whole_way(grooms):
    figures = measure_strands(
        lambda maps: (np.zeros((len(maps), 32, 32, 100, 4), np.float32),), grooms
    )
    share = np.arange(1, 34).mean() / 33
    mean = 1000 * np.mean([length_of(number) for number in range(12)]) * share

    assert figures["hair_iou"] == 0
    assert figures["direction_deg"] == pytest.approx(90)
    assert figures["position_mm"] == pytest.approx(mean, rel=0.01)


def test_held_out_styles_cannot_be_trained_on(tmp_path):
    write_grooms(GroomPlan("held_out", styles=1, views=1), tmp_path, PlantedWigs)

    with pytest.raises(StarterError, match="held_out; expected train"):
        make_task(RECIPE, [tmp_path], tmp_path)


def test_evaluate_and_export_look_at_grooms(grooms, tmp_path):
    write_grooms(GroomPlan("held_out", styles=3, views=2), tmp_path, PlantedWigs)
    found = held_out("hair_vae", [tmp_path], 5)
    states = network_states(HairVae(HAIR_VAE_STARTER).state_dict())
    inputs = example_inputs("hair_vae", states, found)
    know = exact(found)
    halves = {"hair_vae_encoder": lambda maps: (maps,), "hair_vae_decoder": know}
    figures = measure_of("hair_vae", found, tmp_path)(halves)

    assert facts_about(found) == {
        "photographs": 5,
        "splits": ["held_out"],
        "measured_on": "5 views of 3 hairstyles of the split held_out",
    }
    np.testing.assert_array_equal(inputs["hair_vae_encoder"][0][4], found.map_rgb(4))
    assert inputs["hair_vae_decoder"][0].shape == (5, 512)
    assert np.ptp(inputs["hair_vae_decoder"][0], axis=0).max() > 0
    assert figures["hair_iou"] == 1


def test_both_halves_and_nothing_else_are_kept():
    network = HairVae(TINY)
    states = network_states(network.state_dict())

    assert states["hair_vae_encoder"].keys() == network.encoder.state_dict().keys()
    assert states["hair_vae_decoder"].keys() == network.decoder.state_dict().keys()


def test_the_recipe_trains_the_network_it_says():
    for graph in ("hair_vae_encoder", "hair_vae_decoder", "hair_segmenter"):
        assert network_of(graph) in SPECS[graph].networks
