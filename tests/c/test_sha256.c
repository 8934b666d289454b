#include "base/sha256.h"

#include "support.h"

/* Message n: bytes 7 i + 3 for i < n. */
static void fill(uint8_t *message, size_t n)
{
	for (size_t i = 0; i < n; i++)
		message[i] = (uint8_t)(7 * i + 3);
}

static void digest(const void *data, size_t len, char hex[65])
{
	struct sha256 s;
	sha256_init(&s);
	sha256_update(&s, data, len);
	sha256_hex(&s, hex);
}

static void gives_the_digests_of_the_standard(void **state)
{
	(void)state;
	static const struct {
		const char *text, *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
		  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	};
	char hex[65];
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		digest(rows[i].text, strlen(rows[i].text), hex);
		assert_string_equal(hex, rows[i].hex);
	}
}

static void takes_a_million_bytes_in_pieces(void **state)
{
	(void)state;
	struct sha256 s;
	char hex[65], piece[1000];
	memset(piece, 'a', sizeof(piece));
	sha256_init(&s);
	for (int i = 0; i < 1000; i++)
		sha256_update(&s, piece, sizeof(piece));
	sha256_hex(&s, hex);
	assert_string_equal(hex,
	                    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void pads_at_every_length(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		const char *hex;
	} rows[] = {
		{ 1, "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5" },
		{ 55, "e7313d333c272e639f790978283f9eb392e843d0f29b7016828bb1daa4aac70b" },
		{ 56, "4324d65f3c103567f5589c710bc08f8523f929a9272e3af36fc968e52abc6c27" },
		{ 57, "35df609437dcfea3279283ab79fd554e2bf78f8f7ae2de532d8ee300b09e8f73" },
		{ 63, "81c80242132f230c3bd41b3e63bbcff16107339549214a99614ff26664625055" },
		{ 64, "39e3d7b6b5d075d37d053ad89b24b41bef4f3c29760c84447cab3f3be1882241" },
		{ 65, "aacca6ff74fdbb296d165a45cecfa04e5127bc008770fbbdd48006f2d2fae95e" },
		{ 119, "9ce7368e4daf32341631b492e80359dc9f594b48453cd0dd5bf0b19279cc177e" },
		{ 120, "7836b787757e95e58b3ca5aec90b1b004e8deba1e50e9675af9cabf1a13a04b5" },
		{ 127, "a8d23e75d936f303d248888d9b165ee543f4cbafcad3c9dd2a79bd84faa11d07" },
		{ 128, "d2742f1f4ac6bb7ca2b239ee18402ba8b3f9f8e652d2a72973c2b9ba11c08cf6" },
		{ 200, "2c7e18c942ef065b526a2d4e5546283749cd3ddfb51d8fc71f42717363685f46" },
	};
	uint8_t message[200];
	char hex[65];
	fill(message, sizeof(message));
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		digest(message, rows[i].len, hex);
		assert_string_equal(hex, rows[i].hex);
	}

	/* All lengths from 0 to 200: the digest of their digests. */
	struct sha256 all;
	sha256_init(&all);
	for (size_t n = 0; n <= sizeof(message); n++) {
		digest(message, n, hex);
		sha256_update(&all, hex, 64);
	}
	sha256_hex(&all, hex);
	assert_string_equal(hex,
	                    "530566f39d545b371e5360fbfe251c0da6410ba297e67392dfaec0cb575d67ed");
}

static void does_not_see_how_its_input_is_split(void **state)
{
	(void)state;
	uint8_t message[200];
	char whole[65], hex[65];
	fill(message, sizeof(message));
	digest(message, sizeof(message), whole);
	for (size_t at = 0; at <= sizeof(message); at++) {
		struct sha256 s;
		sha256_init(&s);
		sha256_update(&s, message, at);
		sha256_update(&s, NULL, 0);
		sha256_update(&s, message + at, sizeof(message) - at);
		sha256_hex(&s, hex);
		assert_string_equal(hex, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_digests_of_the_standard),
		cmocka_unit_test(takes_a_million_bytes_in_pieces),
		cmocka_unit_test(pads_at_every_length),
		cmocka_unit_test(does_not_see_how_its_input_is_split),
	};
	return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
