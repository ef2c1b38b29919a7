# SPDX-License-Identifier: Apache-2.0
import builtins
import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import mien
from mien import (
    AsyncAvatar,
    AsyncClient,
    AsyncEventStream,
    Avatar,
    Client,
    EventStream,
    FakeTransport,
    MienError,
)

METHODS = [
    "__init__", "add_hairstyle", "avatar", "close", "embed", "fit", "generate",
    "hairstyle_preview", "hairstyles", "remove_hairstyle", "sample_identities", "status", "verify",
]  # fmt: skip
AVATAR_METHODS = ["in_format", "preview", "save", "with_emotion", "with_hairstyle"]


def public_methods(cls):
    return {name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")}


def test_exported_names_are_sorted():
    assert mien.__all__ == sorted(mien.__all__)


def test_every_public_attribute_is_exported():
    public = {
        name
        for name, value in vars(mien).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "version"
    }

    assert public | {"__version__"} == set(mien.__all__)


def test_every_error_class_is_exported():
    def tree(cls):
        return {cls.__name__}.union(*(tree(sub) for sub in cls.__subclasses__()))

    assert tree(MienError) <= set(mien.__all__)


def test_error_names_do_not_shadow_builtins():
    assert not set(mien.__all__) & set(dir(builtins))


def test_version_is_the_one_of_the_distribution():
    assert mien.__version__ == version("mien")


def test_both_clients_have_the_same_methods():
    assert public_methods(Client) == public_methods(AsyncClient) == set(METHODS) - {"__init__"}


def blocking(annotation):
    return str(annotation).removeprefix("Async")


def shape(signature):
    return [
        (p.name, p.kind, p.default, blocking(p.annotation)) for p in signature.parameters.values()
    ]


def assert_signatures_agree(name, cls, async_cls):
    sync = inspect.signature(getattr(cls, name))
    async_ = inspect.signature(getattr(async_cls, name))

    assert shape(sync) == shape(async_)
    assert blocking(sync.return_annotation) == blocking(async_.return_annotation)


@pytest.mark.parametrize("name", METHODS)
def test_signatures_of_both_clients_agree(name):
    assert_signatures_agree(name, Client, AsyncClient)


@pytest.mark.parametrize("name", AVATAR_METHODS)
def test_signatures_of_both_avatars_agree(name):
    assert_signatures_agree(name, Avatar, AsyncAvatar)
    assert inspect.iscoroutinefunction(getattr(AsyncAvatar, name))
    assert inspect.getdoc(getattr(Avatar, name)) == inspect.getdoc(getattr(AsyncAvatar, name))


def test_both_avatars_have_the_same_methods():
    others = {"of", "to_dict"}
    assert public_methods(Avatar) == public_methods(AsyncAvatar) == {*AVATAR_METHODS} | others


@pytest.mark.parametrize("name", ["avatar", "add_hairstyle", "hairstyles"])
def test_both_clients_document_avatars_alike(name):
    sync, async_ = (inspect.getdoc(getattr(cls, name)) for cls in (Client, AsyncClient))

    assert async_.replace("await ", "") == sync


def test_both_clients_document_generation_alike():
    def arguments(method):
        return inspect.getdoc(method).partition("Args:")

    (_, *sync), (_, *async_) = arguments(Client.generate), arguments(AsyncClient.generate)
    assert sync == async_
    assert sync[1]


@pytest.mark.parametrize("name", ["avatar", "embed", "fit", "generate", "status", "verify"])
def test_options_are_keyword_only(name):
    parameters = inspect.signature(getattr(Client, name)).parameters.values()

    options = [p for p in parameters if p.default is not p.empty and p.name != "identity"]
    assert all(p.kind is p.KEYWORD_ONLY for p in options)


@pytest.mark.parametrize("name", sorted({*METHODS} - {"__init__", "generate"}))
def test_methods_of_the_async_client_are_coroutines(name):
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name))


def test_generation_returns_its_events_without_waiting():
    assert isinstance(Client(transport=FakeTransport()).generate(b"me"), EventStream)
    assert isinstance(AsyncClient(transport=FakeTransport()).generate(b"me"), AsyncEventStream)


def test_both_event_streams_are_iterators_and_context_managers():
    for name in ("iter", "next", "enter", "exit"):
        assert callable(getattr(EventStream, f"__{name}__"))
        assert callable(getattr(AsyncEventStream, f"__a{name}__"))
    assert public_methods(EventStream) == {"close"}
    assert public_methods(AsyncEventStream) == {"aclose"}


def test_import_stays_light():
    """Neither an image codec nor a framework may be loaded by a program that only imports mien."""
    heavy = ["PIL", "torch", "onnx", "onnxruntime", "cv2", "rich", "mien_server", "mien_export"]
    script = f"import sys, mien; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
