// A stranger that speaks MCP over HTTP and loses its first session after one call. The path says how it then answers
// requests of that session; it is healthy for each new one. Argument: the ledger. Written without an SDK.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Ledger } from "./ledger.mjs";

const ledger = new Ledger(process.argv[2]);
const sessions = new Map(); // id -> calls
const doomed = new Map(); // path -> id of its first session

const send = (response, status, value, headers = {}) => {
  const body = value === undefined ? "" : JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length, ...headers });
  response.end(body);
};
const error = (message, id = null) => ({ jsonrpc: "2.0", id, error: { code: -32000, message } });

const LOST = {
  "/400": (r) => send(r, 400, error("Bad Request: No valid session ID provided")),
  "/401": (r) => send(r, 401, { error: "invalid session" }),
  "/410": (r) => send(r, 410, error("session expired")),
  "/422": (r) => send(r, 422, { detail: "unknown session" }),
  "/200": (r) => send(r, 200, error("Session not found")),
  "/silent": () => {},
  "/404": (r) => send(r, 404, error("Session not found")),
};

const TOOLS = {
  charge: ({ order, key, once = false }) => ({ id: ledger.effect(order, key, once) }),
  find: ({ key }) => ({ found: ledger.has(key) }),
  void: ({ order, key, of }) => ({ voided: ledger.undo(order, key, of) }),
};

const serve = (path, headers, message, response) => {
  const id = headers["mcp-session-id"];
  if (message.method === "initialize") {
    const session = randomUUID();
    sessions.set(session, 0);
    if (!doomed.has(path)) doomed.set(path, session);
    const result = {
      protocolVersion: message.params.protocolVersion === "2026-07-28" ? "2025-11-25" : message.params.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: "forgetful", version: "1" },
    };
    return send(response, 200, { jsonrpc: "2.0", id: message.id, result }, { "mcp-session-id": session });
  }
  if (!sessions.has(id)) return send(response, 400, error("expected a session"));
  if (doomed.get(path) === id && sessions.get(id) > 0) return LOST[path](response);
  if (message.id === undefined) return send(response, 202, undefined);
  let result = {};
  if (message.method === "tools/list") {
    result = { tools: Object.keys(TOOLS).map((name) => ({ name, inputSchema: { type: "object" } })) };
  } else if (message.method === "tools/call") {
    sessions.set(id, sessions.get(id) + 1);
    const structuredContent = TOOLS[message.params.name](message.params.arguments);
    result = { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
  } else if (message.method !== "ping") {
    const unknown = { code: -32601, message: "Method not found" };
    return send(response, 200, { jsonrpc: "2.0", id: message.id, error: unknown });
  }
  send(response, 200, { jsonrpc: "2.0", id: message.id, result });
};

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (request.method !== "POST") return send(response, 405, error("POST only"));
    serve(request.url, request.headers, JSON.parse(Buffer.concat(parts).toString()), response);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
