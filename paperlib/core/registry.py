"""Names to things (data sets, models, methods, …), with an error that names the nearest match."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Generic, TypeVar

from paperlib.core.errors import PaperlibError

T = TypeVar("T")


def unknown(kind: str, name: str, known: list[str]) -> PaperlibError:
    """The error for a name that is not one of `known`, with the nearest one suggested."""
    by_lower = {k.lower(): k for k in known}
    near = get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    hint = f"; did you mean {by_lower[near[0]]!r}?" if near else ""
    return PaperlibError(f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping that grows by `register` and explains itself when a name is missing.

    builtin: what this package brings, name to `module:attribute`; imported when first looked up, so that names alone
        cost no import of torch.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, T | str] = dict(builtin or {})

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a thing under `name`; raises PaperlibError if the name is taken."""

        def add(thing: T) -> T:
            if name in self:
                raise PaperlibError(f"{self.kind} {name!r} is registered already")
            self._entries[name] = thing
            return thing

        return add

    def check(self, name: str) -> None:
        """PaperlibError for an unknown name; imports nothing."""
        if name not in self:
            raise unknown(self.kind, name, list(self))

    def __getitem__(self, name: str) -> T:
        self.check(name)
        entry = self._entries[name]
        if not isinstance(entry, str):
            return entry
        module, _, attribute = entry.partition(":")
        thing: T = getattr(import_module(module), attribute)
        return thing

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
