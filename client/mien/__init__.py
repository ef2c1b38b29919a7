# SPDX-License-Identifier: Apache-2.0
"""Client of mien: verified, embedded, fitted, generated faces and avatars from a Triton server.

::

    from mien import Client

    with Client("localhost:8001") as client:
        answer = client.verify("probe.jpg", "reference.jpg")
        print(answer.is_match, answer.similarity, answer.threshold)
"""

from importlib.metadata import version

from mien._async_avatar import AsyncAvatar
from mien._async_client import AsyncClient
from mien._avatar import Avatar
from mien._avatar_content import AvatarProgress, AvatarQuality
from mien._client import Client
from mien._config import MessageLimits, Retry, Tls
from mien._errors import (
    ClientClosedError,
    ContractError,
    DataSetError,
    DeadlineExceededError,
    FaceTurnedAwayError,
    InvalidAvatarError,
    InvalidIdentityError,
    InvalidImageError,
    InvalidOptionError,
    InvalidRequestError,
    MienError,
    ModelNotFoundError,
    MultipleFacesError,
    NoFaceError,
    PermissionDeniedError,
    RequestCancelledError,
    ServerError,
    ServerUnavailableError,
    UnauthenticatedError,
)
from mien._event_streams import AsyncEventStream, EventStream
from mien._fake_transport import FakeTransport
from mien._fitted import FittedFace
from mien._generated import (
    FacePreview,
    GeneratedFace,
    GenerationEvent,
    GenerationProgress,
    GenerationStarted,
    IdentityToken,
    NewIdentity,
    SampledIdentities,
)
from mien._hairstyles import Hairstyle
from mien._message_streams import AsyncMessageStream, MessageStream
from mien._requests import Rpc
from mien._synthesis import SynthesisResult, synthesize, synthesize_async
from mien._synthesis_progress import SynthesisProgress
from mien._transport import AsyncTransport, Transport
from mien._types import Embedding, Face, PipelineStatus, ServerStatus, Verification

__all__ = [
    "AsyncAvatar",
    "AsyncClient",
    "AsyncEventStream",
    "AsyncMessageStream",
    "AsyncTransport",
    "Avatar",
    "AvatarProgress",
    "AvatarQuality",
    "Client",
    "ClientClosedError",
    "ContractError",
    "DataSetError",
    "DeadlineExceededError",
    "Embedding",
    "EventStream",
    "Face",
    "FacePreview",
    "FaceTurnedAwayError",
    "FakeTransport",
    "FittedFace",
    "GeneratedFace",
    "GenerationEvent",
    "GenerationProgress",
    "GenerationStarted",
    "Hairstyle",
    "IdentityToken",
    "InvalidAvatarError",
    "InvalidIdentityError",
    "InvalidImageError",
    "InvalidOptionError",
    "InvalidRequestError",
    "MessageLimits",
    "MessageStream",
    "MienError",
    "ModelNotFoundError",
    "MultipleFacesError",
    "NewIdentity",
    "NoFaceError",
    "PermissionDeniedError",
    "PipelineStatus",
    "RequestCancelledError",
    "Retry",
    "Rpc",
    "SampledIdentities",
    "ServerError",
    "ServerStatus",
    "ServerUnavailableError",
    "SynthesisProgress",
    "SynthesisResult",
    "Tls",
    "Transport",
    "UnauthenticatedError",
    "Verification",
    "__version__",
    "synthesize",
    "synthesize_async",
]

__version__ = version("mien")
