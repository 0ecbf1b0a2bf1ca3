"""Who holds which tokens, and who shares most of a prompt. Pure: no native calls, no clock.

A radix tree: an edge is a run of tokens, so a prefix that many hold is stored once. It knows
nothing of caches: a holder is an id that stands for a lane or for a state blob in host memory.
Costs below count Python operations; beside them tokens are copied and compared in C, about one
per nanosecond. A way has one node per place where holders end or part.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pyrunner.errors import InvariantError


class Match(NamedTuple):
    """A holder that shares the beginning of a prompt."""

    holder_id: int
    n_tokens: int
    """Tokens in common, at least 1; the holder may hold more."""


@dataclass(slots=True, eq=False)
class _Node:
    """A node and the edge that leads to it."""

    label: "array[int]"
    """The edge's tokens; empty only at a root."""
    end: int
    """Tokens from the root to the end of the edge."""
    parent: "_Node | None"
    through: set[int]
    """Holders of everything down to here. They end here or go through exactly one child."""
    children: "dict[int, _Node]" = field(default_factory=dict)
    """By the first token of their label."""

    @property
    def start(self) -> int:
        """Tokens from the root to the beginning of the edge."""
        return self.end - len(self.label)

    @property
    def above(self) -> "_Node":
        """The parent of a node that is not a root."""
        if self.parent is None:
            raise InvariantError("a root has no parent")
        return self.parent

    def lead(self, holder_id: int, tokens: "array[int]") -> "_Node":
        """Lead a holder that reaches this node on along `tokens`; returns where it ends."""
        node = self
        n_led = 0
        while n_led < len(tokens):
            child = node.children.get(tokens[n_led])
            if child is None:
                leaf = _Node(tokens[n_led:], node.end + len(tokens) - n_led, node, {holder_id})
                node.children[tokens[n_led]] = leaf
                return leaf
            n_same = n_shared(child.label, tokens, n_led)
            node = child if n_same == len(child.label) else child.split(n_same)
            node.through.add(holder_id)
            n_led += n_same
        return node

    def leave(self, holder_id: int) -> None:
        """A holder no longer reaches this node, which vanishes when it was the last."""
        self.through.discard(holder_id)
        if not self.through:
            del self.above.children[self.label[0]]

    def split(self, n_upper: int) -> "_Node":
        """Cut the edge after `n_upper` of its tokens and return the new node at the cut.

        This node stays the lower one, so holders that end at it need no change.
        """
        upper = _Node(self.label[:n_upper], self.start + n_upper, self.above, set(self.through))
        del self.label[:n_upper]
        upper.children[self.label[0]] = self
        self.above.children[upper.label[0]] = upper
        self.parent = upper
        return upper

    def merge(self) -> None:
        """Undo a split that has become useless: nobody ends here and there is one way on."""
        if self.parent is None or len(self.children) != 1:
            return
        (lower,) = self.children.values()
        if len(lower.through) == len(self.through):
            self.label.extend(lower.label)
            lower.label = self.label
            lower.parent = self.parent
            self.parent.children[lower.label[0]] = lower


@dataclass(slots=True, eq=False)
class _Holder:
    salt: str
    end: _Node
    """Its last token is the last of this node's label."""
    used: int
    """When it was used last, on the index's own counter."""


class PrefixIndex:
    """The tokens of every holder, in one tree per salt.

    Ids are the caller's. A holder that is not in the index is an InvariantError everywhere.
    Tokens are 0..2^31 - 1, as in the session's plan; a larger one is an OverflowError that
    changes nothing. Sequences of tokens are copied, never kept.
    """

    def __init__(self) -> None:
        self._roots: dict[str, _Node] = {}
        self._holders: dict[int, _Holder] = {}
        self._n_uses = 0

    @property
    def n_holders(self) -> int:
        """Holders it knows, also those of no tokens."""
        return len(self._holders)

    def insert(self, holder_id: int, tokens: Sequence[int], salt: str = "") -> None:
        """The holder now holds exactly these tokens, whatever it held before. It counts as a use.

        Cost: the nodes of its way, old and new.

        Args:
            holder_id: Known or new.
            tokens: May be empty.
            salt: Holders of different salts never match each other.
        """
        added = array("i", tokens)
        if holder_id in self._holders:
            self.remove(holder_id)
        root = self._roots.get(salt)
        if root is None:
            root = self._roots[salt] = _Node(array("i"), 0, None, set())
        root.through.add(holder_id)
        self._holders[holder_id] = _Holder(salt, root.lead(holder_id, added), 0)
        self.touch(holder_id)

    def extend(self, holder_id: int, tokens: Sequence[int]) -> None:
        """The holder has grown by these tokens. It counts as a use.

        Cost: constant while no other holder has all of its tokens. Else a few operations per node
        it passes, and a copy of the edge it stops in, for each token of a holder that goes token by
        token along another's.
        """
        holder = self._known(holder_id)
        added = array("i", tokens)
        self._n_uses += 1
        holder.used = self._n_uses
        end = holder.end
        if len(end.through) == 1 and end.parent is not None:
            end.label.extend(added)
            end.end += len(added)
        else:
            holder.end = end.lead(holder_id, added)
            end.merge()

    def truncate(self, holder_id: int, n_keep: int) -> None:
        """The holder now holds only its first `n_keep` tokens, 0..`n_tokens`. Not a use.

        Cost: the nodes it leaves.
        """
        holder = self._known(holder_id)
        end = node = holder.end
        if not 0 <= n_keep <= end.end:
            raise InvariantError(f"holder {holder_id} has {end.end} tokens, not {n_keep}")
        if n_keep == end.end:
            return
        # Where it ended, or else branched off, may be one edge now. Nothing else can.
        survivor = end if len(end.through) > 1 else end.above
        while node.end > n_keep:
            if node.start < n_keep:
                node.split(n_keep - node.start)
            node.leave(holder_id)
            node = node.above
        holder.end = node
        survivor.merge()

    def remove(self, holder_id: int) -> None:
        """The holder holds nothing any more and is forgotten. Cost: the nodes of its way."""
        self.truncate(holder_id, 0)
        holder = self._holders.pop(holder_id)
        holder.end.through.discard(holder_id)
        if not holder.end.through:
            del self._roots[holder.salt]

    def longest(
        self,
        tokens: Sequence[int],
        salt: str = "",
        *,
        among: Iterable[int] | None = None,
        prefer: Callable[[int], int] | None = None,
    ) -> Match | None:
        """Find the holder with the longest beginning in common with `tokens`. Not a use.

        Cost: a few operations per node of the match, and per holder of all of it; cheapest where
        `tokens` is an `array("i")`.

        Args:
            tokens: The prompt. To be left with a token to read, pass all but the last.
            salt: Only holders of this salt are seen.
            among: Only these holders are seen; ids that are not in the index are ignored.
            prefer: Among equally long matches the smallest value wins, say 0 for a lane and 1
                for a blob. Then fewest tokens beyond the match, then the most recently used.

        Returns:
            None when nobody shares even the first token.
        """
        node = self._roots.get(salt)
        if node is None:
            return None
        wanted = array("i", tokens)
        seen = None if among is None else set(among)
        n_tokens = 0
        while n_tokens == node.end < len(wanted):
            child = node.children.get(wanted[n_tokens])
            if child is None or (seen is not None and child.through.isdisjoint(seen)):
                break
            n_tokens += n_shared(child.label, wanted, n_tokens)
            node = child
        if n_tokens == 0:
            return None

        def rank(holder_id: int) -> tuple[int, int, int]:
            holder = self._holders[holder_id]
            return prefer(holder_id) if prefer else 0, holder.end.end, -holder.used

        tied = node.through if seen is None else node.through & seen
        return Match(min(tied, key=rank), n_tokens)

    def longest_whole(
        self,
        tokens: Sequence[int],
        salt: str = "",
        *,
        among: Iterable[int],
        prefer: Callable[[int], int] | None = None,
    ) -> Match | None:
        """As `longest`, of holders that are wholly a beginning. Cost: that of each it passes."""
        left = set(among)
        while match := self.longest(tokens, salt, among=left, prefer=prefer):
            if self.n_tokens(match.holder_id) == match.n_tokens:
                return match
            left.discard(match.holder_id)
        return None

    def touch(self, holder_id: int) -> None:
        """The holder is used now."""
        self._n_uses += 1
        self._known(holder_id).used = self._n_uses

    def least_valuable(self, candidates: Iterable[int]) -> int:
        """Choose the holder to reclaim first.

        First those without loss: all their tokens are also held by another holder of their salt
        (or they have none). Then the others. Within both, the least recently used first. In
        short, the smallest (`is_unique`, `last_use`). Cost: constant per candidate.

        Args:
            candidates: At least one. Ask again after each removal: of two holders of the same
                tokens each is without loss as long as the other stays.
        """

        def value(holder_id: int) -> tuple[bool, int]:
            return self.is_unique(holder_id), self._known(holder_id).used

        chosen = min(candidates, key=value, default=None)
        if chosen is None:
            raise InvariantError("no holder to choose from")
        return chosen

    def latest_first(self, candidates: Iterable[int], *, drops_beginnings: bool) -> list[int]:
        """Order holders by their last use, without those that add nothing to the others.

        Of those that hold the same the latest used stays. Cost: a sort.

        Args:
            candidates: Any number.
            drops_beginnings: Whether those whose tokens are only the beginning of another's are
                left out, too, or come last.
        """
        chosen = sorted(candidates, key=lambda each: -self._known(each).used)
        among, ends = set(chosen), set()
        whole: list[int] = []
        beginnings: list[int] = []
        for holder_id in chosen:
            end = self._known(holder_id).end
            is_passed = any(self._known(each).end is not end for each in end.through & among)
            if end.end > 0 and id(end) not in ends:
                ends.add(id(end))
                (beginnings if is_passed else whole).append(holder_id)
        return whole if drops_beginnings else whole + beginnings

    def is_unique(self, holder_id: int) -> bool:
        """Whether no other holder of its salt has all of its tokens. Cost: constant."""
        end = self._known(holder_id).end
        return end.end > 0 and len(end.through) == 1

    def tokens_of(self, holder_id: int) -> "array[int]":
        """A copy of what the holder holds. Cost: the nodes of its way."""
        labels = []
        node: _Node | None = self._known(holder_id).end
        while node is not None:
            labels.append(node.label)
            node = node.parent
        tokens = array("i")
        for label in reversed(labels):
            tokens.extend(label)
        return tokens

    def n_tokens(self, holder_id: int) -> int:
        """How many tokens the holder holds. Cost: constant."""
        return self._known(holder_id).end.end

    def check(self) -> None:
        """Raise InvariantError unless the trees are as small as they can be and hold everyone."""
        seen: list[int] = []
        for salt, root in self._roots.items():
            require(root.parent is None and root.end == 0 and not root.label, "a root has an edge")
            require(root.through, f"the tree of salt {salt!r} is empty")
            nodes = [root]
            while nodes:
                node = nodes.pop()
                seen.extend(self._check_node(node, salt))
                nodes.extend(node.children.values())
        require(sorted(seen) == sorted(self._holders), "a holder ends nowhere or twice")
        uses = {holder.used for holder in self._holders.values()}
        require(len(uses) == len(self._holders), "two holders were used at once")
        require(max(uses, default=0) <= self._n_uses, "a use is in the future")

    def _check_node(self, node: _Node, salt: str) -> list[int]:
        """Check one node and the edges below it; returns the holders that end at it."""
        below: list[int] = []
        for token, child in node.children.items():
            require(child.label and child.label[0] == token, "a child has a wrong key")
            require(child.parent is node, "a child has another parent")
            require(child.end == node.end + len(child.label), "an edge has a wrong length")
            below.extend(child.through)
        require(len(set(below)) == len(below), "a holder goes two ways")
        ending = [each for each in node.through if self._known(each).end is node]
        require(sorted([*below, *ending]) == sorted(node.through), "a node has wrong holders")
        is_branching = bool(ending) or len(node.children) > 1
        require(node.parent is None or is_branching, "two edges could be one")
        require(all(self._known(each).salt == salt for each in ending), "a salt is wrong")
        return ending

    def _known(self, holder_id: int) -> _Holder:
        try:
            return self._holders[holder_id]
        except KeyError:
            raise InvariantError(f"holder {holder_id} is not in the prefix index") from None


def n_shared(label: Sequence[int], tokens: Sequence[int], start: int = 0) -> int:
    """How many of `label` equal the tokens from `start` on. By halves, to compare in C.

    Both are of one type: slices of a list and an array are never equal.
    """
    high = min(len(label), len(tokens) - start)
    if label[:high] == tokens[start : start + high]:
        return high
    low = 0  # the first `low` are equal, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        if label[low:middle] == tokens[start + low : start + middle]:
            low = middle
        else:
            high = middle
    return low


def require(claim: object, otherwise: str) -> None:
    """Raise InvariantError unless it is so: for checks that tests and idle loops make."""
    if not claim:
        raise InvariantError(otherwise)
