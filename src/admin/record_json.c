/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the decision log for the control socket, and which of them are wanted. Runs on the workers. */
#include "admin/admin.h"
#include "base/clock.h"
#include "base/map.h"

/* Without scheme and parameters: "sip:romeo@contoso.example:5060;user=phone" -> "romeo@contoso.example" */
static struct slice bare(struct slice s)
{
	static const char *const schemes[] = {"sips:", "sip:", "xmpp:"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (slice_istarts(s, slice_str(schemes[i]))) {
			s = slice_skip(s, strlen(schemes[i]));
			break;
		}
	ptrdiff_t at = slice_find_chr(s, '@');
	for (size_t i = at < 0 ? 0 : (size_t)at; i < s.len; i++)
		if (s.p[i] == ';' || s.p[i] == '?' || s.p[i] == '/' || (s.p[i] == ':' && s.p[s.len - 1] != ']'))
			return slice_first(s, i);
	return s;
}

static struct slice domain(struct slice address)
{
	struct slice b = bare(address);
	ptrdiff_t at = slice_find_chr(b, '@');
	return at < 0 ? b : slice_skip(b, (size_t)at + 1);
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* * and ?; linear in the text but for the last star. */
static bool like(struct slice pattern, struct slice s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;
	while (i < s.len) {
		if (p < pattern.len && pattern.p[p] == '*') {
			star = p++;
			mark = i;
		} else if (p < pattern.len && (pattern.p[p] == '?' || lower(pattern.p[p]) == lower(s.p[i]))) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.p[p] == '*')
		p++;
	return p == pattern.len;
}

static bool is_party(struct slice wanted, struct slice address)
{
	struct slice w = bare(wanted);
	return slice_empty(wanted) || like(w, slice_find_chr(w, '@') < 0 ? domain(address) : bare(address));
}

static bool is_id(struct slice id, const struct record *r)
{
	uint64_t number;
	return slice_empty(id) || (record_id_parse(&number, id) && number == r->id) || (r->key_len && hash_slice(id) == r->key);
}

bool admin_record_matches(const struct admin_records *q, const struct record *r)
{
	struct slice from = record_text(r, RECORD_FROM), to = record_text(r, RECORD_TO);
	return (!q->since_ms || r->at_ms >= q->since_ms) && (!q->until_ms || r->at_ms <= q->until_ms) &&
	       (!q->failed || r->outcome == RECORD_REFUSED || r->outcome == RECORD_FAILED) && is_id(q->id, r) && is_party(q->from, from) &&
	       is_party(q->to, to) && (slice_empty(q->partner) || slice_ieq(domain(from), q->partner) || slice_ieq(domain(to), q->partner));
}

static void put(json_t *o, const char *key, struct slice s)
{
	json_object_set_new(o, key, s.len ? admin_json_text(s) : json_null());
}

static void time_text(int64_t ms, char dst[CLOCK_TEXT])
{
	clock_text_at(ms / 1000, dst);
	size_t n = strlen(dst) - 1; /* the Z */
	snprintf(dst + n, CLOCK_TEXT - n, ".%03dZ", (int)(ms % 1000));
}

static json_t *reason(unsigned r)
{
	return r ? json_string(reason_info((enum reason)r)->id) : json_null();
}

json_t *admin_record_json(const struct record *r)
{
	static const char *const marks[] = {"none", "verified", "unverified"};
	char id[RECORD_ID_TEXT], at[CLOCK_TEXT];
	json_t *hops = json_array(), *o = json_object();
	record_id_print(r->id, id);
	time_text(r->at_ms, at);
	json_object_set_new(o, "id", json_string(id));
	json_object_set_new(o, "at", json_string(at));
	json_object_set_new(o, "direction", json_string(r->transit ? "through" : policy_direction_name((enum policy_direction)r->direction)));
	json_object_set_new(o, "network", json_string(r->sip ? "sip" : "xmpp"));
	json_object_set_new(o, "kind", json_string(policy_kind_name((enum policy_kind)r->kind)));
	put(o, "method", record_text(r, RECORD_METHOD));
	put(o, "from", record_text(r, RECORD_FROM));
	put(o, "to", record_text(r, RECORD_TO));
	put(o, "key", record_text(r, RECORD_KEY));
	put(o, "peer", record_text(r, RECORD_PEER));
	put(o, "via", record_text(r, RECORD_VIA));
	put(o, "partner", record_text(r, RECORD_PARTNER));
	json_object_set_new(o, "outcome", json_string(record_outcome_name((enum record_outcome)r->outcome)));
	json_object_set_new(o, "reason", reason(r->reason));
	json_object_set_new(o, "verdict", r->asked ? json_string(r->allowed ? "allowed" : "refused") : json_null());
	json_object_set_new(o, "rule", r->rule ? json_string(r->rule) : json_null());
	json_object_set_new(o, "detail", r->detail ? json_string(r->detail) : json_null());
	json_object_set_new(o, "class", r->sip ? json_string(policy_class_name((enum policy_class)r->cls)) : json_null());
	json_object_set_new(o, "identity", r->sip ? json_string(policy_identity_name((enum policy_identity)r->identity)) : json_null());
	json_object_set_new(o, "mark", r->sip && r->direction == POLICY_TO_LOCAL && r->mark < 3 ? json_string(marks[r->mark]) : json_null());
	json_object_set_new(o, "contact", r->sip ? json_null() : json_string(r->contact ? "yes" : "no"));
	json_object_set_new(o, "generation", json_integer((json_int_t)r->generation));
	json_object_set_new(o, "cut", json_boolean(r->cut));
	for (unsigned i = 0; i < r->n_hops; i++) {
		const struct record_hop *h = &r->hops[i];
		json_array_append_new(hops, json_pack("{s:I s:s s:o s:o}", "after_ms", (json_int_t)h->ms, "what", record_what_name((enum record_what)h->what),
						      "status", h->status ? json_integer(h->status) : json_null(), "reason", reason(h->reason)));
	}
	json_object_set_new(o, "hops", hops);
	return o;
}
