# SPDX-License-Identifier: Apache-2.0
"""The emotion network: what people who each have their own way do on average.

The loss is the thesis's equation (6): mean absolute errors of expression, of one joint weighted by
alpha and of the other by beta. The thesis calls its joints neck and global pose; ours are DECA's,
jaw and global pose: alpha weighs the jaw, beta the global pose.

Absolute errors lead to a median, and the median of people of whom half open their mouth is neither.
A sample is therefore what `TOGETHER` people do on average at the same intensities; the median of
such means is nearly the mean of all. How somebody shows an emotion depends on the head through sex
and age alone, so each time other people's ways are put on it: a network could learn the ways of
20,000 heads by heart.

Both variants learn side by side from the same samples, 6 -> 56 and 56 -> 56, so that they can be
compared; the latter is what is exported.

Letters  N people, B batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mien_export.networks.emotion_mlp import (
    EMOTION_MLP,
    EMOTION_MLP_SHAPE,
    NUM_EMOTION_EXPRESSION,
    EmotionMlp,
    EmotionsFromNeutral,
)
from mien_starter.emotions.faces import actions_shown, codes_of_actions, draw_intensities
from mien_starter.emotions.people import People, draw_people
from mien_starter.splits import identities
from mien_starter.training.batches import indices_of_step, rng_of_step
from mien_starter.training.recipe import Arrays, Recipe, Task, Tensors
from mien_starter.world.assets import Assets, default_assets

GRAPHS = {"emotion_mlp": "mlp_shape"}
RECIPE = Recipe(
    steps=6000,
    batch=512,
    learning_rate=3e-3,
    seed=7,
    warmup_steps=200,
    weight_decay=1e-4,
    ema_decay=0.999,
    log_every=100,
    checkpoint_every=1000,
)
PEOPLE, TOGETHER = 20_000, 8

# A thousandth of a radian of the jaw moves the chin by 0.1 mm, as does a twentieth of a unit of the
# first coefficient of expression.
ALPHA = BETA = 10.0
# Deviation of what is added to true shapes: serving knows fitted ones.
SHAPE_NOISE = 0.3
_GLOBAL = slice(NUM_EMOTION_EXPRESSION, NUM_EMOTION_EXPRESSION + 3)
_JAW = slice(NUM_EMOTION_EXPRESSION + 3, NUM_EMOTION_EXPRESSION + 6)
# Pose values that no emotion has: a head that does not turn, a jaw that only opens.
_STILL = slice(NUM_EMOTION_EXPRESSION, NUM_EMOTION_EXPRESSION + 3), slice(_JAW.start + 1, _JAW.stop)


class EmotionNetworks(nn.Module):
    """Both variants; pose values that are always 0 begin at 0, and absolute errors leave them."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.shaped = EmotionMlp(EMOTION_MLP), EmotionMlp(EMOTION_MLP_SHAPE)
        with torch.no_grad():
            for network in (self.plain, self.shaped):
                last = dict(network.layers[-1].named_parameters())
                for rows in _STILL:
                    last["weight"][rows] = 0.0
                    last["bias"][rows] = 0.0


class EmotionTask:
    """People, what they do, two networks.

    Args:
        recipe: its numbers.
        networks: both learn.
        people: N of the split "train".
        assets: the head that the codes belong to.
    """

    def __init__(
        self, recipe: Recipe, networks: EmotionNetworks, people: People, assets: Assets
    ) -> None:
        self.recipe = recipe
        self.network = self.trained = networks
        self.data = f"{len(people)} people who show six emotions, each in their own way"
        self._people, self._head = people, assets.head
        self._plain = EmotionsFromNeutral(networks.plain)
        self._shaped = EmotionsFromNeutral(networks.shaped, reads_shape=True)

    def batch(self, step: int) -> Arrays:
        """Intensities (B, 6), shapes (B, 50) as a fit would see them, codes (B, 56)."""
        recipe, people = self.recipe, self._people
        rng = rng_of_step(step, recipe.seed)
        heads = indices_of_step(step, recipe.batch, len(people), recipe.seed)
        ways = rng.integers(len(people), size=(TOGETHER, recipe.batch))
        emotions = draw_intensities(recipe.batch, rng)
        gains = people.gains[ways] * people.expressiveness[heads, :, None]
        actions = actions_shown(gains, people.paces[ways], emotions).mean(axis=0)
        shape = people.shape[heads]
        return {
            "emotions": emotions,
            "shape": (shape + SHAPE_NOISE * rng.normal(size=shape.shape)).astype(np.float32),
            "codes": codes_of_actions(self._head, actions),
        }

    def losses(self, batch: Tensors, step: int) -> Tensors:  # noqa: ARG002
        """Equation (6) of both variants."""
        inputs = batch["emotions"], batch["shape"]
        plain = emotion_loss(torch.cat(self._plain(*inputs), dim=1), batch["codes"])
        shaped = emotion_loss(torch.cat(self._shaped(*inputs), dim=1), batch["codes"])
        return {"loss": plain + shaped, "plain": plain, "shaped": shaped}


def emotion_loss(
    codes: torch.Tensor, truth: torch.Tensor, alpha: float = ALPHA, beta: float = BETA
) -> torch.Tensor:
    """Equation (6) of the thesis for DECA's pose values.

    Args:
        codes: (B, 56) 50 of expression, global pose 3, jaw 3.
        truth: (B, 56).
        alpha: weight of the jaw, in the place of the thesis's neck.
        beta: weight of the global pose.

    Returns:
        The mean absolute errors, weighted and added.
    """
    off = (codes - truth).abs()
    expression = off[:, :NUM_EMOTION_EXPRESSION].mean()
    return expression + alpha * off[:, _JAW].mean() + beta * off[:, _GLOBAL].mean()


def make_task(recipe: Recipe, data: Sequence[Path], work: Path) -> Task:  # noqa: ARG001
    """Draw the people; there are no photographs of them.

    One thread computes, whatever was asked for: threads that share products this small wait for
    each other, on busy cores for a hundred times as long as the work takes.
    """
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    assets = default_assets()
    people = draw_people(identities("train", PEOPLE), assets)
    return EmotionTask(recipe, EmotionNetworks(), people, assets)


def network_states(state: Tensors) -> Mapping[str, Tensors]:
    """The variant that is exported: the one that is told the shape."""
    return {"emotion_mlp": variant_state(state, "shaped")}


def variant_state(state: Tensors, variant: str) -> Tensors:
    """Tensors of "plain" or "shaped" under the names of a file."""
    prefix = f"{variant}."
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
