-- wrk's script: posts one body again and again for some seconds, with a new name in each request, and then lets every
-- request that is under way have its answer, so that nothing is done that is not counted.
--
--   wrk -t 1 -c CONNECTIONS -d MORE_THAN_SECONDS ... -s load.lua URL -- BODY_FILE TAG SECONDS CONNECTIONS [HEADER]
--
-- Every %% in the file becomes a number from 10 to 99. Every @NAME@ in the file and the header becomes TAG and a number:
-- always of the same length, so the head of the request is made once, never the same twice, and in no order: people's names do not come sorted, and if they did all workers would
-- wait for the last page of the index. done() prints one line for the program that started wrk.

local ffi = require("ffi")
ffi.cdef [[
  struct timespec { long seconds, nanoseconds; };
  int clock_gettime(int clock, struct timespec *time);
  int kill(int pid, int signal);
  int getpid(void);
]]
local CLOCK_MONOTONIC, SIGINT = 1, 2
-- counter * FACTOR % PRIME is another number for each counter, and exact in a double for the first 25 million.
local FACTOR, PRIME = 350000017, 999999937
local moment = ffi.new("struct timespec")

local function now()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local thread_of_load

function setup(thread)
  assert(not thread_of_load, "one thread only: it knows when all connections have stopped")
  thread_of_load = thread
end

-- Globals where done() reads them: it runs in another Lua state.
stopped, seconds_of_all = 0, 0
local parts, names, tens, tag, counter = {}, {}, {}, "", 0
local begin, seconds, connections

function init(args)
  local file = assert(io.open(args[1]))
  local body = file:read("*a")
  file:close()
  tag, seconds, connections = args[2], tonumber(args[3]), tonumber(args[4])
  local place = string.rep("@", #tag + 9) -- as long as the name will be
  local headers = { ["Content-Type"] = "application/json", ["Host"] = wrk.headers["Host"] }
  local field, value = (args[5] or ""):match("^([^:]+): (.*)$")
  if field then headers[field] = (value:gsub("@NAME@", place)) end
  local text = wrk.format("POST", nil, headers, (body:gsub("@NAME@", place)))
  local from = 1
  while true do
    local first, last = text:find("[@%%][@%%]+", from)
    if not first then break end
    local found = text:sub(first, last)
    parts[#parts + 1] = text:sub(from, first - 1)
    parts[#parts + 1] = found
    if found == place then names[#names + 1] = #parts end
    if found == "%%" then tens[#tens + 1] = #parts end
    from = last + 1
  end
  parts[#parts + 1] = text:sub(from)
end

-- Called when a connection has nothing under way. After the time it gets the first letter of a request, for which there
-- is no answer: so it stays quiet. When all are, wrk is told to stop, as by Ctrl-C.
function request()
  local time = now()
  begin = begin or time
  if time - begin >= seconds then
    stopped = stopped + 1
    seconds_of_all = seconds_of_all + (time - begin)
    if stopped == connections then ffi.C.kill(ffi.C.getpid(), SIGINT) end
    return "P"
  end
  counter = counter + 1
  local name = tag .. string.format("%09d", counter * FACTOR % PRIME)
  for i = 1, #names do parts[names[i]] = name end
  for i = 1, #tens do parts[tens[i]] = tostring(10 + counter % 90) end
  return table.concat(parts)
end

-- seconds: the mean of all connections' time from the begin to their last answer.
function done(summary, latency)
  local e, quiet = summary.errors, thread_of_load:get("stopped")
  io.write(string.format(
    "RESULT requests=%d stopped=%d seconds=%.6f p50=%d p99=%d max=%d connect=%d read=%d write=%d timeout=%d status=%d"
    .. "\n",
    summary.requests, quiet, thread_of_load:get("seconds_of_all") / math.max(quiet, 1), latency:percentile(50),
    latency:percentile(99), latency.max, e.connect, e.read, e.write, e.timeout, e.status))
end
