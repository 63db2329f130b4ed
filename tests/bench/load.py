"""A load generator for machines without wrk: ``python load.py PORT CONNECTIONS SECONDS`` prints what it saw.

It is several times slower than wrk, which changes nothing in the processor time of the server for a request.
"""

import asyncio
import json
import sys
from itertools import count
from time import perf_counter

from figures import percentile


async def load(port: int, connections: int, seconds: float) -> dict[str, float]:
    """Send requests over some connections at once; latencies are in microseconds."""
    numbers, until, taken, failed = count(100_000), perf_counter() + seconds, [0.0][:0], 0

    async def one() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while perf_counter() < until:
            began = perf_counter()
            writer.write(f"GET /items/{next(numbers)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[len(b"content-length:") :])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            failed += not head.startswith(b"HTTP/1.1 200")
            taken.append((perf_counter() - began) * 1e6)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return {
        "requests": len(taken),
        "failed": failed,
        "p50": percentile(taken, 0.5),
        "p99": percentile(taken, 0.99),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(load(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
