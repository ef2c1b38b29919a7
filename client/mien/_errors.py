# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong, as one tree with one subclass per cause a caller can act on.

::

    MienError
    ├── InvalidRequestError         the request is wrong: sending it again changes nothing
    │   ├── InvalidImageError       an image is missing, broken, too large, too small or no image
    │   ├── InvalidIdentityError    an identity token was altered, or issued by another server
    │   ├── InvalidAvatarError      an avatar code was altered, or issued by another server
    │   └── InvalidOptionError      an option, deadline, address or key has a value not allowed
    ├── NoFaceError                 no face in an image, or one below the smallest served size
    ├── MultipleFacesError          several faces under face_policy="single"
    ├── FaceTurnedAwayError         a face is turned too far to the side to be made an avatar of
    ├── DeadlineExceededError       no answer within deadline_s, retries included
    ├── RequestCancelledError       the call was cancelled, by this side or by the server
    ├── ServerError                 the server failed while working on a good request
    │   └── ServerUnavailableError  not reachable, still loading, or its queue is full: try later
    ├── ModelNotFoundError          the server does not serve that model
    ├── UnauthenticatedError        the server does not know who is calling
    ├── PermissionDeniedError       the server knows and says no
    ├── ContractError               the answer does not fit this client: versions do not match
    ├── DataSetError                a data set's folder, plan or generator is not the right one
    └── ClientClosedError           the client was used after close()

A refusal by mien itself carries ``mien.CODE: text`` in the status details; Triton may put words of
its own before it. The code decides the class; without a known code the gRPC status does.
"""

from __future__ import annotations

import re

import grpc

__all__ = [
    "CODE_ERRORS",
    "STATUS_ERRORS",
    "ClientClosedError",
    "ContractError",
    "DataSetError",
    "DeadlineExceededError",
    "FaceTurnedAwayError",
    "InvalidAvatarError",
    "InvalidIdentityError",
    "InvalidImageError",
    "InvalidOptionError",
    "InvalidRequestError",
    "MienError",
    "ModelNotFoundError",
    "MultipleFacesError",
    "NoFaceError",
    "PermissionDeniedError",
    "RequestCancelledError",
    "ServerError",
    "ServerUnavailableError",
    "UnauthenticatedError",
    "error_from_status",
    "error_from_words",
]


class MienError(Exception):
    """Root of every error this package raises on purpose.

    Args:
        message: what came, what is allowed, what to do.
        model_name: the model that was called, None where no model was.
        request_id: the id that the server's log carries, None before a request existed.
        status: name of the gRPC status, None where the refusal happened on this side, or inside a
            stream, where refusals have none.
        code: the mien code without its prefix, such as ``NO_FACE``, None where there was none.
    """

    def __init__(
        self,
        message: str,
        *,
        model_name: str | None = None,
        request_id: str | None = None,
        status: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.model_name = model_name
        self.request_id = request_id
        self.status = status
        self.code = code

    def to_dict(self) -> dict[str, str | None]:
        """The error as JSON-ready values."""
        return {
            "type": type(self).__name__,
            "message": str(self),
            "code": self.code,
            "status": self.status,
            "model_name": self.model_name,
            "request_id": self.request_id,
        }


class InvalidRequestError(MienError):
    """The request is wrong; sending it again changes nothing."""


class InvalidImageError(InvalidRequestError):
    """An image is missing, empty, broken, too large, too small, or not an image."""


class InvalidIdentityError(InvalidRequestError):
    """An identity token was altered, or issued by a server of another key or other weights."""


class InvalidAvatarError(InvalidRequestError):
    """An avatar code was altered, or issued by a server of another key or other weights."""


class InvalidOptionError(InvalidRequestError):
    """An option has a value that is not allowed."""


class NoFaceError(MienError):
    """No face was found, or only one too small to be served."""


class MultipleFacesError(MienError):
    """Several faces were found under ``face_policy="single"``."""


class FaceTurnedAwayError(MienError):
    """A face is turned so far to the side that no head can be fitted to it."""


class DeadlineExceededError(MienError):
    """No answer within the deadline, which covers all retries."""


class RequestCancelledError(MienError):
    """The call was cancelled: the client was closed meanwhile, or the server gave it up."""


class ServerError(MienError):
    """The server failed while working on a request that is not known to be wrong."""


class ServerUnavailableError(ServerError):
    """The server cannot be reached, is still loading, or its queue is full."""


class ModelNotFoundError(MienError):
    """The server does not serve the model that was called."""


class UnauthenticatedError(MienError):
    """The server does not know who is calling."""


class PermissionDeniedError(MienError):
    """The server refuses this caller."""


class ContractError(MienError):
    """The server's answer does not fit this client."""


class DataSetError(MienError):
    """The folder of a data set cannot be used, or its plan or generator is another one."""


class ClientClosedError(MienError):
    """The client was used after ``close()``."""


# docs/errors.md, row by row.
CODE_ERRORS: dict[str, type[MienError]] = {
    "EMPTY_IMAGE": InvalidImageError,
    "UNSUPPORTED_FORMAT": InvalidImageError,
    "UNDECODABLE_IMAGE": InvalidImageError,
    "IMAGE_TOO_LARGE": InvalidImageError,
    "IMAGE_TOO_SMALL": InvalidImageError,
    "NO_FACE": NoFaceError,
    "MULTIPLE_FACES": MultipleFacesError,
    "FACE_TOO_SMALL": NoFaceError,
    "FACE_TURNED_AWAY": FaceTurnedAwayError,
    "INVALID_OPTION": InvalidOptionError,
    "INVALID_TENSOR": InvalidRequestError,
    "INVALID_IDENTITY": InvalidIdentityError,
    "INVALID_AVATAR": InvalidAvatarError,
    "UNKNOWN_GALLERY": InvalidRequestError,
    "GALLERY_EXISTS": InvalidRequestError,
    "UNKNOWN_SUBJECT": InvalidRequestError,
    "SUBJECT_EXISTS": InvalidRequestError,
    "WRONG_GALLERY_KEY": ServerError,
    "WRONG_GALLERY_SPACE": ServerError,
    "GALLERY_DAMAGED": ServerError,
    "GALLERY_UNWRITABLE": ServerError,
    "GALLERY_LOCKED": ServerUnavailableError,
    "CANCELLED": RequestCancelledError,
    "MODEL_FAILED": ServerError,
    "OVERLOADED": ServerUnavailableError,
    "STOPPING": ServerUnavailableError,
}

_LOG_REMEDY = "look for the request id in the server's log"
_VERSION_REMEDY = "compare the versions of mien here and on the server"

# Every status gRPC has -> its class and what to do about it. Total: a test walks grpc.StatusCode.
STATUS_ERRORS: dict[grpc.StatusCode, tuple[type[MienError], str]] = {
    grpc.StatusCode.OK: (ContractError, _VERSION_REMEDY),  # an error that says OK is no answer
    grpc.StatusCode.CANCELLED: (RequestCancelledError, "send it again if it is still wanted"),
    grpc.StatusCode.UNKNOWN: (ServerError, _LOG_REMEDY),
    grpc.StatusCode.INVALID_ARGUMENT: (InvalidRequestError, _VERSION_REMEDY),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        DeadlineExceededError,
        "raise deadline_s, or look for queues on the server",
    ),
    grpc.StatusCode.NOT_FOUND: (ModelNotFoundError, "`mien status` lists what is served"),
    grpc.StatusCode.ALREADY_EXISTS: (ServerError, _LOG_REMEDY),
    grpc.StatusCode.PERMISSION_DENIED: (PermissionDeniedError, "check the key or headers"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        ServerError,
        "send smaller images, or raise the message limits on the side that refused",
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (ServerError, _LOG_REMEDY),
    grpc.StatusCode.ABORTED: (ServerError, _LOG_REMEDY),
    grpc.StatusCode.OUT_OF_RANGE: (InvalidRequestError, _VERSION_REMEDY),
    grpc.StatusCode.UNIMPLEMENTED: (ContractError, "check that the address is a Triton gRPC port"),
    grpc.StatusCode.INTERNAL: (ServerError, _LOG_REMEDY),
    grpc.StatusCode.UNAVAILABLE: (
        ServerUnavailableError,
        "check the address and TLS, and with `mien status` whether the models are ready",
    ),
    grpc.StatusCode.DATA_LOSS: (ServerError, _LOG_REMEDY),
    grpc.StatusCode.UNAUTHENTICATED: (UnauthenticatedError, "pass api_key or headers"),
}

# What Triton says under a status that means something else to a caller. Trying again cannot help
# where its queue dropped a request whose `timeout` had passed, or a header was not sent; it does
# where a pipeline is being drained or loaded.
_TRITON_WORDS: dict[tuple[grpc.StatusCode, str], grpc.StatusCode] = {
    (grpc.StatusCode.UNAVAILABLE, "timeout expired"): grpc.StatusCode.DEADLINE_EXCEEDED,
    (grpc.StatusCode.UNAVAILABLE, "protocol is restricted"): grpc.StatusCode.PERMISSION_DENIED,
    (grpc.StatusCode.NOT_FOUND, "has no available versions"): grpc.StatusCode.UNAVAILABLE,
}

# Inside a stream Triton refuses in words alone; the first that fit say which status it would be.
_STREAM_WORDS: dict[str, grpc.StatusCode] = {
    "has no available versions": grpc.StatusCode.UNAVAILABLE,
    "is not at ready state": grpc.StatusCode.UNAVAILABLE,
    "erver is stopping": grpc.StatusCode.UNAVAILABLE,
    "xceeds maximum queue size": grpc.StatusCode.UNAVAILABLE,
    "timeout expired": grpc.StatusCode.DEADLINE_EXCEEDED,
    "unknown model": grpc.StatusCode.NOT_FOUND,
    "unexpected inference input": grpc.StatusCode.INVALID_ARGUMENT,
    "unexpected inference output": grpc.StatusCode.INVALID_ARGUMENT,
    "unexpected shape": grpc.StatusCode.INVALID_ARGUMENT,
    "data-type is": grpc.StatusCode.INVALID_ARGUMENT,
}

_CODE_TOKEN = re.compile(r"mien\.([A-Z_]+): (.*)", re.DOTALL)


def error_from_status(
    status: grpc.StatusCode,
    details: str | None,
    *,
    address: str,
    model_name: str | None = None,
    request_id: str | None = None,
) -> MienError:
    """The error that a failed RPC means.

    Args:
        status: what gRPC reports.
        details: the text beside it; searched for ``mien.CODE: text``.
        address: where the RPC went, for the message.
        model_name: the model that was called, if any.
        request_id: the id of the request, if it had one.

    Returns:
        An instance of exactly one class of the tree above, ready to be raised.
    """
    text = (details or "").strip()
    token = _CODE_TOKEN.search(text)
    code = token.group(1) if token else None
    effective = status
    if token is None:
        for (spoken, words), meant in _TRITON_WORDS.items():
            effective = meant if status is spoken and words in text else effective
    error_class, remedy = STATUS_ERRORS[effective]
    error_class = CODE_ERRORS.get(code or "", error_class)
    if token is not None:
        message = token.group(2).strip()
    else:
        message = f"{status.name} from {address}: {text or 'no details'}; {remedy}"
    return error_class(
        message, model_name=model_name, request_id=request_id, status=status.name, code=code
    )


def error_from_words(
    words: str, *, model_name: str | None = None, request_id: str | None = None
) -> MienError:
    """The error that a refusal inside a stream means: it has no status, only a text.

    Args:
        words: what Triton says; searched for ``mien.CODE: text``.
        model_name: the model that was called.
        request_id: the id of the request.

    Returns:
        An instance of exactly one class of the tree above, ready to be raised.
    """
    text = words.strip()
    token = _CODE_TOKEN.search(text)
    unknown = grpc.StatusCode.UNKNOWN
    status = next((meant for said, meant in _STREAM_WORDS.items() if said in text), unknown)
    error_class, remedy = STATUS_ERRORS[unknown if token else status]
    message, code = f"the server refused: {text}; {remedy}", None
    if token is not None:
        code, message = token.group(1), token.group(2).strip()
        error_class = CODE_ERRORS.get(code, error_class)
    return error_class(message, model_name=model_name, request_id=request_id, code=code)
