-- A publisher for the tests of `perigee events`, on libzmq itself: binds a free
-- port, prints the address, waits for a subscriber, sends a session, leaves.
--   luajit event_source.lua COUNT [gap|corrupt|garbage|late|endless]
-- garbage: a broken frame behind each sample; late: without the session's start.
local ffi = require "ffi"

ffi.cdef [[
void *zmq_ctx_new(void);
int zmq_ctx_term(void *context);
void *zmq_socket(void *context, int type);
int zmq_close(void *socket);
int zmq_bind(void *socket, const char *address);
int zmq_getsockopt(void *socket, int option, void *value, size_t *size);
int zmq_recv(void *socket, void *data, size_t size, int flags);
int zmq_send(void *socket, const void *data, size_t size, int flags);
]]
local zmq = ffi.load(ffi.os == "OSX" and "zmq" or "libzmq.so.5")
local XPUB, LAST_ENDPOINT, SNDMORE = 9, 32, 2

local count, mode = tonumber(arg[1]), arg[2]
local seq = 0

local function str(s)
   assert(#s < 32)
   return string.char(0xa0 + #s) .. s
end

local function uint(n)
   return string.char(0xce, math.floor(n / 2 ^ 24), math.floor(n / 2 ^ 16) % 256,
      math.floor(n / 2 ^ 8) % 256, n % 256)
end

local function padded(topic)
   return topic .. ("\0"):rep(40 - #topic)
end

local function record(topic)
   local pairs = { "event_type", string.char(0xd9, #topic) .. topic, "timestamp_ns", uint(1000 + seq), "seq", uint(seq) }
   if topic:find "^session" then
      pairs[7], pairs[8] = "session_id", string.char(0xd9, 32) .. ("5e"):rep(16)
   end
   for i = 1, #pairs, 2 do pairs[i] = str(pairs[i]) end
   seq = seq + 1
   return string.char(0x80 + #pairs / 2) .. table.concat(pairs)
end

local function frame(topic)
   return padded(topic) .. record(topic)
end

-- Frames that are none, each broken in another way.
local GARBAGE = {
   "",
   "sample.complete",                                             -- shorter than a topic
   padded "sample.complete",                                      -- nothing behind the topic
   padded "sample.complete" .. "\193",                            -- a byte that MessagePack does not use
   padded "sample.complete" .. "\161x",                           -- neither map nor array
   padded "sample.complete" .. "\221\255\255\255\255",            -- an array of 4 Gi values
   padded "sample.complete" .. "\147\0\196\1",                    -- a batch that ends within a record
   padded "sample.complete" .. "\146\161x\196\0",                 -- a batch without its number
   padded "sample.complete" .. "\128",                            -- a record without a type
   padded "sample.complete" .. frame("sample.complete"):sub(41, -2), -- a record cut short
   padded "batch" .. "\146\1\2",                                  -- a batch of numbers
   ("\255"):rep(64),
}
seq = 0

local context = zmq.zmq_ctx_new()
local socket = zmq.zmq_socket(context, XPUB)
assert(zmq.zmq_bind(socket, "tcp://127.0.0.1:*") == 0)
local address, size = ffi.new("char[256]"), ffi.new("size_t[1]", 256)
assert(zmq.zmq_getsockopt(socket, LAST_ENDPOINT, address, size) == 0)
print(ffi.string(address))
io.stdout:flush()

local scratch = ffi.new("char[256]")
assert(zmq.zmq_recv(socket, scratch, 256, 0) > 0)

local function send(data, flags)
   assert(zmq.zmq_send(socket, data, #data, flags or 0) == #data)
end

local start = frame("session.started")
if mode ~= "late" then send(start) end
for i = 1, count do
   send(frame("sample.complete"))
   if mode == "garbage" then send(GARBAGE[i % #GARBAGE + 1]) end
end
if mode == "gap" then
   seq = seq + 3
elseif mode == "corrupt" then
   send("not a frame")
elseif mode == "garbage" then
   send(padded "sample.complete", SNDMORE) -- a message in parts
   send("\128")
elseif mode == "endless" then
   io.read() -- until the parent ends it
end
send(frame("session.ended"))
zmq.zmq_close(socket)
zmq.zmq_ctx_term(context)
