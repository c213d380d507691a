"""How long work tells whoever watches how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Told of one piece of work at a time, always from the thread that called `Library.index`."""

    def start(self, total: int, what: str) -> None:
        """Work of `total` steps begins; `what` names a step in the plural, such as "files"."""

    def advance(self, steps: int) -> None:
        """`steps` more are done and committed."""

    def finish(self) -> None:
        """The work ended, well or not."""


class NullProgress:
    """Says nothing."""

    def start(self, total: int, what: str) -> None:
        pass

    def advance(self, steps: int) -> None:
        pass

    def finish(self) -> None:
        pass


NULL = NullProgress()
