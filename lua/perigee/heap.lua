--- A heap: what has the smallest key comes first; of equal keys the one put first.
local heap = {}
local Heap = {}
local Heap_mt = { __name = "perigee.heap", __index = Heap }

function heap.new()
   return setmetatable({ keys = {}, numbers = {}, values = {}, count = 0, put_so_far = 0 }, Heap_mt)
end

-- Does a (key, number) come before what stands at place i?
local function before(self, key, number, i)
   return key < self.keys[i] or key == self.keys[i] and number < self.numbers[i]
end

local function place(self, i, key, number, value)
   self.keys[i], self.numbers[i], self.values[i] = key, number, value
end

local function move(self, from, to)
   place(self, to, self.keys[from], self.numbers[from], self.values[from])
end

---@param key number
---@param value any
function Heap:put(key, value)
   local number, i = self.put_so_far + 1, self.count + 1
   self.put_so_far, self.count = number, i
   while i > 1 and before(self, key, number, math.floor(i / 2)) do
      local parent = math.floor(i / 2)
      move(self, parent, i)
      i = parent
   end
   place(self, i, key, number, value)
end

--- The smallest key, nil when it is empty.
---@return number?
function Heap:first()
   return self.keys[1]
end

--- Take the first one; it must not be empty.
---@return any value
function Heap:take()
   local value, last = self.values[1], self.count
   local key, number, moved = self.keys[last], self.numbers[last], self.values[last]
   place(self, last, nil, nil, nil)
   self.count = last - 1
   local i, child = 1, 2
   while child < last do
      if child + 1 < last and before(self, self.keys[child + 1], self.numbers[child + 1], child) then child = child + 1 end
      if before(self, key, number, child) then break end
      move(self, child, i)
      i, child = child, 2 * child
   end
   if last > 1 then place(self, i, key, number, moved) end
   return value
end

return heap
