# SPDX-License-Identifier: Apache-2.0
"""The stage `style_renderer` on arrays."""

import json

import numpy as np
import pytest

from mien_server import style_renderer_pipeline
from mien_server.contract import ModelContract
from mien_server.errors import ServingError
from mien_server.rendering import make_scene, rgba_images, style_maps
from mien_server.style_renderer_pipeline import (
    RENDER_OUTPUTS,
    HeadRenderer,
    RenderRequest,
    render_requests,
    renderer_from_contract,
)
from tests.heads import ball_topology, head_inputs

TOPOLOGY = ball_topology()
ALL = frozenset(RENDER_OUTPUTS)


@pytest.fixture(scope="module")
def renderer():
    return HeadRenderer(TOPOLOGY)


def request(count=1, seed=0, outputs=ALL, **changes):
    return RenderRequest({**head_inputs(count, seed), **changes}, frozenset(outputs))


def expected(of):
    """What the pure functions give for a request."""
    scene = make_scene(**of.inputs, topology=TOPOLOGY)
    images = {
        "style_maps": style_maps(scene, 128),
        "rgba_224": rgba_images(scene, 224),
        "rgba_512": rgba_images(scene, 512),
    }
    return {name: images[name] for name in of.outputs}


def assert_same(answer, of):
    wanted = expected(of)
    assert set(answer) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(answer[name], array)


def test_each_request_gets_the_images_of_its_own_heads(renderer):
    requests = [request(2, seed=0), request(1, seed=5), request(3, seed=9)]

    for answer, of in zip(render_requests(renderer, requests), requests, strict=True):
        assert_same(answer, of)


def test_requests_with_different_wishes_get_what_they_asked_for_and_nothing_else(renderer):
    requests = [
        request(1, 0, {"style_maps"}),
        request(1, 1, {"rgba_224", "style_maps"}),
        request(2, 2, {"style_maps"}),
    ]

    for answer, of in zip(render_requests(renderer, requests), requests, strict=True):
        assert_same(answer, of)


def test_equal_wishes_are_rendered_together_and_only_what_is_wanted(renderer, monkeypatch):
    calls = []
    for name in RENDER_OUTPUTS:
        monkeypatch.setitem(
            style_renderer_pipeline.RENDER_OUTPUTS,
            name,
            lambda scene, name=name: calls.append((name, scene.count)) or np.zeros(scene.count),
        )

    render_requests(
        renderer,
        [request(2, outputs={"rgba_224"}), request(1, outputs={"style_maps"}),
         request(3, outputs={"rgba_224"})],
    )  # fmt: skip

    assert sorted(calls) == [("rgba_224", 5), ("style_maps", 1)]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_change_nothing(threads):
    of = request(5)

    (answer,) = render_requests(HeadRenderer(TOPOLOGY, threads=threads), [of])

    assert_same(answer, of)


def with_value(name, where, value):
    array = head_inputs(2)[name]
    array[where] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vertices": np.zeros((2, 5023, 3), np.float32)}, "5023 vertices.*a head of 642"),
        (with_value("vertices", (1, 3, 0), np.nan), "head 2 of 2: vertices has NaN or infinity"),
        (with_value("albedo", (0, 2, 9, 9), np.inf), "head 1 of 2: albedo has NaN or infinity"),
        (with_value("camera", (1, 1), -np.inf), "head 2 of 2: camera has NaN or infinity"),
        (with_value("light", (1, 26), np.nan), "head 2 of 2: light has NaN or infinity"),
        (with_value("camera", (1, 0), 0), "head 2 of 2: camera has the scale 0; .*above 0"),
        (with_value("camera", (0, 0), -6.5), "head 1 of 2: camera has the scale -6.5;"),
    ],
)
def test_a_bad_request_is_refused_alone_with_the_reason(renderer, changes, message):
    before, after = request(1, seed=1), request(2, seed=2)

    answers = render_requests(renderer, [before, request(2, **changes), after])

    assert isinstance(answers[1], ServingError)
    assert answers[1].code == "INVALID_TENSOR"
    with pytest.raises(ServingError, match=message):
        raise answers[1]
    assert_same(answers[0], before)
    assert_same(answers[2], after)


def test_one_bad_head_of_one_is_not_numbered(renderer):
    vertices = np.full_like(head_inputs(1)["vertices"], np.nan)

    (refusal,) = render_requests(renderer, [request(1, vertices=vertices)])

    assert refusal.text.startswith("vertices has NaN")


def contract(**parameters):
    config = {
        "name": "style_renderer",
        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
    }
    return ModelContract.from_json(json.dumps(config))


def test_the_renderer_of_a_contract_reads_the_topology_beside_it(tmp_path):
    np.savez(tmp_path / "topology.npz", f=TOPOLOGY.faces, vt=TOPOLOGY.uv, ft=TOPOLOGY.uv_faces)

    renderer = renderer_from_contract(contract(device="cpu"), tmp_path, threads=2)

    of = request(2)
    assert_same(render_requests(renderer, [of])[0], of)


def test_a_folder_without_a_topology_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"topology\.npz is missing; build the repository again"):
        renderer_from_contract(contract(device="cpu"), tmp_path, threads=1)


def test_a_device_that_is_not_there_is_refused(tmp_path):
    np.savez(tmp_path / "topology.npz", f=TOPOLOGY.faces, vt=TOPOLOGY.uv, ft=TOPOLOGY.uv_faces)

    with pytest.raises(ValueError, match="'cuda:9'; this machine has"):
        renderer_from_contract(contract(device="cuda:9"), tmp_path, threads=1)
