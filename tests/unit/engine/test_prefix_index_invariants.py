"""The prefix index against one without a tree, under random operations, and its own check."""

import random
from collections.abc import Callable, Collection, Sequence

import pytest

from pyrunner.engine.prefix_index import Match, PrefixIndex
from pyrunner.errors import InvariantError


def _shift_end(index: PrefixIndex) -> None:
    index._roots[""].children[1].end += 1


def _forget_to_merge(index: PrefixIndex) -> None:
    index._roots[""].children[1].children[3].split(1)


def _forget_a_holder(index: PrefixIndex) -> None:
    index._roots[""].children[1].children[5].through.clear()


def _forget_the_parent(index: PrefixIndex) -> None:
    index._roots[""].children[1].parent = None


def _change_a_token(index: PrefixIndex) -> None:
    index._roots[""].children[1].label[0] = 9


def _end_nowhere(index: PrefixIndex) -> None:
    index._holders[7] = index._holders[0]


def _go_two_ways(index: PrefixIndex) -> None:
    index._roots[""].children[1].children[5].through.add(0)


def _change_a_salt(index: PrefixIndex) -> None:
    index._holders[0].salt = "tenant"


def _use_two_at_once(index: PrefixIndex) -> None:
    index._holders[0].used = index._holders[1].used


def _use_in_the_future(index: PrefixIndex) -> None:
    index._holders[0].used = 99


def _grow_a_root(index: PrefixIndex) -> None:
    index._roots[""].end = 1


def _keep_an_empty_tree(index: PrefixIndex) -> None:
    index.insert(7, [], "tenant")
    index._roots["tenant"].through.clear()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_shift_end, "wrong length"),
        (_forget_to_merge, "could be one"),
        (_forget_a_holder, "wrong holders"),
        (_forget_the_parent, "another parent"),
        (_change_a_token, "wrong key"),
        (_end_nowhere, "ends nowhere"),
        (_go_two_ways, "two ways"),
        (_change_a_salt, "salt is wrong"),
        (_use_two_at_once, "at once"),
        (_use_in_the_future, "in the future"),
        (_grow_a_root, "a root has an edge"),
        (_keep_an_empty_tree, "is empty"),
    ],
)
def test_check_finds_damage(damage: Callable[[PrefixIndex], None], problem: str) -> None:
    index = PrefixIndex()
    index.insert(0, [1, 2, 3, 4])
    index.insert(1, [1, 2, 5])
    damage(index)
    with pytest.raises(InvariantError, match=problem):
        index.check()


def _n_stored(index: PrefixIndex, salt: str) -> int:
    """Tokens in all edges of a salt's tree."""
    nodes = [index._roots[salt]]
    for node in nodes:
        nodes.extend(node.children.values())
    return sum(len(node.label) for node in nodes)


class _Naive:
    """What the index does, without a tree."""

    def __init__(self) -> None:
        self.held: dict[int, list[int]] = {}
        self.salt_of: dict[int, str] = {}
        self.uses: list[int] = []  # the last used last

    def use(self, holder_id: int) -> None:
        if holder_id in self.uses:
            self.uses.remove(holder_id)
        self.uses.append(holder_id)

    def insert(self, holder_id: int, tokens: Sequence[int], salt: str) -> None:
        self.held[holder_id] = list(tokens)
        self.salt_of[holder_id] = salt
        self.use(holder_id)

    def remove(self, holder_id: int) -> None:
        del self.held[holder_id], self.salt_of[holder_id]
        self.uses.remove(holder_id)

    def longest(
        self, tokens: list[int], salt: str, among: Collection[int], prefer: Callable[[int], int]
    ) -> Match | None:
        found = []
        for holder_id, held in self.held.items():
            n_tokens = next(
                (i for i, (a, b) in enumerate(zip(held, tokens, strict=False)) if a != b),
                min(len(held), len(tokens)),
            )
            if n_tokens and self.salt_of[holder_id] == salt and holder_id in among:
                last_use = self.uses.index(holder_id)
                rank = (-n_tokens, prefer(holder_id), len(held), -last_use)
                found.append((rank, Match(holder_id, n_tokens)))
        return min(found)[1] if found else None

    def least_valuable(self, candidates: Collection[int]) -> int:
        def is_held_by_another(holder_id: int) -> bool:
            tokens = self.held[holder_id]
            return not tokens or any(
                other[: len(tokens)] == tokens
                for other_id, other in self.held.items()
                if other_id != holder_id and self.salt_of[other_id] == self.salt_of[holder_id]
            )

        by_age = [each for each in self.uses if each in candidates]
        return next((each for each in by_age if is_held_by_another(each)), by_age[0])

    def n_distinct(self, salt: str) -> int:
        """Tokens that must be stored: one per different prefix."""
        held = [tokens for each, tokens in self.held.items() if self.salt_of[each] == salt]
        return len({tuple(tokens[:i]) for tokens in held for i in range(1, len(tokens) + 1)})


class _Both:
    """The index and the naive one, side by side under random operations."""

    N_HOLDERS = 12
    SALTS = ("", "tenant")

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.index = PrefixIndex()
        self.naive = _Naive()

    def some_tokens(self) -> list[int]:
        """Part of what somebody holds, and then something else; few tokens, so they meet."""
        held = self.rng.choice([*self.naive.held.values(), []])
        n_held = self.rng.choice((len(held), self.rng.randint(0, len(held))))
        n_new = self.rng.choice((0, 1, 1, 2, self.rng.randrange(20)))
        return held[:n_held] + [self.rng.randrange(3) for _ in range(n_new)]

    def insert(self, holder_id: int) -> None:
        tokens, salt = self.some_tokens(), self.rng.choice(self.SALTS)
        self.index.insert(holder_id, tokens, salt)
        self.naive.insert(holder_id, tokens, salt)

    def extend(self, holder_id: int) -> None:
        n_new = self.rng.choice((0, 1, 1, self.rng.randrange(9)))
        tokens = [self.rng.randrange(3) for _ in range(n_new)]
        self.index.extend(holder_id, tokens)
        self.naive.held[holder_id] += tokens
        self.naive.use(holder_id)

    def follow(self, holder_id: int) -> None:
        """Go one token on, where somebody else has been."""
        held = self.naive.held[holder_id]
        n_held = len(held)
        longer = [
            other
            for other in self.naive.held.values()
            if len(other) > n_held and other[:n_held] == held
        ]
        token = self.rng.choice(longer)[n_held] if longer else 0
        self.index.extend(holder_id, (token,))
        held.append(token)
        self.naive.use(holder_id)

    def truncate(self, holder_id: int) -> None:
        n_held = len(self.naive.held[holder_id])
        n_keep = self.rng.choice((self.rng.randint(0, n_held), max(n_held - 2, 0), n_held))
        self.index.truncate(holder_id, n_keep)
        del self.naive.held[holder_id][n_keep:]

    def remove(self, holder_id: int) -> None:
        self.index.remove(holder_id)
        self.naive.remove(holder_id)

    def touch(self, holder_id: int) -> None:
        self.index.touch(holder_id)
        self.naive.use(holder_id)

    def change(self) -> None:
        holder_id = self.rng.randrange(self.N_HOLDERS)
        if holder_id not in self.naive.held:
            return self.insert(holder_id)
        often = (self.extend, self.follow, self.follow, self.truncate)
        return self.rng.choice((*often, *often, self.touch, self.remove, self.insert))(holder_id)

    def compare(self) -> None:
        index, naive = self.index, self.naive
        index.check()
        for holder_id, tokens in naive.held.items():
            assert list(index.tokens_of(holder_id)) == tokens
            assert index.n_tokens(holder_id) == len(tokens)
        prompt, salt = self.some_tokens(), self.rng.choice(self.SALTS)
        ids = self.rng.sample(range(self.N_HOLDERS), self.rng.randint(1, self.N_HOLDERS))
        among = self.rng.choice((None, ids))
        prefer = self.rng.choice((None, lambda holder_id: holder_id % 3))
        match = index.longest(prompt, salt, among=among, prefer=prefer)
        anybody = range(self.N_HOLDERS)
        expected = naive.longest(
            prompt, salt, anybody if among is None else among, prefer or (lambda _: 0)
        )
        assert match == expected
        if candidates := [each for each in ids if each in naive.held]:
            assert index.least_valuable(candidates) == naive.least_valuable(candidates)

    def compare_size(self) -> None:
        for salt in self.index._roots:
            assert _n_stored(self.index, salt) == self.naive.n_distinct(salt)


@pytest.mark.parametrize("seed", range(10))
def test_random_operations_give_what_a_naive_index_gives(seed: int) -> None:
    both = _Both(seed)
    for i in range(3000):
        both.change()
        both.compare()
        if i % 20 == 0:
            both.compare_size()
    for holder_id in list(both.naive.held):
        both.remove(holder_id)
        both.compare()
    assert both.index._roots == {}
