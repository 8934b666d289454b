/* l_hdr.c - the fold's histograms in the forms that other tools and plots read. */
#include "lua/script.h"

#include "metrics/hdr.h"

#define TICKS      5   /* lines for each halving of the distance to 100 % */
#define CURVE_STEP 2.5 /* percent of the rest that lie between two points of a curve */
#define TAG_CURVES 6   /* as many as can be told apart in one plot */

static void set_text(lua_State *L, const char *key, const struct buffer *b)
{
	lua_pushlstring(L, b->data, b->len);
	lua_setfield(L, -2, key);
}

/* { ns, share of the values at or below, ... }: closer together where the tail is thin, so
 * that a few hundred points hold what a logarithmic plot of the tail can show. */
static void push_curve(lua_State *L, const struct histogram *h)
{
	struct histogram_bucket b = { .index = HISTOGRAM_FIRST };
	double total = (double)histogram_count(h), seen = 0, rest = 1;
	int n = 0;
	lua_newtable(L);
	while (histogram_next(h, &b)) {
		seen += (double)b.count;
		bool last = seen == total;
		if (1 - seen / total > rest * (1 - CURVE_STEP / 100) && !last && n)
			continue;
		rest = 1 - seen / total;
		lua_pushnumber(L, last ? (double)histogram_max(h) : (double)b.top);
		lua_rawseti(L, -2, ++n);
		lua_pushnumber(L, seen / total);
		lua_rawseti(L, -2, ++n);
	}
}

/* The tag with the most requests that has the metric and was not taken before; the earlier of
 * equals. -1: there is none. */
static int busiest(const struct tags *tags, int metric, const bool *taken)
{
	int found = -1;
	for (int i = 0; i < tags->count; i++) {
		const struct tally *t = &tags->list[i]->tally;
		if (!taken[i] && t->distributions[metric] &&
		    (found < 0 || t->issued > tags->list[found]->tally.issued))
			found = i;
	}
	return found;
}

/* { { tag =, curve = }, ... }: of the busiest tags. */
static void push_tag_curves(lua_State *L, const struct tags *tags, int metric, struct histogram *h)
{
	bool taken[TAGS_MAX] = { false };
	lua_newtable(L);
	for (int n = 1; tags && n <= TAG_CURVES; n++) {
		int i = busiest(tags, metric, taken);
		if (i < 0)
			return;
		taken[i] = true;
		histogram_reset(h);
		distribution_merge_into(tags->list[i]->tally.distributions[metric], h);
		lua_newtable(L);
		lua_pushstring(L, tags->list[i]->name);
		lua_setfield(L, -2, "tag");
		push_curve(L, h);
		lua_setfield(L, -2, "curve");
		lua_rawseti(L, -2, n);
	}
}

static int put_texts(lua_State *L, const struct histogram *h, struct buffer *text)
{
	int err = hdr_put_percentiles(text, h, 1e6, TICKS);
	if (err)
		return err;
	set_text(L, "percentiles", text);
	buffer_clear(text);
	err = hdr_put_encoded(text, h);
	if (!err)
		set_text(L, "encoded", text);
	buffer_clear(text);
	return err;
}

static int push_histogram(lua_State *L, const struct phase_metrics *m, int metric,
                          struct histogram *h, struct buffer *text)
{
	histogram_reset(h);
	distribution_merge_into(m->all.distributions[metric], h);
	lua_newtable(L);
	lua_pushstring(L, m->name);
	lua_setfield(L, -2, "phase");
	lua_pushstring(L, metric_name((enum metric)metric));
	lua_setfield(L, -2, "metric");
	binding_set_number(L, "max", (double)histogram_max(h));
	binding_set_number(L, "started_ns", (double)m->started_ns);
	binding_set_number(L, "ended_ns", (double)m->ended_ns);
	push_curve(L, h);
	lua_setfield(L, -2, "curve");
	int err = put_texts(L, h, text);
	if (metric == METRIC_LATENCY || metric == METRIC_TTFT) {
		push_tag_curves(L, m->tags, metric, h);
		lua_setfield(L, -2, "tags");
	}
	return err;
}

static int push_all(lua_State *L, const struct fold *f, struct histogram *h, struct buffer *text)
{
	int err = STATUS_OK, n = 0;
	for (int i = 0; !err && i < fold_phase_count(f); i++) {
		const struct phase_metrics *m = fold_phase(f, i);
		for (int k = 0; !err && m && k < METRIC_COUNT; k++) {
			if (!m->all.distributions[k] || !metric_is_time((enum metric)k))
				continue;
			err = push_histogram(L, m, k, h, text);
			lua_rawseti(L, -2, ++n);
		}
	}
	return err;
}

void report_push_histograms(lua_State *L, const struct fold *f)
{
	struct histogram *h =
		NULL; /* Lua's lack of memory leaks these two: the process is at its end */
	struct buffer text;
	buffer_init(&text, (size_t)4 << 20);
	lua_newtable(L);
	int err = histogram_new(&h);
	if (!err)
		err = push_all(L, f, h, &text);
	histogram_free(h);
	buffer_free(&text);
	if (err)
		luaL_error(L, "histograms: %s", status_text(err));
}
