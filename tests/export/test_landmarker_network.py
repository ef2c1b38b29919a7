# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from mien_export.networks.landmarker import LANDMARKER, FaceLandmarker, LandmarkerConfig

from .tiny_faces import TINY_LANDMARKER
from .weights import count_parameters


def make_landmarker(config=TINY_LANDMARKER, seed=0) -> FaceLandmarker:
    torch.manual_seed(seed)
    return FaceLandmarker(config).eval()


def set_votes(network: FaceLandmarker, *, weight: float, x: float, y: float) -> None:
    """Every cell votes alike, whatever the image."""
    nn.init.zeros_(network.votes.weight)
    with torch.no_grad():
        network.votes.bias.copy_(torch.tensor([weight, x, y]).repeat(73))


def test_the_landmarker_is_small():
    assert count_parameters(FaceLandmarker, LANDMARKER) < 300_000


def test_outputs_are_points_and_a_logit():
    points, logit = make_landmarker()(torch.rand(2, 3, 128, 128))

    assert points.shape == (2, 73, 2)
    assert logit.shape == (2, 1)


def test_cells_that_weigh_alike_vote_for_the_centre_plus_their_offset():
    network = make_landmarker()
    set_votes(network, weight=3.0, x=2.0, y=-12.0)  # cells of an eighth
    points, _ = network(torch.rand(2, 3, 128, 128))

    torch.testing.assert_close(points, torch.tensor([0.25, -1.5]).expand(2, 73, 2))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 12), (15, 15)])
def test_one_cell_that_outweighs_the_others_puts_the_point_on_its_centre(row, column):
    network = make_landmarker()
    votes = torch.zeros(1, 219, 16, 16)
    votes[0, 0, row, column] = 100.0  # the weight of point 0
    network.votes = Fixed(votes)
    points, _ = network(torch.rand(1, 3, 128, 128))
    # Cell 0 spans 8 of 128 pixels: its centre is at 4 pixels, 1/16 of the side.
    expected = torch.tensor([(column + 0.5) / 8 - 1, (row + 0.5) / 8 - 1])

    torch.testing.assert_close(points[0, 0], expected)
    torch.testing.assert_close(points[0, 1:], torch.zeros(72, 2), atol=1e-6, rtol=0)


class Fixed(nn.Module):
    """Gives the same whatever comes."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value


def test_moving_the_image_by_a_cell_moves_what_one_cell_says():
    """The grid is made of convolutions: inside, the votes move along with the image."""
    network = make_landmarker(LandmarkerConfig(widths=(4, 4, 4, 4), blocks=(0, 0, 0, 0)))
    image = torch.zeros(1, 3, 128, 128)
    image[..., 40:80, 40:80] = torch.rand(3, 40, 40)
    seen = []
    network.votes.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network(image)
    network(image.roll((16, 16), dims=(2, 3)))  # 16 px: a cell of the coarser grid, two of ours
    before, after = seen

    torch.testing.assert_close(after[..., 4:12, 4:12], before[..., 2:10, 2:10])


def test_points_may_lie_outside_the_crop():
    network = make_landmarker()
    set_votes(network, weight=0.0, x=12.0, y=0.0)
    points, _ = network(torch.rand(1, 3, 128, 128))

    assert (points[..., 0] > 1).all()


def test_an_image_side_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="image_px is 100; expected a positive multiple of 16"):
        LandmarkerConfig(image_px=100)
