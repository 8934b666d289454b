--- Distributions as people write them: "50ms", "uniform:10ms,90ms", "exp:50ms",
--- "normal:50ms,10ms", "lognormal:50ms,0.5" (median and sigma).
local distribution = {}

local SHAPES = { uniform = 2, exp = 1, normal = 2, lognormal = 2 } -- and the number of their parameters

--- A number of at least 0, as a parameter.
---@param text string
---@return number?
function distribution.number(text)
   local value = tonumber(text)
   return value and value >= 0 and value < math.huge and value or nil
end

--- { kind, a, b } of a text, as engine.mock takes it; nil when it is none.
---@param text string
---@param read fun(text: string): number?  of one parameter
---@return { kind: string, a: number, b: number? }?
function distribution.read(text, read)
   local kind, rest = text:match "^(%a+):(.+)$"
   if not kind then
      local a = read(text)
      return a and { kind = "fixed", a = a }
   end
   local first, second = rest, nil
   if SHAPES[kind] == 2 then first, second = rest:match "^([^,]+),([^,]+)$" end
   local a = SHAPES[kind] and first and read(first)
   local b = second and (kind == "lognormal" and distribution.number or read)(second)
   if not a or (second and not b) or (kind == "uniform" and b < a) then return nil end
   return { kind = kind, a = a, b = b }
end

local DRAW = {
   fixed = function(d) return d.a end,
   uniform = function(d, rng) return rng:uniform(d.a, d.b) end,
   exp = function(d, rng) return rng:exponential(d.a) end,
   normal = function(d, rng) return math.max(0, rng:normal(d.a, d.b)) end,
   lognormal = function(d, rng) return d.a == 0 and 0 or rng:lognormal(math.log(d.a), d.b) end,
}

--- One value of it, at least 0.
---@param d { kind: string, a: number, b: number? }
---@param rng table
---@return number
function distribution.draw(d, rng)
   return DRAW[d.kind](d, rng)
end

return distribution
