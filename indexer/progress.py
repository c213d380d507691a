"""How a long task reports its progress."""

from typing import Protocol


class Progress(Protocol):
    """What a long task calls as it goes on, one task at a time and always from the thread that
    called the library."""

    def start(self, total: int, what: str) -> None:
        """A task of `total` steps begins; `what` names its steps in the plural, such as "files"."""

    def advance(self, steps: int) -> None:
        """`steps` more steps are done and committed."""

    def finish(self) -> None:
        """The task ended, with success or without."""


class NullProgress:
    """Reports nothing."""

    def start(self, total: int, what: str) -> None:
        pass

    def advance(self, steps: int) -> None:
        pass

    def finish(self) -> None:
        pass


NULL = NullProgress()
