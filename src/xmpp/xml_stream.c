/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/xml_stream.h"

#include <limits.h>
#include <stdio.h>
#include "base/mem.h"
#include "xmpp/xml_build.h"
#include "xmpp/xml_skip.h"

struct xml_stream {
	const struct xml_stream_ops *ops;
	void *arg;
	struct arena_pool *pool;
	struct xml_mem mem;
	XML_Parser parser;
	struct xml_builder b;
	struct arena *arena;    /* of the header or the element that is being built */
	struct xml_attr *decls; /* prefixes declared on the header */
	struct slice default_ns;
	size_t n_decls; /* namespace declarations of the tag at hand */
	uint64_t total; /* octets given to expat */
	uint64_t base;  /* where the piece that max_bytes measures began */
	uint64_t stop_at;
	uint64_t pending;   /* octets of a tag without its end, which expat scans again with the next feed */
	uint64_t rescanned; /* the sum of that since base */
	struct buf held;    /* octets that wait before it is done */
	unsigned char first; /* octet of the stream */
	bool opened, in_element, feeding, stopped;
	bool closed;     /* the closing tag came */
	bool renew;      /* this parser has done its work: the rest goes to a new one, or is skipped */
	bool replay;     /* the new one reads the header again */
	bool cdata;      /* inside a CDATA section */
	bool over;       /* a limit of octets or memory was passed: skipped from the next token on */
	size_t depth;    /* open elements of this one */
	struct xml_skip skip;
	uint64_t skipped; /* octets of the element at hand, all of them */
	struct buf head; /* what came up to the end of the header */
	enum xml_fault fault;
	char why[160];
};

static void fail(struct xml_stream *x, enum xml_fault f, const char *why)
{
	if (x->fault)
		return;
	x->fault = f;
	slice_cstr(slice_str(why), x->why, sizeof x->why);
	if (x->feeding)
		XML_StopParser(x->parser, XML_FALSE);
}

/* expat still ends an empty element after the parser was stopped at its start. */
static bool dead(const struct xml_stream *x)
{
	return x->fault || x->stopped || x->renew;
}

enum { REMEMBERS = 128 << 10 }; /* octets of a parser that is worth a new one */

static const char *const too_big = "the element exceeds a limit of depth, attributes, children or memory";

/* Where the token at hand ends. For an empty element's end event expat reports the end itself and a count of 0. */
static uint64_t token_end(const struct xml_stream *x)
{
	return (uint64_t)XML_GetCurrentByteIndex(x->parser) + (uint64_t)XML_GetCurrentByteCount(x->parser);
}

/* After this token. */
static void leave_parser(struct xml_stream *x)
{
	x->renew = true;
	x->stop_at = token_end(x);
	XML_StopParser(x->parser, XML_FALSE);
}

static bool can_skip(const struct xml_stream *x)
{
	return x->b.lim.max_skip && x->ops->oversize;
}

static bool addresses(struct slice name)
{
	return slice_eq(name, S("from")) || slice_eq(name, S("to")) || slice_eq(name, S("id")) || slice_eq(name, S("type"));
}

/* What is left of an element of which nothing can be kept: its tag. `atts` NULL: the tag is built already. */
static bool make_stump(struct xml_stream *x, const XML_Char *name, const XML_Char **atts)
{
	enum { KEEP = 4 };
	const XML_Char *keep[2 * KEEP + 1] = {NULL};
	size_t n = 0;
	if (!atts) {
		struct xml_attr **end = &x->b.root->attrs;
		for (struct xml_attr *at = x->b.root->attrs; at; at = at->next) {
			if (slice_empty(at->ns) && addresses(at->name)) {
				*end = at;
				end = &at->next;
			}
		}
		*end = NULL;
		x->b.root->first = x->b.root->last = NULL;
		return true;
	}
	for (; *atts; atts += 2) {
		if (n < KEEP && addresses(slice_str(atts[0]))) {
			keep[2 * n] = atts[0];
			keep[2 * n++ + 1] = atts[1];
		}
	}
	x->arena = arena_release(x->pool, x->arena);
	x->arena = arena_acquire(x->pool);
	xml_builder_begin(&x->b, x->arena);
	return xml_builder_start(&x->b, name, keep, 0) == XML_FAULT_NONE;
}

/* The element at hand is too much. `name`, `atts`: of the tag at hand when it is the element's own. */
static void too_much(struct xml_stream *x, const XML_Char *name, const XML_Char **atts)
{
	bool own = x->depth == 1 && atts;
	if (!can_skip(x) || !make_stump(x, own ? name : NULL, own ? atts : NULL)) {
		fail(x, XML_FAULT_TOO_BIG, too_big);
		return;
	}
	leave_parser(x);
	x->skipped = x->stop_at - x->base;
	xml_skip_begin(&x->skip, x->depth, x->cdata);
}

static void begin(struct xml_stream *x)
{
	if (!x->arena)
		x->arena = arena_acquire(x->pool);
	xml_builder_begin(&x->b, x->arena);
}

static void on_decl(void *arg, const XML_Char *prefix, const XML_Char *uri)
{
	struct xml_stream *x = arg;
	x->n_decls++;
	if (x->opened || x->replay || dead(x) || !uri)
		return;
	if (!x->arena)
		x->arena = arena_acquire(x->pool);
	struct slice ns = arena_dup(x->arena, slice_str(uri));
	if (!prefix) {
		x->default_ns = ns;
		return;
	}
	struct xml_attr *at = ns.p ? ARENA_NEW(x->arena, struct xml_attr) : NULL;
	if (at) {
		at->ns = XML_NS_XMLNS;
		at->name = arena_dup(x->arena, slice_str(prefix));
		at->value = ns;
		at->next = x->decls;
		x->decls = at;
	}
	if (!at || !at->name.p)
		fail(x, XML_FAULT_TOO_BIG, too_big);
}

static void header(struct xml_stream *x, const XML_Char *name, const XML_Char **atts)
{
	begin(x);
	enum xml_fault f = xml_builder_start(&x->b, name, atts, x->n_decls);
	if (f) {
		fail(x, f, too_big);
		return;
	}
	struct xml_node *h = x->b.root;
	struct xml_attr **end = &h->attrs;
	while (*end)
		end = &(*end)->next;
	*end = x->decls;
	x->opened = true;
	x->base = token_end(x);
	buf_truncate(&x->head, x->base);
	x->ops->open(x->arg, h, x->default_ns);
	x->decls = NULL;
	x->default_ns = SLICE_NONE;
	x->arena = arena_release(x->pool, x->arena);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **atts)
{
	struct xml_stream *x = arg;
	if (dead(x))
		return;
	if (!x->opened) {
		header(x, name, atts);
	} else if (!x->replay) {
		bool own = !x->in_element;
		if (own) {
			x->base = (uint64_t)XML_GetCurrentByteIndex(x->parser);
			x->in_element = true;
			x->over = false;
			x->depth = 0;
			begin(x);
		}
		x->depth++;
		/* leaves room for one more tag as large as any that fits into one read */
		bool full = x->mem.used > x->mem.max / 4 * 3;
		if (xml_builder_start(&x->b, name, atts, x->n_decls))
			too_much(x, name, atts);
		else if (x->over || (full && can_skip(x)))
			too_much(x, name, NULL);
	}
	x->n_decls = 0;
}

static void on_end(void *arg, const XML_Char *name)
{
	struct xml_stream *x = arg;
	(void)name;
	if (x->renew && x->skip.depth) /* the end of an empty element that was too much */
		x->skip.depth--;
	if (dead(x))
		return;
	if (!x->in_element) {
		x->closed = true;
		x->ops->close(x->arg);
		return;
	}
	bool done = false;
	enum xml_fault f = xml_builder_end(&x->b, &done);
	x->depth--;
	/* a callback may have narrowed the limit while this was in expat already */
	if (f || x->over || (done && token_end(x) - x->base > x->b.lim.max_bytes)) {
		too_much(x, NULL, NULL);
	} else if (done) {
		struct arena *a = x->arena;
		x->arena = NULL;
		x->in_element = false;
		x->base = token_end(x);
		x->ops->element(x->arg, x->b.root, a);
		if (!dead(x) && x->mem.used > REMEMBERS)
			leave_parser(x);
	}
}

static void on_text(void *arg, const XML_Char *p, int len)
{
	struct xml_stream *x = arg;
	if (dead(x))
		return;
	if (x->in_element) {
		if (xml_builder_text(&x->b, p, (size_t)len) || x->over)
			too_much(x, NULL, NULL);
	} else if (slice_trim(slice_of(p, (size_t)len)).len) {
		fail(x, XML_FAULT_BAD_FORMAT, "text between first-level elements");
	} else {
		x->base = token_end(x);
	}
}

static void on_cdata(void *arg)
{
	((struct xml_stream *)arg)->cdata = true;
}

static void on_cdata_end(void *arg)
{
	((struct xml_stream *)arg)->cdata = false;
}

static void on_comment(void *arg, const XML_Char *text)
{
	(void)text;
	fail(arg, XML_FAULT_RESTRICTED, "comments are not allowed in XMPP");
}

static void on_pi(void *arg, const XML_Char *target, const XML_Char *data)
{
	(void)target;
	(void)data;
	fail(arg, XML_FAULT_RESTRICTED, "processing instructions are not allowed in XMPP");
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	fail(arg, XML_FAULT_RESTRICTED, "DOCTYPE is not allowed in XMPP");
}

static void on_declaration(void *arg, const XML_Char *version, const XML_Char *encoding, int standalone)
{
	(void)version;
	(void)standalone;
	if (encoding && !slice_ieq(slice_str(encoding), S("UTF-8")))
		fail(arg, XML_FAULT_ENCODING, "the declared encoding is not UTF-8");
}

static void new_parser(struct xml_stream *x)
{
	x->parser = xml_parser_new(&x->mem, "UTF-8");
	if (!x->parser) {
		fail(x, XML_FAULT_TOO_BIG, "no memory for a parser");
		return;
	}
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartNamespaceDeclHandler(x->parser, on_decl);
	XML_SetCdataSectionHandler(x->parser, on_cdata, on_cdata_end);
	XML_SetCommentHandler(x->parser, on_comment);
	XML_SetProcessingInstructionHandler(x->parser, on_pi);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	XML_SetXmlDeclHandler(x->parser, on_declaration);
}

/* A parser that knows the header and nothing else. */
static void renew_parser(struct xml_stream *x)
{
	struct slice head = buf_slice(&x->head);
	XML_ParserFree(x->parser);
	new_parser(x);
	if (x->fault)
		return;
	x->replay = true;
	if (XML_Parse(x->parser, head.p, (int)head.len, XML_FALSE) != XML_STATUS_OK)
		fail(x, XML_FAULT_TOO_BIG, "no memory for a parser");
	x->replay = false;
	x->total = x->base = head.len;
	x->pending = x->rescanned = 0;
	x->n_decls = 0;
	x->in_element = x->over = x->cdata = false;
}

struct xml_stream *xml_stream_new(const struct xml_stream_ops *ops, void *arg, struct arena_pool *pool,
	const struct xml_limits *lim)
{
	struct xml_stream *x = MEM_NEW(struct xml_stream);
	x->ops = ops;
	x->arg = arg;
	x->pool = pool;
	x->mem.max = xml_parser_memory(lim);
	xml_builder_init(&x->b, lim);
	buf_init(&x->held, SIZE_MAX / 2); /* never more than a part of what is pending */
	buf_init(&x->head, SIZE_MAX / 2); /* bounded by the limits of the header */
	new_parser(x);
	return x;
}

struct xml_stream *xml_stream_free(struct xml_stream *x)
{
	if (!x)
		return NULL;
	if (x->parser)
		XML_ParserFree(x->parser);
	xml_builder_free(&x->b);
	buf_free(&x->held);
	buf_free(&x->head);
	arena_release(x->pool, x->arena);
	return mem_free(x);
}

void xml_stream_set_limits(struct xml_stream *x, const struct xml_limits *lim)
{
	x->b.lim = *lim;
	x->mem.max = xml_parser_memory(lim);
	if (x->mem.max < x->mem.used)
		x->mem.max = x->mem.used;
}

void xml_stream_stop(struct xml_stream *x)
{
	if (x->fault || x->stopped)
		return;
	x->stopped = true;
	if (x->feeding && !x->renew) {
		x->stop_at = token_end(x);
		XML_StopParser(x->parser, XML_FALSE);
	}
}

/* Gives back what growing took beyond need. */
static void fit(struct buf *b)
{
	struct buf small;
	if (b->len > b->cap / 2)
		return;
	buf_init(&small, b->limit);
	buf_put(&small, buf_slice(b));
	buf_free(b);
	*b = small;
}

bool xml_stream_rest(struct xml_stream *x)
{
	/* base is behind the last complete thing between two elements, so nothing of another one was read */
	bool between = x->opened && !x->closed && !x->cdata && x->base == x->total;
	if (!x->parser || !between || x->feeding || x->stopped || x->renew || x->fault)
		return !x->parser;
	XML_ParserFree(x->parser);
	x->parser = NULL;
	buf_free(&x->b.text);
	buf_free(&x->held);
	fit(&x->head);
	return true;
}

bool xml_stream_stopped(const struct xml_stream *x)
{
	return x->stopped;
}

static void expat_failed(struct xml_stream *x)
{
	enum XML_Error e = XML_GetErrorCode(x->parser);
	char why[sizeof x->why];
	snprintf(why, sizeof why, "%s at line %lu column %lu", XML_ErrorString(e),
		(unsigned long)XML_GetCurrentLineNumber(x->parser),
		 (unsigned long)XML_GetCurrentColumnNumber(x->parser));
	if (e == XML_ERROR_NO_MEMORY)
		fail(x, XML_FAULT_TOO_BIG, "the parser's memory is exhausted");
	else
		fail(x, XML_FAULT_NOT_WELL_FORMED, why);
}

/* Looks at the first two octets of a stream. XML begins with '<' or a UTF-8 byte order mark; expat alone would follow another
 * mark, or NUL octets, into UTF-16 whatever it was told. */
static void check_beginning(struct xml_stream *x, struct slice rest)
{
	unsigned char c = (unsigned char)rest.p[0], next = rest.len > 1 ? (unsigned char)rest.p[1] : 0xbb;
	if (x->total > 1)
		return;
	if (x->total == 0)
		x->first = c;
	else
		next = c;
	if (x->first == 0 || x->first >= 0xfe || (x->first == '<' && next == 0))
		fail(x, XML_FAULT_ENCODING, "the octets are not UTF-8");
	else if (x->first != '<' && (x->first != 0xef || next != 0xbb))
		fail(x, XML_FAULT_NOT_WELL_FORMED, "the stream does not begin as XML does");
}

/* With reparse deferral off (it would withhold finished tags), a large tag that comes in small pieces costs the square of its
 * length. So once a tag is large, pieces that cannot end it are gathered until they are worth a scan, and those that might are
 * counted. */
enum { HOLD_FROM = 4096, HOLD_PART = 8, RESCAN_TIMES = 16 };

static bool hold(struct xml_stream *x, struct slice rest, uint64_t room)
{
	if (x->pending < HOLD_FROM || rest.len > room || x->held.len + rest.len >= x->pending / HOLD_PART)
		return false;
	if (slice_find_chr(rest, '>') >= 0)
		return false;
	buf_put(&x->held, rest);
	return true;
}

/* Gives expat what is held and up to `room` octets of rest. Returns how many octets of rest were used. */
static size_t parse(struct xml_stream *x, struct slice rest, uint64_t room)
{
	/* Never past the limit in one go, so that the verdict does not depend on how the bytes arrive. */
	struct slice piece = slice_first(rest, room < INT_MAX / 4 ? (size_t)room : INT_MAX / 4);
	size_t held = x->held.len, used = piece.len;
	uint64_t at = x->total, base = x->base;
	if (x->pending >= HOLD_FROM && (x->rescanned += x->pending) > RESCAN_TIMES * (uint64_t)x->b.lim.max_bytes) {
		fail(x, XML_FAULT_TOO_BIG, "a large tag arrives in too many pieces");
		return 0;
	}
	if (held) {
		buf_put(&x->held, piece);
		piece = buf_slice(&x->held);
	}
	x->total += piece.len;
	if (!x->opened)
		buf_put(&x->head, piece);
	enum XML_Status st = XML_Parse(x->parser, piece.p, (int)piece.len, XML_FALSE);
	if (x->stopped || (x->renew && !x->fault)) {
		used = x->stop_at > at + held ? (size_t)(x->stop_at - at) - held : 0;
	} else if (st != XML_STATUS_OK) {
		expat_failed(x);
		used = 0;
	} else {
		XML_Index token = XML_GetCurrentByteIndex(x->parser);
		x->pending = token < 0 ? 0 : x->total - (uint64_t)token;
	}
	if (x->base != base)
		x->rescanned = 0;
	if (held)
		buf_shrink(&x->held, 0);
	return used;
}

/* Goes on after a parser that has done its work: to the end of an element that is too much, then with a new parser. */
static size_t skip(struct xml_stream *x, struct slice rest)
{
	size_t used = 0;
	if (x->skip.depth) {
		uint64_t max = (uint64_t)x->b.lim.max_bytes + x->b.lim.max_skip, room = max > x->skipped ? max - x->skipped : 0;
		enum xml_fault f = xml_skip_feed(&x->skip, slice_first(rest, room < rest.len ? (size_t)room : rest.len), &used);
		x->skipped += used;
		if (f)
			fail(x, f, "an element that is too long or too deep is not well-formed either");
		else if (x->skip.depth && used == room)
			fail(x, XML_FAULT_TOO_BIG, "the element is too long");
		if (f || x->skip.depth)
			return used;
	}
	struct arena *a = x->arena;
	struct xml_node *el = x->in_element ? x->b.root : NULL;
	x->arena = NULL;
	renew_parser(x);
	x->renew = false;
	if (el)
		x->ops->oversize(x->arg, el, a);
	return used;
}

int xml_stream_feed(struct xml_stream *x, struct slice bytes, size_t *consumed, enum xml_fault *fault, struct entente_err *err)
{
	size_t used = 0;
	if (x->feeding)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "xml_stream_feed called from its own callback");
	struct xml_mem *before = xml_mem_enter(&x->mem);
	x->feeding = true;
	while (!x->fault && !x->stopped && (used < bytes.len || x->renew)) {
		struct slice rest = slice_skip(bytes, used);
		if (!x->parser) {
			if (slice_trim(slice_first(rest, 1)).len)
				renew_parser(x);
			else
				used++;
			continue;
		}
		if (x->renew) {
			used += skip(x, rest);
			if (x->renew)
				break;
			continue;
		}
		if (x->total == 0 && slice_trim(slice_first(rest, 1)).len == 0) {
			used++;
			continue;
		}
		check_beginning(x, rest);
		uint64_t have = x->total + x->held.len - x->base, max = x->b.lim.max_bytes;
		if (have >= max && x->opened && can_skip(x)) {
			x->over = true;
			max += x->b.lim.max_skip;
		}
		if (have >= max)
			fail(x, XML_FAULT_TOO_BIG, "the element is too long");
		else if (!x->fault)
			used += hold(x, rest, max - have) ? rest.len : parse(x, rest, max - have);
	}
	x->feeding = false;
	xml_mem_leave(before);
	if (consumed)
		*consumed = used;
	if (fault)
		*fault = x->fault;
	if (!x->fault)
		return 0;
	x->arena = arena_release(x->pool, x->arena);
	return err_set(err, x->fault == XML_FAULT_TOO_BIG ? ENTENTE_ELIMIT : ENTENTE_ESYNTAX, REASON_XMPP_MALFORMED, "%s",
		x->why);
}
