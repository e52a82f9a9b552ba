/* SPDX-License-Identifier: Apache-2.0 */
/* Our notifier at B; A is a subscriber that the tests play by hand over its stack. */
#include "pair.h"
#include "sip/notifier.h"

struct watch {
	struct pair *p;
	struct sip_notifier *n;
	struct sip_notifier_config config;
	const struct sip_notifier_ops *ops;
	int rc, refreshed, unsubscribed, expired, failed, status;
	bool local, free_in_callback, set_in_refresh;
	uint32_t expires;
	char hop[100];
	/* A's side */
	struct seen client;
	char to[100]; /* To value with the tag, once known */
	unsigned cseq;
	int notify_status; /* A's answer, 0: none */
	const char *notify_more;
	uint32_t notify_cseq; /* the last seen */
	int notifies;
	bool cseq_broken;
	char state[80], body[80];
};

static void on_refreshed(void *arg, uint32_t expires)
{
	struct watch *w = arg;
	w->refreshed++;
	w->expires = expires;
	if (w->set_in_refresh)
		sip_notifier_set(w->n, SIP_SUB_ACTIVE, S("text/plain"), S("fresh"));
	if (w->free_in_callback)
		w->n = sip_notifier_free(w->n);
}

static void on_unsubscribed(void *arg)
{
	struct watch *w = arg;
	w->unsubscribed++;
	if (w->free_in_callback)
		sip_notifier_free(w->n);
	w->n = NULL;
}

static void on_expired(void *arg)
{
	struct watch *w = arg;
	w->expired++;
	if (w->free_in_callback)
		sip_notifier_free(w->n);
	w->n = NULL;
}

static void on_failed(void *arg, int status, bool local)
{
	struct watch *w = arg;
	w->failed++;
	w->status = status;
	w->local = local;
	if (w->free_in_callback)
		sip_notifier_free(w->n);
	w->n = NULL;
}

static void on_route(void *arg, struct slice hop, struct sip_flow *flow)
{
	(void)flow;
	slice_cstr(hop, ((struct watch *)arg)->hop, 100);
}

static const struct sip_notifier_ops watch_ops = {on_refreshed, on_unsubscribed, on_expired, on_failed, on_route};
static struct watch *the_watch;

/* A gets a NOTIFY. */
static void at_subscriber(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	struct watch *w = the_watch;
	(void)e;
	(void)from;
	assert_int_equal(m->method, SIP_NOTIFY);
	assert_true(slice_eq(m->to.tag, S("atag")));
	w->notifies++;
	w->cseq_broken |= m->cseq <= w->notify_cseq;
	w->notify_cseq = m->cseq;
	slice_cstr(sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0)->value, w->state, sizeof w->state);
	slice_cstr(m->body, w->body, sizeof w->body);
	if (w->notify_status) {
		struct sip_extra more = {S("Retry-After"), slice_str(w->notify_more)};
		struct sip_answer an = {.status = w->notify_status, .headers = &more, .n_headers = w->notify_more != NULL};
		assert_int_equal(sip_server_respond(st, &an), 0);
	}
}

/* B gets a SUBSCRIBE without dialog. */
static void at_notifier(struct end *e, struct sip_server_trans *st, struct sip_msg *m, const struct sip_flow *from)
{
	struct watch *w = the_watch;
	(void)from;
	if (!slice_empty(m->to.tag)) {
		sip_server_reply(st, 481);
		return;
	}
	w->rc = sip_notifier_accept(&w->n, e->stack, st, m, &w->config, w->ops, w);
}

static void on_final(struct seen *s, struct sip_client_trans *ct, const struct sip_msg *m)
{
	struct watch *w = CONTAINER_OF(s, struct watch, client);
	(void)ct;
	if (m->status < 300)
		slice_cstr(m->to.raw, w->to, sizeof w->to);
}

static struct watch *watch_new(struct pair *p)
{
	struct watch *w = the_watch = MEM_NEW(struct watch);
	static const struct sip_extra extra = {{"Allow-Events", 12}, {"presence", 8}};
	w->p = p;
	w->ops = &watch_ops;
	w->config = (struct sip_notifier_config){.contact = S("<sip:gw@192.0.2.2>"), .headers = &extra, .n_headers = 1};
	w->notify_status = 200;
	w->client.on_final = on_final;
	slice_cstr(S("<sip:rosie@x.example>"), w->to, sizeof w->to);
	p->a.request = at_subscriber;
	p->b.request = at_notifier;
	return w;
}

static void watch_free(struct watch *w)
{
	struct pair *p = w->p;
	assert_false(w->cseq_broken);
	sip_notifier_free(w->n);
	mem_free(w);
	pair_free(p);
}

/* A subscribes, refreshes, or unsubscribes; expires < 0: no header. */
static void subscribe(struct watch *w, int expires)
{
	char text[1000], header[40] = "";
	if (expires >= 0)
		snprintf(header, sizeof header, "Expires: %d\r\n", expires);
	int n = snprintf(
		text, sizeof text,
		"SUBSCRIBE sip:rosie@x.example SIP/2.0\r\nMax-Forwards: 70\r\nRecord-Route: <sip:home.example;lr;sig=Zz>\r\n"
		"From: \"Al\" <sip:alice@a.example>;tag=atag;epid=01ab\r\nTo: %s\r\nCall-ID: sub-1\r\nCSeq: %u SUBSCRIBE\r\n"
		"Contact: <sip:alice@192.0.2.1;gruu;n=%u>\r\nEvent: presence;id=7\r\nAccept: "
		"application/pidf+xml\r\n%sContent-Length: 0\r\n\r\n",
		w->to, w->cseq + 1, w->cseq + 1, header);
	w->cseq++;
	pair_start(w->p, &w->client, slice_of(text, (size_t)n));
}

static struct watch *active(const char *body)
{
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 600);
	pair_run(w->p, 15);
	assert_int_equal(w->rc, 0);
	sip_notifier_set(w->n, SIP_SUB_ACTIVE, S("application/pidf+xml"), slice_str(body));
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 200);
	assert_int_equal(w->notifies, 1);
	return w;
}

static void set(struct watch *w, const char *body)
{
	sip_notifier_set(w->n, SIP_SUB_ACTIVE, S("application/pidf+xml"), slice_str(body));
}

static void test_accept(void **state)
{
	(void)state;
	struct watch *w = active("one");
	struct packet *ok = pair_packet(w->p, 1, "SIP/2.0 200", 0), *k = pair_packet(w->p, 1, "NOTIFY ", 0);
	assert_true(packet_has(ok, "\r\nExpires: 600\r\n"));
	assert_true(packet_has(ok, "\r\nContact: <sip:gw@192.0.2.2>\r\n"));
	assert_true(packet_has(ok, "\r\nRecord-Route: <sip:home.example;lr;sig=Zz>\r\n"));
	assert_true(packet_has(ok, "\r\nAllow-Events: presence\r\n"));
	assert_true(packet_has(k, "NOTIFY sip:alice@192.0.2.1;gruu;n=1 SIP/2.0\r\n"));
	assert_true(packet_has(k, "\r\nRoute: <sip:home.example;lr;sig=Zz>\r\n"));
	assert_true(packet_has(k, "\r\nTo: \"Al\" <sip:alice@a.example>;epid=01ab;tag=atag\r\n"));
	assert_true(packet_has(k, "\r\nEvent: presence;id=7\r\n"));
	assert_true(packet_has(k, "\r\nSubscription-State: active;expires=600\r\n"));
	assert_true(packet_has(k, "\r\nContact: <sip:gw@192.0.2.2>\r\n"));
	assert_true(packet_has(k, "\r\nContent-Type: application/pidf+xml\r\n"));
	assert_true(packet_has(k, "\r\n\r\none"));
	assert_string_equal(w->hop, "sip:home.example;lr;sig=Zz");
	assert_false(sip_notifier_is_poll(w->n));
	watch_free(w);
}

static void test_durations(void **state)
{
	(void)state;
	static const struct {
		int asked;
		const char *header;
	} cases[] = {
		{-1, "Expires: 3600\r\n"}, {60, "Expires: 60\r\n"}, {3600, "Expires: 3600\r\n"}, {86400, "Expires: 3600\r\n"}};
	for (size_t i = 0; i < 4; i++) {
		struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
		subscribe(w, cases[i].asked);
		pair_run(w->p, 30);
		assert_true(packet_has(pair_packet(w->p, 1, "SIP/2.0 200", 0), cases[i].header));
		watch_free(w);
	}
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 59);
	pair_run(w->p, 30);
	assert_int_equal(w->rc, ENTENTE_EREFUSED);
	assert_null(w->n);
	assert_true(packet_has(pair_packet(w->p, 1, "SIP/2.0 423", 0), "\r\nMin-Expires: 60\r\n"));
	watch_free(w);
}

static void test_refused(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
#define BAD(branch, more)                                                                                                        \
	"SUBSCRIBE sip:r@x SIP/2.0\nVia: SIP/2.0/TLS 192.0.2.1;branch=z9hG4bK" branch "\nFrom: <sip:a@a>;tag=1\nTo: <sip:r@x>\n" \
	"Call-ID: bad\nCSeq: 1 SUBSCRIBE\n" more "Content-Length: 0\n\n"
	pair_inject(w->p, &w->p->b, BAD("1", "Event: presence\n"));
	assert_int_equal(w->rc, ENTENTE_EREFUSED);
	assert_int_equal(pair_count(w->p, 1, 0, "SIP/2.0 400"), 1);
	pair_inject(w->p, &w->p->b, BAD("2", "Contact: <sip:a@b>\n"));
	assert_int_equal(w->rc, ENTENTE_EREFUSED);
	assert_int_equal(pair_count(w->p, 1, 0, "SIP/2.0 489"), 1);
	assert_null(w->n);
	watch_free(w);
}

/* The owner knows nothing yet: a neutral NOTIFY after its patience, then the first real state at once. */
static void test_neutral(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 600);
	pair_run(w->p, 1000);
	assert_int_equal(w->notifies, 0);
	pair_run(w->p, 100);
	assert_int_equal(w->notifies, 1);
	assert_string_equal(w->state, "pending;expires=599");
	assert_string_equal(w->body, "");
	set(w, "known");
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 2);
	assert_string_equal(w->body, "known");
	watch_free(w);
}

/* The pace is for documents: "may I?" is answered at once, and so is the first "what is it?". */
static void test_approval_is_not_paced(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 600);
	pair_run(w->p, 15);
	sip_notifier_set(w->n, SIP_SUB_PENDING, SLICE_NONE, SLICE_NONE);
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 1);
	sip_notifier_set(w->n, SIP_SUB_ACTIVE, SLICE_NONE, SLICE_NONE);
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 2);
	assert_true(!strncmp(w->state, "active;", 7));
	set(w, "1");
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 3);
	assert_string_equal(w->body, "1");
	set(w, "2");
	pair_run(w->p, 4900);
	assert_int_equal(w->notifies, 3);
	pair_run(w->p, 200);
	assert_int_equal(w->notifies, 4);
	watch_free(w);
}

/* ---- an owner that is asked for the document */

static struct {
	char text[32], lang[8];
	int asked, last;
} doc;

static void on_document(void *arg, bool last, struct sip_notifier_document *ret, struct buf *b)
{
	(void)arg;
	doc.asked++;
	doc.last += last;
	buf_puts(b, last ? "good-bye" : doc.text);
	*ret = (struct sip_notifier_document){S("text/plain"), slice_str(doc.lang)};
}

static void tell(struct watch *w, const char *text, const char *lang)
{
	snprintf(doc.text, sizeof doc.text, "%s", text);
	snprintf(doc.lang, sizeof doc.lang, "%s", lang);
	if (w->n)
		sip_notifier_set(w->n, SIP_SUB_ACTIVE, S("not/used"), S("not used"));
	pair_run(w->p, 30);
}

static void test_document_asked_for(void **state)
{
	static const struct sip_notifier_ops asking = {on_refreshed, on_unsubscribed, on_expired, on_failed, on_route, on_document};
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
		memset(&doc, 0, sizeof doc);
		w->ops = &asking;
		subscribe(w, 600);
		pair_run(w->p, 30);
		tell(w, "one", "en");
		assert_string_equal(w->body, "one");
		assert_true(packet_has(pair_packet(w->p, 1, "NOTIFY ", 0), "\r\nContent-Language: en\r\n"));
		assert_true(packet_has(pair_packet(w->p, 1, "NOTIFY ", 0), "\r\nContent-Type: text/plain\r\n"));
		int notifies = w->notifies, asked;
		pair_run(w->p, 10000);
		tell(w, "one", "en"); /* what the subscriber has */
		assert_int_equal(w->notifies, notifies);
		tell(w, "one", ""); /* its language is a part of it */
		assert_int_equal(w->notifies, notifies + 1);
		assert_false(packet_has(pair_packet(w->p, 1, "NOTIFY ", (unsigned)notifies), "Content-Language"));
		tell(w, "two", "");
		tell(w, "three", "");
		asked = doc.asked;
		tell(w, "one", ""); /* back before anybody saw it: nothing to tell */
		pair_run(w->p, 6000);
		assert_int_equal(w->notifies, notifies + 1);
		assert_int_equal(doc.asked, asked + 1); /* when it could have been sent, not before */
		subscribe(w, 600); /* a refresh brings everything, changed or not */
		pair_run(w->p, 30);
		assert_int_equal(w->notifies, notifies + 2);
		assert_string_equal(w->body, "one");
		if (how == 0) {
			subscribe(w, 0);
			pair_run(w->p, 30);
			assert_int_equal(w->unsubscribed, 1);
		} else if (how == 1) {
			pair_run(w->p, 601000);
			assert_int_equal(w->expired, 1);
		} else {
			sip_notifier_terminate(w->n, S("rejected"), -1, SLICE_NONE, SLICE_NONE);
			w->n = NULL;
			pair_run(w->p, 30);
		}
		assert_int_equal(w->notifies, notifies + 3);
		assert_string_equal(w->body, how == 2 ? "" : "good-bye");
		assert_int_equal(doc.last, how != 2);
		watch_free(w);
	}
	/* a poll gets what there is */
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	memset(&doc, 0, sizeof doc);
	w->ops = &asking;
	subscribe(w, 0);
	pair_run(w->p, 30);
	snprintf(doc.text, sizeof doc.text, "now");
	sip_notifier_set(w->n, SIP_SUB_ACTIVE, SLICE_NONE, SLICE_NONE);
	w->n = NULL;
	pair_run(w->p, 30);
	assert_string_equal(w->body, "now");
	assert_string_equal(w->state, "terminated;reason=timeout");
	assert_int_equal(doc.last, 0);
	watch_free(w);
}

static void test_pace(void **state)
{
	(void)state;
	struct watch *w = active("1");
	uint64_t first = pair_packet(w->p, 1, "NOTIFY ", 0)->sent;
	set(w, "2");
	set(w, "3");
	set(w, "3");
	pair_run(w->p, 3000);
	assert_int_equal(w->notifies, 1);
	set(w, "4");
	pair_run(w->p, 5000);
	assert_int_equal(w->notifies, 2);
	assert_string_equal(w->body, "4"); /* the last wins */
	assert_int_equal(pair_packet(w->p, 1, "NOTIFY ", 1)->sent - first, 5000);
	set(w, "4"); /* nothing new */
	pair_run(w->p, 20000);
	assert_int_equal(w->notifies, 2);
	set(w, "5"); /* quiet since long: at once */
	assert_int_equal(pair_count(w->p, 1, 0, "NOTIFY "), 3);
	watch_free(w);
	/* configured */
	w = watch_new(pair_new(SIP_TLS, NULL));
	w->config.interval_ms = UINT32_MAX;
	subscribe(w, 600);
	pair_run(w->p, 30);
	for (int i = 0; i < 5; i++) {
		char text[2] = {(char)('a' + i), 0};
		set(w, text);
		pair_run(w->p, 50);
	}
	assert_int_equal(w->notifies, 5);
	watch_free(w);
}

/* One in flight. */
static void test_one_in_flight(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	w->config.interval_ms = UINT32_MAX;
	w->notify_status = 0;
	subscribe(w, 600);
	pair_run(w->p, 30);
	set(w, "1");
	pair_run(w->p, 1000);
	set(w, "2");
	set(w, "3");
	pair_run(w->p, 1000);
	assert_int_equal(w->notifies, 1);
	sip_server_reply(sip_server_find(w->p->a.stack, w->p->a.last_id), 200);
	w->notify_status = 200;
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 2);
	assert_string_equal(w->body, "3");
	watch_free(w);
}

static void test_refresh(void **state)
{
	(void)state;
	struct watch *w = active("body");
	pair_run(w->p, 400000);
	subscribe(w, 300);
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 200);
	assert_int_equal(w->refreshed, 1);
	assert_int_equal(w->expires, 300);
	assert_int_equal(w->notifies, 2); /* always, with full state */
	assert_string_equal(w->state, "active;expires=300");
	assert_string_equal(w->body, "body");
	assert_true(packet_has(pair_packet(w->p, 1, "NOTIFY ", 1),
			       "NOTIFY sip:alice@192.0.2.1;gruu;n=2 SIP/2.0")); /* target refresh */
	subscribe(w, 300);                                                      /* at once again: the pace is no excuse */
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 3);
	subscribe(w, 10);
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 423);
	assert_int_equal(w->notifies, 3);
	w->cseq -= 3; /* an old one again */
	subscribe(w, 300);
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 500);
	w->cseq = 50;
	w->set_in_refresh = true;
	subscribe(w, 300);
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 4);
	assert_string_equal(w->body, "fresh");
	pair_run(w->p, 10000);
	assert_int_equal(w->notifies, 4);
	w->free_in_callback = true;
	subscribe(w, 300);
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 200);
	assert_int_equal(w->notifies, 4);
	watch_free(w);
}

static void test_expiry(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		struct watch *w = active("body");
		w->free_in_callback = f;
		pair_run(w->p, 599900);
		assert_int_equal(w->expired, 0);
		pair_run(w->p, 200);
		assert_int_equal(w->expired, 1);
		assert_int_equal(w->notifies, f ? 1 : 2);
		if (!f) {
			assert_string_equal(w->state, "terminated;reason=timeout");
			assert_string_equal(w->body, "body");
		}
		subscribe(w, 300); /* too late */
		pair_run(w->p, 30);
		assert_int_equal(w->client.status, 481);
		assert_int_equal(w->failed + w->unsubscribed, 0);
		watch_free(w);
	}
}

static void test_unsubscribe(void **state)
{
	(void)state;
	struct watch *w = active("body");
	subscribe(w, 0);
	pair_run(w->p, 30);
	assert_int_equal(w->unsubscribed, 1);
	assert_true(packet_has(pair_last(w->p, 1, "SIP/2.0 200"), "\r\nExpires: 0\r\n"));
	assert_string_equal(w->state, "terminated;reason=timeout");
	assert_string_equal(w->body, "body");
	pair_run(w->p, 1000000);
	assert_int_equal(w->notifies, 2);
	assert_int_equal(w->expired + w->failed, 0);
	watch_free(w);
}

static void test_terminate(void **state)
{
	(void)state;
	struct watch *w = active("body");
	sip_notifier_terminate(w->n, S("rejected"), -1, SLICE_NONE, SLICE_NONE);
	w->n = NULL;
	pair_run(w->p, 30);
	assert_string_equal(w->state, "terminated;reason=rejected");
	assert_string_equal(w->body, "");
	watch_free(w);
	w = active("body");
	w->notify_status = 0;
	set(w, "in flight");
	pair_run(w->p, 6000);
	assert_int_equal(w->notifies, 2);
	sip_notifier_terminate(w->n, S("probation"), 60, S("text/plain"), S("bye"));
	w->n = NULL;
	pair_run(w->p, 100);
	assert_int_equal(w->notifies, 2); /* after the one in flight */
	w->notify_status = 200;
	sip_server_reply(sip_server_find(w->p->a.stack, w->p->a.last_id), 200);
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 3);
	assert_string_equal(w->state, "terminated;reason=probation;retry-after=60");
	assert_string_equal(w->body, "bye");
	pair_run(w->p, 1000000);
	assert_int_equal(w->notifies, 3);
	assert_int_equal(w->failed + w->expired, 0);
	watch_free(w);
}

static void test_failures(void **state)
{
	(void)state;
	static const int codes[] = {481, 404, 410, 489, 604, 408, 405, 501, 401};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct watch *w = active("a");
		w->free_in_callback = i & 1;
		pair_run(w->p, 6000);
		if (codes[i] ==
		    408) { /* comes only from a proxy with old habits; a server transaction of ours would not send it */
			w->notify_status = 0;
			set(w, "b");
			pair_run(w->p, 40000);
		} else {
			w->notify_status = codes[i];
			set(w, "b");
			pair_run(w->p, 30);
		}
		assert_int_equal(w->failed, 1);
		assert_int_equal(w->status, codes[i]);
		assert_int_equal(w->local, codes[i] == 408);
		subscribe(w, 300);
		pair_run(w->p, 30);
		assert_int_equal(w->client.status, 481);
		pair_run(w->p, 1000000);
		assert_int_equal(w->expired, 0);
		watch_free(w);
	}
}

static void test_retry(void **state)
{
	(void)state;
	struct watch *w = active("a");
	pair_run(w->p, 6000);
	w->notify_status = 503;
	w->notify_more = "40";
	set(w, "b");
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 2);
	set(w, "c");
	w->notify_status = 200;
	w->notify_more = NULL;
	pair_run(w->p, 39000);
	assert_int_equal(w->notifies, 2);
	pair_run(w->p, 2000);
	assert_int_equal(w->notifies, 3);
	assert_string_equal(w->body, "c");
	assert_int_equal(w->failed, 0);
	/* five in a row are enough */
	w->notify_status = 500;
	pair_run(w->p, 6000);
	set(w, "d");
	pair_run(w->p, 200000);
	assert_int_equal(w->failed, 1);
	assert_int_equal(w->notifies, 8);
	watch_free(w);
	/* a body that does not please is not said again */
	w = active("a");
	w->notify_status = 415;
	pair_run(w->p, 6000);
	set(w, "b");
	pair_run(w->p, 100000);
	assert_int_equal(w->notifies, 2);
	assert_int_equal(w->failed, 0);
	w->notify_status = 200;
	set(w, "c");
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 3);
	watch_free(w);
}

static void test_transport(void **state)
{
	(void)state;
	struct watch *w = active("a");
	w->p->b.refuse_all = true;
	pair_run(w->p, 6000);
	set(w, "b");
	pair_run(w->p, 10);
	assert_int_equal(w->failed, 1);
	assert_int_equal(w->status, 503);
	assert_true(w->local);
	w->p->b.refuse_all = false;
	watch_free(w);
	w = watch_new(pair_new(SIP_TLS, NULL));
	w->config.transport_tries = 3;
	subscribe(w, 600);
	pair_run(w->p, 30);
	w->p->b.refuse_all = true;
	set(w, "x");
	pair_run(w->p, 40000);
	assert_int_equal(w->failed, 0);
	w->p->b.refuse_all = false;
	pair_run(w->p, 30000);
	assert_int_equal(w->notifies, 1);
	assert_string_equal(w->body, "x");
	watch_free(w);
}

static void test_poll(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 0);
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 200);
	assert_true(sip_notifier_is_poll(w->n));
	pair_run(w->p, 5000);
	assert_int_equal(w->notifies, 0);
	set(w, "snapshot");
	w->n = NULL;
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, 1);
	assert_string_equal(w->state, "terminated;reason=timeout");
	assert_string_equal(w->body, "snapshot");
	pair_run(w->p, 1000000);
	assert_int_equal(w->notifies, 1);
	assert_int_equal(w->expired + w->failed, 0);
	watch_free(w);
	/* nobody serves it */
	w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 0);
	pair_run(w->p, 11000);
	assert_int_equal(w->expired, 1);
	assert_int_equal(w->notifies, 1);
	assert_string_equal(w->state, "terminated;reason=timeout");
	watch_free(w);
}

static void test_save_restore(void **state)
{
	(void)state;
	struct watch *w = active("before");
	struct buf b, b2;
	buf_init(&b, 65536);
	buf_init(&b2, 65536);
	pair_run(w->p, 100000);
	uint32_t seen = w->notify_cseq;
	sip_notifier_save(w->n, 1700000000, &b);
	/* NOTIFYs go on after the save, then the process dies */
	for (int i = 0; i < 10; i++) {
		char text[2] = {(char)('a' + i), 0};
		set(w, text);
		pair_run(w->p, 6000);
	}
	assert_true(w->notify_cseq > seen);
	w->n = sip_notifier_free(w->n);
	struct sip_notifier *n = NULL, *twice = NULL;
	assert_int_equal(sip_notifier_restore(&n, w->p->b.stack, buf_slice(&b), 1700000100, &w->config, &watch_ops, w), 0);
	w->n = n;
	assert_int_equal(sip_notifier_remaining(n), 400);
	assert_int_equal(sip_notifier_restore(&twice, w->p->b.stack, buf_slice(&b), 1700000100, &w->config, &watch_ops, w),
			 ENTENTE_EEXIST);
	sip_notifier_save(n, 1700000100, &b2);
	assert_true(b2.len > 100);
	pair_run(w->p, 30000);
	int count = w->notifies;
	set(w, "after");
	pair_run(w->p, 30);
	assert_int_equal(w->notifies, count + 1);
	assert_string_equal(w->body, "after");
	assert_true(packet_has(pair_last(w->p, 1, "NOTIFY "), "\r\nEvent: presence;id=7\r\n"));
	struct packet *k = pair_last(w->p, 1, "NOTIFY ");
	assert_int_equal(k->flow.conn, 0); /* its owner finds or opens a connection */
	assert_int_equal(k->flow.transport, SIP_TLS);
	assert_int_equal(((struct sockaddr_in *)(void *)&k->flow.remote)->sin_addr.s_addr, htonl(0xC0000201));
	subscribe(w, 500); /* the subscriber has not noticed */
	pair_run(w->p, 30);
	assert_int_equal(w->client.status, 200);
	assert_int_equal(w->refreshed, 1);
	w->n = sip_notifier_free(w->n);
	assert_int_equal(sip_notifier_restore(&n, w->p->b.stack, buf_slice(&b), 1700000500, &w->config, &watch_ops, w),
			 ENTENTE_ETIMEOUT);
	for (size_t i = 0; i < b.len - 1; i++)
		assert_int_equal(sip_notifier_restore(&n, w->p->b.stack, slice_first(buf_slice(&b), i), 1700000100, &w->config,
						      &watch_ops, w),
				 ENTENTE_ESYNTAX);
	buf_free(&b);
	buf_free(&b2);
	watch_free(w);
}

/* A document or header that cannot be written must not go out nor hang. */
static void test_unwritable(void **state)
{
	(void)state;
	struct watch *w = watch_new(pair_new(SIP_TLS, NULL));
	subscribe(w, 600);
	pair_run(w->p, 30);
	sip_notifier_set(w->n, SIP_SUB_ACTIVE, S("text/plain\r\nX: y"), S("b"));
	assert_int_equal(w->failed, 1);
	assert_int_equal(pair_count(w->p, 1, 0, "NOTIFY "), 0);
	watch_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),     cmocka_unit_test(test_durations), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_neutral),    cmocka_unit_test(test_pace),
		cmocka_unit_test(test_approval_is_not_paced), cmocka_unit_test(test_document_asked_for),      cmocka_unit_test(test_one_in_flight),
		cmocka_unit_test(test_refresh),    cmocka_unit_test(test_expiry),    cmocka_unit_test(test_unsubscribe),
		cmocka_unit_test(test_terminate),  cmocka_unit_test(test_failures),  cmocka_unit_test(test_retry),
		cmocka_unit_test(test_transport),  cmocka_unit_test(test_poll),      cmocka_unit_test(test_save_restore),
		cmocka_unit_test(test_unwritable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
