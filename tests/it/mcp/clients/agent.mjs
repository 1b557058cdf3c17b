// Drives a node with the TypeScript SDK at the URL argv[2], or as a child process argv[2..]; prints JSON. Calls one
// checkout with a time-out shorter than the saga, then again with the same key until it is final.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [reach, ...args] = process.argv.slice(2);
const transport = reach.startsWith("http")
    ? new StreamableHTTPClientTransport(new URL(reach))
    : new StdioClientTransport({ command: reach, args, env: process.env });
const client = new Client({ name: "agent", version: "1" });
await client.connect(transport);
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const call = {
    name: "hotel_checkout",
    arguments: { guest: `slow ${reach.startsWith("http") ? "http" : "stdio"}` },
    _meta: { "amends/idempotency_key": "typescript" },
};
let gaveUp;
try {
    await client.callTool(call, undefined, { timeout: 700 });
} catch (error) {
    gaveUp = error.code;
}
const told = [];
let result;
for (let round = 0; round < 20; round += 1) {
    result = await client.callTool(call, undefined, { onprogress: (progress) => told.push(progress.progress) });
    if (result.structuredContent.status !== "in_progress") break;
}
console.log(JSON.stringify({ tools, gaveUp, told, result: result.structuredContent, replay: result._meta }));
await client.close();
