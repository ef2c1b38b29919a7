# SPDX-License-Identifier: Apache-2.0
"""Plan, queue, progress and PNG texts of a training set, each alone."""

import asyncio
import inspect
import io

import numpy as np
import pytest

import mien
from mien import ContractError, SynthesisProgress
from mien._cli_synthesize import ProgressLine, progress_in_words
from mien._fake_streams import PIXEL_PNG
from mien._png_texts import png_texts
from mien._synthesis_plan import Portion, SynthesisPlan
from mien._synthesis_progress import ProgressMeter
from mien._synthesis_queue import ShardQueue
from mien._synthesis_shards import MadeImage

PLAN = SynthesisPlan(identities=5, images=7, shard_size=10)


def numbers(portion):
    return [
        (portion.identity, portion.first_image + number) for number in range(portion.count)
    ]  # fmt: skip


@pytest.mark.parametrize("most", [1, 3, 7, 64])
def test_portions_cover_the_set_once_and_in_order(most):
    portions = [p for shard in range(PLAN.num_shards) for p in PLAN.portions(shard, most)]

    made = [pair for portion in portions for pair in numbers(portion)]
    assert made == [(k, j) for k in range(5) for j in range(7)]
    assert max(portion.count for portion in portions) <= most
    assert [PLAN.shard_count(shard) for shard in range(PLAN.num_shards)] == [10, 10, 10, 5]


def test_seeds_are_a_pure_function_that_must_not_change():
    assert PLAN.image_seed(0, 0) == 2353044986797485
    assert PLAN.first_candidate == 1682006253820955


def test_seeds_are_consecutive_within_an_identity_and_exact_in_any_json():
    plan = SynthesisPlan(identities=1000, images=10)

    seeds = [[plan.image_seed(k, j) for j in range(10)] for k in range(1000)]

    assert all(row == list(range(row[0], row[0] + 10)) for row in seeds)
    assert len({seed for row in seeds for seed in row}) == 10_000
    assert max(map(max, seeds)) < 2**53


def test_options_become_plain_numbers():
    plan = SynthesisPlan(identities=np.int64(2), images=np.int32(3), guidance_weight=1)

    assert type(plan.identities) is type(plan.images) is int
    assert type(plan.guidance_weight) is float
    assert plan.steps == 16


def image(identity, number):
    codes = np.zeros(236, np.float32)
    return MadeImage(identity, number, 0, 0, 0.5, codes, b"png")


def test_a_queue_opens_no_more_shards_than_are_asked_for():
    """What is in memory is bounded by the workers, however large the set is."""

    async def scenario():
        queue = ShardQueue(PLAN, range(PLAN.num_shards))
        taken = [queue.take(4) for _ in range(4)]
        assert [numbers(p)[0] for p in taken] == [(0, 0), (0, 4), (1, 0), (1, 3)]
        assert queue.num_open == 2
        return queue, taken

    asyncio.run(scenario())


def test_a_portion_that_comes_back_is_next_and_may_be_split():
    async def scenario():
        queue = ShardQueue(PLAN, [0])
        portion = queue.take(7)
        queue.give_back(portion, counts=True)

        assert queue.take(3) == Portion(0, 0, 0, 3, attempts=1)
        assert queue.take(16) == Portion(0, 0, 3, 4, attempts=1)
        assert queue.take(16) == Portion(0, 1, 0, 3)
        assert queue.take(16) is None

    asyncio.run(scenario())


def test_a_shard_is_full_when_all_came_and_finished_when_written():
    async def scenario():
        queue = ShardQueue(PLAN, [3])
        portion = queue.take(3)
        others = queue.take(16)
        assert queue.put(3, [image(*pair) for pair in numbers(others)]) is None
        waiting = asyncio.ensure_future(queue.changed())
        full = queue.put(3, [image(*pair) for pair in numbers(portion)])
        assert [made.image for made in full] == [2, 3, 4, 5, 6]
        assert not queue.is_finished
        await asyncio.sleep(0)
        queue.written(3)
        await waiting
        assert queue.is_finished

    asyncio.run(scenario())


def test_the_rate_is_that_of_the_last_minute():
    now_s, seen = 0.0, []
    meter = ProgressMeter(2, 1000, 100, seen.append, clock=lambda: now_s)
    meter.identities(2)
    assert (seen[-1].images_per_s, seen[-1].time_left_s) == (None, None)
    for _ in range(10):
        now_s += 100
        meter.images(10)
    assert seen[-1].images_per_s == pytest.approx(0.1)
    for _ in range(100):
        now_s += 1
        meter.images(5)

    assert seen[-1].images_per_s == pytest.approx(5)
    assert seen[-1].images_made == 700
    assert seen[-1].time_left_s == pytest.approx(60)
    assert meter.new_images == 600


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (SynthesisProgress(5, 20, 0, 200, None, None), "[######------------------] 5 of 20 ident"),
        (
            SynthesisProgress(20, 20, 50, 200, 3.14159, 47.7),
            "50 of 200 images, 3.14/s, 48 s left",
        ),
        (SynthesisProgress(9, 9, 5, 9, 1.0, 125), "/s, 2 min 5 s left"),
        (SynthesisProgress(9, 9, 5, 9, 1.0, 7260), "/s, 2 h 1 min left"),
        (SynthesisProgress(9, 9, 5, 9, 1.0, 180_000), "/s, 2 d 2 h left"),
        (SynthesisProgress(9, 9, 9, 9, 1.0, 0.0), "[########################] 9 of 9 images, 1/s"),
    ],
)
def test_progress_in_words(progress, words):
    assert words in progress_in_words(progress)
    assert len(progress_in_words(progress)) < 80


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "shown"), [(Terminal(), [0, 10, 20, 30, 39]), (io.StringIO(), [0, 39])]
)
def test_progress_is_shown_now_and_then_and_at_the_end(stream, shown):
    now_s = 0.0
    line = ProgressLine(stream, clock=lambda: now_s)
    for made in range(40):
        line.show(SynthesisProgress(1, 1, made, 39, None, None))
        now_s += 0.021
    line.end()
    line.end()

    pieces = stream.getvalue().replace("\r", "\n").split("\n")
    assert [int(p.split("] ")[1].split()[0]) for p in pieces if "]" in p] == shown
    assert stream.getvalue().endswith("\n")


def test_texts_of_a_png():
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info, stream = PngInfo(), io.BytesIO()
    info.add_text("mien.generator", "abc")
    info.add_text("Software", "é")
    Image.new("L", (2, 2)).save(stream, "PNG", pnginfo=info)

    assert png_texts(stream.getvalue()) == {"mien.generator": "abc", "Software": "é"}
    assert png_texts(PIXEL_PNG) == {}


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", PIXEL_PNG[:30], PIXEL_PNG[:9]], ids=repr)
def test_what_is_no_png_is_refused(content):
    with pytest.raises(ContractError, match="no PNG"):
        png_texts(content)


def test_both_functions_have_the_same_options():
    blocking, awaited = map(inspect.signature, (mien.synthesize, mien.synthesize_async))

    assert blocking == awaited
    assert inspect.iscoroutinefunction(mien.synthesize_async)
