# SPDX-License-Identifier: Apache-2.0
import pytest

from mien import DeadlineExceededError, InvalidOptionError, Retry, ServerUnavailableError, Tls
from mien._flows import Budget
from mien._requests import Rpc

RPC = Rpc("ServerLive", None)


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def make_budget(deadline_s=100.0, retry=None, jitter=1.0):
    clock = Clock()
    return Budget(deadline_s, retry or Retry(), clock=clock, jitter=lambda: jitter), clock


def test_backoff_doubles_up_to_its_cap():
    retry = Retry(max_retries=9)

    assert [retry.backoff_s(i, 1.0) for i in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert retry.backoff_s(10**6, 1.0) == 8.0


def test_backoff_is_proportional_to_its_jitter():
    assert Retry().backoff_s(1, 0.25) == 0.25
    assert Retry().backoff_s(3, 0.0) == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1},
        {"initial_backoff_s": 0},
        {"initial_backoff_s": 9},
        {"max_backoff_s": float("inf")},
        {"max_backoff_s": float("nan")},
    ],
    ids=str,
)
def test_retry_that_makes_no_sense_is_refused(options):
    with pytest.raises(InvalidOptionError):
        Retry(**options)


def test_budget_counts_down():
    budget, clock = make_budget(deadline_s=3)

    clock.now_s = 1.0
    assert budget.remaining_s(RPC) == 2.0
    clock.now_s = 3.0
    with pytest.raises(DeadlineExceededError, match="3 s passed"):
        budget.remaining_s(RPC)


def test_budget_allows_two_retries_by_default():
    budget, _ = make_budget()
    error = ServerUnavailableError("no")

    assert [budget.next_wait(error).seconds for _ in range(2)] == [0.5, 1.0]
    with pytest.raises(ServerUnavailableError) as caught:
        budget.next_wait(error)
    assert caught.value is error


def test_budget_refuses_a_wait_that_ends_at_the_deadline():
    budget, clock = make_budget(deadline_s=2)
    clock.now_s = 1.5

    with pytest.raises(ServerUnavailableError):
        budget.next_wait(ServerUnavailableError("no"))


@pytest.mark.parametrize("half", ["private_key", "certificate_chain"])
def test_half_a_client_certificate_is_refused(half):
    with pytest.raises(InvalidOptionError, match="both"):
        Tls(**{half: b"pem"})


def test_pem_is_taken_as_path_or_as_bytes(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(b"roots")

    assert Tls(str(path), b"key", b"chain").pem() == (b"roots", b"key", b"chain")
    assert Tls(path).pem() == (b"roots", None, None)


def test_absent_pem_is_refused_by_name(tmp_path):
    with pytest.raises(InvalidOptionError, match=r"root_certificates.*absent\.pem"):
        Tls(tmp_path / "absent.pem").pem()
