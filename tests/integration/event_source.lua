-- A publisher for the tests of `perigee events`, on libzmq itself: binds a free
-- port, prints the address, waits for a subscriber, sends a session, leaves.
--   luajit event_source.lua COUNT [gap|corrupt|endless]
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
local XPUB, LAST_ENDPOINT = 9, 32

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

local function frame(topic)
   local record = "\131" .. str("event_type") .. string.char(0xd9, #topic) .. topic ..
      str("timestamp_ns") .. uint(1000 + seq) .. str("seq") .. uint(seq)
   seq = seq + 1
   return topic .. ("\0"):rep(40 - #topic) .. record
end

local context = zmq.zmq_ctx_new()
local socket = zmq.zmq_socket(context, XPUB)
assert(zmq.zmq_bind(socket, "tcp://127.0.0.1:*") == 0)
local address, size = ffi.new("char[256]"), ffi.new("size_t[1]", 256)
assert(zmq.zmq_getsockopt(socket, LAST_ENDPOINT, address, size) == 0)
print(ffi.string(address))
io.stdout:flush()

local scratch = ffi.new("char[256]")
assert(zmq.zmq_recv(socket, scratch, 256, 0) > 0)

local function send(data)
   assert(zmq.zmq_send(socket, data, #data, 0) == #data)
end

send(frame("session.started"))
for _ = 1, count do
   send(frame("sample.complete"))
end
if mode == "gap" then
   seq = seq + 3
elseif mode == "corrupt" then
   send("not a frame")
elseif mode == "endless" then
   io.read() -- until the parent ends it
end
send(frame("session.ended"))
zmq.zmq_close(socket)
zmq.zmq_ctx_term(context)
