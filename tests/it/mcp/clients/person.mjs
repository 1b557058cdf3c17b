// Drives a node with the TypeScript SDK as a person does who is shown what a saga asks, at the URL argv[2], or as a
// child process argv[2..]; prints JSON.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const [reach, ...args] = process.argv.slice(2);
const transport = reach.startsWith("http")
    ? new StreamableHTTPClientTransport(new URL(reach))
    : new StdioClientTransport({ command: reach, args, env: process.env });
const client = new Client({ name: "person", version: "1" }, { capabilities: { elicitation: { form: {} } } });
const asked = [];
client.setRequestHandler(ElicitRequestSchema, async (request) => {
    asked.push(request.params.message);
    const decision = request.params.message.includes("folio of yes") ? "approve" : "deny";
    return { action: "accept", content: { decision } };
});
await client.connect(transport);
const told = { asked };
for (const answer of ["yes", "no"]) {
    const guest = `${answer} ${reach.startsWith("http") ? "http" : "stdio"}`;
    told[answer] = (await client.callTool({ name: "transfer", arguments: { guest } })).structuredContent;
}
console.log(JSON.stringify(told));
await client.close();
