/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy core, second half: legs. A leg is one request on its way from one side to the other: its server transaction, the message as it
 * came until nobody needs it again, and the client transaction of the present attempt. */
#include "edge/access_proxy_int.h"

#include <stdio.h>
#include "base/list.h"
#include "base/mem.h"
#include "base/metric.h"

enum { OUT_MAX = 2 << 20, MAX_LEGS = 20000, HOPS = 70, BREADTH = 60, SUFFIX = 19 };

/* One that was answered 2xx to an INVITE stays for half a minute, for what forks may still answer: many do. */
struct leg {
	struct map_node node; /* key: id */
	uint64_t id;
	struct access_proxy *p;
	uint64_t server;      /* 0: ACK, BENOTIFY, or it is over */
	struct sip_client_trans *ct;
	char *vias;           /* hidden: these lines; owned */
	uint64_t via;         /* hash of the topmost Via's branch as it came: the answers' second Via */
	struct sip_flow from;
	struct sip_msg *m;    /* with its arena; NULL once an answer has come */
	struct arena *a;
	struct access_marks marks;
	uint64_t sender, since, record;
	struct access_guest *guest, *caller; /* caller: transit, of who asked */
	char *parties;        /* owned: of an INVITE that is being answered, From LF To */
	uint64_t last;        /* outward: the connection of the last attempt */
	uint32_t home;        /* inward */
	uint32_t own_routes, routes; /* on top that name us, all; counted once `routed` */
	enum sip_method method;
	unsigned attempt;
	bool outward;         /* to a partner */
	bool transit;         /* ... from another one */
	bool vouched;         /* transit: the sender */
	bool hidden;          /* the partner has not seen the Vias */
	bool routed;
	bool wants;           /* a way is being looked for */
	bool heard, again, cancelled, settled; /* settled: answered 2xx, here for what forks may still answer */
	uint8_t far_len;
	char far[];           /* who answers: a domain, normalised */
};
_Static_assert(POLICY_DOMAIN_MAX <= UINT8_MAX, "far_len holds it");

static struct slice far_of(const struct leg *l)
{
	return slice_of(l->far, l->far_len);
}

static struct sip_stack *stack_in(const struct leg *l)
{
	return l->outward && !l->transit ? l->p->cfg.inner : l->p->cfg.outer;
}

static struct sip_stack *stack_out(const struct leg *l)
{
	return l->outward ? l->p->cfg.outer : l->p->cfg.inner;
}

/* Whoever asked is a home: it may be told why, and what comes back crosses our border. */
static bool from_home(const struct leg *l)
{
	return l->outward && !l->transit;
}

static struct sip_server_trans *server_of(const struct leg *l)
{
	return l->server ? sip_server_find(stack_in(l), l->server) : NULL;
}

/* ---- life */

struct access_proxy *access_proxy_new(const struct access_proxy_config *cfg, const struct access_proxy_ops *ops, void *arg)
{
	struct access_proxy *p = MEM_NEW(struct access_proxy);
	p->cfg = *cfg;
	p->ops = ops;
	p->arg = arg;
	access_proxy_set(p, &access_rules_default);
	if (!p->cfg.route_name.len)
		p->cfg.route_name = p->cfg.outer_name;
	if (!p->cfg.max_legs)
		p->cfg.max_legs = MAX_LEGS;
	map_init(&p->legs);
	buf_init(&p->out, OUT_MAX);
	return p;
}

static void drop_message(struct leg *l)
{
	if (l->a)
		arena_release(l->p->cfg.pool, l->a);
	l->a = NULL;
	l->m = NULL;
}

static void drop_guest(struct leg *l, struct access_guest **guest)
{
	if (*guest)
		l->p->ops->over(l->p->arg, *guest);
	*guest = NULL;
}

static void drop_guests(struct leg *l)
{
	drop_guest(l, &l->guest);
	drop_guest(l, &l->caller);
}

static void leg_free(struct leg *l)
{
	struct sip_server_trans *st = server_of(l);
	if (st)
		sip_server_set_user(st, NULL);
	if (l->wants && l->p->ops->forget)
		l->p->ops->forget(l->p->arg, l->id);
	sip_client_drop(l->ct);
	drop_guests(l);
	mem_free(l->parties);
	map_remove(&l->p->legs, &l->node);
	l->p->n_settled -= l->settled;
	drop_message(l);
	mem_free(l->vias);
	mem_free(l);
}

struct access_proxy *access_proxy_free(struct access_proxy *p)
{
	size_t i;
	if (!p)
		return NULL;
	MAP_EACH(n, &p->legs, i)
		leg_free(CONTAINER_OF(n, struct leg, node));
	map_free(&p->legs);
	buf_free(&p->out);
	return mem_free(p);
}

static struct leg *leg_new(struct access_proxy *p, bool outward, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
			   const struct sip_flow *from)
{
	struct policy_domain far;
	size_t n = policy_domain_make(&far, access_target(m)) ? far.len : 0;
	struct leg *l = mem_calloc(1, sizeof *l + n);
	l->id = ++p->next;
	l->p = p;
	l->outward = outward;
	l->server = st ? sip_server_id(st) : 0;
	l->method = m->method;
	l->from = *from;
	l->m = m;
	l->a = a;
	l->far_len = (uint8_t)n;
	memcpy(l->far, far.text, n);
	l->since = sip_stack_timers(stack_in(l))->now;
	l->via = hash_slice(m->via.branch);
	l->record = sip_server_record(st);
	map_insert(&p->legs, &l->node, slice_of((const char *)&l->id, sizeof l->id));
	if (st)
		sip_server_set_user(st, l);
	return l;
}

static struct leg *leg_find(struct access_proxy *p, uint64_t id)
{
	struct map_node *n = map_find(&p->legs, slice_of((const char *)&id, sizeof id));
	return n ? CONTAINER_OF(n, struct leg, node) : NULL;
}

/* ---- answers of ours */

static const struct diagnosis {
	enum reason reason;
	unsigned id;
	const char *text;
} diagnoses[] = { /* [MS-OCER]; the texts as Lync's clients know them */
	{REASON_POLICY_FEDERATION_OFF, 1012, "From URI is not authorized to communicate outside the enterprise"},
	{REASON_POLICY_PARTNER_UNKNOWN, 1005, "Cannot route to destination domain"},
	{REASON_POLICY_DOMAIN_BLOCKED, 1005, "Cannot route to destination domain"},
	{REASON_POLICY_PARTNER_DISABLED, 1005, "Cannot route to destination domain"},
	{REASON_POLICY_LOCAL_UNKNOWN, 1005, "Cannot route to destination domain"},
	{REASON_POLICY_USER_DENIED, 1002, "From URI is not authorized to communicate with federated partners"},
	{REASON_POLICY_METHOD, 1027, "Cannot route this type of SIP request to or from federated partners"},
	{REASON_POLICY_TELEPHONE, 1027, "Cannot route this type of SIP request to or from federated partners"},
	{REASON_POLICY_ROUTE, 1004, "Route set is no longer valid"},
	{REASON_SIP_USER_UNKNOWN, 4005, "Destination URI either not enabled for SIP or does not exist"},
	{REASON_SIP_SRV_NONE, 1008, "Unable to resolve DNS SRV record"},
	{REASON_SIP_DNS, 1008, "Unable to resolve DNS SRV record"},
	{REASON_SIP_SRV_DOMAIN, 1009, "No match for domain in DNS SRV results"},
	{REASON_SIP_CERTIFICATE, 1010, "Certificate trust with next-hop server could not be established"},
	{REASON_TLS_REVOKED, 1010, "Certificate trust with next-hop server could not be established"},
	{REASON_TLS_REVOCATION, 1010, "Certificate trust with next-hop server could not be established"},
	{REASON_SIP_PEER_UNREACHABLE, 1046, "Failed to connect to a federated peer server"},
	{REASON_SIP_HOME_UNREACHABLE, 1007, "Temporarily cannot route"},
	{REASON_LIMIT_QUEUE_FULL, 1007, "Temporarily cannot route"},
	{REASON_LIMIT_RATE, 1007, "Temporarily cannot route"},
	{REASON_SERVER_SHUTDOWN, 1007, "Temporarily cannot route"},
};

static struct slice edge_host(const struct access_proxy *p)
{
	struct slice name = p->cfg.outer_name;
	ptrdiff_t colon = slice_find_chr(name, ':');
	return colon > 0 ? slice_first(name, (size_t)colon) : name;
}

static struct slice clean(struct slice in, char *dst, size_t size)
{
	slice_cstr(in, dst, size);
	for (char *c = dst; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			*c = '\'';
	return slice_str(dst);
}

static const struct diagnosis *diagnosis_of(enum reason reason)
{
	for (size_t i = 0; i < sizeof diagnoses / sizeof *diagnoses; i++)
		if (diagnoses[i].reason == reason)
			return &diagnoses[i];
	return NULL;
}

static void answer(struct access_proxy *p, struct sip_server_trans *st, bool outward, int status, enum reason reason, struct slice why,
		   struct slice header, struct slice value)
{
	char diag[768], text[256];
	struct sip_extra x[5];
	struct sip_answer an = {.status = status, .headers = x};
	const struct diagnosis *d = diagnosis_of(reason);
	if (header.len)
		x[an.n_headers++] = (struct sip_extra){header, value};
	if (status == 503)
		x[an.n_headers++] = (struct sip_extra){S("Retry-After"), S("10")};
	if (outward && reason != REASON_NONE)
		x[an.n_headers++] = (struct sip_extra){S("Entente-Reason"), slice_str(reason_info(reason)->id)};
	if (outward && d) {
		snprintf(diag, sizeof diag, "%u;reason=\"%s\";source=\"%.*s\"%s%.*s%s", d->id, d->text, SFMT(edge_host(p)),
			 why.len ? ";detail=\"" : "", SFMT(clean(why, text, sizeof text)), why.len ? "\"" : "");
		x[an.n_headers++] = (struct sip_extra){S("ms-diagnostics"), slice_str(diag)};
	} else if (d && p->rules.public_diagnostics) { /* else a partner learns the status alone; never who we are inside, or any detail */
		snprintf(diag, sizeof diag, "%u;reason=\"%s\"", d->id, d->text);
		x[an.n_headers++] = (struct sip_extra){S("ms-diagnostics-public"), slice_str(diag)};
	}
	if (status == 200) /* an OPTIONS of ours (RFC 3261 11.2) */
		x[an.n_headers++] = (struct sip_extra){S("Accept"), S("*/*")};
	if (reason != REASON_NONE)
		metric_refused((int)reason);
	record_hop(p->cfg.records, sip_server_record(st), RECORD_TOLD, status, reason);
	record_end(p->cfg.records, sip_server_record(st), status < 300 ? RECORD_DELIVERED : RECORD_REFUSED, reason);
	if (st)
		sip_server_respond(st, &an);
}

void access_proxy_answer(struct access_proxy *p, struct sip_server_trans *st, bool outward, const struct access_look *l)
{
	answer(p, st, outward, l->status, l->for_us ? REASON_NONE : l->reason, SLICE_NONE, l->header, l->value);
}

void access_proxy_reject(struct access_proxy *p, struct sip_server_trans *st, bool outward, enum reason reason, struct slice why)
{
	answer(p, st, outward, reason_info(reason)->sip_status, reason, why, SLICE_NONE, SLICE_NONE);
}

/* What became of a request. A refusal is ours, a failure is what came from behind us. */
static void count(enum sip_method method, bool delivered, enum reason reason)
{
	static const enum metric rows[3][3] = {
		{METRIC_MSG_SIP_SIP_MESSAGE_DELIVERED, METRIC_MSG_SIP_SIP_MESSAGE_REFUSED, METRIC_MSG_SIP_SIP_MESSAGE_FAILED},
		{METRIC_MSG_SIP_SIP_SESSION_DELIVERED, METRIC_MSG_SIP_SIP_SESSION_REFUSED, METRIC_MSG_SIP_SIP_SESSION_FAILED},
		{METRIC_MSG_SIP_SIP_OTHER_DELIVERED, METRIC_MSG_SIP_SIP_OTHER_REFUSED, METRIC_MSG_SIP_SIP_OTHER_FAILED},
	};
	struct slice id = slice_str(reason_info(reason)->id);
	bool ours = reason && (slice_starts(id, S("policy/")) || slice_starts(id, S("limit/")) || slice_starts(id, S("address/")));
	metric_add(rows[method == SIP_MESSAGE ? 0 : method == SIP_INVITE ? 1 : 2][delivered ? 0 : ours ? 1 : 2], 1);
}

void access_proxy_rejected(enum sip_method method, enum reason reason)
{
	count(method, false, reason);
}

static void outcome(struct leg *l, int status)
{
	if (!from_home(l) && l->p->ops->outcome && l->server)
		l->p->ops->outcome(l->p->arg, l->sender, status);
}

/* Is it a matter of reaching somebody, not of what may be? */
static bool failure(enum reason r)
{
	static const enum reason all[] = {REASON_SIP_HOME_UNREACHABLE, REASON_SIP_PEER_UNREACHABLE, REASON_SIP_PEER_SILENT, REASON_SIP_PEER_REFUSES,
					  REASON_SIP_DNS, REASON_SIP_SRV_NONE, REASON_SIP_TIMEOUT, REASON_SIP_MALFORMED, REASON_SIP_CERTIFICATE};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] == r)
			return true;
	return false;
}

static void fail(struct leg *l, enum reason reason, struct slice why)
{
	struct sip_server_trans *st = server_of(l);
	if (st)
		sip_server_set_user(st, NULL);
	l->wants = false;
	record_end(l->p->cfg.records, l->record, failure(reason) ? RECORD_FAILED : RECORD_REFUSED, reason);
	count(l->method, false, reason);
	access_proxy_reject(l->p, st, from_home(l), reason, why);
	outcome(l, reason_info(reason)->sip_status);
	l->server = 0;
	leg_free(l);
}

/* ---- writing */

/* What RFC 3261 18.2.1 and RFC 3581 4 have a server note in the topmost Via. */
static void note_source(struct sip_edit *e, const struct leg *l)
{
	char text[SIP_FLOW_TEXT];
	const struct sip_via *v = &e->m->via;
	struct slice host = v->host;
	uint16_t port;
	struct slice ip = sip_flow_source(&l->from, text, &port);
	if (!ip.len)
		return;
	if (v->received.len && !slice_ieq(v->received, ip)) /* it is not for the sender to say */
		sip_edit_replace(e, v->received, arena_dup(e->arena, ip));
	if (host.len > 2 && *host.p == '[')
		host = slice_of(host.p + 1, host.len - 2);
	if (slice_ieq(host, ip) && !v->rport && !v->received.len)
		return;
	struct slice at; /* an empty value stands behind the name */
	if (v->rport && sip_param(v->params, S("rport"), &at) && (!at.len || v->rport_value != port))
		sip_edit_replace(e, at, ARENA_JOIN(e->arena, at.len ? S("") : S("="), arena_u64(e->arena, port)));
	if (!v->received.len)
		sip_edit_insert(e, v->raw.p + v->raw.len, ARENA_JOIN(e->arena, S(";received="), ip));
}

static void look_at_routes(struct leg *l)
{
	size_t all;
	if (!l->routed) {
		l->own_routes = (uint32_t)access_own_routes(l->p, l->m, &all);
		l->routes = (uint32_t)all;
	}
	l->routed = true;
}

/* Takes our Routes off; a Request-URI that is our Record-Route was put there by a strict router (RFC 3261 16.4). */
static void edit_routes(struct sip_edit *e, struct leg *l)
{
	look_at_routes(l);
	size_t all = l->routes, own = l->own_routes;
	struct sip_values it = {0};
	struct slice last = SLICE_NONE, value;
	struct sip_addr a;
	if (all && access_own_uri(l->p, &e->m->uri) && slice_empty(e->m->uri.user) && sip_uri_param(&e->m->uri, S("lr"), NULL)) {
		while (sip_msg_next_value(e->m, SIP_H_ROUTE, &it, &value))
			last = value;
		if (sip_addr_parse(last, &a) == 0) {
			sip_edit_replace(e, e->m->uri_text, a.uri_text);
			if (own + 1 >= all) { /* nothing is left */
				sip_edit_remove_named(e, S("Route"));
				return;
			}
			struct slice before = slice_of(e->m->raw.p, (size_t)(last.p - e->m->raw.p));
			while (before.len && (before.p[before.len - 1] == ' ' || before.p[before.len - 1] == '\t'))
				before.len--;
			if (before.len && before.p[before.len - 1] == ',')
				sip_edit_remove(e, slice_of(before.p + before.len - 1, (size_t)(last.p + last.len - before.p) - before.len + 1));
			else
				for (size_t i = 0; i < e->m->n_headers; i++)
					if (e->m->headers[i].value.p == last.p)
						sip_edit_remove(e, e->m->headers[i].line);
		}
	}
	if (own)
		sip_edit_pop(e, SIP_H_ROUTE, own);
}

static bool makes_dialog(enum sip_method m)
{
	return m == SIP_INVITE || m == SIP_SUBSCRIBE || m == SIP_REFER || m == SIP_NOTIFY;
}

/* What the partner has from us, sealed, and gives back. */
static void edit_sealed(struct sip_edit *e, const struct leg *l)
{
	struct access_hide h = access_hide_of(l->p);
	struct slice routes, target;
	if (!l->p->rules.keys.n)
		return;
	target = access_hide_target(&h, e->arena, e->m);
	if (target.p)
		sip_edit_replace(e, e->m->uri_text, target);
	if (access_hide_routes(&h, e->arena, e->m, &routes) && routes.p)
		sip_edit_append(e, S("Route"), routes);
}

/* The Vias of the homes, with what is noted in the topmost one, wait here for the answer: the message without all else. */
static void keep_vias(struct leg *l)
{
	const struct sip_msg *m = l->m;
	const char *end = m->raw.p + m->raw.len, *head = m->n_headers ? m->headers[0].line.p : end, *tail = head;
	struct sip_edit e;
	sip_edit_init(&e, l->a, m);
	note_source(&e, l);
	sip_edit_remove(&e, slice_of(m->raw.p, (size_t)(head - m->raw.p)));
	for (size_t i = 0; i < m->n_headers; i++) {
		tail = m->headers[i].line.p + m->headers[i].line.len;
		if (m->headers[i].id != SIP_H_VIA)
			sip_edit_remove(&e, m->headers[i].line);
	}
	sip_edit_remove(&e, slice_of(tail, (size_t)(end - tail)));
	buf_clear(&l->p->out);
	mem_free(l->vias);
	l->vias = sip_edit_apply(&e, &l->p->out) ? mem_strndup(buf_slice(&l->p->out).p, l->p->out.len) : NULL;
}

static void edit_hidden(struct sip_edit *e, struct leg *l)
{
	struct access_hide h = access_hide_of(l->p);
	l->hidden = true;
	keep_vias(l);
	e->failed |= !l->vias;
	sip_edit_remove_named(e, S("Via"));
	if (makes_dialog(l->method))
		access_hide_recorded(&h, e);
	else
		sip_edit_remove_named(e, S("Record-Route"));
	access_hide_contacts(&h, e, l->marks.local);
	access_hide_makes(e);
}

static void edit_counters(struct sip_edit *e)
{
	const struct sip_header *hops = sip_msg_header(e->m, SIP_H_MAX_FORWARDS, 0);
	struct slice breadth = sip_msg_header_named(e->m, S("Max-Breadth"));
	uint64_t n;
	if (hops)
		sip_edit_replace(e, hops->value, arena_u64(e->arena, e->m->max_forwards > 0 ? (uint64_t)e->m->max_forwards - 1 : 0));
	else
		sip_edit_append(e, S("Max-Forwards"), arena_u64(e->arena, HOPS));
	if (!breadth.p)
		sip_edit_append(e, S("Max-Breadth"), arena_u64(e->arena, BREADTH));
	else if (!slice_u64(breadth, BREADTH, &n))
		sip_edit_replace(e, breadth, arena_u64(e->arena, BREADTH));
	if (e->m->content_length < 0)
		sip_edit_append(e, S("Content-Length"), arena_u64(e->arena, e->m->body.len));
}

/* Each side finds the URI on top that it knows us by (RFC 5658). */
static void edit_record_route(struct sip_edit *e, const struct leg *l, struct slice inner_contact)
{
	bool sips = e->m->uri.scheme == SIP_SCHEME_SIPS; /* then we must be recorded so, too (RFC 3261 16.6) */
	if (!makes_dialog(l->method))
		return;
	const struct access_rules *rules = &l->p->rules;
	struct slice mark = SLICE_NONE;
	if (rules->keys.n && (!rules->hide || l->transit))
		mark = access_hide_mark(&rules->keys, e->arena, l->transit ? ACCESS_TRANSIT_MARK : ACCESS_DIALOG_MARK, l->m->call_id, l->m->from.tag);
	struct slice outer = ARENA_JOIN(e->arena, sips ? S("<sips:") : S("<sip:"), l->p->cfg.route_name, sips ? S(";lr") : S(";transport=tls;lr"),
					mark.p ? S(";" ACCESS_MARK_PARAM "=") : S(""), mark, S(">"));
	if (l->transit) { /* both sides know us by the same name */
		sip_edit_push(e, S("Record-Route"), outer);
		return;
	}
	struct slice inner = ARENA_JOIN(e->arena, sips ? S("<sips:") : S("<"), slice_skip(inner_contact, sips ? 4 : 0), S(";lr>"));
	sip_edit_push(e, S("Record-Route"), l->outward ? inner : outer);
	sip_edit_push(e, S("Record-Route"), l->outward ? outer : inner);
}

static bool write_request(struct leg *l, struct slice inner_contact)
{
	struct sip_edit e;
	sip_edit_init(&e, l->a, l->m);
	edit_routes(&e, l);
	edit_counters(&e);
	if (from_home(l) && l->p->rules.hide && l->p->rules.keys.n) {
		edit_hidden(&e, l);
	} else {
		note_source(&e, l);
		edit_record_route(&e, l, inner_contact);
	}
	if (!l->outward)
		edit_sealed(&e, l);
	if (l->outward)
		access_edit_outward(&e, &l->marks);
	else
		access_edit_inward(&e, &l->marks);
	buf_clear(&l->p->out);
	return sip_edit_apply(&e, &l->p->out);
}

/* ---- the client side */

static void try_way(struct leg *l, bool busy);
static void to_home(struct leg *l);

/* Below our Via stands the one of the server or client that asked. */
static bool has_its_via(const struct leg *l, const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_via via;
	bool more = sip_msg_next_value(m, SIP_H_VIA, &it, &value) && sip_msg_next_value(m, SIP_H_VIA, &it, &value);
	if (l->hidden)
		return !more;
	ptrdiff_t at = more ? slice_find(value, S(";branch=")) : -1;
	if (at >= 0) { /* nearly always as it was */
		struct slice rest = slice_skip(value, (size_t)at + 8);
		if (hash_slice(slice_split(&rest, ';')) == l->via)
			return true;
	}
	return more && sip_via_parse(value, &via) == 0 && hash_slice(via.branch) == l->via;
}

/* The border of an answer, when partners do not see what is behind us. */
static void unhide_answer(struct sip_edit *e, const struct leg *l)
{
	struct access_hide h = access_hide_of(l->p);
	struct sip_flow home;
	struct slice contact;
	sip_edit_insert(e, e->m->headers[0].line.p, slice_str(l->vias));
	if (l->p->ops->home(l->p->arg, l->from.target, &home, &contact))
		access_hide_restore(&h, e, contact);
}

static void hide_answer(struct sip_edit *e, const struct leg *l)
{
	struct access_hide h = access_hide_of(l->p);
	access_hide_answered(&h, e);
	if (e->m->status < 300) /* those of a redirection are for whoever follows it */
		access_hide_contacts(&h, e, far_of(l));
	access_hide_makes(e);
}

/* A Lync home asks who has failed, and a partner's server as a rule does not say ([MS-OCER] 1034). */
static void diagnose(struct sip_edit *e, const struct leg *l)
{
	if (e->m->status < 400 || !l->marks.source_type || sip_msg_header_named(e->m, S("ms-diagnostics-public")).p)
		return;
	struct slice v = arena_printf(e->arena, "1034;reason=\"Previous hop federated peer did not report diagnostic information\";Domain=\"%.*s\";source=\"%.*s\"",
				      SFMT(e->m->to.uri.host), SFMT(edge_host(l->p)));
	e->failed |= !v.p;
	sip_edit_append(e, S("ms-diagnostics"), v);
}

static bool forward_response(struct leg *l, const struct sip_msg *m, struct sip_server_trans *st)
{
	if (!has_its_via(l, m))
		return false;
	struct arena *a = arena_acquire(l->p->cfg.pool);
	struct access_marks k = l->marks;
	struct sip_edit e;
	int status = m->status;
	sip_edit_init(&e, a, m);
	bool ok = sip_edit_pop(&e, SIP_H_VIA, 1);
	if (status == 503) { /* it is not we who are overloaded (RFC 3261 16.7) */
		status = 500;
		sip_edit_replace(&e, slice_first(m->raw, (size_t)slice_find_chr(m->raw, '\r')), S("SIP/2.0 500 Server Internal Error"));
	}
	if (m->content_length < 0)
		sip_edit_append(&e, S("Content-Length"), arena_u64(a, m->body.len));
	k.mark = k.disclaimer = false; /* those belong to requests */
	if (from_home(l)) {
		access_edit_inward(&e, &k);
		diagnose(&e, l);
		if (l->hidden)
			unhide_answer(&e, l);
	} else {
		k.local = far_of(l);
		access_edit_outward(&e, &k);
		if (!l->transit && l->p->rules.hide && l->p->rules.keys.n)
			hide_answer(&e, l);
	}
	buf_clear(&l->p->out);
	ok = ok && sip_edit_apply(&e, &l->p->out);
	arena_release(l->p->cfg.pool, a);
	if (ok)
		sip_server_forward(st, status, buf_slice(&l->p->out));
	return ok;
}

/* Who calls whom is of interest for as long as it rings. */
static char *parties_of(const struct sip_msg *m)
{
	char text[512];
	return mem_strndup(text, SLICE_JOIN(text, sizeof text, slice_first(m->from.uri_text, 240), S("\n"), slice_first(m->to.uri_text, 240)).len);
}

static void passed(const struct leg *l, const struct sip_msg *m)
{
	if (l->p->ops->passed)
		l->p->ops->passed(l->p->arg, l->outward, m);
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct leg *l = arg;
	struct sip_server_trans *st = server_of(l);
	(void)ct, (void)from;
	bool first = !l->heard;
	l->heard = true;
	if (m->status == 100 || !st)
		return;
	if (m->status == 503 && l->outward && first && l->m && !l->cancelled && l->attempt + 1 < ACCESS_ATTEMPTS) {
		l->again = true;
		record_hop(l->p->cfg.records, l->record, RECORD_AGAIN, 503, REASON_NONE);
		return;
	}
	if (l->m && l->method == SIP_INVITE && m->status < 200)
		l->parties = parties_of(l->m);
	drop_message(l);
	if (first || m->status >= 200)
		record_hop(l->p->cfg.records, l->record, RECORD_HEARD, m->status, REASON_NONE);
	if (m->status >= 200) {
		record_end(l->p->cfg.records, l->record, m->status < 300 ? RECORD_DELIVERED : RECORD_FAILED, REASON_NONE);
		if (!l->settled) { /* a 2xx that comes again, or of another fork, is no second request */
			count(l->method, m->status < 300, REASON_NONE);
			outcome(l, m->status);
		}
		if (l->method == SIP_MESSAGE && m->status < 300)
			metric_observe(HISTOGRAM_LATENCY_SIP_SIP, sip_stack_timers(stack_in(l))->now - l->since);
		drop_guests(l); /* a leg that stays for what forks may answer is nobody's share */
		if (l->method != SIP_INVITE || m->status >= 300) {
			sip_server_set_user(st, NULL); /* from here on it is the stack's alone */
			l->server = 0;
		} else if (!l->settled) {
			l->settled = true;
			l->p->n_settled++;
		}
	}
	bool sent = forward_response(l, m, st);
	if (sent)
		passed(l, m);
	if (sent && m->status >= 200)
		record_hop(l->p->cfg.records, l->record, RECORD_TOLD, m->status == 503 ? 500 : m->status, REASON_NONE);
	if (!sent && m->status >= 200) {
		sip_server_set_user(st, NULL);
		l->server = 0;
		answer(l->p, st, from_home(l), 502, REASON_SIP_MALFORMED, S("the answer cannot be carried"), SLICE_NONE, SLICE_NONE);
	}
}

static void on_done(void *arg, enum sip_done why)
{
	struct leg *l = arg;
	l->ct = NULL;
	if ((l->again || (why == SIP_DONE_TRANSPORT && !l->heard)) && l->outward && l->m && !l->cancelled &&
	    l->attempt + 1 < ACCESS_ATTEMPTS && server_of(l)) {
		bool busy = l->again;
		if (!busy)
			record_hop(l->p->cfg.records, l->record, RECORD_AGAIN, 0, REASON_SIP_PEER_UNREACHABLE);
		l->again = l->heard = false;
		l->attempt++;
		try_way(l, busy);
		return;
	}
	if (why == SIP_DONE_TRANSPORT && !l->outward && l->m && !l->heard && !l->cancelled && server_of(l) && l->attempt + 1 < ACCESS_ATTEMPTS) {
		l->attempt++;
		record_hop(l->p->cfg.records, l->record, RECORD_AGAIN, 0, REASON_SIP_HOME_UNREACHABLE);
		to_home(l); /* it may have another next hop (RFC 3263 4.3) */
		return;
	}
	if (why == SIP_DONE_ANSWERED || !server_of(l)) {
		leg_free(l);
	} else if (l->cancelled || why == SIP_DONE_TIMEOUT) {
		struct sip_server_trans *st = server_of(l);
		count(l->method, false, REASON_NONE);
		outcome(l, 408);
		record_hop(l->p->cfg.records, l->record, RECORD_TOLD, l->cancelled ? 487 : 408, REASON_NONE);
		record_end(l->p->cfg.records, l->record, RECORD_FAILED, l->cancelled ? REASON_NONE : l->outward ? REASON_SIP_PEER_SILENT : REASON_SIP_TIMEOUT);
		sip_server_set_user(st, NULL);
		l->server = 0;
		sip_server_reply(st, l->cancelled ? 487 : 408); /* 408 to an INVITE; to others nothing is said so late (RFC 4320) */
		leg_free(l);
	} else {
		fail(l, l->outward ? REASON_SIP_PEER_UNREACHABLE : REASON_SIP_HOME_UNREACHABLE, S("the connection was lost"));
	}
}

static const struct sip_client_handler handler = {on_response, on_done};

/* "-%02x%016llx" */
static struct slice branch_suffix(unsigned worker, uint64_t hash, char dst[SUFFIX])
{
	static const char hex[] = "0123456789abcdef";
	dst[0] = '-';
	dst[1] = hex[worker >> 4];
	dst[2] = hex[worker & 15];
	for (int i = 18; i > 2; i--, hash >>= 4)
		dst[i] = hex[hash & 15];
	return slice_of(dst, SUFFIX);
}

static void launch(struct leg *l, const struct sip_flow *to, struct slice inner_contact)
{
	char suffix[SUFFIX];
	struct sip_client_opts o = {0};
	o.branch_suffix = branch_suffix(l->p->cfg.worker & 0xff, access_loop_hash(l->m, from_home(l)), suffix);
	if (!write_request(l, inner_contact)) {
		fail(l, REASON_SIP_MALFORMED, S("it cannot be edited"));
		return;
	}
	if (!l->attempt)
		passed(l, l->m);
	record_hop(l->p->cfg.records, l->record, RECORD_SENT, 0, REASON_NONE);
	if (l->method == SIP_ACK || l->method == SIP_BENOTIFY) {
		sip_stack_send(stack_out(l), to, buf_slice(&l->p->out), &o);
		leg_free(l);
		return;
	}
	int rc = sip_client_start(&l->ct, stack_out(l), to, buf_slice(&l->p->out), &handler, l, &o);
	if (rc)
		fail(l, rc == ENTENTE_ELIMIT ? REASON_LIMIT_QUEUE_FULL : REASON_SIP_MALFORMED, SLICE_NONE);
}

/* ---- requests of homes */

/* "sips:" promises TLS on every hop (RFC 3261 26.2.2, RFC 5630); the one to the partner always is. */
static bool secure(const struct leg *l, const struct sip_flow *home)
{
	return l->m->uri.scheme != SIP_SCHEME_SIPS || home->transport == SIP_TLS;
}

static void try_way(struct leg *l, bool busy)
{
	drop_guest(l, &l->guest);
	l->wants = true;
	l->p->ops->way(l->p->arg, l->id, l->m, l->m->from.uri.host, access_target(l->m), &l->from, l->attempt, busy);
}

static bool room(struct access_proxy *p, struct sip_server_trans *st, bool outward, struct arena *a)
{
	if (p->legs.count - p->n_settled < p->cfg.max_legs) /* the stacks bound the others */
		return true;
	metric_add(METRIC_LIMIT_HITS, 1);
	access_proxy_reject(p, st, outward, REASON_LIMIT_QUEUE_FULL, SLICE_NONE);
	arena_release(p->cfg.pool, a);
	return false;
}

void access_proxy_outward(struct access_proxy *p, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct access_look look;
	access_proxy_look(p, m, a, true, &look);
	if (look.status) {
		access_proxy_answer(p, st, true, &look);
		arena_release(p->cfg.pool, a);
		return;
	}
	if (!room(p, st, true, a))
		return;
	struct leg *l = leg_new(p, true, st, m, a, from);
	l->own_routes = (uint32_t)look.own_routes;
	l->routes = (uint32_t)look.routes;
	l->routed = true;
	try_way(l, false);
}

void access_proxy_way(struct access_proxy *p, uint64_t id, const struct sip_flow *to, const struct access_marks *marks, struct access_guest *guest)
{
	struct leg *l = leg_find(p, id);
	struct sip_flow home = *to;
	struct slice contact = SLICE_NONE;
	if (!l || !l->wants) {
		if (guest)
			p->ops->over(p->arg, guest);
		return;
	}
	l->guest = guest;
	l->wants = false;
	l->last = to->conn;
	l->marks = *marks;
	l->marks.local = l->m->from.uri.host;
	if (l->transit && !l->vouched) { /* we do not say more than we were told */
		l->marks.verified = false;
		l->marks.local = SLICE_NONE;
	}
	l->marks.remote = far_of(l); /* of the answer, then */
	if (l->method != SIP_ACK && l->method != SIP_BENOTIFY && !server_of(l)) { /* it took too long */
		leg_free(l);
		return;
	}
	if (!l->transit && !p->ops->home(p->arg, l->from.target, &home, &contact)) {
		fail(l, REASON_SIP_HOME_UNREACHABLE, SLICE_NONE);
		return;
	}
	if (!secure(l, &home)) {
		fail(l, REASON_ADDRESS_SIPS, S("the home is not connected by TLS"));
		return;
	}
	launch(l, to, contact);
}

void access_proxy_leg(struct access_proxy *p, uint64_t id, struct access_leg *ret)
{
	struct leg *l = leg_find(p, id);
	*ret = (struct access_leg){0};
	if (!l || !l->m)
		return;
	look_at_routes(l);
	*ret = (struct access_leg){.record = l->record, .last = l->last, .transit = l->transit, .own_routes = l->own_routes, .routes = l->routes};
}

static bool taken_elsewhere(struct leg *l, enum reason reason)
{
	struct access_proxy *p = l->p;
	struct sip_server_trans *st = server_of(l);
	if (!p->ops->elsewhere || !from_home(l) || l->attempt || !l->m || !st || l->cancelled)
		return false;
	sip_server_set_user(st, NULL);
	if (!p->ops->elsewhere(p->arg, st, l->m, l->a, &l->from, reason)) {
		sip_server_set_user(st, l);
		return false;
	}
	l->m = NULL;
	l->a = NULL;
	l->server = 0;
	l->wants = false;
	leg_free(l);
	return true;
}

void access_proxy_refuse(struct access_proxy *p, uint64_t id, enum reason reason, struct slice why)
{
	struct leg *l = leg_find(p, id);
	if (l && l->wants && !taken_elsewhere(l, reason))
		fail(l, reason, why);
}

/* ---- requests of partners */

static void to_home(struct leg *l)
{
	struct sip_flow home;
	struct slice contact;
	if (!l->p->ops->home(l->p->arg, l->home, &home, &contact)) {
		fail(l, REASON_SIP_HOME_UNREACHABLE, SLICE_NONE);
		return;
	}
	if (!secure(l, &home)) {
		fail(l, REASON_ADDRESS_SIPS, SLICE_NONE);
		return;
	}
	launch(l, &home, contact);
}

void access_proxy_inward(struct access_proxy *p, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
			 const struct access_terms *terms)
{
	if (!room(p, st, false, a)) {
		if (terms->guest)
			p->ops->over(p->arg, terms->guest);
		return;
	}
	struct leg *l = leg_new(p, false, st, m, a, from);
	l->guest = terms->guest;
	l->marks = terms->marks;
	l->sender = terms->sender;
	l->home = terms->home;
	to_home(l);
}

/* Inside a dialog, too, the Request-URI is somebody beyond us; only a strict router puts us there, and its Route says who is meant. */
static bool leads_beyond(const struct access_proxy *p, const struct sip_msg *m)
{
	size_t all;
	access_own_routes(p, m, &all);
	return !access_own_uri(p, &m->uri) || (slice_empty(m->uri.user) && all && sip_uri_param(&m->uri, S("lr"), NULL));
}

void access_proxy_transit(struct access_proxy *p, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from,
			  const struct access_terms *terms)
{
	bool beyond = leads_beyond(p, m);
	if (!beyond || !room(p, st, false, a)) {
		if (!beyond) {
			access_proxy_reject(p, st, false, REASON_POLICY_ROUTE, SLICE_NONE);
			arena_release(p->cfg.pool, a);
		}
		if (terms->guest)
			p->ops->over(p->arg, terms->guest);
		return;
	}
	struct leg *l = leg_new(p, true, st, m, a, from);
	l->transit = true;
	l->caller = terms->guest;
	l->vouched = terms->marks.verified;
	l->sender = terms->sender;
	try_way(l, false);
}

/* ---- what the stacks tell */

void access_proxy_cancelled(struct access_proxy *p, struct sip_server_trans *st)
{
	struct leg *l = sip_server_user(st);
	if (!l)
		return;
	l->cancelled = true;
	if (l->ct) {
		sip_client_cancel(l->ct);
		return;
	}
	sip_server_set_user(st, NULL);
	l->server = 0;
	record_hop(p->cfg.records, l->record, RECORD_TOLD, 487, REASON_NONE);
	record_end(p->cfg.records, l->record, RECORD_FAILED, REASON_NONE);
	sip_server_reply(st, 487);
	leg_free(l);
}

void access_proxy_gone(struct access_proxy *p, struct sip_server_trans *st)
{
	struct leg *l = sip_server_user(st);
	(void)p;
	if (l)
		l->server = 0;
}

/* ---- facts */

void access_proxy_each(struct access_proxy *p, void (*fn)(void *arg, const struct access_leg_facts *f), void *arg)
{
	size_t i;
	MAP_EACH(n, &p->legs, i) {
		struct leg *l = CONTAINER_OF(n, struct leg, node);
		struct slice to = slice_str(l->parties ? l->parties : ""), from = slice_split(&to, '\n');
		struct access_leg_facts f = {.outward = l->outward, .transit = l->transit, .method = sip_method_name(l->method), .from = l->m ? l->m->from.uri_text : from,
					     .to = l->m ? l->m->to.uri_text : to, .domain = l->outward ? far_of(l) : SLICE_NONE, .state = l->wants ? "locating" : l->heard ? "proceeding" : "trying",
					     .age_ms = sip_stack_timers(stack_in(l))->now - l->since};
		fn(arg, &f);
	}
}

size_t access_proxy_legs(const struct access_proxy *p)
{
	return p->legs.count;
}
