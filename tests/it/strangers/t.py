import asyncio, sys, json
from mcp.client.session import ClientSession
from mcp.client.stdio import stdio_client, StdioServerParameters
async def main(cmd, *args):
    async with stdio_client(StdioServerParameters(command=cmd, args=list(args))) as (r,w):
        async with ClientSession(r,w) as s:
            await s.initialize()
            for n,(t,a) in enumerate([("charge",{"order":"a","key":"k","way":"after shape"}),("charge",{"order":"b","key":"k2","way":"after timeout"}),("charge",{"order":"b","key":"k2","way":"after timeout"}),("find",{"key":"k"}),("void",{"order":"a","key":"v","of":"k"}),("voided",{"of":"k"}),("refuse",{}),("nope",{})]):
                try:
                    x = await s.call_tool(t,a)
                    print(t, x.is_error, x.structured_content, [c.text for c in x.content][:1])
                except Exception as e: print(t, "EXC", repr(e)[:200])
asyncio.run(main(*sys.argv[1:]))
