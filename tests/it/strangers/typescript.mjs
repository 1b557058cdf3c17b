// A stranger written with the official TypeScript SDK, over stdio. Argument: the ledger.
// The SDK validates a result against `outputSchema` after the handler has run.
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";
import { Ledger } from "./ledger.mjs";

const ledger = new Ledger(process.argv[2]);
const server = new McpServer({ name: "typescript", version: "1.0.0" });
const result = (structuredContent) => ({ content: [], structuredContent });

const serve = (order, way, what, effect) => {
  const [when, ...rest] = way.split(" ");
  const how = rest.join(" ");
  const first = ledger.delivery(order, what) === 1;
  if ((when === "before" && first) || when === "never") throw new Error("the bank is away");
  const done = effect();
  if ((when === "after" && first) || when === "always") {
    if (how === "shape") return result({ id: 17 });
    throw new Error("socket hang up");
  }
  return result(done);
};

const text = z.string();
server.registerTool(
  "charge",
  {
    inputSchema: { order: text, key: text, way: text.default(""), once: z.boolean().default(false) },
    outputSchema: { id: text },
  },
  async ({ order, key, way, once }) => serve(order, way, "charge", () => ({ id: ledger.effect(order, key, once) })),
);
server.registerTool(
  "find",
  { inputSchema: { key: text }, outputSchema: { found: z.boolean() } },
  async ({ key }) => result({ found: ledger.has(key) }),
);
server.registerTool(
  "void",
  { inputSchema: { order: text, key: text, of: text, way: text.default("") }, outputSchema: { voided: z.boolean() } },
  async ({ order, key, of, way }) => {
    const answer = serve(order, way, "void", () => ({ voided: ledger.undo(order, key, of) }));
    return answer;
  },
);
server.registerTool(
  "voided",
  { inputSchema: { of: text }, outputSchema: { found: z.boolean() } },
  async ({ of }) => result({ found: ledger.undone.has(of) }),
);
server.registerTool("refuse", { inputSchema: {} }, async () => {
  throw new Error("declined: the account is closed");
});

await server.connect(new StdioServerTransport());
