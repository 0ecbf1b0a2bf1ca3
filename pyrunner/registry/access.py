"""What a request needs to be allowed, in the words of token servers.

The form of scopes is that of Docker's token authentication specification
(distribution/distribution, ``docs/spec/auth/scope.md``): ``repository:ai/smollm2:pull,push``.
"""

import re
from dataclasses import dataclass

PULL = "pull"
PUSH = "pull,push"
_MAX_SCOPES = 8
"""More than a registry has reason to ask for at once."""
_SCOPE = re.compile(r"([a-z]+(?:\([a-z0-9]+\))?:[!-~]{1,512}):([a-z*]+(?:,[a-z*]+)*)")


@dataclass(frozen=True, slots=True)
class Access:
    """A registry, one of its repositories, and what is done there."""

    registry: str
    repository: str = ""
    """Empty: nothing but to be known, which is what logging in asks for."""
    actions: str = PULL
    """`PULL` or `PUSH`."""
    mount_from: str = ""
    """Another repository whose blobs are taken over, empty for none."""

    def scopes(self, asked: str = "") -> list[str]:
        """The scopes of a token, one per repository, with what the registry asked for itself.

        Args:
            asked: The ``scope`` of its challenge; what is no scope in there is ignored.
        """
        wanted: dict[str, set[str]] = {}
        if self.repository:
            wanted[f"repository:{self.repository}"] = set(self.actions.split(","))
        if self.mount_from:
            wanted.setdefault(f"repository:{self.mount_from}", set()).add(PULL)
        for text in asked.split()[:_MAX_SCOPES]:
            match = _SCOPE.fullmatch(text)
            if match:
                wanted.setdefault(match[1], set()).update(match[2].split(","))
        return [f"{what}:{','.join(sorted(actions))}" for what, actions in wanted.items()]
