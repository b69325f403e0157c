"""What the scripted server counts."""

from __future__ import annotations

import resource
import time
from collections import Counter, defaultdict
from typing import Any

from tests.served.scripted_replies import Reply


class Counts:
    """What happened since the start or the last reset."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.paths: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.good: Counter[str] = Counter()
        self.order: list[str] = []
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self.first: float | None = None
        self.last: float | None = None
        self.most_running = self.most_in_flight = self.most_connections = 0
        self._cpu = time.process_time()

    def arrived(self, reply: Reply) -> None:
        """A request was understood, and its reply decided."""
        self.order.append(reply.key)
        self.arrivals[reply.key].append(time.time())
        if reply.fault:
            self.faults[reply.fault] += 1
        if reply.poisoned:
            self.faults["poison"] += 1

    def answered(self, reply: Reply) -> None:
        """A reply went out, whole or not."""
        self.last = time.time()
        if reply.fault not in ("drop", "hang"):
            self.statuses[reply.status] += 1
        self.totals["prompt_tokens"] += reply.prompt_tokens
        self.totals["completion_tokens"] += reply.completion_tokens
        if reply.clean:
            self.good[reply.key] += 1

    def summary(self) -> dict[str, Any]:
        """As /stats gives them."""
        totals, clean, keys = self.totals, self.good.total(), len(self.arrivals)
        return {
            "requests": totals["requests"],
            "unique_keys": keys,
            "duplicates": len(self.order) - keys,
            "answered_ok": clean,
            "unique_ok": len(self.good),
            "wasted_ok": clean - len(self.good),
            "max_in_flight": self.most_in_flight,
            "max_running": self.most_running,
            "max_connections": self.most_connections,
            "connections_opened": totals["connections"],
            "aborted_by_client": totals["aborted"],
            "bytes_in": totals["bytes_in"],
            "prompt_tokens": totals["prompt_tokens"],
            "completion_tokens": totals["completion_tokens"],
            "faults": dict(self.faults),
            "paths": dict(self.paths),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "first_request": self.first,
            "last_response": self.last,
            "span_s": self.last - self.first if self.first and self.last else None,
            "server_cpu_s": round(time.process_time() - self._cpu, 4),
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }

    def keys(self, attempts: Counter[str]) -> dict[str, Any]:
        """The part of /stats?keys=1 that names keys."""
        return {
            "order": self.order,
            "keys_attempts": dict(attempts),
            "keys_ok": dict(self.good),
            "arrivals": self.arrivals,
        }
