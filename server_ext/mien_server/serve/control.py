# SPDX-License-Identifier: Apache-2.0
"""Control of a running Triton: is it ready, and let it finish what it has begun.

Triton's own shutdown refuses every further request at once, also those that a pipeline in flight
makes to its next stage: verifications under way fail. Unloading a model, in contrast, waits for its
requests. So a drain unloads the models from the outside in, pipelines before their stages.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from types import TracebackType

import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from mien_server.serve.repository import ServedModel

__all__ = ["Control", "outside_in"]

# Loading, unloading, shared memory and the server's log and trace settings are not for
# applications: they need a key that only this process knows.
PROTOCOLS = "model-repository,shared-memory,trace,logging"
KEY_NAME = "mien-control"
_POLL_S = 0.05


class Control:
    """A control connection.

    Args:
        address: `host:port` of the gRPC endpoint.
        key: of `new_key`, the one the server was started with.
    """

    def __init__(self, address: str, key: str) -> None:
        self._client = triton_grpc.InferenceServerClient(address)
        # Triton wants this prefix before the name it was given.
        self._headers = {f"triton-grpc-protocol-{KEY_NAME}": key}

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    @staticmethod
    def new_key() -> str:
        """A key for one server."""
        return secrets.token_hex(16)

    @staticmethod
    def arguments(key: str, *, http: bool) -> list[str]:
        """Arguments of tritonserver that allow control to who has the key, and to nobody else.

        Args:
            key: Triton takes it in no other way, so users of this machine can read it.
            http: the HTTP endpoint is on and needs the same.
        """
        restriction = f"{PROTOCOLS}:{KEY_NAME}={key}"
        return [
            "--model-control-mode=explicit",
            "--load-model=*",
            f"--grpc-restricted-protocol={restriction}",
            *([f"--http-restricted-api={restriction}"] if http else []),
        ]

    def triton_version(self) -> str | None:
        """Version of a server that is ready, None while it is not."""
        try:
            if not self._client.is_server_ready():
                return None
            return str(self._client.get_server_metadata().version)
        except InferenceServerException:  # it does not listen yet
            return None

    def drain(self, models: Sequence[ServedModel], timeout_s: float) -> bool:
        """Unload all models, each once its requests are finished.

        Args:
            models: of the repository.
            timeout_s: for all of them.

        Returns:
            Whether everything was finished in time; false also where the server does not answer.
        """
        deadline = time.monotonic() + timeout_s
        try:
            for names in outside_in(models):
                for name in names:
                    self._client.unload_model(name, headers=self._headers)
                while not self._are_unloaded(names):
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(_POLL_S)
        except InferenceServerException:
            return False
        return True

    def _are_unloaded(self, names: Iterable[str]) -> bool:
        index = self._client.get_model_repository_index(headers=self._headers)
        return set(names) <= {model.name for model in index.models if model.reason == "unloaded"}


def outside_in(models: Sequence[ServedModel]) -> list[list[str]]:
    """Names in layers: no model is called by one of its own layer or of a later one."""
    remaining = {model.name: model for model in models}
    layers: list[list[str]] = []
    while remaining:
        called = {name for model in remaining.values() for name in model.depends_on}
        # A circle cannot be ordered; its members go together.
        layers.append(sorted(set(remaining) - called) or sorted(remaining))
        for name in layers[-1]:
            del remaining[name]
    return layers
