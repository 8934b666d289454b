--- Reads a SQLite database for the tests, through the library itself.
local ffi = require "ffi"

ffi.cdef [[
int sqlite3_open_v2(const char *path, void **db, int flags, const char *vfs);
int sqlite3_close(void *db);
int sqlite3_prepare_v2(void *db, const char *sql, int size, void **statement, const char **tail);
int sqlite3_step(void *statement);
int sqlite3_finalize(void *statement);
int sqlite3_column_count(void *statement);
const char *sqlite3_column_text(void *statement, int column);
]]
local lib = ffi.load(ffi.os == "OSX" and "sqlite3" or "libsqlite3.so.0")
local READ_ONLY, ROW = 1, 100

local database = {}

local function rows_of(db, sql)
   local statement, rows = ffi.new("void *[1]"), {}
   if lib.sqlite3_prepare_v2(db, sql, -1, statement, nil) ~= 0 then return nil end
   while lib.sqlite3_step(statement[0]) == ROW do
      local row = {}
      for i = 0, lib.sqlite3_column_count(statement[0]) - 1 do
         local text = lib.sqlite3_column_text(statement[0], i)
         row[i + 1] = text ~= nil and ffi.string(text) or "NULL"
      end
      rows[#rows + 1] = table.concat(row, "|")
   end
   lib.sqlite3_finalize(statement[0])
   return rows
end

--- The rows of a query, each as text with '|' between its values; nil when the
--- database or the table is not there.
---@param path string
---@param sql string
---@return string[]?
function database.query(path, sql)
   local db = ffi.new("void *[1]")
   local ok = lib.sqlite3_open_v2(path, db, READ_ONLY, nil) == 0
   local rows = ok and rows_of(db[0], sql) or nil
   lib.sqlite3_close(db[0])
   return rows
end

return database
