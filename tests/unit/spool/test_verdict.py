"""spool/verdict.py: what becomes of a task, by how its run ended and what its policy says."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.spool.verdict import (
    Again,
    AsItWas,
    Dead,
    Done,
    Ending,
    RetryPolicy,
    Round,
    Run,
    Verdict,
    verdict,
    wait_s,
)

NOW = 1_800_000_000.0
FREQUENCY = 30.0

FAILED = Run(Ending.RAISED, "ValueError: no")
DIED = Run(Ending.DIED, "the process that ran the task died")

policies = st.builds(
    RetryPolicy,
    retries=st.one_of(st.integers(0, 200), st.just(inf)),
    backoff=st.sampled_from(["exponential", "linear", "fixed"]),
    delay=st.floats(0, 1e6),
    max_delay=st.floats(0.001, 1e6) | st.just(inf),
    give_up_after=st.one_of(st.none(), st.floats(0.001, 1e7)),
    counts_words=st.booleans(),
)
runs = st.builds(
    Run,
    st.sampled_from(Ending),
    st.text(max_size=20),
    st.one_of(st.none(), st.floats(0, 1e6)),
    st.one_of(st.just(inf), st.integers(0, 5)),
)


def judge(
    run: Run, policy: RetryPolicy, attempts: int = 0, *, first_due: float = NOW, chance: float = 1.0
) -> Verdict:
    """The verdict at NOW."""
    return verdict(
        run,
        policy,
        attempts=attempts,
        first_due=first_due,
        now=NOW,
        frequency=FREQUENCY,
        chance=chance,
    )


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.DROPPED])
def test_what_is_done_or_dropped_goes_away(ending: Ending) -> None:
    """However often it failed before."""
    assert judge(Run(ending), RetryPolicy(retries=0), 99) == Done()


def test_what_is_not_mine_stays_for_another_look() -> None:
    """SPOOL_IGNORE leaves the task as it was, until the frequency has passed."""
    assert judge(Run(Ending.NOT_MINE), RetryPolicy(retries=0), 5) == AsItWas(NOW + FREQUENCY)


def test_what_was_interrupted_runs_again_at_once_and_counts_nothing() -> None:
    """Even where no retry is left: it was our doing, not the task's."""
    assert judge(Run(Ending.INTERRUPTED), RetryPolicy(retries=0), 5) == AsItWas(NOW)


def test_its_own_word_runs_again_for_ever() -> None:
    """SPOOL_RETRY is no failure, whatever the policy says of failures."""
    assert judge(Run(Ending.WORD), RetryPolicy(retries=0), 1000) == Round(NOW + FREQUENCY)


def test_its_own_word_counts_where_the_policy_says_so() -> None:
    """`@spoolraw(retries=2)` makes SPOOL_RETRY a failure like an exception."""
    policy = RetryPolicy(retries=2, counts_words=True)
    assert isinstance(judge(Run(Ending.WORD), policy, 1), Again)
    assert isinstance(judge(Run(Ending.WORD), policy, 2), Dead)


@pytest.mark.parametrize("run", [FAILED, DIED])
def test_a_failure_is_tried_again_until_the_last_retry(run: Run) -> None:
    """With 3 retries there are 4 runs; the verdict on the fourth is death, with the reason."""
    policy = RetryPolicy(retries=3)
    seen = [judge(run, policy, attempts) for attempts in range(4)]
    assert [type(becomes) for becomes in seen] == [Again, Again, Again, Dead]
    assert seen[0] == Again(NOW + 30, run.error)
    assert seen[3] == Dead(f"it failed 4 times, at last: {run.error}")


def test_a_death_at_the_first_failure_says_so() -> None:
    """Without retries the reason counts nothing."""
    assert judge(FAILED, RetryPolicy(retries=0)) == Dead("it failed: ValueError: no")


def test_a_failure_may_deserve_less_than_the_policy_grants() -> None:
    """What no waiting heals is dead sooner."""
    broken = Run(Ending.RAISED, "BrokenTask: no", most_retries=0)
    assert isinstance(judge(broken, RetryPolicy(retries=inf)), Dead)
    unknown = Run(Ending.RAISED, "UnknownTask: no", most_retries=3)
    assert isinstance(judge(unknown, RetryPolicy(retries=inf), 2), Again)
    assert isinstance(judge(unknown, RetryPolicy(retries=inf), 3), Dead)
    assert isinstance(judge(unknown, RetryPolicy(retries=1), 1), Dead)


def test_a_wait_that_was_asked_for_is_the_wait() -> None:
    """`Retry(after=5)` waits 5 seconds, neither backed off nor bounded, and counts all the same."""
    asked = Run(Ending.RAISED, "Retry: later", after=5.0)
    assert judge(asked, RetryPolicy(max_delay=1.0), 7) == Again(NOW + 5, "Retry: later")
    assert isinstance(judge(asked, RetryPolicy(retries=7), 7), Dead)


def test_no_run_begins_after_its_time_is_over() -> None:
    """`give_up_after` counts from when the task was first due, and bounds the next run."""
    policy = RetryPolicy(retries=inf, give_up_after=100.0)
    assert isinstance(judge(FAILED, policy, first_due=NOW - 70), Again)
    assert judge(FAILED, policy, 2, first_due=NOW - 1) == Dead(
        "it failed 3 times, at last within 100 s: ValueError: no"
    )
    assert isinstance(judge(FAILED, policy, first_due=0.0), Again), "nobody knows since when"


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        ("exponential", [10, 20, 40, 80, 100, 100]),
        ("linear", [10, 20, 30, 40, 50, 60]),
        ("fixed", [10, 10, 10, 10, 10, 10]),
    ],
)
def test_the_waits_are_those_of_the_formula(backoff: str, waits: list[float]) -> None:
    """delay * 2^(n-1), delay * n, delay; never above max_delay; 80 % to 100 % of it by chance."""
    policy = RetryPolicy(backoff=backoff, delay=10, max_delay=100)
    assert [wait_s(policy, n, 1.0) for n in range(1, 7)] == pytest.approx(waits)
    assert [wait_s(policy, n, 0.0) for n in range(1, 7)] == pytest.approx([w * 0.8 for w in waits])


def test_the_default_gives_up_after_most_of_a_day() -> None:
    """25 retries, 30 s doubling to an hour: 15 to 19 hours, as docs/spooler.md says."""
    policy = RetryPolicy()
    hours = [sum(wait_s(policy, n, chance) for n in range(1, 26)) / 3600 for chance in (0.0, 1.0)]
    assert 15.0 < hours[0] < hours[1] < 19.1


@given(policies, st.integers(1, 10**6), st.floats(0, 1))
def test_a_wait_is_never_longer_than_the_longest(
    policy: RetryPolicy, failures: int, chance: float
) -> None:
    """For every policy and every count; nor is it shorter than 80 % of what it could be.

    One without a bound stays below ten years, which every file system can note down.
    """
    wait = wait_s(policy, failures, chance)
    assert 0 <= wait <= min(policy.max_delay, 10 * 365 * 86400)
    assert wait >= 0.8 * min(policy.delay, policy.max_delay) * 0.999


@given(policies, st.integers(1, 100), st.floats(0, 1))
def test_waits_never_shrink_while_failures_grow(
    policy: RetryPolicy, failures: int, chance: float
) -> None:
    """By the same chance the later wait is not the shorter one."""
    assert wait_s(policy, failures, chance) <= wait_s(policy, failures + 1, chance)


@given(runs, policies, st.integers(0, 300), st.floats(0, 1))
def test_every_verdict_is_one_that_can_be_carried_out(
    run: Run, policy: RetryPolicy, attempts: int, chance: float
) -> None:
    """A next run is not before now; only failures count, die, or say why."""
    becomes = judge(run, policy, attempts, chance=chance)
    if isinstance(becomes, Again | Round | AsItWas):
        assert becomes.at >= NOW
    if isinstance(becomes, Again | Dead):
        assert run.ending in (Ending.RAISED, Ending.DIED, Ending.WORD)
    if isinstance(becomes, Again):
        assert attempts < policy.retries


@given(policies.filter(lambda policy: policy.retries != inf), st.floats(0, 1))
def test_a_task_that_always_fails_ends(policy: RetryPolicy, chance: float) -> None:
    """With a finite number of retries there are at most that many runs and one."""
    attempts = 0
    while isinstance(judge(FAILED, policy, attempts, chance=chance), Again):
        attempts += 1
    assert attempts <= policy.retries
