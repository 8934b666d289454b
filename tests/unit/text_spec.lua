local text = require "perigee.text"

describe("perigee.text", function()
   it("knows how many columns a text takes", function()
      for _, row in ipairs {
         { "", 0 }, { "abc", 3 }, { "grüße", 5 }, { "日本語", 6 }, { "한글", 4 }, { "e\204\129", 1 }, { "🚀", 2 }, { "▁▃█░", 4 },
         { "ａ", 2 }, { "a\226\128\139b", 2 }, { "\255\254", 2 }, { "\227\129", 2 },
      } do assert.equal(row[2], text.width(row[1]), row[1]) end
   end)

   it("cuts to columns, never a character in two", function()
      for _, row in ipairs {
         { "abc", 2, "ab" }, { "abc", 9, "abc" }, { "grüße", 3, "grü" }, { "日本語", 3, "日" }, { "日本語", 4, "日本" },
         { "日", 1, "" }, { "e\204\129a", 1, "e\204\129" }, { "x", 0, "" },
      } do assert.equal(row[3], text.cut(row[1], row[2])) end
   end)

   it("fills up to columns on either side", function()
      assert.equal("日  ", text.fill("日", 4))
      assert.equal("  日", text.fill("日", 4, true))
      assert.equal("long", text.fill("long", 2))
   end)

   it("lets nothing through that steers a terminal, nor what is no UTF-8", function()
      assert.equal("x?[2J??", text.clean "x\27[2J\7\127")
      assert.equal("?9m", text.clean "\194\1559m") -- CSI of one character
      assert.equal("gr?ü日", text.clean "gr\255ü日")
      assert.equal("12", text.clean(12))
   end)
end)
