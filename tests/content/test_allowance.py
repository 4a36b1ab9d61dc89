"""What uploads may take together: never more than the quota, and all of it is given back."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from itertools import chain

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from snowowl.content.allowance import STEP, Allowance, Claim, Limits
from snowowl.content.errors import ContentError
from snowowl.wire.constants import ErrorCode

A = (1, 2, b"a")
B = (1, 2, b"b")
KIB = 1024


def refused_as_full(act: object) -> ContentError:
    assert callable(act)
    with pytest.raises(ContentError) as caught:
        act()
    assert caught.value.code is ErrorCode.DISK_FULL
    return caught.value


def test_without_limits_nothing_is_refused() -> None:
    allowance = Allowance()
    claim = allowance.claim(1 << 60)
    claim.aim(A, 0)
    assert claim.grow(1 << 60) >= 1 << 60
    claim.refuse_space(1 << 61)
    with claim.writing(lambda: 0, 100):
        pass
    claim.close()
    claim.close()
    assert (allowance.held, allowance.promised, allowance.uploads, allowance.open_files) == (0,) * 4


def test_what_is_announced_must_fit_and_is_reserved_with_the_first_block() -> None:
    allowance = Allowance(Limits(quota=1000 * KIB))
    forged = allowance.claim(900 * KIB)
    forged.aim(A, 0)
    assert allowance.held == 0
    real = allowance.claim(800 * KIB)
    real.aim(B, 0)
    real.grow(512)
    assert allowance.held == 800 * KIB
    third = allowance.claim(300 * KIB)
    error = refused_as_full(lambda: third.aim(B, 0))
    assert error.detail == "write.quota is 1024000: 0 octets are stored, 819200 reserved"
    refused_as_full(lambda: forged.grow(512))


def test_without_announcement_it_counts_as_it_grows() -> None:
    allowance = Allowance(Limits(quota=100 * KIB))
    claim = allowance.claim(0)
    claim.aim(A, 0)
    octets = 0
    while octets < 100 * KIB:  # the last step is not a whole one
        octets = min(claim.grow(octets + 1), 100 * KIB)
    refused_as_full(lambda: claim.grow(100 * KIB + 1))
    claim.stored(100 * KIB, replaces=False)
    claim.close()
    assert (allowance.used, allowance.held) == (100 * KIB, 0)
    late = allowance.claim(None)
    refused_as_full(lambda: late.aim(B, 0))


def test_a_replacement_counts_the_difference_and_the_old_file_once() -> None:
    allowance = Allowance(Limits(quota=100))
    allowance.begin_count()
    allowance.counted(90)
    first, second = allowance.claim(95), allowance.claim(95)
    first.aim(A, 90)
    refused_as_full(lambda: second.aim(A, 90))
    first.grow(95)
    assert allowance.held == 5
    first.stored(95, replaces=True)
    first.close()
    assert (allowance.used, allowance.held) == (95, 0)
    second.grow(95)  # and now it is its turn
    second.stored(80, replaces=True)
    second.close()
    assert (allowance.used, allowance.held) == (80, 0)


def test_a_count_that_uploads_end_in_is_never_too_small() -> None:
    allowance = Allowance(Limits(quota=100))
    allowance.begin_count()
    claim = allowance.claim(60)
    claim.aim(A, 0)
    claim.grow(60)
    claim.stored(60, replaces=False)
    claim.close()
    allowance.counted(0)
    assert allowance.used == 60


def test_each_process_takes_its_share_of_the_room() -> None:
    allowance = Allowance(Limits(quota=1000, shares=4))
    allowance.counted(200)
    claim = allowance.claim(201)
    assert "each worker has its share" in refused_as_full(lambda: claim.aim(A, 0)).detail
    allowance.claim(200).aim(B, 0)
    allowance.counted(2000)
    assert allowance.is_short(1)


def test_too_many_uploads_are_told_to_try_again() -> None:
    allowance = Allowance(Limits(uploads_max=2))
    claims = [allowance.claim(None) for _ in range(2)]
    for number, claim in enumerate(claims):
        claim.aim((0, number, b""), 0)
        claim.grow(1)
    with pytest.raises(ContentError) as caught:
        allowance.claim(None)
    assert (caught.value.code, caught.value.limit) == (ErrorCode.NOT_DEFINED, "uploads_max")
    assert caught.value.message == "server is busy, try again"
    claims[0].close()
    allowance.claim(None)


def test_what_gives_way_does_not_pile_up() -> None:
    """A flood begins uploads faster than their files are cleared away."""
    allowance = Allowance(Limits(uploads_max=3))
    for _ in range(6):
        allowance.claim(None)
    with pytest.raises(ContentError) as caught:
        allowance.claim(None)
    assert caught.value.limit == "uploads_max"
    assert allowance.uploads == 6


def test_who_has_not_answered_gives_way_to_who_comes() -> None:
    allowance = Allowance(Limits(uploads_max=3))
    answered, forged, fresh = [allowance.claim(None) for _ in range(3)]
    answered.aim(A, 0)
    answered.grow(1)
    lost: list[ContentError] = []
    forged.failed = lost.append
    allowance.claim(None)
    assert [error.limit for error in lost] == ["uploads_max"]
    assert fresh.failure is answered.failure is None
    allowance.claim(None)
    assert fresh.failure is not None


def test_who_can_no_longer_have_the_name_is_told() -> None:
    allowance = Allowance()
    winner, loser, other = [allowance.claim(None) for _ in range(3)]
    for claim, key in ((winner, A), (loser, A), (other, B)):
        claim.aim(key, 0)
    winner.grow(5)
    winner.stored(5, replaces=False)
    assert loser.failure is not None
    assert loser.failure.code is ErrorCode.FILE_EXISTS
    assert winner.failure is other.failure is None


def test_the_free_space_is_kept_by_all_writers_together() -> None:
    free = 1000
    allowance = Allowance(Limits(free_min=400))
    claim = allowance.claim(None)
    with ExitStack() as stack:
        for _ in range(6):  # of threads that have not written anything yet
            stack.enter_context(claim.writing(lambda: free, 100))
        refused_as_full(lambda: stack.enter_context(claim.writing(lambda: free, 1)))
    with claim.writing(lambda: free, 600):
        pass
    claim.refuse_space(400)
    refused_as_full(lambda: claim.refuse_space(399))
    refused_as_full(lambda: allowance.claim(601).refuse_space(free))


def test_what_is_promised_is_not_free() -> None:
    allowance = Allowance()
    claim = allowance.claim(700)
    claim.aim(A, 0)
    allowance.claim(400).refuse_space(1000)
    claim.grow(100)
    refused_as_full(lambda: allowance.claim(401).refuse_space(1000))
    allowance.claim(400).refuse_space(1000)


def test_limits_change_under_what_is_running() -> None:
    allowance = Allowance()
    claim = allowance.claim(100)
    claim.aim(A, 0)
    claim.grow(50)
    allowance.limits = Limits(quota=60, uploads_max=1)
    assert claim.grow(60) >= 60  # reserved before
    refused_as_full(lambda: claim.grow(STEP * 2))
    with pytest.raises(ContentError):
        allowance.claim(None)


def test_threads_lose_no_octet() -> None:
    allowance = Allowance(Limits(quota=1 << 40, free_min=1))

    def upload(number: int) -> None:
        for step in range(300):
            claim = claims[number][step]
            claim.aim((0, step % 3, b"name"), 0)
            claim.grow(1000)
            with claim.writing(lambda: 1 << 40, 10):
                claim.stored(10, replaces=True)

    claims = [[allowance.claim(None) for _ in range(300)] for _ in range(4)]
    threads = [threading.Thread(target=upload, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for claim in chain.from_iterable(claims):
        claim.close()
    assert (allowance.held, allowance.promised, allowance.uploads) == (0, 0, 0)
    with allowance.writing(lambda: 101, 100):
        pass


class Uploads(RuleBasedStateMachine):
    """Any uploads in any order: the books and the files agree, and the quota holds."""

    @initialize(
        quota=st.integers(1, 500 * KIB), files=st.lists(st.integers(0, 60 * KIB), max_size=4)
    )
    def begin(self, quota: int, files: list[int]) -> None:
        self.replaces = True
        self.files = dict(enumerate(files))
        self.quota = max(quota, sum(files))
        self.allowance = Allowance(Limits(quota=self.quota))
        self.allowance.counted(sum(files))
        self.running: list[tuple[Claim, int, int]] = []  # and name, and octets

    @rule(name=st.integers(0, 5), tsize=st.one_of(st.none(), st.integers(0, 200 * KIB)))
    def ask(self, name: int, tsize: int | None) -> None:
        claim = self.allowance.claim(tsize)
        try:
            claim.aim((0, name, b""), self.files.get(name, 0))
        except ContentError:
            claim.close()
        else:
            self.running.append((claim, name, 0))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), more=st.integers(0, 100 * KIB))
    def send(self, data: st.DataObject, more: int) -> None:
        index = data.draw(st.integers(0, len(self.running) - 1))
        claim, name, octets = self.running[index]
        try:
            granted = claim.grow(octets + more)
        except ContentError:
            claim.close()
            del self.running[index]
        else:
            assert granted >= octets + more
            self.running[index] = (claim, name, octets + more)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), whole=st.booleans())
    def end(self, data: st.DataObject, whole: bool) -> None:
        index = data.draw(st.integers(0, len(self.running) - 1))
        claim, name, octets = self.running.pop(index)
        if whole and claim.answered:
            self.files[name] = octets
            claim.stored(octets, replaces=True)
        claim.close()

    @rule()
    def count(self) -> None:
        self.allowance.begin_count()
        self.allowance.counted(sum(self.files.values()))

    @invariant()
    def holds(self) -> None:
        allowance = self.allowance
        assert allowance.used == sum(self.files.values())
        assert allowance.used + allowance.held <= self.quota
        assert allowance.held == sum(claim.held for claim, _, _ in self.running)
        assert allowance.uploads == len(self.running)
        if not self.running:
            assert (allowance.held, allowance.promised) == (0, 0)


Uploads.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestUploads = Uploads.TestCase
