/* SPDX-License-Identifier: Apache-2.0 */
/* Our subscriber at A against a notifier at B that the tests play by hand. */
#include "pair.h"
#include "sip/subscriber.h"

struct watch {
	struct pair *p;
	struct sip_subscriber *sub;
	int accepted, rejected, notified, ended;
	uint32_t expires;
	int status;
	int64_t retry_after;
	char reason[40], body[40];
	bool local;
	enum sip_ended why;
	enum sip_substate state;
	int answer; /* status for NOTIFYs */
	bool free_in_notify, stop_in_notify, free_in_end, restart_in_end;
	char hop_text[100];
};

static void on_accepted(void *arg, uint32_t expires)
{
	struct watch *w = arg;
	w->accepted++;
	w->expires = expires;
}

static void on_rejected(void *arg, int status, int64_t retry_after, struct slice reason, bool local)
{
	struct watch *w = arg;
	w->rejected++;
	w->status = status;
	w->retry_after = retry_after;
	w->local = local;
	slice_cstr(reason, w->reason, sizeof w->reason);
	assert_false(sip_subscriber_running(w->sub));
}

static int on_notify(void *arg, const struct sip_notification *n)
{
	struct watch *w = arg;
	w->notified++;
	w->state = n->state;
	w->retry_after = n->retry_after;
	slice_cstr(n->reason, w->reason, sizeof w->reason);
	slice_cstr(n->body, w->body, sizeof w->body);
	if (w->stop_in_notify)
		sip_subscriber_stop(w->sub);
	if (w->free_in_notify)
		w->sub = sip_subscriber_free(w->sub);
	return w->answer ? w->answer : 200;
}

static void on_ended(void *arg, enum sip_ended why)
{
	struct watch *w = arg;
	w->ended++;
	w->why = why;
	assert_false(sip_subscriber_running(w->sub));
	if (w->free_in_end)
		w->sub = sip_subscriber_free(w->sub);
	if (w->restart_in_end) {
		struct sip_flow to = pair_flow(w->p, 1);
		w->restart_in_end = false;
		assert_int_equal(sip_subscriber_start(w->sub, &to, 3600), 0);
	}
}

static void on_route(void *arg, struct slice hop, struct sip_flow *flow)
{
	struct watch *w = arg;
	(void)flow;
	slice_cstr(hop, w->hop_text, sizeof w->hop_text);
}

static const struct sip_subscriber_ops watch_ops = {on_accepted, on_rejected, on_notify, on_ended, on_route};

static struct watch *watch_new(struct pair *p, uint32_t expires)
{
	struct watch *w = MEM_NEW(struct watch);
	static const struct sip_extra extra = {{"User-Agent", 10}, {"Entente", 7}};
	struct sip_subscriber_config c = {
		.uri = S("sip:bob@b.example"),
		.from = S("<sip:juliet@a.example>"),
		.contact = S("<sip:gw@192.0.2.1;transport=tls>"),
		.event = S("presence"),
		.accept = S("application/pidf+xml"),
		.route = S("<sip:home.example;lr>"),
		.headers = &extra,
		.n_headers = 1,
	};
	struct sip_flow to = pair_flow(p, 1);
	w->p = p;
	w->sub = sip_subscriber_new(p->a.stack, &c, &watch_ops, w);
	assert_int_equal(sip_subscriber_start(w->sub, &to, expires), 0);
	assert_int_equal(sip_subscriber_start(w->sub, &to, expires), ENTENTE_EEXIST);
	return w;
}

static void watch_free(struct watch *w)
{
	struct pair *p = w->p;
	sip_subscriber_free(w->sub);
	mem_free(w);
	pair_free(p);
}

/* B's last SUBSCRIBE. */
static struct packet *subscribe(struct watch *w)
{
	return pair_last(w->p, 0, "SUBSCRIBE ");
}

/* The notifier's answer to the last SUBSCRIBE; `more` are whole lines. */
static void respond(struct watch *w, int status, const char *more)
{
	struct sip_server_trans *st = sip_server_find(w->p->b.stack, w->p->b.last_id);
	struct sip_extra e[4];
	struct slice rest = slice_str(more);
	size_t n = 0;
	assert_non_null(st);
	while (!slice_empty(rest)) {
		struct slice v = slice_split(&rest, '\n'), name = slice_split(&v, ':');
		e[n++] = (struct sip_extra){name, slice_trim(v)};
	}
	struct sip_answer an = {.status = status, .headers = e, .n_headers = n};
	assert_int_equal(sip_server_respond(st, &an), 0);
}

static unsigned notify_count;

/* A NOTIFY within the dialog of the last SUBSCRIBE, from the fork named by tag (NULL: that of our 200). */
static void notify_as(struct watch *w, const char *tag, unsigned cseq, const char *state, const char *more, const char *body)
{
	struct arena *a, *a2 = NULL;
	struct sip_msg *s = packet_msg(subscribe(w), &a);
	char text[2000], own[64] = "";
	if (!tag) {
		struct sip_msg *ok = packet_msg(pair_last(w->p, 1, "SIP/2.0 200"), &a2);
		slice_cstr(ok->to.tag, own, sizeof own);
		tag = own;
	}
	snprintf(text, sizeof text,
		 "NOTIFY sip:gw@192.0.2.1 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.2;branch=z9hG4bKn%u\nMax-Forwards: 70\n"
		 "From: <sip:bob@b.example>;tag=%s\nTo: %.*s\nCall-ID: %.*s\nCSeq: %u NOTIFY\nContact: <sip:bob@192.0.2.2;x=%u>\n"
		 "Event: presence\nSubscription-State: %s\n%sContent-Type: application/pidf+xml\nContent-Length: %zu\n\n%s",
		 ++notify_count, tag, SFMT(s->from.raw), SFMT(s->call_id), cseq, cseq, state, more, strlen(body), body);
	pair_inject(w->p, &w->p->a, text);
	arena_release(NULL, a);
	arena_release(NULL, a2);
}

static void notify(struct watch *w, unsigned cseq, const char *state, const char *body)
{
	notify_as(w, NULL, cseq, state, "", body);
}

#define OK_3600 "Contact: <sip:bob@192.0.2.2>\nExpires: 3600\n"

static struct watch *active(uint32_t granted)
{
	char text[100];
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	snprintf(text, sizeof text, "Contact: <sip:bob@192.0.2.2>\nExpires: %u\n", granted);
	pair_run(w->p, 20);
	respond(w, 200, text);
	pair_run(w->p, 20);
	notify(w, 1, "active", "one");
	assert_int_equal(w->notified, 1);
	return w;
}

static void test_establish(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 7200);
	pair_run(w->p, 20);
	struct packet *k = subscribe(w);
	assert_true(packet_has(k, "SUBSCRIBE sip:bob@b.example SIP/2.0\r\n"));
	assert_true(packet_has(k, "\r\nTo: <sip:bob@b.example>\r\n"));
	assert_true(packet_has(k, "\r\nRoute: <sip:home.example;lr>\r\n"));
	assert_true(packet_has(k, "\r\nEvent: presence\r\n"));
	assert_true(packet_has(k, "\r\nAccept: application/pidf+xml\r\n"));
	assert_true(packet_has(k, "\r\nExpires: 7200\r\n"));
	assert_true(packet_has(k, "\r\nContact: <sip:gw@192.0.2.1;transport=tls>\r\n"));
	assert_true(packet_has(k, "\r\nUser-Agent: Entente\r\n"));
	respond(w, 200, OK_3600);
	pair_run(w->p, 20);
	assert_int_equal(w->accepted, 1);
	assert_int_equal(w->expires, 3600);
	notify(w, 5, "pending;expires=3000", "");
	assert_int_equal(w->state, SIP_SUB_PENDING);
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 200"), 1);
	assert_int_equal(sip_subscriber_remaining(w->sub), 3000);
	notify(w, 6, "active", "<presence/>");
	assert_int_equal(w->state, SIP_SUB_ACTIVE);
	assert_string_equal(w->body, "<presence/>");
	assert_true(sip_subscriber_remaining(w->sub) <= 3000); /* no expires: nothing changes */
	/* out of order: 500 and untold (RFC 3261 12.2.2) */
	notify(w, 4, "active", "old");
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 500"), 1);
	assert_int_equal(w->notified, 2);
	/* a body of no use */
	w->answer = 415;
	notify(w, 7, "active", "junk");
	assert_true(packet_has(pair_packet(w->p, 0, "SIP/2.0 415", 0), "Accept: application/pidf+xml"));
	assert_true(sip_subscriber_running(w->sub));
	/* not our package, not our fork, not our dialog */
	w->answer = 0;
	notify_as(w, "another", 8, "active", "", "x");
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 481"), 1);
	notify_as(w, NULL, 8, "active", "Event: dialog\n", "x"); /* two Event headers: the first counts */
	assert_int_equal(w->notified, 4);
	assert_int_equal(w->p->a.n_requests, 0);
	watch_free(w);
}

static void test_other_event_passes(void **state)
{
	(void)state;
	struct watch *w = active(3600);
	struct arena *a;
	struct sip_msg *s = packet_msg(subscribe(w), &a);
	char text[1000];
	snprintf(text, sizeof text,
		 "NOTIFY sip:gw@192.0.2.1 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.2;branch=z9hG4bKoe\nFrom: "
		 "<sip:bob@b.example>;tag=x\nTo: %.*s\n"
		 "Call-ID: %.*s\nCSeq: 1 NOTIFY\nEvent: conference\nSubscription-State: active\nContent-Length: 0\n\n",
		 SFMT(s->from.raw), SFMT(s->call_id));
	pair_inject(w->p, &w->p->a, text);
	arena_release(NULL, a);
	assert_int_equal(w->p->a.n_requests, 1); /* its owner says 481 or 489 */
	assert_int_equal(w->notified, 1);
	watch_free(w);
}

/* NOTIFY before the 200, and from another fork than it. */
static void test_notify_first(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	pair_run(w->p, 20);
	notify_as(w, "fork2", 1, "active;expires=600", "Record-Route: <sip:r1;lr>\nRecord-Route: <sip:r2;lr>\n", "early");
	assert_int_equal(w->notified, 1);
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 200"), 1);
	respond(w, 200, OK_3600);
	pair_run(w->p, 20);
	assert_int_equal(w->accepted, 1);
	notify_as(w, NULL, 1, "active", "", "other fork");
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 481"), 1);
	notify_as(w, "fork2", 2, "active", "", "more");
	assert_int_equal(w->notified, 2);
	/* requests go to the fork of the NOTIFY by its route set (RFC 6665 4.4.1) */
	assert_int_equal(sip_subscriber_refresh(w->sub), 0);
	struct packet *k = subscribe(w);
	assert_true(packet_has(k, ";tag=fork2\r\n"));
	assert_true(packet_has(k, "SUBSCRIBE sip:bob@192.0.2.2;x=2 SIP/2.0\r\n")); /* the newest Contact */
	assert_true(packet_has(k, "Route: <sip:r1;lr>\r\nRoute: <sip:r2;lr>\r\n"));
	assert_true(packet_has(k, "CSeq: 2 SUBSCRIBE"));
	assert_string_equal(w->hop_text, "sip:r1;lr");
	watch_free(w);
}

/* The 200 from one fork, the first NOTIFY from another: the NOTIFY decides. */
static void test_notify_other_than_200(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	pair_run(w->p, 20);
	respond(w, 200, OK_3600);
	pair_run(w->p, 20);
	notify_as(w, "fork9", 1, "active", "", "x");
	assert_int_equal(w->notified, 1);
	notify(w, 1, "active", "x");
	assert_int_equal(w->notified, 1);
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 481"), 1);
	watch_free(w);
}

/* A NOTIFY without Record-Route: the route set of the 200 stays. */
static void test_routes_of_200(void **state)
{
	(void)state;
	for (int early = 0; early < 2; early++) {
		struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
		pair_run(w->p, 20);
		char tag[40] = "";
		slice_cstr(sip_server_tag(sip_server_find(w->p->b.stack, w->p->b.last_id)), tag, sizeof tag);
		if (early)
			notify_as(w, tag, 1, "active", "", "x");
		respond(w, 200, OK_3600 "Record-Route: <sip:far;lr>\nRecord-Route: <sip:near;lr>\n");
		pair_run(w->p, 20);
		if (!early)
			notify(w, 1, "active", "x");
		assert_int_equal(sip_subscriber_refresh(w->sub), 0);
		assert_true(packet_has(subscribe(w), "Route: <sip:near;lr>\r\nRoute: <sip:far;lr>\r\n"));
		watch_free(w);
	}
}

static void test_refresh_time(void **state)
{
	(void)state;
	static const struct {
		uint32_t granted, from, to;
	} cases[] = {{3600, 2916, 3564}, {600, 486, 594}, {100, 63, 77}, {60, 30, 33}, {40, 20, 20}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int round = 0; round < 8; round++) {
			struct watch *w = active(cases[i].granted);
			uint64_t start = w->p->packets[1].due; /* the 200 */
			while (pair_count(w->p, 0, 0, "SUBSCRIBE ") < 2 && w->p->timers.now < start + 4000000)
				pair_run(w->p, 100);
			uint64_t at = subscribe(w)->sent - start;
			assert_true(at >= cases[i].from * 1000ULL);
			assert_true(at <= cases[i].to * 1000ULL + 100);
			assert_true(packet_has(subscribe(w), "\r\nExpires: 3600\r\n"));
			watch_free(w);
		}
}

static void test_refresh_goes_on(void **state)
{
	(void)state;
	struct watch *w = active(60);
	for (unsigned i = 2; i < 6; i++) {
		while (pair_count(w->p, 0, 0, "SUBSCRIBE ") < (int)i)
			pair_run(w->p, 1000);
		pair_run(w->p, 20);
		respond(w, 200, "Contact: <sip:bob@192.0.2.2>\nExpires: 60\n");
		pair_run(w->p, 20);
		notify(w, i, "active;expires=60", "again");
	}
	assert_int_equal(w->accepted, 5);
	assert_int_equal(w->ended + w->rejected, 0);
	watch_free(w);
}

static void test_rejections(void **state)
{
	(void)state;
	static const int codes[] = {300, 403, 404, 423, 481, 489, 503, 603};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
		pair_run(w->p, 20);
		respond(w, codes[i], codes[i] == 503 ? "Retry-After: 120 (busy);duration=5\n" : "");
		pair_run(w->p, 40000);
		assert_int_equal(w->rejected, 1);
		assert_int_equal(w->ended, 0);
		assert_int_equal(w->status, codes[i]);
		assert_int_equal(w->retry_after, codes[i] == 503 ? 120 : -1);
		assert_false(w->local);
		assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 1);
		watch_free(w);
	}
}

static void test_interval_too_brief(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 30);
	pair_run(w->p, 20);
	respond(w, 423, "Min-Expires: 900\n");
	pair_run(w->p, 20);
	assert_true(packet_has(subscribe(w), "\r\nExpires: 900\r\n"));
	assert_int_equal(w->rejected, 0);
	respond(w, 423, "Min-Expires: 1800\n"); /* it plays with us */
	pair_run(w->p, 20);
	assert_int_equal(w->rejected, 1);
	assert_int_equal(w->status, 423);
	watch_free(w);
	w = watch_new(pair_new(SIP_TLS, NULL), 30);
	pair_run(w->p, 20);
	respond(w, 423, "Min-Expires: 4000000\n"); /* more than we want */
	pair_run(w->p, 20);
	assert_int_equal(w->rejected, 1);
	watch_free(w);
}

static bool lose_all(struct pair *p, struct packet *k)
{
	(void)p;
	(void)k;
	return true;
}

static void test_silence(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_UDP, NULL), 3600);
	w->p->lose = lose_all;
	pair_run(w->p, 31999);
	assert_int_equal(w->rejected, 0);
	pair_run(w->p, 2);
	assert_int_equal(w->rejected, 1);
	assert_int_equal(w->status, 408);
	assert_true(w->local);
	watch_free(w);
	/* no way at all */
	struct pair *p = pair_new(SIP_TLS, NULL);
	p->a.refuse_all = true;
	w = watch_new(p, 3600);
	pair_run(p, 1);
	assert_int_equal(w->status, 503);
	assert_true(w->local);
	watch_free(w);
}

/* Timer N (RFC 6665 4.1.2.4). */
static void test_timer_n(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	pair_run(w->p, 20);
	respond(w, 200, OK_3600);
	pair_run(w->p, 31900);
	assert_int_equal(w->accepted, 1);
	assert_int_equal(w->ended, 0);
	pair_run(w->p, 100);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->why, SIP_ENDED_NO_NOTIFY);
	/* a NOTIFY that comes now is nobody's */
	notify(w, 1, "active", "late");
	assert_int_equal(w->p->a.n_requests, 1);
	watch_free(w);
	/* after a refresh too */
	w = active(3600);
	assert_int_equal(sip_subscriber_refresh(w->sub), 0);
	pair_run(w->p, 20);
	respond(w, 200, OK_3600);
	pair_run(w->p, 33000);
	assert_int_equal(w->why, SIP_ENDED_NO_NOTIFY);
	assert_int_equal(w->ended, 1);
	watch_free(w);
	/* but not after 204 (RFC 5839) */
	w = active(3600);
	assert_int_equal(sip_subscriber_refresh(w->sub), 0);
	pair_run(w->p, 20);
	respond(w, 204, OK_3600);
	pair_run(w->p, 60000);
	assert_int_equal(w->ended, 0);
	watch_free(w);
}

static void test_refresh_481(void **state)
{
	(void)state;
	struct watch *w = active(3600);
	struct arena *a, *a2;
	struct sip_msg *old = packet_msg(subscribe(w), &a);
	assert_int_equal(sip_subscriber_refresh(w->sub), 0);
	pair_run(w->p, 20);
	respond(w, 481, "");
	pair_run(w->p, 20);
	struct sip_msg *fresh = packet_msg(subscribe(w), &a2);
	assert_false(slice_eq(old->call_id, fresh->call_id));
	assert_false(slice_eq(old->from.tag, fresh->from.tag));
	assert_true(slice_empty(fresh->to.tag));
	assert_int_equal(w->rejected + w->ended, 0);
	arena_release(NULL, a);
	arena_release(NULL, a2);
	respond(w, 481, ""); /* this one also: enough */
	pair_run(w->p, 20);
	assert_int_equal(w->rejected, 1);
	assert_int_equal(w->status, 481);
	watch_free(w);
}

/* RFC 6665 4.1.2.2: other failures of a refresh leave the subscription in force until it expires. */
static void test_refresh_500(void **state)
{
	(void)state;
	struct watch *w = active(120);
	while (pair_count(w->p, 0, 0, "SUBSCRIBE ") < 2)
		pair_run(w->p, 1000);
	pair_run(w->p, 20);
	respond(w, 500, "");
	pair_run(w->p, 20);
	notify(w, 2, "active", "alive");
	assert_int_equal(w->notified, 2);
	assert_int_equal(w->rejected, 0);
	for (int i = 3; i < 20 && !w->ended; i++) {
		while (pair_count(w->p, 0, 0, "SUBSCRIBE ") < i && !w->ended)
			pair_run(w->p, 500);
		pair_run(w->p, 20);
		if (!w->ended && sip_server_find(w->p->b.stack, w->p->b.last_id))
			respond(w, 500, "");
	}
	assert_true(pair_count(w->p, 0, 0, "SUBSCRIBE ") >= 3);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->why, SIP_ENDED_EXPIRED);
	assert_int_equal(w->rejected, 0);
	watch_free(w);
	/* a fatal one */
	w = active(120);
	assert_int_equal(sip_subscriber_refresh(w->sub), 0);
	pair_run(w->p, 20);
	respond(w, 404, "");
	pair_run(w->p, 20);
	assert_int_equal(w->rejected, 1);
	watch_free(w);
}

/* A broken connection during a refresh does not end what still lives. */
static void test_refresh_transport(void **state)
{
	(void)state;
	struct watch *w = active(600);
	w->p->a.refuse_all = true;
	assert_int_equal(sip_subscriber_refresh(w->sub), 0);
	pair_run(w->p, 10);
	assert_int_equal(w->rejected + w->ended, 0);
	w->p->a.refuse_all = false;
	int n = pair_count(w->p, 0, 0, "SUBSCRIBE ");
	pair_run(w->p, 301000);
	assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), n + 1);
	watch_free(w);
}

static void test_terminated(void **state)
{
	(void)state;
	static const struct {
		const char *state, *reason;
		int64_t retry;
	} cases[] = {{"terminated;reason=deactivated", "deactivated", -1},
		     {"terminated;reason=probation;retry-after=30", "probation", 30},
		     {"terminated;reason=rejected", "rejected", -1},
		     {"terminated;reason=timeout", "timeout", -1},
		     {"terminated;reason=giveup;retry-after=9", "giveup", 9},
		     {"terminated;reason=noresource", "noresource", -1},
		     {"TERMINATED ; Reason=invariant", "invariant", -1},
		     {"terminated", "", -1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct watch *w = active(3600);
		notify(w, 2, cases[i].state, "last");
		assert_int_equal(w->state, SIP_SUB_TERMINATED);
		assert_string_equal(w->reason, cases[i].reason);
		assert_int_equal(w->retry_after, cases[i].retry);
		assert_string_equal(w->body, "last");
		assert_int_equal(w->ended, 1);
		assert_int_equal(w->why, SIP_ENDED_TERMINATED);
		assert_int_equal(w->rejected, 0);
		assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 200"), 2);
		pair_run(w->p, 4000000);
		assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 1); /* not ours to decide */
		watch_free(w);
	}
}

static void test_poll(void **state)
{
	(void)state;
	for (int early = 0; early < 2; early++) {
		struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 0);
		pair_run(w->p, 20);
		assert_true(packet_has(subscribe(w), "\r\nExpires: 0\r\n"));
		if (!early) {
			respond(w, 200, "Contact: <sip:bob@192.0.2.2>\nExpires: 0\n");
			pair_run(w->p, 20);
		}
		notify_as(w, early ? "x" : NULL, 1, "terminated;reason=timeout", "", "snapshot");
		assert_string_equal(w->body, "snapshot");
		assert_int_equal(w->ended, 1);
		assert_int_equal(w->why, SIP_ENDED_UNSUBSCRIBED);
		if (early)
			respond(w, 200, "Contact: <sip:bob@192.0.2.2>\nExpires: 0\n");
		pair_run(w->p, 40000);
		assert_int_equal(w->ended, 1);
		watch_free(w);
	}
}

static void test_stop(void **state)
{
	(void)state;
	struct watch *w = active(3600);
	sip_subscriber_stop(w->sub);
	sip_subscriber_stop(w->sub);
	pair_run(w->p, 20);
	assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 2);
	assert_true(packet_has(subscribe(w), "\r\nExpires: 0\r\n"));
	assert_true(packet_has(subscribe(w), "\r\nTo: <sip:bob@b.example>;tag="));
	respond(w, 200, "Contact: <sip:bob@192.0.2.2>\nExpires: 0\n");
	pair_run(w->p, 20);
	notify(w, 2, "active", "crossing");
	assert_int_equal(w->ended, 0);
	notify(w, 3, "terminated;reason=timeout", "");
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->why, SIP_ENDED_UNSUBSCRIBED);
	assert_int_equal(w->notified, 3);
	watch_free(w);
	/* a NOTIFY crosses, and no last one follows */
	w = active(3600);
	sip_subscriber_stop(w->sub);
	pair_run(w->p, 20);
	notify(w, 2, "pending;expires=600", "crossing");
	respond(w, 200, "Contact: <sip:bob@192.0.2.2>\nExpires: 0\n");
	pair_run(w->p, 33000);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->why, SIP_ENDED_UNSUBSCRIBED);
	assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 2);
	watch_free(w);
	/* nobody says good-bye */
	w = active(3600);
	sip_subscriber_stop(w->sub);
	w->p->lose = lose_all;
	pair_run(w->p, 33000);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->why, SIP_ENDED_UNSUBSCRIBED);
	watch_free(w);
	w = active(3600);
	sip_subscriber_stop(w->sub);
	pair_run(w->p, 20);
	respond(w, 481, "");
	pair_run(w->p, 20);
	assert_int_equal(w->why, SIP_ENDED_UNSUBSCRIBED);
	assert_int_equal(w->rejected, 0);
	watch_free(w);
}

/* Stopped before there is a dialog: it is unsubscribed as soon as there is one. */
static void test_stop_early(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	sip_subscriber_stop(w->sub);
	pair_run(w->p, 20);
	assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 1);
	respond(w, 200, OK_3600);
	pair_run(w->p, 20);
	assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 2);
	assert_true(packet_has(subscribe(w), "\r\nExpires: 0\r\n"));
	pair_run(w->p, 40000);
	assert_int_equal(w->ended, 1);
	watch_free(w);
	w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	sip_subscriber_stop(w->sub);
	pair_run(w->p, 20);
	respond(w, 403, "");
	pair_run(w->p, 20);
	assert_int_equal(w->rejected, 1);
	watch_free(w);
}

static void test_owner_in_callbacks(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL), 3600);
	pair_run(w->p, 20);
	w->free_in_notify = true;
	notify_as(w, "x", 1, "active", "", "bye");
	assert_null(w->sub);
	assert_int_equal(pair_count(w->p, 0, 0, "SIP/2.0 200"), 1); /* answered all the same */
	pair_run(w->p, 40000);
	assert_int_equal(w->ended + w->rejected, 0);
	watch_free(w);
	w = active(3600);
	w->stop_in_notify = true;
	notify(w, 2, "active", "x");
	pair_run(w->p, 20);
	assert_true(packet_has(subscribe(w), "\r\nExpires: 0\r\n"));
	watch_free(w);
	w = active(3600);
	w->restart_in_end = true;
	notify(w, 2, "terminated;reason=deactivated", "");
	assert_true(sip_subscriber_running(w->sub));
	assert_int_equal(pair_count(w->p, 0, 0, "SUBSCRIBE "), 2);
	watch_free(w);
	w = active(3600);
	w->free_in_end = true;
	notify(w, 2, "terminated", "");
	assert_null(w->sub);
	watch_free(w);
}

/* Microsoft's best-effort NOTIFY: taken, never answered. */
static void test_benotify(void **state)
{
	(void)state;
	struct watch *w = active(3600);
	struct packet *k = pair_last(w->p, 1, "SIP/2.0 200");
	struct arena *a, *a2;
	struct sip_msg *s = packet_msg(subscribe(w), &a), *ok = packet_msg(k, &a2);
	char text[1000];
	snprintf(text, sizeof text,
		 "BENOTIFY sip:gw@192.0.2.1 SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.2;branch=z9hG4bKbe\nFrom: "
		 "<sip:bob@b.example>;tag=%.*s\nTo: %.*s\n"
		 "Call-ID: %.*s\nCSeq: 2 BENOTIFY\nEvent: presence\nSubscription-State: active;expires=77\nContent-Length: "
		 "2\n\nbe",
		 SFMT(ok->to.tag), SFMT(s->from.raw), SFMT(s->call_id));
	int n = w->p->n;
	pair_inject(w->p, &w->p->a, text);
	assert_string_equal(w->body, "be");
	assert_int_equal(w->p->n, n);
	assert_int_equal(sip_subscriber_remaining(w->sub), 77);
	arena_release(NULL, a);
	arena_release(NULL, a2);
	watch_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_establish),
		cmocka_unit_test(test_other_event_passes),
		cmocka_unit_test(test_notify_first),
		cmocka_unit_test(test_notify_other_than_200),
		cmocka_unit_test(test_routes_of_200),
		cmocka_unit_test(test_refresh_time),
		cmocka_unit_test(test_refresh_goes_on),
		cmocka_unit_test(test_rejections),
		cmocka_unit_test(test_interval_too_brief),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_timer_n),
		cmocka_unit_test(test_refresh_481),
		cmocka_unit_test(test_refresh_500),
		cmocka_unit_test(test_refresh_transport),
		cmocka_unit_test(test_terminated),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_stop_early),
		cmocka_unit_test(test_owner_in_callbacks),
		cmocka_unit_test(test_benotify),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
