// The ledger of a stranger: a file, one JSON line an event. The same as ledger.py.
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export class Ledger {
  constructor(path) {
    Object.assign(this, { path, byKey: new Map(), undone: new Set(), barred: new Set(), deliveries: new Map() });
    this.promised = new Set();
    this.landed = new Set();
    if (existsSync(path)) {
      for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) this.apply(JSON.parse(line));
    }
  }

  write(did, order, key, more = {}) {
    const line = { did, order, key, ...more };
    appendFileSync(this.path, JSON.stringify(line) + "\n");
    this.apply(line);
  }

  apply(line) {
    if (line.did === "effect" && !this.byKey.has(line.key)) this.byKey.set(line.key, line);
    if (line.did === "landed") this.landed.add(line.key);
    if (line.did === "undo") this.undone.add(line.of);
  }

  // Counts the requests of this kind for an order, from 1.
  delivery(order, what) {
    const count = (this.deliveries.get(`${order} ${what}`) ?? 0) + 1;
    this.deliveries.set(`${order} ${what}`, count);
    return count;
  }

  // Makes an effect: one a key, or with `once` one a call. Returns its id.
  effect(order, key, once = false) {
    if (once || !this.byKey.has(key)) this.write("effect", order, key);
    return `c-${order}`;
  }

  has(key) {
    return this.byKey.has(key) && !this.undone.has(key);
  }

  // Takes back the effect made under the key `of`; without one it bars that key.
  undo(order, key, of) {
    if (!this.has(of)) {
      this.barred.add(of);
      return false;
    }
    this.write("undo", order, key, { of });
    return true;
  }

  // Promises an effect and makes it later, or with `renounce` never.
  lands(order, key, ms, renounce = false) {
    if (this.promised.has(key)) return;
    this.promised.add(key);
    this.write("promise", order, key);
    setTimeout(() => {
      if (!renounce) this.effect(order, key);
      this.write("landed", order, key);
    }, ms);
  }
}
