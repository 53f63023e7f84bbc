"""Runs of rows that are held in memory: read once for all threads, the next one while the present one is worked on.

The oldest goes when a new one has no place; whoever still works on it keeps it until then. A thread reads one run and
ends. It is no daemon: where the process ends first, it waits for that run, for a thread that is stopped within HDF5
would keep the lock that closing the file takes.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from .store import Store

__all__ = ["Slabs"]

Key = tuple[tuple[int, int], ...]


class Slabs:
    """What is held of a store.

    Parameters
    ----------
    store : Store
    capacity : int
        Bytes to hold at most; two entries are held in any case.
    """

    def __init__(self, store: Store, capacity: int) -> None:
        self._store, self._capacity = store, capacity
        self._lock = threading.Lock()
        self._held: dict[Key, Future[Any]] = {}  # from the oldest on

    def __reduce__(self) -> tuple[Any, ...]:
        """Elsewhere nothing is held yet."""
        return type(self), (self._store, self._capacity)

    def holds(self, key: Key) -> bool:
        """Whether an entry is in memory, or being read."""
        return key in self._held

    def get(self, key: Key, ahead: Key | None = None) -> Any:
        """Return the rows of an entry, and see to it that those of another one, ``ahead``, are there soon.

        A key is the bounds of one or more runs of rows.
        """
        found, mine = self._entry(key)
        if mine:
            self._load(key, found)
        if ahead is not None and ahead not in self._held:
            other, mine = self._entry(ahead, beside=key)
            if mine:
                threading.Thread(
                    target=self._load, args=(ahead, other), name="nonneg reads ahead", daemon=False
                ).start()
        return found.result()

    def _entry(self, key: Key, beside: Key | None = None) -> tuple[Future[Any], bool]:
        """The entry, and whether it is for the caller to read it."""
        with self._lock:
            if key in self._held:
                return self._held[key], False
            found: Future[Any] = Future()
            self._held[key] = found
            over = sum(map(self._size, self._held)) - self._capacity
            for old in [old for old in self._held if old not in (key, beside)]:
                if over <= 0:
                    break
                over -= self._size(old)
                del self._held[old]
            return found, True

    def _size(self, key: Key) -> int:
        return sum(self._store.size(*cut) for cut in key)

    def _load(self, key: Key, into: Future[Any]) -> None:
        """Read an entry; what goes wrong reaches all who wait for it, and nobody after them."""
        try:
            into.set_result(self._store.gather(key))
        except BaseException as error:
            with self._lock:
                if self._held.get(key) is into:
                    del self._held[key]
            into.set_exception(error)
