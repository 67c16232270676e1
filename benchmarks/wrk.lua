-- What wrk sends (GET, or a POST of so many bytes: `wrk … URL -- BYTES`), and its result as JSON.
function init(args)
   local bytes = tonumber(args[1])
   if bytes then
      wrk.method = "POST"
      wrk.body = string.rep("x", bytes)
      wrk.headers["Content-Type"] = "application/octet-stream"
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\nRESULT {"requests": %d, "microseconds": %d, "p99_us": %d, ' ..
      '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
      summary.requests, summary.duration, latency:percentile(99),
      e.connect, e.read, e.write, e.status, e.timeout))
end
