# SPDX-License-Identifier: Apache-2.0
"""What the client learns from configurations: the untrained flag, and the server's status."""

from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from mien import ContractError, DeadlineExceededError, ModelNotFoundError, ServerError
from mien import _flows as flows
from tests.fakes.fake_triton import Hang, Refusal, Reply

S = grpc.StatusCode
UNAVAILABLE = Refusal(S.UNAVAILABLE, "loading")
CONTRACTS = sorted((Path(__file__).parents[2] / "model_repository").glob("*/config.pbtxt"))


@pytest.mark.parametrize("word", ["true", "false"])
def test_embed_reports_the_flag_of_the_configuration(call, triton, word):
    triton.parameters["embed_faces"]["untrained"] = word

    assert call("embed", b"a").untrained is (word == "true")


def test_flag_is_asked_for_once(client, triton):
    for _ in range(3):
        client.embed(b"a")

    assert len(triton.calls_of("ModelConfig")) == 1
    assert len(triton.calls_of("ModelInfer")) == 3


def test_flag_is_asked_for_again_after_an_error(client, triton):
    client.embed(b"a")
    triton.script("verify_faces", Refusal(S.INTERNAL, "broken"))
    with pytest.raises(ServerError):
        client.verify(b"a", b"b")
    triton.parameters["embed_faces"]["untrained"] = "true"

    assert client.embed(b"a").untrained is True


def test_flag_is_asked_for_again_when_the_server_came_back_meanwhile(call, triton):
    def come_back(response):
        triton.parameters["embed_faces"]["untrained"] = "true"

    triton.script("ModelConfig", Reply(edit=come_back))
    triton.parameters["embed_faces"]["untrained"] = "false"
    triton.script("embed_faces", UNAVAILABLE)

    assert call("embed", b"a").untrained is True
    assert len(triton.calls_of("ModelConfig")) == 2


@pytest.mark.parametrize("word", [None, "", "maybe", "True"])
def test_configuration_without_a_clear_flag_is_refused(call, triton, word):
    parameters = {} if word is None else {"untrained": word}
    triton.parameters["embed_faces"] = parameters

    with pytest.raises(ContractError, match="untrained"):
        call("embed", b"a")


def test_embed_where_the_model_is_absent_names_it(call, triton):
    del triton.parameters["embed_faces"]

    with pytest.raises(ModelNotFoundError) as caught:
        call("embed", b"a")

    assert caught.value.model_name == "embed_faces"


def test_believed_flag_expires_after_a_minute():
    now_s = 100.0
    cache = flows.UntrainedCache(clock=lambda: now_s)
    cache.put(True)

    now_s = 159.9
    assert cache.get() is True
    now_s = 160.0
    assert cache.get() is None


def rows(status):
    return [(p.name, p.ready, p.untrained) for p in status.pipelines]


def public_pipelines():
    configs = [
        text_format.Parse(path.read_text(), model_config_pb2.ModelConfig()) for path in CONTRACTS
    ]
    return [c.name for c in configs if c.parameters["public"].string_value == "true"]


def test_status_lists_every_public_pipeline(call, triton):
    for name in public_pipelines():
        triton.parameters[name] = {"public": "true", "untrained": "false"}
    triton.parameters["verify_faces"]["untrained"] = "true"

    status = call("status")

    assert (status.live, status.ready) == (True, True)
    assert (status.name, status.version) == ("triton", "2.51.0")
    assert rows(status) == [(name, True, name == "verify_faces") for name in public_pipelines()]
    assert "sample_identities" in public_pipelines()


def test_status_tells_a_pipeline_that_is_absent_or_not_ready(call, triton):
    del triton.parameters["embed_faces"]
    triton.unready.add("verify_faces")

    assert rows(call("status")) == [
        ("apply_emotion", False, None), ("create_avatar", False, None),
        ("embed_faces", False, None), ("encode_styles", False, None), ("fit_faces", True, False),
        ("generate_faces", True, False), ("hairstyles", False, None),
        ("sample_identities", False, None), ("sample_styles", False, None),
        ("try_hairstyle", False, None), ("verify_faces", False, None),
    ]  # fmt: skip


def test_a_collection_has_no_weights_that_could_be_untrained(call, triton):
    triton.parameters["hairstyles"] = {"public": "true"}

    assert ("hairstyles", True, False) in rows(call("status"))


def test_status_survives_a_server_that_knows_no_such_pipeline(call, triton):
    triton.script("ModelReady", Refusal(S.NOT_FOUND, "unknown model"))

    assert rows(call("status"))[0] == ("apply_emotion", False, None)


def test_status_of_a_server_that_is_not_ready_is_no_error(call, triton):
    triton.ready = False

    status = call("status")

    assert status.live
    assert not status.ready


def test_status_whose_deadline_passes_in_the_middle_is_an_error(call, triton):
    triton.script("ModelConfig", Hang())

    with pytest.raises(DeadlineExceededError):
        call("status", deadline_s=0.5)
