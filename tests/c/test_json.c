#include "base/json.h"

#include "base/rng.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>

static char letter(enum json_type type)
{
	static const char letters[] = "!.{}[]ks0tfn";
	return letters[type];
}

/* The tokens of a document as letters; ends with '.' or '!'. Each but those two
 * has been taken, so out needs len + 2 bytes. */
static void scan(struct json *j, const char *text, size_t len, char *out)
{
	json_init(j, text, len);
	enum json_type type;
	do {
		type = json_next(j);
		*out++ = letter(type);
		assert_int_equal(type, j->type);
	} while (type != JSON_END && type != JSON_ERROR);
	*out = '\0';
	assert_int_equal(json_next(j), type);
	assert_true(j->pos <= len);
	assert_true((type == JSON_ERROR) == (j->error != NULL));
}

static void assert_tokens(const char *text, const char *tokens)
{
	struct json j;
	char seen[512];
	scan(&j, text, strlen(text), seen);
	assert_string_equal(seen, tokens);
}

static void reads_every_kind_of_value(void **state)
{
	(void)state;
	assert_tokens("0", "0.");
	assert_tokens(" \t\r\n true \t\r\n ", "t.");
	assert_tokens("false", "f.");
	assert_tokens("null", "n.");
	assert_tokens("\"\"", "s.");
	assert_tokens("{}", "{}.");
	assert_tokens("[]", "[].");
	assert_tokens("[ ]", "[].");
	assert_tokens("{ }", "{}.");
	assert_tokens("[1,\"a\",true,false,null,{},[]]", "[0stfn{}[]].");
	assert_tokens("{\"a\":1,\"b\":[{\"c\":{}}],\"a\":\"\"}", "{k0k[{k{}}]ks}.");
	assert_tokens(" { \"a\" : [ 1 , 2 ] , \"b\" : null } ", "{k[00]kn}.");
	assert_tokens("[[[[]],[]],{}]", "[[[[]][]]{}].");
}

static void numbers_follow_the_grammar(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double value;
	} rows[] = {
		{ "0", 0 },
		{ "-0", 0 },
		{ "1", 1 },
		{ "-17", -17 },
		{ "10", 10 },
		{ "0.5", 0.5 },
		{ "-0.25", -0.25 },
		{ "1e3", 1000 },
		{ "1E+3", 1000 },
		{ "25e-2", 0.25 },
		{ "0e0", 0 },
		{ "1.5E1", 15 },
		{ "1e400", INFINITY },
		{ "1e-400", 0 },
		{ "0.1000000000000000055511151231257827021181583404541015625", 0.1 },
		{ "100000000000000000000000000000000000000000000000000000000000000000000000000e-74",
		  1 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct json j;
		json_init(&j, rows[i].text, strlen(rows[i].text));
		assert_int_equal(json_next(&j), JSON_NUMBER);
		assert_int_equal(j.size, strlen(rows[i].text));
		assert_true(json_number(&j) == rows[i].value);
		assert_int_equal(json_next(&j), JSON_END);
	}
}

static void counts_are_whole_and_not_negative(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t count;
	} rows[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "123456", 123456 },
		{ "999999999999999999", 999999999999999999 },
		{ "-1", -1 },
		{ "-0", -1 },
		{ "1.0", -1 },
		{ "1e2", -1 },
		{ "\"5\"", -1 },
		{ "null", -1 },
		{ "99999999999999999999", -1 },
		{ "1700000000123456789", 1700000000123456789 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", -1 },

	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct json j;
		json_init(&j, rows[i].text, strlen(rows[i].text));
		json_next(&j);
		assert_int_equal(json_count(&j), rows[i].count);
	}
}

/* Each way to be wrong: where, and what is said. */
static const struct {
	const char *text;
	size_t pos;
	const char *error;
} wrong[] = {
	{ "", 0, "unexpected end of text" },
	{ "  ", 2, "unexpected end of text" },
	{ "x", 0, "a value was expected" },
	{ "+1", 0, "a value was expected" },
	{ ".5", 0, "a value was expected" },
	{ "}", 0, "a value was expected" },
	{ "]", 0, "a value was expected" },
	{ "'a'", 0, "a value was expected" },
	{ "\xef\xbb\xbf{}", 0, "a value was expected" },
	{ "tru", 0, "unknown word" },
	{ "nul", 0, "unknown word" },
	{ " fAlse", 1, "unknown word" },
	{ "True", 0, "a value was expected" },
	{ "NaN", 0, "a value was expected" },
	{ "truex", 4, "text after the end of the value" },
	{ "1 2", 2, "text after the end of the value" },
	{ "{} }", 3, "text after the end of the value" },
	{ "-", 1, "bad number" },
	{ "-a", 1, "bad number" },
	{ "--1", 1, "bad number" },
	{ "1.", 2, "bad number" },
	{ "1.e1", 2, "bad number" },
	{ "1e", 2, "bad number" },
	{ "1e+", 3, "bad number" },
	{ "1e+-1", 3, "bad number" },
	{ "01", 1, "bad number" },
	{ "-007", 2, "bad number" },
	{ "[00]", 2, "bad number" },
	{ "0x10", 1, "text after the end of the value" },
	{ "1.2.3", 3, "text after the end of the value" },
	{ "\"abc", 4, "unterminated string" },
	{ "\"abc\\\"", 6, "unterminated string" },
	{ "\"a\tb\"", 2, "control character in a string" },
	{ "\"\x01\"", 1, "control character in a string" },
	{ "\"\x1f\"", 1, "control character in a string" },
	{ "\"a\nb\"", 2, "control character in a string" },
	{ "\"\\x\"", 2, "bad escape in a string" },
	{ "\"\\", 2, "bad escape in a string" },
	{ "\"\\u12g4\"", 5, "bad escape in a string" },
	{ "\"\\u123\"", 6, "bad escape in a string" },
	{ "\"\\u12", 5, "bad escape in a string" },
	{ "\"\\U0041\"", 2, "bad escape in a string" },
	{ "[", 1, "unexpected end of text" },
	{ "[1", 2, "',' or ']' was expected" },
	{ "[1 2]", 3, "',' or ']' was expected" },
	{ "[1}", 2, "',' or ']' was expected" },
	{ "[1:2]", 2, "',' or ']' was expected" },
	{ "[,]", 1, "a value was expected" },
	{ "[1,]", 3, "a value was expected" },
	{ "[1,,2]", 3, "a value was expected" },
	{ "[1,", 3, "unexpected end of text" },
	{ "{", 1, "a key in quotes was expected" },
	{ "{1:2}", 1, "a key in quotes was expected" },
	{ "{a:1}", 1, "a key in quotes was expected" },
	{ "{,}", 1, "a key in quotes was expected" },
	{ "{]", 1, "a key in quotes was expected" },
	{ "{\"a\"}", 4, "':' was expected after a key" },
	{ "{\"a\" 1}", 5, "':' was expected after a key" },
	{ "{\"a\":}", 5, "a value was expected" },
	{ "{\"a\":", 5, "unexpected end of text" },
	{ "{\"a\":1", 6, "',' or '}' was expected" },
	{ "{\"a\":1]", 6, "',' or '}' was expected" },
	{ "{\"a\":1,}", 7, "a key in quotes was expected" },
	{ "{\"a\":1 \"b\":2}", 7, "',' or '}' was expected" },
};

static void every_error_is_found_where_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		size_t len = strlen(wrong[i].text);
		struct guarded g = guarded_copy(wrong[i].text, len);
		struct json j;
		json_init(&j, g.data, len);
		enum json_type type;
		while ((type = json_next(&j)) != JSON_ERROR)
			assert_int_not_equal(type, JSON_END);
		if (j.pos != wrong[i].pos || strcmp(j.error, wrong[i].error) != 0)
			fail_msg("%s: '%s' at %zu", wrong[i].text, j.error, j.pos);
		guarded_free(&g);
	}
}

static void an_error_stays_where_it_is(void **state)
{
	(void)state;
	struct json j;
	json_init(&j, "\"a\n b\"", 6); /* the culprit is space itself */
	assert_int_equal(json_next(&j), JSON_ERROR);
	assert_int_equal(j.pos, 2);
	assert_int_equal(json_next(&j), JSON_ERROR);
	assert_int_equal(j.pos, 2);
	assert_string_equal(j.error, "control character in a string");
}

static void a_zero_byte_is_an_ordinary_error(void **state)
{
	(void)state;
	struct json j;
	char seen[16];
	scan(&j, "\0", 1, seen);
	assert_string_equal(seen, "!");
	scan(&j, "[1\0]", 4, seen);
	assert_string_equal(seen, "[0!");
	assert_int_equal(j.pos, 2);
	scan(&j, "\"\\\0\"", 4, seen);
	assert_string_equal(j.error, "bad escape in a string");
	scan(&j, "\"\0\"", 3, seen);
	assert_string_equal(j.error, "control character in a string");
}

static const char document[] =
	" {\"id\":\"c-1\",\"n\":[0,-1.5e+3,true , false,null],\"t\":\"a\\u00e9\\ud83d\\ude00\\n\\\\"
	"\xc3\xa9\",\"o\":{ \"p\":{},\"q\":[[],[{}]]}} ";

/* Cut anywhere, at the edge of what may be read: an error, unless only space is missing. */
static void no_cut_reads_past_the_end(void **state)
{
	(void)state;
	size_t whole = strlen(document) - 1; /* without the last space */
	for (size_t len = 0; len <= strlen(document); len++) {
		struct guarded g = guarded_copy(document, len);
		struct json j;
		char seen[sizeof(document) + 2];
		scan(&j, g.data, len, seen);
		assert_int_equal(seen[strlen(seen) - 1], len < whole ? '!' : '.');
		guarded_free(&g);
	}
}

/* A change of any byte neither crashes nor runs on. */
static void no_changed_byte_does_harm(void **state)
{
	(void)state;
	struct guarded g = guarded_copy(document, strlen(document));
	for (size_t at = 0; at < strlen(document); at++) {
		for (int byte = 0; byte < 256; byte++) {
			struct json j;
			char seen[sizeof(document) + 2];
			g.data[at] = (char)byte;
			scan(&j, g.data, strlen(document), seen);
		}
		g.data[at] = document[at];
	}
	guarded_free(&g);
}

static void depth_has_a_limit(void **state)
{
	(void)state;
	static char text[2 * JSON_MAX_DEPTH + 16], seen[sizeof(text) + 2];
	struct json j;
	memset(text, '[', JSON_MAX_DEPTH);
	memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
	scan(&j, text, 2 * JSON_MAX_DEPTH, seen);
	assert_int_equal(seen[2 * JSON_MAX_DEPTH], '.');

	memset(text, '[', JSON_MAX_DEPTH + 1);
	memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
	scan(&j, text, 2 * JSON_MAX_DEPTH + 2, seen);
	assert_string_equal(j.error, "nested too deeply");
	assert_int_equal(j.pos, JSON_MAX_DEPTH);
}

/* Each level remembers whether it is an object, whatever was there before. */
static void levels_remember_their_kind(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, 1 << 20);
	struct rng r;
	rng_init(&r, 1, 0);
	for (int round = 0; round < 50; round++) {
		bool object[JSON_MAX_DEPTH];
		unsigned depth =
			1 + (unsigned)rng_below(&r, JSON_MAX_DEPTH - 1); /* and one inside */
		buffer_clear(&b);
		for (unsigned i = 0; i < depth; i++) {
			object[i] = rng_below(&r, 2);
			assert_ok(buffer_append_str(&b,
			                            object[i] ? "{\"k\":[{}],\"m\":" : "[{},[],"));
		}
		assert_ok(buffer_append_str(&b, "1"));
		for (unsigned i = depth; i-- > 0;)
			assert_ok(buffer_append_str(&b, object[i] ? "}" : "]"));
		struct json j;
		json_init(&j, b.data, b.len);
		enum json_type type;
		while ((type = json_next(&j)) != JSON_END)
			assert_int_not_equal(type, JSON_ERROR);
	}
	buffer_free(&b);
}

static void skips_whole_values(void **state)
{
	(void)state;
	static const char text[] = "{\"a\":{\"x\":[1,{\"y\":2}]},\"b\":[[[]]],\"c\":7,\"d\":8}";
	struct json j;
	json_init(&j, text, strlen(text));
	assert_int_equal(json_next(&j), JSON_OBJECT_BEGIN);
	assert_int_equal(json_next(&j), JSON_KEY);
	assert_true(json_is(&j, "a"));
	assert_true(json_skip(&j)); /* from the key */
	assert_int_equal(json_next(&j), JSON_KEY);
	assert_true(json_is(&j, "b"));
	assert_int_equal(json_next(&j), JSON_ARRAY_BEGIN);
	assert_true(json_skip(&j)); /* from the value */
	assert_int_equal(json_next(&j), JSON_KEY);
	assert_true(json_is(&j, "c"));
	assert_int_equal(json_next(&j), JSON_NUMBER);
	assert_true(json_skip(&j)); /* a plain value is passed already */
	assert_int_equal(json_next(&j), JSON_KEY);
	assert_true(json_skip(&j));
	assert_int_equal(json_next(&j), JSON_OBJECT_END);
	assert_int_equal(json_next(&j), JSON_END);

	json_init(&j, text, strlen(text));
	json_next(&j);
	assert_true(json_skip(&j)); /* the document itself */
	assert_int_equal(json_next(&j), JSON_END);
}

static void skip_tells_errors(void **state)
{
	(void)state;
	static const char *const texts[] = { "[1,[2,}]", "{\"a\":tru}", "{\"a\"", "[[[",
		                             "{\"a\":" };
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct json j;
		json_init(&j, texts[i], strlen(texts[i]));
		json_next(&j);
		assert_false(json_skip(&j));
		assert_int_equal(j.type, JSON_ERROR);
	}
}

static void compares_tokens(void **state)
{
	(void)state;
	struct json j;
	json_init(&j, "\"content\"", 9);
	json_next(&j);
	assert_true(json_is(&j, "content"));
	assert_false(json_is(&j, "conten"));
	assert_false(json_is(&j, "contents"));
	assert_false(json_is(&j, ""));
}

/* The text of the one string in the document. */
static void unescape(const char *text, struct buffer *out)
{
	struct json j;
	json_init(&j, text, strlen(text));
	assert_int_equal(json_next(&j), JSON_STRING);
	buffer_clear(out);
	assert_ok(json_text(&j, out));
	assert_int_equal(json_next(&j), JSON_END);
}

static void unescapes_text(void **state)
{
	(void)state;
	static const struct {
		const char *json, *text;
		const char *why;
	} rows[] = {
		{ "\"\"", "", "empty" },
		{ "\"plain \xc3\xa9\"", "plain \xc3\xa9", "nothing to do" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", "the short ones" },
		{ "\"a\\nb\"", "a\nb", "in the middle" },
		{ "\"\\u0041\\u007f\"", "A\x7f", "one byte" },
		{ "\"\\u0080\\u07FF\"", "\xc2\x80\xdf\xbf", "two bytes" },
		{ "\"\\u0800\\uffff\"", "\xe0\xa0\x80\xef\xbf\xbf", "three bytes" },
		{ "\"\\ud800\\udc00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "pairs" },
		{ "\"\\ud800\"", "\xef\xbf\xbd", "a high one alone" },
		{ "\"\\udc00\"", "\xef\xbf\xbd", "a low one alone" },
		{ "\"\\udc00\\ud800\"", "\xef\xbf\xbd\xef\xbf\xbd", "the wrong way round" },
		{ "\"\\ud800\\u0041\"",
		  "\xef\xbf\xbd"
		  "A",
		  "high, then no low one" },
		{ "\"\\ud800\\ud800\\udc00\"", "\xef\xbf\xbd\xf0\x90\x80\x80",
		  "high, then a pair" },
		{ "\"\\ud800\\\\u0041\"", "\xef\xbf\xbd\\u0041", "high, then a backslash" },
		{ "\"\\ud800\\n\"", "\xef\xbf\xbd\n", "high, then a short one" },
		{ "\"\\ud800xxxxxxxx\"", "\xef\xbf\xbdxxxxxxxx", "high, then plain text" },
	};
	struct buffer out;
	buffer_init(&out, 256);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		unescape(rows[i].json, &out);
		if (out.len != strlen(rows[i].text) ||
		    (out.len && memcmp(out.data, rows[i].text, out.len) != 0))
			fail_msg("%s: %.*s", rows[i].why, (int)out.len, out.data);
	}
	unescape("\"a\\u0000b\"", &out);
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.data, "a\0b", 3);
	buffer_free(&out);
}

static void text_is_appended_within_the_limit(void **state)
{
	(void)state;
	struct json j;
	struct buffer out;
	buffer_init(&out, 8);
	assert_ok(buffer_append_str(&out, "123"));
	json_init(&j, "\"4\\t\"", 5);
	json_next(&j);
	assert_ok(json_text(&j, &out));
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.data, "1234\t", 5);
	json_init(&j, "\"\\t\\t\\t\\t\"", 10);
	json_next(&j);
	assert_int_equal(json_text(&j, &out), STATUS_ELIMIT);
	json_init(&j, "\"6789\"", 6);
	json_next(&j);
	assert_int_equal(json_text(&j, &out), STATUS_ELIMIT);
	assert_int_equal(out.len, 5);
	buffer_free(&out);
}

static void put(struct buffer *out, const char *s, size_t len)
{
	buffer_clear(out);
	assert_ok(json_put_string(out, s, len));
}

static void writes_strings(void **state)
{
	(void)state;
	static const struct {
		const char *text, *json;
	} rows[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "\"\\/", "\"\\\"\\\\/\"" },
		{ "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
		{ "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "\x80", "\"\xef\xbf\xbd\"" },   /* starts in the middle */
		{ "a\xc3", "\"a\xef\xbf\xbd\"" }, /* cut off */
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc3(", "\"\xef\xbf\xbd(\"" },               /* not continued */
		{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" }, /* overlong */
		{ "\xe0\x80\x80!", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
		{ "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf5", "\"\xef\xbf\xbd\"" },
		{ "\xff\n", "\"\xef\xbf\xbd\\n\"" },
	};
	struct buffer out;
	buffer_init(&out, 256);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct guarded g = guarded_copy(rows[i].text, strlen(rows[i].text));
		put(&out, g.data, strlen(rows[i].text));
		assert_int_equal(out.len, strlen(rows[i].json));
		assert_memory_equal(out.data, rows[i].json, out.len);
		guarded_free(&g);
	}
	put(&out, "a\0b", 3);
	assert_int_equal(out.len, 10);
	assert_memory_equal(out.data, "\"a\\u0000b\"", 10);
	put(&out, NULL, 0);
	assert_int_equal(out.len, 2);
	buffer_free(&out);
}

static void a_string_that_does_not_fit_is_not_begun(void **state)
{
	(void)state;
	static const char text[] = "ab\n\x01\xff";
	for (size_t limit = 0; limit < 20; limit++) {
		struct buffer out;
		buffer_init(&out, limit);
		size_t before = limit < 3 ? limit : 3;
		assert_ok(buffer_append(&out, "xyz", before));
		int err = json_put_string(&out, text, strlen(text));
		/* quote a b \n \u0001 U+FFFD quote */
		assert_int_equal(err, limit < 3 + 15 ? STATUS_ELIMIT : STATUS_OK);
		assert_int_equal(out.len, err ? before : 3 + 15);
		buffer_free(&out);
	}
}

/* Every character: from its escape to text, to a written string, to text again. */
static void every_character_survives(void **state)
{
	(void)state;
	struct buffer escaped, text, written, again;
	buffer_init(&escaped, 1 << 20);
	buffer_init(&text, 1 << 20);
	buffer_init(&written, 1 << 20);
	buffer_init(&again, 1 << 20);
	for (unsigned from = 0; from < 0x110000; from += 0x1000) {
		buffer_clear(&escaped);
		assert_ok(buffer_append_str(&escaped, "\""));
		for (unsigned c = from; c < from + 0x1000; c++) {
			if (c < 0x10000 && (c < 0xd800 || c > 0xdfff))
				assert_ok(buffer_printf(&escaped, "\\u%04x", c));
			else if (c >= 0x10000)
				assert_ok(buffer_printf(&escaped, "\\u%04X\\u%04x",
				                        0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff)));
		}
		assert_ok(buffer_append(&escaped, "\"", 2)); /* and its NUL */
		unescape(escaped.data, &text);
		put(&written, text.data, text.len);
		assert_ok(buffer_append(&written, "", 1));
		unescape(written.data, &again);
		assert_int_equal(again.len, text.len);
		if (text.len)
			assert_memory_equal(again.data, text.data, text.len);
		bool replaced = text.len && memmem(text.data, text.len, "\xef\xbf\xbd", 3);
		assert_true(replaced == (from == 0xf000)); /* U+FFFD itself, no other */
	}
	buffer_free(&escaped);
	buffer_free(&text);
	buffer_free(&written);
	buffer_free(&again);
}

static void assert_round_trip(struct buffer *out, double v)
{
	buffer_clear(out);
	assert_ok(json_put_number(out, v));
	struct json j;
	json_init(&j, out->data, out->len);
	assert_int_equal(json_next(&j), JSON_NUMBER);
	assert_true(json_number(&j) == v);
	assert_int_equal(json_next(&j), JSON_END);
}

static void numbers_read_back_the_same(void **state)
{
	(void)state;
	static const double values[] = { 0,
		                         -0.0,
		                         1,
		                         -1,
		                         0.1,
		                         1.0 / 3,
		                         2.0 / 3,
		                         1e15,
		                         1e16,
		                         1e21,
		                         1e22,
		                         1e-7,
		                         5e-324,
		                         1e308,
		                         1.7976931348623157e308,
		                         123456789,
		                         0.30000000000000004,
		                         4503599627370497.5,
		                         9007199254740994,
		                         999999999999999,
		                         2.2250738585072014e-308 };
	struct buffer out;
	struct rng r;
	buffer_init(&out, 64);
	rng_init(&r, 5, 0);
	for (size_t i = 0; i < COUNT_OF(values); i++)
		assert_round_trip(&out, values[i]);
	for (int i = 0; i < 50000; i++) {
		uint64_t bits = rng_u64(&r);
		double any, usual = rng_lognormal(&r, 0, 10);
		memcpy(&any, &bits, sizeof(any));
		if (isfinite(any))
			assert_round_trip(&out, any);
		assert_round_trip(&out, usual);
		assert_round_trip(&out, floor(usual));
	}
	buffer_free(&out);
}

static void writes_numbers_short(void **state)
{
	(void)state;
	static const struct {
		double v;
		const char *json;
	} rows[] = {
		{ 0, "0" },
		{ -0.0, "0" },
		{ 42, "42" },
		{ -7, "-7" },
		{ 0.1, "0.1" },
		{ 1.5, "1.5" },
		{ 123456789012, "123456789012" },
		{ 1e22, "1e+22" },
		{ 0.30000000000000004, "0.30000000000000004" },
		{ NAN, "null" },
		{ INFINITY, "null" },
		{ -INFINITY, "null" },
	};
	struct buffer out;
	buffer_init(&out, 64);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		buffer_clear(&out);
		assert_ok(json_put_number(&out, rows[i].v));
		assert_int_equal(out.len, strlen(rows[i].json));
		assert_memory_equal(out.data, rows[i].json, out.len);
	}
	buffer_free(&out);
}

/* value / 10^decimals by the library's way, without zeros at its end. */
static void write_decimal(char *out, size_t size, int64_t value, unsigned decimals)
{
	char digits[32];
	uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	int len = snprintf(digits, sizeof(digits), "%0*llu", (int)decimals + 1,
	                   (unsigned long long)v);
	int whole = len - (int)decimals;
	while (len > whole && digits[len - 1] == '0')
		len--;
	snprintf(out, size, "%s%.*s%s%.*s", value < 0 ? "-" : "", whole, digits,
	         len > whole ? "." : "", len - whole, digits + whole);
}

static void writes_decimals(void **state)
{
	(void)state;
	struct buffer out;
	char expected[64];
	buffer_init(&out, 64);
	int64_t values[400] = { 0,   1,    9,  10,  99,   100,       101,
		                999, 1000, -1, -10, -105, INT64_MAX, INT64_MIN };
	for (size_t i = 14; i < COUNT_OF(values); i++) /* of each length, often with zeros */
		values[i] =
			(int64_t)(rng_mix(7, i) >> i % 64) / (i % 3 ? 1 : 100) * (i % 3 ? 1 : 100);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		for (unsigned decimals = 0; decimals <= 9; decimals++) {
			buffer_clear(&out);
			assert_ok(json_put_decimal(&out, values[i], decimals));
			assert_ok(buffer_append(&out, "", 1));
			write_decimal(expected, sizeof(expected), values[i], decimals);
			assert_string_equal(out.data, expected);
		}
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_kind_of_value),
		cmocka_unit_test(numbers_follow_the_grammar),
		cmocka_unit_test(counts_are_whole_and_not_negative),
		cmocka_unit_test(every_error_is_found_where_it_is),
		cmocka_unit_test(an_error_stays_where_it_is),
		cmocka_unit_test(a_zero_byte_is_an_ordinary_error),
		cmocka_unit_test(no_cut_reads_past_the_end),
		cmocka_unit_test(no_changed_byte_does_harm),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(levels_remember_their_kind),
		cmocka_unit_test(skips_whole_values),
		cmocka_unit_test(skip_tells_errors),
		cmocka_unit_test(compares_tokens),
		cmocka_unit_test(unescapes_text),
		cmocka_unit_test(text_is_appended_within_the_limit),
		cmocka_unit_test(writes_strings),
		cmocka_unit_test(a_string_that_does_not_fit_is_not_begun),
		cmocka_unit_test(every_character_survives),
		cmocka_unit_test(numbers_read_back_the_same),
		cmocka_unit_test(writes_numbers_short),
		cmocka_unit_test(writes_decimals),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
