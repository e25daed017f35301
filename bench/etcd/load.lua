-- The same load for all: 10,000 keys, 100-byte values. WHO: etcd, v3 (our etcd surface: the very same requests) or ours (native); WHAT: put or get.
local who, what = os.getenv("WHO"), os.getenv("WHAT")
local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
   return ((text:gsub(".", function(c)
      local bits, byte = "", c:byte()
      for i = 8, 1, -1 do bits = bits .. (byte % 2 ^ i - byte % 2 ^ (i - 1) > 0 and "1" or "0") end
      return bits
   end) .. "0000"):gsub("%d%d%d?%d?%d?%d?", function(bits)
      if #bits < 6 then return "" end
      return letters:sub(tonumber(bits, 2) + 1, tonumber(bits, 2) + 1)
   end) .. ({"", "==", "="})[#text % 3 + 1])
end

local value, requests = string.rep("v", 100), {}
function init()
   for i = 1, 10000 do
      local key = string.format("bench%010d", i)
      if who ~= "ours" then
         local body = what == "put" and string.format('{"key":"%s","value":"%s"}', base64(key), base64(value))
            or string.format('{"key":"%s"}', base64(key))
         requests[i] = wrk.format("POST", what == "put" and "/v3/kv/put" or "/v3/kv/range", nil, body)
      else
         requests[i] = wrk.format(what == "put" and "PUT" or "GET", "/v1/kv/default/" .. key, nil, what == "put" and value or nil)
      end
   end
end
function request() return requests[math.random(10000)] end
function done(summary, latency)
   local errors = summary.errors
   local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   if bad > 0 and what == "put" then io.stderr:write(who, " ", what, ": ", bad, " errors\n") end
   print("RESULT", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000)
end
