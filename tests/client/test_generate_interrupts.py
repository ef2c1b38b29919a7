# SPDX-License-Identifier: Apache-2.0
"""Streams of `generate` that Ctrl-C ends."""

import gc
import signal
import sys
import threading
import time
import traceback

import pytest

from mien import Client
from tests.client.generation_scripts import HANGS, PATIENCE_S, PROGRESS, STARTED
from tests.fakes.fake_triton import Hang, Stream

NUM_INTERRUPTS = 20


def is_inside(function_name, frame):
    names = (outer.f_code.co_name for outer, _ in traceback.walk_stack(frame))
    return function_name in names


def test_interrupt_cancels_the_stream_on_the_server(client, triton):
    triton.script("generate_faces", HANGS)
    main_thread = threading.main_thread().ident
    events = client.generate(b"me")
    next(events)

    def interrupt():
        while not is_inside("result", sys._current_frames()[main_thread]):
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        next(events)
    interrupter.join()

    assert triton.calls[0].cancelled.wait(PATIENCE_S)
    assert list(events) == []


def test_interrupt_at_any_moment_leaves_a_client_that_closes(triton):
    main_thread = threading.main_thread().ident
    triton.script("generate_faces", *[Stream((STARTED, PROGRESS, Hang()))] * NUM_INTERRUPTS)

    def interrupted_stream(delay_s):
        interrupter = threading.Timer(delay_s, signal.pthread_kill, [main_thread, signal.SIGINT])
        with Client(triton.address) as client:
            interrupter.start()
            list(client.generate(b"me", deadline_s=PATIENCE_S))

    # Python drops an interrupt that falls into a destructor, so none may run here.
    gc.collect()
    gc.disable()
    try:
        for i in range(NUM_INTERRUPTS):
            with pytest.raises(KeyboardInterrupt):
                interrupted_stream(delay_s=0.004 * i / NUM_INTERRUPTS)
    finally:
        gc.enable()
