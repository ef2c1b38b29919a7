# SPDX-License-Identifier: Apache-2.0
import pytest

from mien_server.gallery import LocalGallery
from tests.server.gallery.planted_people import KEY, SPACE


@pytest.fixture
def local(tmp_path):
    with LocalGallery.create(tmp_path / "staff", "staff", SPACE, KEY) as gallery:
        yield gallery


@pytest.fixture
def qdrant():
    client = pytest.importorskip("qdrant_client").QdrantClient(":memory:")
    from mien_server.gallery.qdrant import QdrantGallery

    yield QdrantGallery.create(client, "staff", SPACE, KEY)
    client.close()
