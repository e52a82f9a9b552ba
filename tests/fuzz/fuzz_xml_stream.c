/* SPDX-License-Identifier: Apache-2.0 */
/* The stream parser: however the bytes are cut, the same comes out; and what comes out can be written and read again.
 * Input: one octet that seeds the cuts and picks the limits, then the stream. An element named "stop" stops the parser. */
#include <stdint.h>
#include <stdlib.h>
#include "xmpp/stanza.h"
#include "xmpp/xml_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct xml_stream *x;
	struct arena_pool *pool;
	struct buf log, names; /* names: of all first-level elements, also of those that were skipped */
	size_t consumed;
	enum xml_fault fault;
	bool closed;
};

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

/* Written, parsed as a document and written again: the same text. */
static void round_trip(const struct xml_node *el)
{
	static const struct xml_limits any = {.max_bytes = 1 << 24, .max_depth = 1000, .max_attrs = 10000,
		.max_children = 1 << 20};
	struct arena *a = arena_new(1 << 26);
	struct buf one, two;
	struct xml_node *back;
	buf_init(&one, 1 << 24);
	buf_init(&two, 1 << 24);
	xml_write(&one, el, SLICE_NONE);
	CHECK(buf_ok(&one));
	CHECK(xml_parse(&back, a, buf_slice(&one), &any, NULL) == 0);
	xml_write(&two, back, SLICE_NONE);
	CHECK(slice_eq(buf_slice(&one), buf_slice(&two)));
	buf_clear(&two);
	xml_write(&two, xml_copy(a, el), SLICE_NONE);
	CHECK(slice_eq(buf_slice(&one), buf_slice(&two)));
	buf_free(&one);
	buf_free(&two);
	arena_release(NULL, a);
}

static void on_open(void *arg, const struct xml_node *h, struct slice default_ns)
{
	struct run *r = arg;
	round_trip(h);
	xml_write(&r->log, h, S("jabber:server"));
	buf_printf(&r->log, "{%.*s}", SFMT(default_ns));
}

static void on_element(void *arg, struct xml_node *el, struct arena *a)
{
	struct run *r = arg;
	struct stanza s;
	round_trip(el);
	stanza_write(&r->log, el, true);
	stanza_read(&s, a, el);
	CHECK(s.kind == STANZA_NONE || s.from_rc || s.from.full.len);
	buf_printf(&r->names, "%.*s %.*s|", SFMT(el->ns), SFMT(el->name));
	if (xml_is(el, S("stop"), SLICE_NONE))
		xml_stream_stop(r->x);
	arena_release(r->pool, a);
}

static void on_oversize(void *arg, struct xml_node *el, struct arena *a)
{
	struct run *r = arg;
	CHECK(!el->first);
	for (const struct xml_attr *at = el->attrs; at; at = at->next)
		CHECK(slice_empty(at->ns) && (slice_eq(at->name, S("from")) || slice_eq(at->name, S("to")) || slice_eq(at->name, S("id")) ||
					      slice_eq(at->name, S("type"))));
	buf_puts(&r->log, "(over)");
	on_element(r, el, a);
}

static void on_close(void *arg)
{
	struct run *r = arg;
	buf_puts(&r->log, "(close)");
	r->closed = true;
}

/* seed 0: all in one feed */
static void run(struct run *r, struct slice in, const struct xml_limits *lim, unsigned seed)
{
	static const struct xml_stream_ops ops = {on_open, on_element, on_close, on_oversize};
	*r = (struct run){.pool = arena_pool_new(1 << 20, 2)};
	buf_init(&r->log, 1 << 24);
	buf_init(&r->names, 1 << 24);
	r->x = xml_stream_new(&ops, r, r->pool, lim);
	int rc = 0;
	while (in.len && !rc && !r->closed && !xml_stream_stopped(r->x)) {
		size_t used;
		size_t n = in.len;
		if (seed) {
			seed = seed * 1103515245 + 12345;
			n = 1 + (seed >> 16) % (seed >> 8 & 1 ? 9 : 200);
		}
		struct slice piece = slice_first(in, n);
		rc = xml_stream_feed(r->x, piece, &used, &r->fault, NULL);
		CHECK(used <= piece.len);
		CHECK(rc || xml_stream_stopped(r->x) || used == piece.len);
		CHECK(!rc == !r->fault);
		r->consumed += used;
		if (seed & 1 << 20)
			xml_stream_rest(r->x);
		in = slice_skip(in, piece.len);
	}
	xml_stream_free(r->x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct slice in = slice_of((const char *)data + 1, size - 1);
	struct xml_limits lim = {.max_bytes = 100000, .max_depth = 16, .max_attrs = 8, .max_children = 64};
	if (data[0] & 1)
		lim = (struct xml_limits){.max_bytes = 64, .max_depth = 3, .max_attrs = 2, .max_children = 4};
	struct run whole, cut;
	if (data[0] & 2)
		lim.max_skip = lim.max_bytes;
	run(&whole, in, &lim, 0);
	run(&cut, in, &lim, data[0] + 1u);
	if (lim.max_skip && (whole.fault || cut.fault)) /* too much and malformed: skipped or the end, as it happens to come */
		goto out;
	/* Text between elements is refused as far as it was seen; expat looks ahead and may find it malformed first. */
	/* What follows the closing tag is nobody's: it is seen only when it came in the same piece. */
	CHECK(cut.closed || whole.fault == cut.fault || (whole.fault == XML_FAULT_BAD_FORMAT && cut.fault == XML_FAULT_NOT_WELL_FORMED) ||
	      (whole.fault == XML_FAULT_NOT_WELL_FORMED && cut.fault == XML_FAULT_BAD_FORMAT));
	CHECK(cut.closed || whole.fault || whole.consumed == cut.consumed);
	CHECK(slice_eq(buf_slice(&whole.log), buf_slice(&cut.log)));
	if (lim.max_skip && !whole.fault) { /* what a parser without limits sees is what was seen, and nothing was made of what was skipped */
		static const struct xml_limits none = {.max_bytes = 1 << 24, .max_depth = 1 << 20, .max_attrs = 1 << 20, .max_children = 1 << 24};
		struct run wide;
		run(&wide, in, &none, 0);
		CHECK(wide.fault || slice_eq(buf_slice(&whole.names), buf_slice(&wide.names)));
		buf_free(&wide.log);
		buf_free(&wide.names);
		arena_pool_free(wide.pool);
	}
out:
	buf_free(&whole.log);
	buf_free(&cut.log);
	buf_free(&whole.names);
	buf_free(&cut.names);
	arena_pool_free(whole.pool);
	arena_pool_free(cut.pool);
	return 0;
}
