"""The ledger of a stranger: a file, one JSON line an event. The test reads what truly happened from it alone.

effect: an effect is in place. undo: one effect was taken back. promise: something lands
later, and is then landed.
"""
import json
import threading


class Ledger:
    def __init__(self, path):
        self.path, self.lock = path, threading.RLock()
        self.by_key, self.undone, self.barred, self.deliveries = {}, set(), set(), {}
        self.promised, self.kept = set(), set()
        try:
            with open(path) as lines:
                for line in map(json.loads, lines):
                    self._apply(line)
        except FileNotFoundError:
            pass

    def write(self, did, order, key, **more):
        with self.lock:
            line = {"did": did, "order": order, "key": key, **more}
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
            self._apply(line)

    def _apply(self, line):
        if line["did"] == "effect":
            self.by_key.setdefault(line["key"], line)
        elif line["did"] == "undo":
            self.undone.add(line["of"])

    def delivery(self, order, what):
        """Counts the requests of this kind for an order, from 1."""
        with self.lock:
            count = self.deliveries.get((order, what), 0) + 1
            self.deliveries[(order, what)] = count
            return count

    def effect(self, order, key, once=False):
        """Makes an effect: one a key, or with `once` one a call. Returns its id."""
        with self.lock:
            if once or key not in self.by_key:
                self.write("effect", order, key)
            return "c-" + order

    def has(self, key):
        with self.lock:
            return key in self.by_key and key not in self.undone

    def undo(self, order, key, of):
        """Takes back the effect made under the key `of`; without one it bars that key."""
        with self.lock:
            if self.has(of):
                self.write("undo", order, key, of=of)
                return True
            self.barred.add(of)
            return False

    def was_undone(self, of):
        with self.lock:
            return of in self.undone

    def lands(self, order, key, seconds, land):
        """Promises what `land` does and does it later, or with no `land` renounces it."""
        with self.lock:
            if key in self.promised:
                return
            self.promised.add(key)
            self.write("promise", order, key)

        def keep():
            with self.lock:
                if land:
                    land()
                self.kept.add(key)
                self.write("landed", order, key)

        timer = threading.Timer(seconds, keep)
        timer.daemon = True
        timer.start()

    def under_way(self, key):
        with self.lock:
            return key in self.promised and key not in self.kept
