"""Drives a node with the Python SDK as a person does who is shown what a saga asks: argv is how to reach it, and
it prints JSON."""

import asyncio
import json
import os
import sys

from mcp import Client, StdioServerParameters
from mcp.types import ElicitResult


async def drive(reach, mode):
    asked = []

    async def person(context, question):
        asked.append(question.message)
        if "folio of yes" in question.message:
            return ElicitResult(action="accept", content={"decision": "approve", "reason": "python"})
        return ElicitResult(action="decline" if "folio of no" in question.message else "cancel")

    told = {"asked": asked}
    async with Client(reach(), mode=mode, elicitation_callback=person) as client:
        told["version"] = str(client.protocol_version)
        for answer in ["yes", "no", "aside"]:
            result = await client.call_tool("transfer", {"guest": f"{answer} {mode}"})
            told[answer] = result.structured_content
    return told


async def main():
    if sys.argv[1].startswith("http"):
        reach = lambda: sys.argv[1]
    else:
        reach = lambda: StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    print(json.dumps([await drive(reach, mode) for mode in ("legacy", "auto")]))


asyncio.run(main())
