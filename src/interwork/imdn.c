/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/imdn.h"

#include "base/enc.h"
#include "xmpp/xml.h"

#define NS_IMDN S("urn:ietf:params:xml:ns:imdn")

static const struct xml_limits limits = {.max_bytes = 16384, .max_depth = 8, .max_attrs = 16, .max_children = 256};

static const char *const kinds[] = {"delivery", "display", "processing"};
static const char *const statuses[] = {"delivered", "failed", "displayed", "processed", "stored", "forbidden", "error"};
static const unsigned of_kind[] = {
	[IMDN_DELIVERY] = 1u << IMDN_DELIVERED | 1u << IMDN_FAILED | 1u << IMDN_FORBIDDEN | 1u << IMDN_ERROR,
	[IMDN_DISPLAYING] = 1u << IMDN_DISPLAYED | 1u << IMDN_FORBIDDEN | 1u << IMDN_ERROR,
	[IMDN_PROCESS] = 1u << IMDN_PROCESSED | 1u << IMDN_STORED | 1u << IMDN_FORBIDDEN | 1u << IMDN_ERROR,
};
enum { KINDS = sizeof kinds / sizeof *kinds, STATUSES = sizeof statuses / sizeof *statuses };

struct slice imdn_status_name(enum imdn_status s)
{
	return slice_str((unsigned)s < STATUSES ? statuses[s] : "");
}

struct slice imdn_kind_name(enum imdn_kind k)
{
	return slice_str((unsigned)k < KINDS ? kinds[k] : "");
}

/* One line of visible characters and spaces, or nothing. */
static struct slice clean(struct slice s, size_t max)
{
	s = slice_trim(s);
	return s.len && s.len <= max && utf8_valid(s) && !utf8_has_control(s) ? s : SLICE_NONE;
}

static struct slice child_text(const struct xml_node *n, struct slice name, struct arena *a, size_t max)
{
	const struct xml_node *c = xml_child(n, name, SLICE_NONE);
	return c ? clean(xml_text(c, a), max) : SLICE_NONE;
}

/* The first child of <status/> that its kind knows. */
static bool read_status(struct imdn *ret, const struct xml_node *notification)
{
	const struct xml_node *status = xml_child(notification, S("status"), SLICE_NONE);
	for (const struct xml_node *n = status ? xml_first(status) : NULL; n; n = xml_next(n))
		for (unsigned s = 0; s < STATUSES; s++)
			if ((of_kind[ret->kind] >> s & 1) && slice_eq(n->name, slice_str(statuses[s]))) {
				ret->status = (enum imdn_status)s;
				return true;
			}
	return false;
}

int imdn_read(struct imdn *ret, struct arena *a, struct slice doc, struct entente_err *err)
{
	static const char *const names[] = {"delivery-notification", "display-notification", "processing-notification"};
	const struct xml_node *found = NULL;
	struct imdn d = {0};
	struct xml_node *root;
	int r = xml_parse(&root, a, doc, &limits, err);
	if (r)
		return r;
	if (!slice_eq(root->name, S("imdn")) || (root->ns.len && !slice_eq(root->ns, NS_IMDN)))
		return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED, "not a disposition notification");
	d.message_id = child_text(root, S("message-id"), a, IMDN_MAX_ID);
	d.datetime = child_text(root, S("datetime"), a, IMDN_MAX_TIME);
	d.recipient = child_text(root, S("recipient-uri"), a, IMDN_MAX_URI);
	for (const struct xml_node *n = xml_first(root); n; n = xml_next(n))
		for (unsigned k = 0; k < KINDS; k++)
			if (slice_eq(n->name, slice_str(names[k]))) {
				if (found)
					return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED,
						       "a disposition notification of several kinds");
				found = n;
				d.kind = (enum imdn_kind)k;
			}
	if (!d.message_id.p || !found || !read_status(&d, found))
		return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED, "a disposition notification without message, kind or status");
	*ret = d;
	return 0;
}

static void put(struct buf *b, const char *name, struct slice text)
{
	if (!text.len)
		return;
	buf_printf(b, "<%s>", name);
	xml_escape(b, text);
	buf_printf(b, "</%s>", name);
}

void imdn_write(struct buf *b, const struct imdn *n)
{
	const char *kind = kinds[(unsigned)n->kind < KINDS ? n->kind : 0];
	buf_put(b, S("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">"));
	put(b, "message-id", n->message_id);
	put(b, "datetime", n->datetime);
	put(b, "recipient-uri", n->recipient);
	buf_printf(b, "<%s-notification><status><%s/></status></%s-notification></imdn>\r\n", kind,
		   statuses[(unsigned)n->status < STATUSES ? n->status : 0], kind);
}

/* ---- ms-imdn */

static void find_ids(const struct xml_node *n, struct arena *a, struct slice *ids, size_t max, size_t *count)
{
	if (slice_ieq(n->name, S("message-id")) && *count < max) {
		struct slice id = clean(xml_text(n, a), IMDN_MAX_ID);
		if (id.p)
			ids[(*count)++] = id;
	}
	for (const struct xml_node *c = xml_first(n); c; c = xml_next(c)) /* as deep as the limits allow */
		find_ids(c, a, ids, max, count);
}

int imdn_lync_read(struct slice *ids, size_t max, size_t *ret_ids, struct arena *a, struct slice doc, struct entente_err *err)
{
	struct xml_node *root;
	int r = xml_parse(&root, a, doc, &limits, err);
	*ret_ids = 0;
	if (r)
		return r;
	if (!slice_ieq(root->name, S("imdn")))
		return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED, "not a disposition notification");
	find_ids(root, a, ids, max, ret_ids);
	return 0;
}

/* ---- CPIM */

static unsigned asks_of(struct slice list)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {{"positive-delivery", IMDN_POSITIVE}, {"negative-delivery", IMDN_NEGATIVE}, {"display", IMDN_DISPLAY}, {"processing", IMDN_PROCESSING}};
	unsigned asks = 0;
	while (list.len) {
		struct slice word = slice_split(&list, ',');
		word = slice_trim(slice_split(&word, ';')); /* extensions have parameters */
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (slice_ieq(word, slice_str(words[i].word)))
				asks |= words[i].bit;
	}
	return asks;
}

/* RFC 3339 as far as it looks so: a wrong one must not become markup or a header. */
static struct slice time_of(struct slice v)
{
	v = slice_trim(v);
	if (v.len < 20 || v.len > IMDN_MAX_TIME)
		return SLICE_NONE;
	for (size_t i = 0; i < v.len; i++)
		if (!strchr("0123456789-:.+TtZz", v.p[i]) || !v.p[i])
			return SLICE_NONE;
	return v;
}

void imdn_request_of(struct imdn_request *ret, const struct cpim *c)
{
	struct slice id = clean(c->imdn_id, IMDN_MAX_ID);
	*ret = (struct imdn_request){.message_id = id, .asks = id.p ? asks_of(c->imdn_wanted) : 0, .datetime = time_of(c->date)};
}

struct slice imdn_wanted(unsigned asks)
{
#define P "positive-delivery"
#define N "negative-delivery"
#define D "display"
#define R "processing"
	static const char *const lists[] = {
		"", P, N, P ", " N, D, P ", " D, N ", " D, P ", " N ", " D,
		R, P ", " R, N ", " R, P ", " N ", " R, D ", " R, P ", " D ", " R, N ", " D ", " R, P ", " N ", " D ", " R,
	};
#undef P
#undef N
#undef D
#undef R
	return slice_str(lists[asks & 15]);
}
