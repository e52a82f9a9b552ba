/* SPDX-License-Identifier: Apache-2.0 */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../xmpp/stream_rig.h"
#include "base/mem.h"
#include "sip/build.h"
#include "../external.h"

static struct house *the_house;

/* The virtual clock; linked in place of clock_unix. */
int64_t __wrap_clock_unix(void);
int64_t __wrap_clock_unix(void)
{
	return HOUSE_UNIX + (int64_t)(the_house->timers.now / 1000) + the_house->jump;
}

/* ---- the log */

static void begin(struct house *h)
{
	if (h->log.len)
		buf_puts(&h->log, "; ");
}

static void show_document(struct house *h, struct slice doc)
{
	struct arena *a = arena_new(4 << 20);
	struct xml_node *n;
	if (!doc.len) {
		buf_puts(&h->log, " -");
	} else {
		assert_int_equal(xml_parse(&n, a, doc, &xml_limits_default, NULL), 0);
		for (const struct xml_node *c = xml_child(n, S("tuple"), SLICE_NONE); c; c = xml_next_same(c)) {
			const struct xml_node *status = xml_child(c, S("status"), SLICE_NONE),
					      *show = xml_child(status, S("show"), SLICE_NONE),
					      *note = xml_child(c, S("note"), SLICE_NONE);
			buf_printf(&h->log, " %.*s:%.*s", SFMT(xml_attr(c, S("id"))),
				   SFMT(xml_text(xml_child(status, S("basic"), SLICE_NONE), a)));
			if (show)
				buf_printf(&h->log, ",%.*s", SFMT(xml_text(show, a)));
			if (note)
				buf_printf(&h->log, ",'%.*s'", SFMT(xml_text(note, a)));
		}
	}
	arena_release(NULL, a);
}

static void show_sip(struct house *h, const struct sip_msg *m)
{
	if (m->status == 100)
		return; /* the stack's own (RFC 4320) */
	begin(h);
	if (!m->is_request) {
		struct slice reason = sip_msg_header_named(m, S("Entente-Reason")), id = slice_trim(slice_split(&reason, ';'));
		buf_printf(&h->log, "S %d %.*s", m->status, SFMT(m->cseq_method_text));
		if (id.len)
			buf_printf(&h->log, " %.*s", SFMT(id));
		return;
	}
	buf_printf(&h->log, "S %.*s", SFMT(m->method_text));
	if (m->method == SIP_NOTIFY) {
		struct slice v = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0)->value, params, text;
		struct slice token = sip_token(v, &params);
		buf_printf(&h->log, " %.*s", SFMT(token));
		if (sip_param(params, S("reason"), &text))
			buf_printf(&h->log, ";%.*s", SFMT(text));
		if (sip_param(params, S("retry-after"), &text))
			buf_printf(&h->log, ";retry-after=%.*s", SFMT(text));
		show_document(h, m->body);
		return;
	}
	buf_printf(&h->log, " %.*s", SFMT(m->uri_text));
	if (m->method == SIP_SUBSCRIBE) {
		buf_printf(&h->log, " %.*s", SFMT(sip_msg_header(m, SIP_H_EXPIRES, 0)->value));
	} else if (m->method == SIP_INVITE) {
		ptrdiff_t at = slice_find(m->body, S("\nm="));
		struct slice rest = at < 0 ? SLICE_NONE : slice_skip(m->body, (size_t)at + 1);
		struct slice line = slice_trim(slice_split(&rest, '\n'));
		buf_printf(&h->log, " %.*s", SFMT(line));
	} else if (m->body.len || m->method == SIP_MESSAGE) {
		buf_printf(&h->log, " '%.*s'", SFMT(m->body));
	}
}

static void show_text(struct house *h, const struct xml_node *n, const char *name, struct arena *a, const char *quote)
{
	for (const struct xml_node *c = xml_child(n, slice_str(name), SLICE_NONE); c; c = xml_next_same(c))
		buf_printf(&h->log, " %s%.*s%s", quote, SFMT(xml_text(c, a)), quote);
}

static void show_stanza(struct house *h, const struct xml_node *n, struct arena *a)
{
	struct slice type = xml_attr(n, S("type"));
	bool message = slice_eq(n->name, S("message"));
	begin(h);
	buf_printf(&h->log, "X %.*s", SFMT(n->name));
	if (type.p && !(message && slice_eq(type, S("chat"))))
		buf_printf(&h->log, "/%.*s", SFMT(type));
	buf_printf(&h->log, " %.*s>%.*s", SFMT(xml_attr(n, S("from"))), SFMT(xml_attr(n, S("to"))));
	const struct xml_node *e = xml_child(n, S("error"), SLICE_NONE);
	if (e) {
		const struct xml_node *c = xml_first(e);
		buf_printf(&h->log, " %.*s/%.*s", c ? (int)c->name.len : 0, c ? c->name.p : "", SFMT(xml_attr(e, S("type"))));
		return;
	}
	show_text(h, n, "show", a, "");
	show_text(h, n, "status", a, "'");
	show_text(h, n, "body", a, "'");
}

void house_expect(struct house *h, const char *want, const char *file, int line)
{
	if (!slice_eq(buf_slice(&h->log), slice_str(want))) {
		print_error("is:     %.*s\nwanted: %s\n", SFMT(buf_slice(&h->log)), want);
		_fail(file, line);
	}
	buf_clear(&h->log);
}

void house_count(struct house *h, const char *part, int n, const char *file, int line)
{
	int found = 0;
	for (struct slice rest = buf_slice(&h->log); rest.len;) {
		ptrdiff_t at = slice_find(rest, slice_str(part));
		if (at < 0)
			break;
		found++;
		rest = slice_skip(rest, (size_t)at + strlen(part));
	}
	if (found != n) {
		print_error("%d times \"%s\", not %d, in: %.*s\n", found, part, n, SFMT(slice_first(buf_slice(&h->log), 4000)));
		_fail(file, line);
	}
	buf_clear(&h->log);
}

/* ---- what the gateway asks for */

static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct house *h = arg;
	struct arena *a = arena_new(4 << 20);
	struct sip_msg *m;
	struct sip_fault fault;
	assert_int_equal(to->target, 0);
	if (h->dying) {
		arena_release(NULL, a);
		return 0;
	}
	if (h->home_unreachable) {
		arena_release(NULL, a);
		return ENTENTE_ENET;
	}
	assert_true(h->n_sent < HOUSE_SENT);
	h->sent[h->n_sent++] = (struct house_sent){mem_strndup(bytes.p, bytes.len), bytes.len};
	if (sip_msg_parse(&m, a, arena_dup(a, bytes), &sip_limits_default, &fault))
		fail_msg("we sent something malformed (%s): %.*s", fault.text, SFMT(bytes));
	show_sip(h, m);
	arena_release(NULL, a);
	if (h->out)
		h->out(h->out_arg, false, bytes);
	return 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct house *h = arg;
	gateway_request(h->gateway, st, m, a, from);
}

static const struct sip_stack_ops stack_ops = {.send = on_send, .request = on_request};

static void house_ticket_over(struct house *h, size_t i, enum reason reason)
{
	struct gateway_ticket t = h->queued[i].ticket;
	h->queued[i].used = false;
	if (t.id && (reason || t.tell_sent))
		gateway_sent(h->gateway, &t, reason, SLICE_NONE);
}

static void on_xmpp_send(void *arg, struct slice local, struct slice remote, struct slice stanza, const struct gateway_ticket *t)
{
	struct house *h = arg;
	struct arena *a = arena_new(4 << 20);
	struct xml_node *n;
	struct slice doc = arena_printf(a, "<x xmlns='jabber:server'>%.*s</x>", SFMT(stanza));
	if (xml_parse(&n, a, doc, &xml_limits_default, NULL) || !(n = xml_first(n)))
		fail_msg("we sent something malformed: %.*s", SFMT(stanza));
	struct xmpp_jid from, to;
	assert_int_equal(xmpp_jid_parse(&from, a, xml_attr(n, S("from"))), 0);
	assert_int_equal(xmpp_jid_parse(&to, a, xml_attr(n, S("to"))), 0);
	assert_true(slice_eq(from.domain, local) && slice_eq(to.domain, remote));
	show_stanza(h, n, a);
	mem_free(h->stanza);
	h->stanza = mem_strndup(stanza.p, stanza.len);
	arena_release(NULL, a);
	if (h->out)
		h->out(h->out_arg, true, stanza);
	switch (h->link) {
	case LINK_FINE:
		if (t->id && t->tell_sent)
			gateway_sent(h->gateway, t, REASON_NONE, SLICE_NONE);
		break;
	case LINK_BAD:
		if (t->id)
			gateway_sent(h->gateway, t, h->why, S("as the test wants it"));
		break;
	case LINK_HANDED:
	case LINK_SLOW:
	case LINK_QUEUED:
		for (size_t i = 0; i < sizeof h->queued / sizeof *h->queued; i++)
			if (!h->queued[i].used) {
				h->queued[i] = (struct house_ticket){*t, true};
				if (h->link != LINK_QUEUED && t->confirm && t->acked_only && h->link == LINK_HANDED)
					house_ticket_over(h, i, REASON_SERVER_QUEUE_FULL);
				else if (h->link != LINK_QUEUED && t->confirm)
					gateway_handed(h->gateway, t, h->link == LINK_SLOW);
				return;
			}
		fail_msg("too many queued");
		break;
	case LINK_SILENT:
		h->unreported += t->id != 0;
		break;
	}
}

/* Each receipt comes back once, as what was given. */
static void on_stanza_done(void *arg, const struct xmpp_receipt *r)
{
	struct house *h = arg;
	assert_true(r->number >= 1 && r->number <= h->n_receipts);
	assert_int_equal(r->stream, h->receipt_streams[r->number]);
	assert_int_equal(r->worker, 3);
	if (h->done[r->number - 1])
		fail_msg("receipt %d came back twice", (int)r->number);
	h->done[r->number - 1] = true;
	h->n_done++;
}

void house_release(struct house *h, enum reason reason)
{
	for (size_t i = 0; i < sizeof h->queued / sizeof *h->queued; i++) {
		if (h->queued[i].used)
			house_ticket_over(h, i, reason);
	}
	house_pass(h, 0);
}

static bool on_home(void *arg, uint32_t home, struct gateway_home *ret)
{
	struct house *h = arg;
	if (h->no_home || home != 0)
		return false;
	ret->flow = (struct sip_flow){.transport = h->udp ? SIP_UDP : SIP_TCP, .conn = 7, .target = 0};
	ret->contact = S("sip:gw.contoso.test:5060;transport=tcp");
	ret->setting = h->dialect;
	ret->learned = h->learned;
	return true;
}

static void on_home_learned(void *arg, uint32_t home, enum gateway_dialect dialect)
{
	struct house *h = arg;
	assert_int_equal(home, 0);
	h->learned = dialect;
	begin(h);
	buf_printf(&h->log, "home speaks %s", gateway_dialect_name(dialect));
}

static void record_put(struct house_record *r, struct slice key, struct slice value)
{
	struct house_record *free_one = NULL;
	for (size_t i = 0; i < HOUSE_RECORDS; i++) {
		if (r[i].key && slice_eq(slice_str(r[i].key), key)) {
			mem_free(r[i].value);
			r[i].value = mem_strndup(value.p, value.len);
			return;
		}
		if (!r[i].key && !free_one)
			free_one = &r[i];
	}
	assert_non_null(free_one);
	*free_one = (struct house_record){mem_strndup(key.p, key.len), mem_strndup(value.p, value.len)};
}

static void record_delete(struct house_record *r, struct slice key)
{
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (r[i].key && slice_eq(slice_str(r[i].key), key)) {
			mem_free(r[i].key);
			mem_free(r[i].value);
			r[i] = (struct house_record){0};
			return;
		}
	fail_msg("no such record: %.*s", SFMT(key));
}

size_t house_records(const struct house_record *r)
{
	size_t n = 0;
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		n += r[i].key != NULL;
	return n;
}

static struct slice pair_text(struct slice a, struct slice b)
{
	static char text[8192];
	return slice_of(text, (size_t)snprintf(text, sizeof text, "%.*s %.*s", SFMT(a), SFMT(b)));
}

static void on_contact_put(void *arg, struct slice local, struct slice remote, enum gateway_how how)
{
	static const char *const names[] = {"message", "subscribe", "invite"};
	struct house *h = arg;
	record_put(h->contacts, pair_text(local, remote), slice_str(names[how]));
	begin(h);
	buf_printf(&h->log, "store +contact %.*s %s", SFMT(pair_text(local, remote)), names[how]);
}

void house_contact(struct house *h, struct slice local, struct slice remote)
{
	record_put(h->contacts, pair_text(local, remote), S("message"));
	gateway_load_contact(h->gateway, local, remote);
}

static bool on_watch_put(void *arg, struct slice watcher, struct slice presentity)
{
	struct house *h = arg;
	record_put(h->watches, pair_text(watcher, presentity), SLICE_NONE);
	begin(h);
	buf_printf(&h->log, "store +watch %.*s", SFMT(pair_text(watcher, presentity)));
	return h->slow_disk;
}

static void on_watch_delete(void *arg, struct slice watcher, struct slice presentity)
{
	struct house *h = arg;
	record_delete(h->watches, pair_text(watcher, presentity));
	begin(h);
	buf_printf(&h->log, "store -watch %.*s", SFMT(pair_text(watcher, presentity)));
}

static void on_dialog_put(void *arg, struct slice id, struct slice local, struct slice remote, struct slice blob,
			  int64_t expires_at)
{
	struct house *h = arg;
	struct buf b;
	assert_true(expires_at > __wrap_clock_unix());
	buf_init(&b, 1 << 16);
	buf_printf(&b, "%.*s\n%.*s\n%.*s", SFMT(local), SFMT(remote), SFMT(blob));
	record_put(h->dialogs, id, buf_slice(&b));
	buf_free(&b);
	h->puts++;
}

static void on_dialog_delete(void *arg, struct slice id)
{
	struct house *h = arg;
	record_delete(h->dialogs, id);
}

static void on_seen_put(void *arg, int64_t at, struct slice records)
{
	struct house *h = arg;
	assert_int_equal(at, __wrap_clock_unix());
	assert_in_range(records.len, SEEN_RECORD, SEEN_PIECE * SEEN_RECORD);
	assert_int_equal(records.len % SEEN_RECORD, 0);
	h->seen_puts++;
	if (!h->killed)
		buf_put(&h->seen, records);
}

static void on_seen_purge(void *arg, int64_t before)
{
	struct house *h = arg;
	assert_int_equal(before, __wrap_clock_unix() - SEEN_WINDOW_S);
	h->seen_purges++;
}

static bool on_msrp_place(void *arg, uint32_t home, bool tls, struct gateway_msrp_place *ret)
{
	struct house *h = arg;
	assert_int_equal(home, 0);
	*ret = (struct gateway_msrp_place){.authority = S("192.0.2.8:2855"), .address = S("192.0.2.8"), .port = 2855};
	return h->msrp && !tls;
}

static uint64_t on_msrp_connect(void *arg, const struct msrp_uri *to, struct slice fingerprint)
{
	struct house *h = arg;
	snprintf(h->msrp_to, sizeof h->msrp_to, "%.*s %.*s", SFMT(to->host), SFMT(fingerprint));
	return ++h->msrp_line;
}

static bool on_msrp_write(void *arg, uint64_t line, struct slice octets)
{
	struct house *h = arg;
	(void)line;
	buf_put(&h->msrp_out, octets);
	return true;
}

static void on_msrp_close(void *arg, uint64_t line)
{
	struct house *h = arg;
	h->msrp_closed = line;
}

static const struct gateway_ops gateway_ops = {
	.msrp_place = on_msrp_place,
	.msrp_connect = on_msrp_connect,
	.msrp_write = on_msrp_write,
	.msrp_close = on_msrp_close,
	.xmpp_send = on_xmpp_send,
	.stanza_done = on_stanza_done,
	.home = on_home,
	.home_learned = on_home_learned,
	.contact_put = on_contact_put,
	.watch_put = on_watch_put,
	.watch_delete = on_watch_delete,
	.dialog_put = on_dialog_put,
	.dialog_delete = on_dialog_delete,
	.seen_put = on_seen_put,
	.seen_purge = on_seen_purge,
};
static struct gateway_ops journal_ops;

/* ---- life */

void house_policy(struct house *h, int fabrikam, bool enabled, bool xmpp_access)
{
	static const struct slice domains[] = {S("contoso.test")};
	const struct {
		struct slice domain;
		int type;
		bool enabled;
	} partners[] = {
		{S("fabrikam.test"), fabrikam, enabled},
		{S("verified.test"), POLICY_PUBLIC_VERIFIED, true},
		{S("public.test"), POLICY_PUBLIC_UNVERIFIED, true},
		{S("off.test"), POLICY_FEDERATED, false},
	};
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	struct policy_home home = {.name = S("contoso"),
				   .next_hop = S("sip:192.0.2.1;transport=tcp"),
				   .transport = POLICY_TCP,
				   .domains = domains,
				   .n_domains = 1};
	struct policy_gateway g;
	assert_int_equal(snapshot_builder_home(b, &home, NULL), 0);
	for (size_t i = 0; i < sizeof partners / sizeof *partners; i++) {
		struct policy_partner p = {.domain = partners[i].domain};
		if (partners[i].type < 0)
			continue;
		policy_partner_defaults(&p);
		p.type = (enum policy_partner_type)partners[i].type;
		p.enabled = partners[i].enabled;
		assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	}
	policy_gateway_defaults(&g);
	g.xmpp_access = xmpp_access;
	snapshot_builder_gateway(b, &g);
	struct snapshot *s = snapshot_builder_freeze(b, ++h->generation);
	snapshot_slot_publish(&h->policy, s);
	snapshot_unref(s);
}

void house_start(struct house *h)
{
	struct sip_stack_config c = {.sent_by = {S("gw.contoso.test:5060"), S("gw.contoso.test:5060"), S("gw.contoso.test:5061")},
				     .pool = h->arenas};
	h->stack = sip_stack_new(&stack_ops, h, &h->timers, &c);
	h->cfg.stack = h->stack;
	h->cfg.under_way = h->journal ? &h->under_way : NULL;
	h->killed = false;
	journal_ops = gateway_ops;
	house_journal_ops(&journal_ops);
	h->gateway = gateway_new(&h->cfg, h->journal ? &journal_ops : &gateway_ops, h);
	gateway_load_seen(h->gateway, buf_slice(&h->seen));
	house_journal_load(h);
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (h->contacts[i].key) {
			struct slice remote = slice_str(h->contacts[i].key), local = slice_split(&remote, ' ');
			gateway_load_contact(h->gateway, local, remote);
		}
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (h->watches[i].key) {
			struct slice presentity = slice_str(h->watches[i].key), watcher = slice_split(&presentity, ' ');
			gateway_load_watch(h->gateway, watcher, presentity, 200);
		}
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (h->dialogs[i].key) {
			struct slice blob = slice_str(h->dialogs[i].value), local = slice_split(&blob, '\n'),
				     remote = slice_split(&blob, '\n');
			if (!gateway_load_dialog(h->gateway, slice_str(h->dialogs[i].key), local, remote, blob)) {
				begin(h);
				buf_puts(&h->log, "store refused dialog");
				record_delete(h->dialogs, slice_str(h->dialogs[i].key));
			}
		}
}

void house_stop(struct house *h)
{
	h->dying = true;
	house_journal_crash(h);
	timer_cancel(&h->timers, &h->disk);
	h->gateway = gateway_free(h->gateway);
	h->stack = sip_stack_free(h->stack);
	h->dying = false;
	assert_int_equal(h->timers.count, 0);
	memset(h->queued, 0, sizeof h->queued);
	memset(h->done, 1, h->n_receipts); /* what was under way is lost, and must not come back from the dead */
	h->n_done = h->n_receipts;
}

void house_restart(struct house *h, uint64_t down_ms)
{
	house_stop(h);
	h->timers.now += down_ms;
	house_start(h);
}

struct house *house_new(void)
{
	struct house *h = the_house = MEM_NEW(struct house);
	timers_init(&h->timers, 1000000);
	timer_init(&h->disk, house_disk_fired);
	h->arenas = arena_pool_new(1 << 20, 8);
	snapshot_slot_init(&h->policy, NULL);
	house_policy(h, POLICY_FEDERATED, true, true);
	h->service = (struct xmpp_service){.name = S("Entente"), .version = S("1"), .url = S("https://entente.example/")};
	xmpp_service_init(&h->service);
	buf_init(&h->log, 4 << 20);
	buf_init(&h->seen, 8 << 20);
	buf_init(&h->msrp_out, 1 << 20);
	h->records = record_log_new(1 << 18, 0, &h->timers.now, (int64_t)HOUSE_UNIX * 1000);
	h->cfg = (struct gateway_config){
		.timers = &h->timers,
		.arenas = h->arenas,
		.policy = &h->policy,
		.records = h->records,
		.service = &h->service,
		.im = interwork_im_rules_default,
		.errors = interwork_error_rules_default,
		.signals = gateway_signals_default,
		.subscription_expires = 3600,
		.notify_interval_ms = 5000,
		.error_wait_ms = 500,
		.max_queue = 5,
		.max_queue_octets = 64000,
		.max_subscriptions = 100,
		.max_conversations = 100,
		.queue_lifetime_s = 3600,
		.max_msrp_message = 65536,
		.xmpp_retry_ms = 10000,
		.group_notice = true,
	};
	house_start(h);
	return h;
}

static void stream_free(struct house *h, size_t i);

/* Whatever still runs comes to its end: answers that never come time out. */
static void all_done(struct house *h)
{
	h->link = LINK_FINE;
	house_release(h, REASON_NONE);
	house_pass(h, 70000);
	if (h->n_done + h->unreported < h->n_receipts)
		fail_msg("%d of %d receipts never came back", (int)(h->n_receipts - h->n_done), (int)h->n_receipts);
}

void house_free(struct house *h)
{
	if (h->gateway)
		all_done(h);
	for (size_t i = 0; i < HOUSE_LINKS; i++)
		if (h->streams[i])
			stream_free(h, i);
	house_stop(h);
	snapshot_slot_destroy(&h->policy);
	arena_pool_free(h->arenas);
	timers_free(&h->timers);
	for (int i = 0; i < h->n_sent; i++)
		mem_free(h->sent[i].bytes);
	for (size_t i = 0; i < HOUSE_RECORDS; i++) {
		struct house_record *all[] = {&h->contacts[i], &h->watches[i], &h->dialogs[i]};
		for (size_t k = 0; k < 3; k++) {
			mem_free(all[k]->key);
			mem_free(all[k]->value);
		}
	}
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		house_entry_drop(&h->entries[i]);
	record_log_free(h->records);
	mem_free(h->stanza);
	buf_free(&h->log);
	buf_free(&h->seen);
	buf_free(&h->msrp_out);
	mem_free(h);
}

void house_pass(struct house *h, uint64_t ms)
{
	for (uint64_t until = h->timers.now + ms;;) {
		uint64_t next = timers_next(&h->timers);
		if (next > until) {
			timers_set_now(&h->timers, until);
			return;
		}
		timers_run(&h->timers, next > h->timers.now ? next : h->timers.now);
	}
}

/* ---- the home */

static void sip_in(struct house *h, struct slice bytes, bool may_be_bad)
{
	struct arena *a = arena_acquire(h->arenas);
	struct sip_flow from = {.transport = SIP_TCP, .conn = 7, .target = 0};
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&from.remote;
	struct sip_msg *m;
	struct sip_fault fault;
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(0xC0000201);
	sin->sin_port = htons(5060);
	if (sip_msg_parse(&m, a, arena_dup(a, bytes), &sip_limits_default, &fault)) {
		if (!may_be_bad)
			fail_msg("fixture: %s: %.*s", fault.text, SFMT(bytes));
		if (m)
			sip_stack_refuse(h->stack, &from, m, fault.status, slice_str(fault.text));
		arena_release(h->arenas, a);
		return;
	}
	sip_stack_input(h->stack, &from, m, a);
	house_pass(h, 0);
}

void house_sip_in(struct house *h, struct slice bytes)
{
	sip_in(h, bytes, true);
}

void house_forget(struct house *h, int keep)
{
	int drop = h->n_sent > keep ? h->n_sent - keep : 0;
	for (int i = 0; i < drop; i++)
		mem_free(h->sent[i].bytes);
	memmove(h->sent, h->sent + drop, (size_t)(h->n_sent - drop) * sizeof *h->sent);
	h->n_sent -= drop;
	buf_clear(&h->log);
}

static void says(struct house *h, struct slice text)
{
	struct buf b;
	ptrdiff_t gap = slice_find(text, S("\n\n"));
	struct slice head = gap < 0 ? text : slice_first(text, (size_t)gap + 1),
		     body = gap < 0 ? SLICE_NONE : slice_skip(text, (size_t)gap + 2);
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < head.len; i++) {
		if (head.p[i] == '\n')
			buf_putc(&b, '\r');
		buf_putc(&b, head.p[i]);
	}
	buf_printf(&b, "Content-Length: %zu\r\n\r\n%.*s", body.len, SFMT(body));
	sip_in(h, buf_slice(&b), false);
	buf_free(&b);
}

void home_says(struct house *h, const char *fmt, ...)
{
	struct arena *a = arena_new(4 << 20);
	va_list ap;
	va_start(ap, fmt);
	says(h, arena_vprintf(a, fmt, ap));
	va_end(ap);
	arena_release(NULL, a);
}

void home_message(struct house *h, const char *from, const char *to, const char *text)
{
	h->branch++;
	home_says(h,
		  "MESSAGE sip:%s SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKm%d\nMax-Forwards: 70\nFrom: "
		  "<sip:%s>;tag=f%d\nTo: <sip:%s>\n"
		  "Call-ID: m%d\nCSeq: 1 MESSAGE\nContent-Type: text/plain\n\n%s",
		  to, h->branch, from, h->branch, to, h->branch, text);
}

static struct house_sent *find_sent(struct house *h, const char *start, int back)
{
	for (int i = h->n_sent; i--;)
		if (slice_starts(slice_of(h->sent[i].bytes, h->sent[i].len), slice_str(start)) && back-- == 0)
			return &h->sent[i];
	return NULL;
}

struct sip_msg *house_sip(struct house *h, struct arena **a, const char *start, int back)
{
	struct house_sent *s = find_sent(h, start, back);
	struct sip_msg *m;
	struct sip_fault fault;
	if (!s)
		fail_msg("nothing that begins with %s went out", start);
	*a = arena_new(4 << 20);
	assert_int_equal(sip_msg_parse(&m, *a, slice_of(s->bytes, s->len), &sip_limits_default, &fault), 0);
	return m;
}

bool house_sip_has(struct house *h, const char *start, int back, const char *text)
{
	struct house_sent *s = find_sent(h, start, back);
	return s && slice_find(slice_of(s->bytes, s->len), slice_str(text)) >= 0;
}

void home_answers(struct house *h, const char *method, int back, int status, const char *extra)
{
	struct arena *a;
	struct sip_msg *m = house_sip(h, &a, method, back);
	struct buf b;
	buf_init(&b, 1 << 16);
	sip_build_response(&b, m, status, SLICE_NONE, S("hometag"), false, SLICE_NONE, 0);
	sip_build_header(&b, SIP_H_CONTACT, S("<sip:192.0.2.1:5060;transport=tcp>"));
	for (struct slice rest = slice_str(extra), line; rest.len && (line = slice_split(&rest, '\n')).len;)
		buf_printf(&b, "%.*s\r\n", SFMT(line));
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	assert_true(buf_ok(&b));
	arena_release(NULL, a);
	sip_in(h, buf_slice(&b), false);
	buf_free(&b);
}

void home_subscribes(struct house *h, const char *call_id, unsigned cseq, const char *from, const char *to, const char *to_tag,
		     int expires)
{
	h->branch++;
	home_says(h,
		  "SUBSCRIBE sip:%s SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKs%d\nMax-Forwards: 70\nFrom: "
		  "<sip:%s>;tag=%s\nTo: <sip:%s>%s%s\n"
		  "Call-ID: %s\nCSeq: %u SUBSCRIBE\nContact: <sip:%s;transport=tcp>\nEvent: presence\nAccept: "
		  "application/pidf+xml\nExpires: %d\n",
		  to, h->branch, from, call_id, to, to_tag ? ";tag=" : "", to_tag ? to_tag : "", call_id, cseq, from, expires);
}

void home_notifies(struct house *h, const char *user, unsigned cseq, const char *state, const char *body)
{
	char to[256], from[256] = "";
	struct arena *a = arena_new(4 << 20);
	struct sip_msg *m = NULL;
	struct sip_fault fault;
	snprintf(to, sizeof to, "\r\nTo: <sip:%s>", user); /* in-dialog ones have another Request-URI */
	if (h->watcher)
		snprintf(from, sizeof from, "\r\nFrom: <sip:%s>", h->watcher);
	for (int i = h->n_sent; i-- && !m;) {
		struct slice bytes = slice_of(h->sent[i].bytes, h->sent[i].len);
		if (slice_starts(bytes, S("SUBSCRIBE ")) && slice_find(bytes, slice_str(to)) >= 0 &&
		    slice_find(bytes, slice_str(from)) >= 0)
			assert_int_equal(sip_msg_parse(&m, a, bytes, &sip_limits_default, &fault), 0);
	}
	if (!m)
		fail_msg("no SUBSCRIBE to %s went out", user);
	h->branch++;
	home_says(h,
		  "NOTIFY sip:gw.contoso.test:5060 SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKn%d\nMax-Forwards: "
		  "70\nFrom: <%.*s>;tag=hometag\n"
		  "To: <%.*s>;tag=%.*s\nCall-ID: %.*s\nCSeq: %u NOTIFY\nContact: <sip:192.0.2.1:5060;transport=tcp>\nEvent: "
		  "presence\n"
		  "Subscription-State: %s\n%s\n%s",
		  h->branch, SFMT(m->to.uri_text), SFMT(m->from.uri_text), SFMT(m->from.tag), SFMT(m->call_id), cseq, state,
		  body ? "Content-Type: application/pidf+xml\n" : "", body ? body : "");
	arena_release(NULL, a);
}

const char *house_tag(struct house *h, const char *call_id)
{
	static char tag[64];
	char id[128];
	snprintf(id, sizeof id, "Call-ID: %s\r\n", call_id);
	for (int i = h->n_sent; i--;) {
		struct slice bytes = slice_of(h->sent[i].bytes, h->sent[i].len);
		if (slice_starts(bytes, S("SIP/2.0 200")) && slice_find(bytes, slice_str(id)) >= 0) {
			struct arena *a = arena_new(4 << 20);
			struct sip_msg *m;
			struct sip_fault fault;
			assert_int_equal(sip_msg_parse(&m, a, bytes, &sip_limits_default, &fault), 0);
			slice_cstr(m->to.tag, tag, sizeof tag);
			arena_release(NULL, a);
			return tag;
		}
	}
	fail_msg("no dialog %s", call_id);
	return NULL;
}

/* ---- partners */

struct house_stream {
	struct house *house;
	struct rig rig;
	struct end in, out; /* ours, the partner's */
	struct xmpp_stream_ops ops;
	char domain[64];
};

static void house_stanza(void *arg, struct xmpp_stanza *st)
{
	struct house_stream *s = CONTAINER_OF((struct end *)arg, struct house_stream, in);
	uint64_t n;
	if (s->house->bare)
		goto deliver;
	assert_true(s->house->n_receipts < HOUSE_RECEIPTS);
	n = ++s->house->n_receipts;
	s->house->receipt_streams[n] = s->house->stream ? s->house->stream : 1000 + n;
	st->receipt = (struct xmpp_receipt){.stream = s->house->receipt_streams[n], .number = n, .worker = 3};
deliver:
	gateway_stanza(s->house->gateway, st);
}

static struct house_stream *stream_of(struct house *h, struct slice domain)
{
	size_t i = 0;
	while (i < HOUSE_LINKS && h->streams[i]) {
		if (slice_eq(slice_str(h->streams[i]->domain), domain))
			return h->streams[i];
		i++;
	}
	assert_true(i < HOUSE_LINKS);
	struct house_stream *s = h->streams[i] = MEM_NEW(struct house_stream);
	s->house = h;
	slice_cstr(domain, s->domain, sizeof s->domain);
	rig_init(&s->rig);
	end_init(&s->in, &s->rig, "contoso.test");
	end_init(&s->out, &s->rig, s->domain);
	s->ops = rig_ops;
	s->ops.stanza = house_stanza;
	s->in.s = xmpp_stream_new_receiver(&s->rig.cfg, &s->ops, &s->in);
	xmpp_stream_start(s->in.s);
	end_initiator(&s->out, s->domain, "contoso.test", false);
	s->in.peer = &s->out;
	s->out.peer = &s->in;
	xmpp_stream_start(s->out.s);
	pump(&s->in, &s->out, 0);
	xmpp_stream_verify_done(s->in.s, &s->in.asked, XMPP_VALID, SLICE_NONE); /* by dialback */
	pump(&s->in, &s->out, 0);
	if (!happened(&s->out, "established"))
		fail_msg("no stream from %s: %s", s->domain, zstr(&s->in.events));
	return s;
}

static void stream_free(struct house *h, size_t i)
{
	struct house_stream *s = h->streams[i];
	end_free(&s->in);
	end_free(&s->out);
	rig_free(&s->rig);
	h->streams[i] = mem_free(s);
}

void partner_says(struct house *h, const char *domain, const char *fmt, ...)
{
	struct house_stream *s = stream_of(h, slice_str(domain));
	struct arena *a = arena_new(4 << 20);
	va_list ap;
	va_start(ap, fmt);
	struct slice text = arena_vprintf(a, fmt, ap);
	va_end(ap);
	assert_int_equal(xmpp_stream_send(s->out.s, text), 0);
	pump(&s->in, &s->out, 0);
	if (s->in.closed || s->out.closed)
		fail_msg("the stream ended: %s", zstr(&s->in.events));
	arena_release(NULL, a);
	house_pass(h, 0);
}

static const char *domain_of(const char *jid, char dst[64])
{
	const char *at = strchr(jid, '@');
	struct slice d = slice_str(at ? at + 1 : jid);
	slice_cstr(slice_split(&d, '/'), dst, 64);
	return dst;
}

void partner_presence(struct house *h, const char *from, const char *to, const char *type, const char *inner)
{
	char domain[64];
	partner_says(h, domain_of(from, domain), "<presence from='%s' to='%s'%s%s%s>%s</presence>", from, to,
		     type ? " type='" : "", type ? type : "", type ? "'" : "", inner);
}

void partner_message(struct house *h, const char *from, const char *to, const char *text)
{
	char domain[64];
	partner_says(h, domain_of(from, domain), "<message from='%s' to='%s' type='chat' id='x%d'><body>%s</body></message>",
		     from, to, ++h->branch, text);
}

void house_link(struct house *h, const char *partner, bool up)
{
	gateway_link(h->gateway, S("contoso.test"), slice_str(partner), up);
	house_pass(h, 0);
}
