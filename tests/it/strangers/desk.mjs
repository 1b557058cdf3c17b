// A stranger over HTTP, written with Node alone. The request says how the first delivery of an order errs:
// `way` is `WHEN ANSWER`, where WHEN is `before` (no effect) or `after` (the effect is in place). Later deliveries
// are served as they should be: the same key gets the first answer.
import { createServer } from "node:http";
import { gzipSync } from "node:zlib";
import { Ledger } from "./ledger.mjs";

const ledger = new Ledger(process.argv[2]);
const json = "application/json";

const send = (response, status, body, headers = {}) => {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  response.writeHead(status, { "content-type": json, "content-length": bytes.length, ...headers });
  response.end(bytes);
};
const raw = (response, head, body) => response.socket.end(`${head}\r\n\r\n${body}`);
const later = { "retry-after": "1" };
// How often look-ups of an order are still put off, and until when the desk wants to hear of none.
const throttled = new Map();

const ANSWERS = {
  "500": (r) => send(r, 500, { error: "stack trace" }),
  "503": (r) => send(r, 503, { error: "overloaded" }),
  "503 later": (r) => send(r, 503, { error: "overloaded" }, later),
  "429 later": (r) => send(r, 429, { error: "slow down" }, later),
  "425 later": (r) => send(r, 425, { error: "too early" }, later),
  "402": (r) => send(r, 402, { code: "card_declined" }),
  "403 later": (r) => send(r, 403, { message: "secondary limit" }, later),
  "422 quotes": (r, key) =>
    send(r, 422, {
      detail: [
        {
          msg: "Input should be greater than 0",
          input: { idempotency_key: key, note: "the same room as last year" },
        },
      ],
    }),
  "409": (r) => send(r, 409, { message: "conflict" }),
  "409 later": (r) => send(r, 409, { code: "busy" }, later),
  "409 progress": (r) => send(r, 409, { title: "a request with this key is in progress" }),
  "409 large": (r) => send(r, 409, { pad: "x".repeat(100_000), code: "idempotency_key_in_use" }),
  "409 cut": (r) =>
    raw(r, "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 70", '{"code":"in'),
  "402 cut": (r) =>
    raw(r, "HTTP/1.1 402 Payment Required\r\nContent-Type: application/json\r\nContent-Length: 70", '{"code":"ca'),
  lost: (r) => r.socket.destroy(),
  silent: () => {},
  // What was announced is not what came.
  truncated: (r, _key, body) => raw(r, `HTTP/1.0 200 OK\r\nContent-Type: ${json}`, body.slice(0, -9)),
  gzip: (r, _key, body) => send(r, 200, gzipSync(body), { "content-encoding": "gzip" }),
  "gzip cut": (r, _key, body) => send(r, 200, gzipSync(body).subarray(0, 20), { "content-encoding": "gzip" }),
  brotli: (r) => send(r, 200, Buffer.from([0x8b, 0x02, 0x80]), { "content-encoding": "made-up" }),
  bom: (r, _key, body) => send(r, 200, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(body)])),
  nan: (r, _key, body) => send(r, 200, body.replace("{", '{"ratio":NaN,')),
  html: (r) => send(r, 200, "<html><body>Please log in</body></html>"),
  latin1: (r, _key, body) =>
    send(r, 200, Buffer.from(body, "latin1"), { "content-type": `${json}; charset=iso-8859-1` }),
};

// The answer of a stranger that does not err. Numbers and names are what readers lose.
const good = (order) =>
  `{"id":"c-${order}","name":"Jürgen","amount":123456789012345678901234567890,"status":"succeeded"}`;

const routes = {
  "POST /pay": ({ order, way = "", once, lands_ms, fails }, key, response) => {
    const [when, ...answer] = way.split(" ");
    if (ledger.barred.has(key)) return send(response, 410, { code: "barred" });
    if (when === "accepted") {
      ledger.lands(order, key, lands_ms, fails);
      return send(response, 202, { state: "queued" });
    }
    const delivery = ledger.delivery(order, "pay");
    const first = delivery === 1;
    if (when === "declines") return ANSWERS[first ? "lost" : "402"](response, key);
    if (when === "throttled" && first) {
      throttled.set(order, { left: 3, until: 0 });
      ledger.effect(order, key, once);
      return ANSWERS.lost(response);
    }
    // The effect is made and the connection dies; a proxy repeats the request at once.
    if (when === "proxied" && first) {
      ledger.effect(order, key, once);
      return ANSWERS.lost(response);
    }
    if (when === "proxied" && delivery === 2) return send(response, 409, { message: "it is being served already" });
    if (first && when === "before") return ANSWERS[answer.join(" ")](response, key, good(order));
    // A limiter that means it.
    if (when === "limited") {
      if (first) ledger.limitedAt = { ...ledger.limitedAt, [order]: Date.now() };
      const early = Date.now() - ledger.limitedAt[order] < 990;
      if (!first && early) ledger.write("early", order, key);
      if (first || early) return ANSWERS[answer.join(" ")](response, key, good(order));
    }
    ledger.effect(order, key, once);
    if (first && when === "after") return ANSWERS[answer.join(" ")](response, key, good(order));
    if (when === "always") return ANSWERS[answer.join(" ")](response, key, good(order));
    return send(response, 200, good(order));
  },
  "GET /find": ({ key, order }, _key, response) => {
    const limit = throttled.get(order);
    if (limit && Date.now() < limit.until) ledger.write("early", order, key);
    if (limit && limit.left-- > 0) {
      limit.until = Date.now() + 990;
      return ANSWERS["429 later"](response);
    }
    const line = ledger.byKey.get(key);
    const state = line ? "succeeded" : ledger.promised.has(key) ? "queued" : "unknown";
    send(response, 200, `{"found":${ledger.has(key)},"state":"${state}","charge":${good(order)}}`);
  },
  // The state of a job that was accepted; `failed` once it is sure that it never lands.
  "GET /job": ({ key, order }, _key, response) => {
    const state = ledger.byKey.has(key) ? "done" : ledger.landed.has(key) ? "failed" : "running";
    send(response, 200, { state, charge: { id: `c-${order}` } });
  },
  "POST /void": ({ order, of, void_way = "" }, key, response) => {
    const [when, ...answer] = void_way.split(" ");
    const first = ledger.delivery(order, "void") === 1;
    if (first && when === "before") return ANSWERS[answer.join(" ")](response, key, "{}");
    ledger.undo(order, key, of);
    if (first && when === "after") return ANSWERS[answer.join(" ")](response, key, "{}");
    return send(response, 200, { voided: true });
  },
  "GET /voided": ({ of }, _key, response) => send(response, 200, { found: ledger.undone.has(of) }),
  "POST /refuse": (_body, _key, response) => send(response, 422, { code: "declined" }),
};

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const url = new URL(request.url, "http://desk");
    const route = routes[`${request.method} ${url.pathname}`];
    if (!route) return send(response, 404, { code: "no_such_route" });
    const text = Buffer.concat(parts).toString();
    const body = text ? JSON.parse(text) : Object.fromEntries(url.searchParams);
    route(body, request.headers["idempotency-key"], response);
  });
});
// Most answers of raw bytes close their connection.
server.on("clientError", (_error, socket) => socket.destroy());
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
