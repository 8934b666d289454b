--- Text as a terminal shows it: how many columns it takes, cut and filled to a width.
local text = {}

-- First and last code point of those that take no column (marks, joiners, selectors) and of those that take two
-- (East Asian Wide and Fullwidth, and the emoji of these blocks), in order. Where terminals differ the wider view is
-- taken: a line that comes out short harms nobody.
local NONE = {
   { 0x300, 0x36f }, { 0x483, 0x489 }, { 0x591, 0x5bd }, { 0x610, 0x61a }, { 0x64b, 0x65f }, { 0x93c, 0x93c },
   { 0x94d, 0x94d }, { 0xe31, 0xe31 }, { 0xe34, 0xe3a }, { 0xe47, 0xe4e }, { 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff },
   { 0x200b, 0x200f }, { 0x202a, 0x202e }, { 0x2060, 0x2064 }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f },
   { 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff }, { 0xe0100, 0xe01ef },
}
local TWO = {
   { 0x1100, 0x115f }, { 0x231a, 0x231b }, { 0x2329, 0x232a }, { 0x23e9, 0x23f3 }, { 0x25fd, 0x25fe },
   { 0x2614, 0x2615 }, { 0x2648, 0x2653 }, { 0x267f, 0x267f }, { 0x2693, 0x2693 }, { 0x26a1, 0x26a1 },
   { 0x26aa, 0x26ab }, { 0x26bd, 0x26be }, { 0x26c4, 0x26c5 }, { 0x26ce, 0x26ce }, { 0x26d4, 0x26d4 },
   { 0x26ea, 0x26ea }, { 0x26f2, 0x26f5 }, { 0x26fa, 0x26fa }, { 0x26fd, 0x26fd }, { 0x2705, 0x2705 },
   { 0x270a, 0x270b }, { 0x2728, 0x2728 }, { 0x274c, 0x274e }, { 0x2753, 0x2757 }, { 0x2795, 0x2797 },
   { 0x27b0, 0x27bf }, { 0x2b1b, 0x2b1c }, { 0x2b50, 0x2b55 }, { 0x2e80, 0x303e }, { 0x3041, 0xa4cf },
   { 0xa960, 0xa97f }, { 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe10, 0xfe19 }, { 0xfe30, 0xfe6f },
   { 0xff01, 0xff60 }, { 0xffe0, 0xffe6 }, { 0x16fe0, 0x18fff }, { 0x1b000, 0x1b2ff }, { 0x1f000, 0x1f2ff },
   { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f7e0, 0x1f7ff }, { 0x1f900, 0x1faff }, { 0x20000, 0x3fffd },
}

local function lies_in(ranges, code)
   local low, high = 1, #ranges
   while low <= high do
      local middle = math.floor((low + high) / 2)
      local range = ranges[middle]
      if code < range[1] then high = middle - 1 elseif code > range[2] then low = middle + 1 else return true end
   end
   return false
end

-- The character at `at`: its bytes, and its columns. A byte that begins none stands for one.
local function character(s, at)
   local lead = s:byte(at)
   local size = lead < 0x80 and 1 or lead >= 0xf0 and lead < 0xf8 and 4 or lead >= 0xe0 and 3 or lead >= 0xc0 and 2 or 1
   if size == 1 then return 1, 1 end
   local code = bit.band(lead, bit.rshift(0x7f, size))
   for i = at + 1, at + size - 1 do
      local byte = s:byte(i)
      if not byte or byte < 0x80 or byte > 0xbf then return 1, 1 end
      code = code * 64 + byte - 0x80
   end
   if code < 0x300 then return size, 1 end
   return size, lies_in(NONE, code) and 0 or lies_in(TWO, code) and 2 or 1
end

--- How many columns a text of UTF-8 takes.
---@param s string
---@return integer
function text.width(s)
   if not s:find "[\128-\255]" then return #s end
   local columns, at = 0, 1
   while at <= #s do
      local size, more = character(s, at)
      columns, at = columns + more, at + size
   end
   return columns
end

--- The beginning that fits into so many columns, without half a character.
---@param s string
---@param width integer
---@return string
function text.cut(s, width)
   local columns, at = 0, 1
   while at <= #s do
      local size, more = character(s, at)
      if columns + more > width then break end
      columns, at = columns + more, at + size
   end
   return s:sub(1, at - 1)
end

--- Blanks up to a width, behind the text or, with `right`, before it. What is wider stays as it is.
---@param s string
---@param width integer
---@param right? boolean
---@return string
function text.fill(s, width, right)
   local blanks = (" "):rep(width - text.width(s))
   return right and blanks .. s or s .. blanks
end

--- Names come from outside: nothing in them may steer a terminal, and what is no UTF-8 is shown as "?".
---@param s any
---@return string
function text.clean(s)
   s = tostring(s):gsub("[%c\127]", "?"):gsub("\194[\128-\159]", "?")
   if not s:find "[\128-\255]" then return s end
   local parts, at = {}, 1
   while at <= #s do
      local size = character(s, at)
      local piece = s:sub(at, at + size - 1)
      parts[#parts + 1] = size == 1 and piece:byte() >= 0x80 and "?" or piece
      at = at + size
   end
   return table.concat(parts)
end

return text
