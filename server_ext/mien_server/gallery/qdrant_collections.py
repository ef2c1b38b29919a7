# SPDX-License-Identifier: Apache-2.0
"""Where galleries are in Qdrant: two collections each, and one with the heads of all."""

from __future__ import annotations

import base64
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from grpc import RpcError
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from mien_server.errors import ServingError
from mien_server.gallery.file_head import FileHead
from mien_server.gallery.gallery_file import gallery_exists
from mien_server.gallery.rotation import TEMPLATE_COUNT

__all__ = ["collections_of", "head_block", "make_collections", "reading", "writing"]

HEADS = "mien_galleries"


def collections_of(name: str) -> tuple[str, str]:
    """Names of the collections of a gallery's subjects and of their templates."""
    return f"mien_{name}_subjects", f"mien_{name}_templates"


def make_collections(client: QdrantClient, head: FileHead, key: bytes) -> None:
    """Those of a new gallery; its head comes last, and makes it one.

    Raises:
        ServingError: GALLERY_EXISTS.
    """
    subjects, templates = collections_of(head.gallery)
    if head_block(client, head.gallery) is not None:
        raise gallery_exists(head.gallery)
    if not client.collection_exists(HEADS):
        client.create_collection(HEADS, vectors_config={})
    for collection in (subjects, templates):  # left by a creation that was cut short
        client.delete_collection(collection)
    vectors = models.VectorParams(size=TEMPLATE_COUNT, distance=models.Distance.DOT)
    client.create_collection(subjects, vectors_config={})
    client.create_collection(templates, vectors_config=vectors)
    _index(client, subjects, "number", models.PayloadSchemaType.INTEGER)
    _index(client, templates, "generation", models.PayloadSchemaType.KEYWORD)
    payload = {"head": base64.b64encode(head.block(key)).decode()}
    point = models.PointStruct(id=_head_id(head.gallery), vector={}, payload=payload)
    client.upsert(HEADS, points=[point], wait=True)


def head_block(client: QdrantClient, name: str) -> bytes | None:
    """What `FileHead.read` reads; None where there is no gallery of that name."""
    if not client.collection_exists(HEADS):
        return None
    records = client.retrieve(HEADS, [_head_id(name)])
    payload = (records[0].payload or {}) if records else {}
    return base64.b64decode(payload["head"]) if payload else None


@contextmanager
def writing(name: str) -> Iterator[None]:
    """Refuse with GALLERY_UNWRITABLE where Qdrant fails."""
    with _failing_as("GALLERY_UNWRITABLE", f"the change of gallery {name} may not have been made"):
        yield


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Refuse with MODEL_FAILED where Qdrant fails."""
    with _failing_as("MODEL_FAILED", f"gallery {name} could not be read"):
        yield


@contextmanager
def _failing_as(code: str, what: str) -> Iterator[None]:
    try:
        yield
    except (ApiException, QdrantException, RpcError, OSError) as error:
        raise ServingError(
            code, f"{what}: Qdrant says {type(error).__name__}: {error!s:.200}; see its log"
        ) from error


def _head_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"mien gallery {name}"))


def _index(client: QdrantClient, collection: str, key: str, kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect in the local Qdrant")
        client.create_payload_index(collection, key, kind)
