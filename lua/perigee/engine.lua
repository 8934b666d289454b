--- The C engine, or an error that says how to get it.
if not rawget(_G, "jit") then error("perigee needs LuaJIT, this is " .. _VERSION .. "; of busted: busted --lua=luajit", 0) end
local ok, engine = pcall(require, "perigee_engine")
if not ok then
   error("perigee_engine is not built or not on package.cpath (run `make`):\n" .. tostring(engine), 0)
end
return engine
