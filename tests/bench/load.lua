-- The load: no two requests name one item. The last line of the output is JSON, latencies in microseconds.
local number = 100000

request = function()
  number = number + 1
  return wrk.format("GET", "/items/" .. number)
end

done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\n{"requests": %d, "failed": %d, "p50": %.1f, "p99": %.1f}\n',
    summary.requests, failed, latency:percentile(50), latency:percentile(99)))
end
