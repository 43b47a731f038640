-- wrk's part of bench/load.py: posts one body under many keys in turn, for a window of time.
--
-- wrk cuts the calls that are in flight when its time is over, and nobody would know what became of them.
-- So it runs longer than the window: once that is over, each connection waits after its last answer.
-- Arguments: seconds of the window, connections, file with the body, file with one key a line.

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds; long nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *time);
]])
local MONOTONIC = 1
local FOREVER_MS = 3600 * 1000

local time = ffi.new("bench_time")
local requests, next_request = {}, 0
local window, deadline
local main_thread -- set in wrk's own state only; there is one thread

calls, parked = 0, 0 -- globals, for done() to read

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

function setup(thread)
  main_thread = thread
end

function init(args)
  window = tonumber(args[1])
  connections = tonumber(args[2])
  local body = io.open(args[3], "rb"):read("*a")
  for key in io.lines(args[4]) do
    local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

-- Called before the first request of each connection and after each answer.
function delay()
  local at = now()
  deadline = deadline or at + window
  if at < deadline then
    calls = calls + 1
    return 0
  end
  parked = parked + 1
  return FOREVER_MS
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency, _)
  local connections = main_thread:get("connections")
  local errors = summary.errors
  io.write(string.format(
    '\n{"in_window":%d,"answers":%d,"refused":%d,"broken":%d,"unfinished":%d,"p50_us":%d,"p99_us":%d}\n',
    main_thread:get("calls") - connections,
    summary.requests - errors.status,
    errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    connections - main_thread:get("parked"),
    latency:percentile(50),
    latency:percentile(99)
  ))
end
