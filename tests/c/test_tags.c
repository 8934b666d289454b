#include "metrics/tags.h"

#include "support.h"

#include <stdio.h>

static struct tag *get(struct tags *t, const char *name)
{
	struct tag *tag = tags_get(t, (struct slice){ name, strlen(name) });
	assert_non_null(tag);
	return tag;
}

static void the_same_name_is_the_same_tag(void **state)
{
	(void)state;
	struct tags t = { 0 };
	struct tag *a = get(&t, "long"), *b = get(&t, "short");
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(get(&t, "long"), a);
	assert_ptr_equal(get(&t, "short"), b);
	assert_ptr_not_equal(get(&t, "lon"), a); /* a beginning is another name */
	assert_ptr_not_equal(get(&t, "longer"), a);
	assert_int_equal(t.count, 4);
	assert_string_equal(t.list[0]->name, "long");
	assert_string_equal(t.list[1]->name, "short");
	assert_false(t.full);
	tags_free(&t);
}

static void an_empty_name_is_a_name(void **state)
{
	(void)state;
	struct tags t = { 0 };
	assert_string_equal(get(&t, "")->name, "");
	get(&t, "");
	assert_int_equal(t.count, 1);
	tags_free(&t);
}

static void names_past_the_bound_are_gathered(void **state)
{
	(void)state;
	char name[16];
	struct tags t = { 0 };
	for (int i = 0; i < TAGS_MAX - 1; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_string_equal(get(&t, name)->name, name);
	}
	assert_false(t.full);
	struct tag *other = get(&t, "one more");
	assert_string_equal(other->name, TAGS_OTHER);
	assert_true(t.full);
	assert_ptr_equal(get(&t, "and another"), other);
	assert_ptr_equal(get(&t, TAGS_OTHER), other);
	assert_int_equal(t.count, TAGS_MAX);
	for (int i = 0; i < TAGS_MAX - 1; i++) { /* the first ones keep their places */
		snprintf(name, sizeof(name), "t%d", i);
		assert_ptr_equal(get(&t, name), t.list[i]);
	}
	tags_free(&t);
}

static void a_tag_of_the_name_for_the_rest_takes_the_rest(void **state)
{
	(void)state;
	char name[16];
	struct tags t = { 0 };
	struct tag *other = get(&t, TAGS_OTHER);
	for (int i = 0; i < TAGS_MAX - 2; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		get(&t, name);
	}
	assert_false(t.full);
	assert_ptr_equal(get(&t, "one more"), other);
	assert_int_equal(t.count, TAGS_MAX - 1);
	tags_free(&t);
}

static void names_are_cut_at_a_character_and_made_valid(void **state)
{
	(void)state;
	char name[100];
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	struct tags t = { 0 };
	struct tag *cut = get(&t, name);
	assert_int_equal(strlen(cut->name), TAGS_NAME_SIZE - 1);
	assert_ptr_equal(get(&t, name), cut);
	memcpy(name + TAGS_NAME_SIZE - 2, "\xc3\xa4", 2); /* its second byte has no room */
	assert_int_equal(strlen(get(&t, name)->name), TAGS_NAME_SIZE - 2);
	/* As the wire repairs it: a tag and what a reader sees of it are one. */
	assert_string_equal(get(&t, "b\xff")->name, "b\xef\xbf\xbd");
	assert_ptr_equal(get(&t, "b\xff"), get(&t, "b\xef\xbf\xbd"));
	assert_int_equal(t.count, 3);
	tags_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_name_is_the_same_tag),
		cmocka_unit_test(an_empty_name_is_a_name),
		cmocka_unit_test(names_past_the_bound_are_gathered),
		cmocka_unit_test(a_tag_of_the_name_for_the_rest_takes_the_rest),
		cmocka_unit_test(names_are_cut_at_a_character_and_made_valid),
	};
	return cmocka_run_group_tests_name("tags", tests, NULL, NULL);
}
