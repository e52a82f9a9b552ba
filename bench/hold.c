/* SPDX-License-Identifier: Apache-2.0 */
/* bench/hold: one partner and the organisation's SIP server, who bring many subscriptions and conversations about and keep them, so that
 * what each costs can be measured. Started by bench/run. User i of one side always has to do with user i of the other.
 *
 * Commands, each answered when it is done for all, that is for the users FROM (0) to N - 1: "watch N [FROM]" (SIP users watch XMPP users), "refresh N" (they refresh), "change N" (the
 * XMPP users' presence changes), "watched N" (XMPP users watch SIP users), "say N" (each XMPP user writes to the SIP user), "quit". */
#include <getopt.h>
#include <sys/stat.h>
#include "base/list.h"
#include "base/mem.h"
#include "command.h"
#include "fleet.h"
#include "mint.h"
#include "net/listener.h"
#include "sip/build.h"
#include "sip_reader.h"
#include "track.h"

enum { USERS_MAX = 1000000, WINDOW = 200, PATIENCE_MS = 20000, TAG_MAX = 40, URI_MAX = 200 };

static const char own[] = "contoso.test";
static const struct conn_limits limits = {
	.in_max = 1 << 20, .out_max = 64 << 20, .out_high = 32 << 20, .out_low = 1 << 20,
	.connect_ms = 30000, .handshake_ms = 30000, .linger_ms = 1000,
};

enum task { IDLE, WATCH, REFRESH, CHANGE, WATCHED, SAY };
static const char *const words[] = {"", "watch", "refresh", "change", "watched", "say"};

struct hold {
	struct loop *loop;
	struct fleet *fleet;
	const char *partner;
	struct tls_ctx *ctx;
	struct addr home, target;
	struct conn *out;           /* ours to the server under test */
	struct listener *listener;
	struct list links;
	struct buf text;
	bool sip_up, stream_up;
	/* what is done now */
	enum task task;
	unsigned from, n, next, done, failed, shows, rounds; /* users from .. n-1; shows: how often "change" came; rounds: any */
	uint8_t *seen;              /* by user: done in this task */
	uint64_t began;
	struct timer patience;      /* nothing happens any more */
	/* kept from "watch" for "refresh" */
	char (*tags)[TAG_MAX];      /* of the server's dialogs */
	char (*uris)[URI_MAX];
	unsigned *cseq;
};

struct link {
	struct list node;
	struct hold *h;
	struct conn *conn;
	struct sip_reader reader;
};

static void step(struct hold *h);

static void report(struct hold *h)
{
	printf("{\"event\": \"%s\", \"n\": %u, \"done\": %u, \"failed\": %u, \"seconds\": %.3f}\n", words[h->task], h->n - h->from, h->done, h->failed,
	       (double)(track_now() - h->began) / 1e9);
	fflush(stdout);
	timer_cancel(&h->loop->timers, &h->patience);
	h->task = IDLE;
}

static void user_done(struct hold *h, enum task t, unsigned user, bool good)
{
	if (h->task != t || user < h->from || user >= h->n || h->seen[user])
		return;
	h->seen[user] = 1;
	good ? h->done++ : h->failed++;
	timer_arm(&h->loop->timers, &h->patience, PATIENCE_MS);
	if (h->done + h->failed == h->n - h->from)
		report(h);
	else
		step(h);
}

static void gave_up(struct timer *t, uint64_t now)
{
	struct hold *h = CONTAINER_OF(t, struct hold, patience);
	(void)now;
	h->failed = h->n - h->from - h->done;
	report(h);
}

/* The number at the end of "romeo17" and its like. */
static bool user_of(struct slice name, struct slice prefix, unsigned *ret)
{
	uint64_t n;
	if (!slice_starts(name, prefix) || !slice_u64(slice_skip(name, prefix.len), USERS_MAX - 1, &n))
		return false;
	*ret = (unsigned)n;
	return true;
}

/* ---- what the SIP side sends */

static void sip_write(struct hold *h, struct conn *c)
{
	if (!c || !buf_ok(&h->text) || conn_write(c, buf_slice(&h->text))) {
		fprintf(stderr, "hold: the SIP connection takes no more\n");
		loop_stop(h->loop);
	}
	buf_clear(&h->text);
}

static void subscribe(struct hold *h, unsigned i)
{
	struct buf *b = &h->text;
	bool again = *h->tags[i];
	if (again)
		buf_printf(b, "SUBSCRIBE %s SIP/2.0\r\n", h->uris[i]);
	else
		buf_printf(b, "SUBSCRIBE sip:juliet%u@%s SIP/2.0\r\n", i, h->partner);
	buf_printf(b, "Via: SIP/2.0/TLS 127.0.0.11:5061;branch=z9hG4bK.w%u.%u\r\nMax-Forwards: 69\r\n", i, ++h->cseq[i]);
	buf_printf(b, "From: <sip:romeo%u@%s>;tag=f%u\r\nTo: <sip:juliet%u@%s>%s%s\r\nCall-ID: w%u@hold\r\nCSeq: %u SUBSCRIBE\r\n"
		      "Contact: <sip:romeo%u@127.0.0.11:5061;transport=tls>\r\nEvent: presence\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
		   i, own, i, i, h->partner, again ? ";tag=" : "", h->tags[i], i, h->cseq[i], i);
	sip_write(h, h->out);
}

/* Their subscription is accepted at once, and told: available. */
static void accept_subscription(struct link *k, const struct sip_msg *m)
{
	struct hold *h = k->h;
	struct buf *b = &h->text;
	char body[512];
	const struct sip_header *contact = sip_msg_header(m, SIP_H_CONTACT, 0), *expires = sip_msg_header(m, SIP_H_EXPIRES, 0);
	struct slice tag = m->to.tag.len ? m->to.tag : S("held"), to = contact ? contact->value : SLICE_NONE;
	static uint64_t branch;
	branch++;
	bool over = expires && slice_eq(slice_trim(expires->value), S("0"));
	sip_build_response(b, m, 200, SLICE_NONE, m->to.tag.len ? SLICE_NONE : tag, true, SLICE_NONE, 0);
	sip_build_header(b, SIP_H_EXPIRES, over ? S("0") : S("3600"));
	sip_build_header(b, SIP_H_CONTACT, S("<sip:home@127.0.0.11:5061;transport=tls>"));
	sip_build_body(b, SLICE_NONE, SLICE_NONE);
	sip_write(h, k->conn);
	if (slice_starts(to, S("<")))
		to = slice_skip(to, 1);
	ptrdiff_t end = slice_find_chr(to, '>');
	if (end >= 0)
		to = slice_first(to, (size_t)end);
	snprintf(body, sizeof body, "<?xml version='1.0'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='%.*s'><tuple id='home'><status><basic>open</basic></status></tuple></presence>",
		 SFMT(slice_first(m->to.uri_text, 200)));
	buf_printf(b, "NOTIFY %.*s SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.11:5061;branch=z9hG4bK.n%llu\r\nMax-Forwards: 69\r\nFrom: <%.*s>;tag=%.*s\r\nTo: <%.*s>;tag=%.*s\r\n"
		      "Call-ID: %.*s\r\nCSeq: %llu NOTIFY\r\nContact: <sip:home@127.0.0.11:5061;transport=tls>\r\nEvent: presence\r\nSubscription-State: %s\r\n",
		   SFMT(to), (unsigned long long)branch, SFMT(m->to.uri_text), SFMT(tag), SFMT(m->from.uri_text), SFMT(m->from.tag), SFMT(m->call_id), (unsigned long long)branch,
		   over ? "terminated;reason=timeout" : "active;expires=3600");
	sip_build_body(b, S("application/pidf+xml"), slice_str(body));
	sip_write(h, h->out);
}

/* ---- what comes to the SIP side */

/* The session that it offers; texts come in it. */
static void accept_session(struct link *k, const struct sip_msg *m)
{
	struct buf *b = &k->h->text;
	sip_build_response(b, m, 200, SLICE_NONE, m->to.tag.len ? SLICE_NONE : S("held"), true, SLICE_NONE, 0);
	sip_build_header(b, SIP_H_CONTACT, S("<sip:home@127.0.0.11:5061;transport=tls>"));
	sip_build_body(b, S("application/sdp"), S("v=0\r\no=- 0 0 IN IP4 127.0.0.11\r\ns=session\r\nc=IN IP4 127.0.0.11\r\nt=0 0\r\nm=message 5060 sip null\r\na=accept-types:text/plain\r\n"));
	sip_write(k->h, k->conn);
}

static void request(struct link *k, const struct sip_msg *m)
{
	struct hold *h = k->h;
	struct slice name = m->uri.user;
	unsigned i;
	if (m->method == SIP_SUBSCRIBE) {
		accept_subscription(k, m);
		return;
	}
	if (m->method == SIP_INVITE) {
		accept_session(k, m);
		return;
	}
	if (m->method == SIP_ACK)
		return;
	sip_build_response(&h->text, m, 200, SLICE_NONE, S("held"), false, SLICE_NONE, 0);
	sip_build_body(&h->text, SLICE_NONE, SLICE_NONE);
	sip_write(h, k->conn);
	if (m->method == SIP_NOTIFY && user_of(name, S("romeo"), &i) && slice_find(m->body, h->task == CHANGE ? (h->shows % 2 ? S("away") : S("dnd")) : S("open")) >= 0)
		user_done(h, h->task == WATCH ? WATCH : CHANGE, i, true);
	else if (m->method == SIP_MESSAGE && user_of(m->to.uri.user, S("romeo"), &i))
		user_done(h, SAY, i, true);
}

static void response(struct hold *h, const struct sip_msg *m)
{
	struct slice call = m->call_id;
	struct slice name = slice_split(&call, '@');
	const struct sip_header *contact = sip_msg_header(m, SIP_H_CONTACT, 0);
	unsigned i;
	if (m->status < 200 || m->cseq_method != SIP_SUBSCRIBE || !user_of(name, S("w"), &i))
		return;
	if (m->status >= 300) {
		if (h->failed < 3)
			fprintf(stderr, "hold: SUBSCRIBE was answered %d %.*s\n", m->status, SFMT(m->reason));
		user_done(h, h->task, i, false);
		return;
	}
	slice_cstr(m->to.tag, h->tags[i], TAG_MAX);
	if (contact && slice_starts(contact->value, S("<"))) {
		struct slice uri = slice_skip(contact->value, 1);
		ptrdiff_t end = slice_find_chr(uri, '>');
		slice_cstr(end >= 0 ? slice_first(uri, (size_t)end) : uri, h->uris[i], URI_MAX);
	}
	user_done(h, REFRESH, i, true);
}

static void came(void *arg, struct sip_msg *m)
{
	struct link *k = arg;
	if (m->is_request)
		request(k, m);
	else
		response(k->h, m);
}

static void broken(void *arg, bool whole, const char *text)
{
	(void)arg;
	fprintf(stderr, "hold: %s: %s\n", whole ? "what came is no SIP" : "broken SIP", text);
}

static size_t data(struct conn *c, struct slice in)
{
	struct link *k = conn_owner(c);
	return sip_reader_input(&k->reader, c, in);
}

/* ---- the XMPP side */

static void stanza(void *arg, unsigned partner, const struct xmpp_stanza *st)
{
	struct hold *h = arg;
	char text[600];
	unsigned i;
	(void)partner;
	enum stanza_kind kind = stanza_kind(st->node);
	struct slice type = xml_attr(st->node, S("type")), to = xml_attr(st->node, S("to")), from = xml_attr(st->node, S("from"));
	struct slice user = slice_split(&to, '@'), peer = slice_split(&from, '@');
	if (kind == STANZA_MESSAGE && slice_eq(type, S("error")) && user_of(user, S("juliet"), &i))
		user_done(h, SAY, i, false);
	if (kind != STANZA_PRESENCE || !user_of(user, S("juliet"), &i))
		return;
	if (slice_eq(type, S("subscribe"))) {
		int n = snprintf(text, sizeof text, "<presence from='juliet%u@%s' to='romeo%u@%s' type='subscribed'/>", i, h->partner, i, own);
		fleet_send(h->fleet, 0, slice_of(text, (size_t)n));
	} else if (slice_eq(type, S("probe"))) {
		int n = snprintf(text, sizeof text, "<presence from='juliet%u@%s/home' to='romeo%u@%s'/>", i, h->partner, i, own);
		fleet_send(h->fleet, 0, slice_of(text, (size_t)n));
	} else if (slice_eq(type, S("subscribed")) && user_of(peer, S("romeo"), &i)) {
		user_done(h, WATCHED, i, true);
	} else if (slice_eq(type, S("unsubscribed")) || slice_eq(type, S("error"))) {
		user_done(h, WATCHED, i, false);
	}
}

static void maybe_ready(struct hold *h)
{
	if (h->sip_up && h->stream_up) {
		printf("{\"event\": \"ready\"}\n");
		fflush(stdout);
	}
}

static void up(void *arg, unsigned i)
{
	struct hold *h = arg;
	(void)i;
	h->stream_up = true;
	maybe_ready(h);
}

static void down(void *arg, unsigned i, struct slice why)
{
	struct hold *h = arg;
	fprintf(stderr, "hold: the stream ended: %.*s\n", SFMT(why));
	fleet_dial(h->fleet, i);
}

/* ---- one user's turn */

static void send_stanza(struct hold *h, unsigned i, const char *fmt, ...)
{
	char text[600];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!fleet_send(h->fleet, 0, slice_of(text, (size_t)n)))
		user_done(h, h->task, i, false);
}

static void begin(struct hold *h, unsigned i)
{
	switch (h->task) {
	case WATCH: case REFRESH:
		subscribe(h, i);
		break;
	case CHANGE:
		send_stanza(h, i, "<presence from='juliet%u@%s/home' to='romeo%u@%s'><show>%s</show></presence>", i, h->partner, i, own, h->shows % 2 ? "away" : "dnd");
		break;
	case WATCHED:
		send_stanza(h, i, "<presence from='juliet%u@%s' to='romeo%u@%s' type='subscribe'/>", i, h->partner, i, own);
		break;
	case SAY:
		send_stanza(h, i, "<message from='juliet%u@%s/home' to='romeo%u@%s' type='chat' id='m%u-%u'><body>number %u of a long conversation</body></message>",
			    i, h->partner, i, own, i, h->rounds, h->rounds);
		break;
	case IDLE:
		break;
	}
}

static void step(struct hold *h)
{
	while (h->task && h->next < h->n && h->next - h->from - (h->done + h->failed) < WINDOW)
		begin(h, h->next++);
}

static void command(void *arg, struct slice line)
{
	struct hold *h = arg;
	struct slice word = slice_split(&line, ' ');
	struct slice number = slice_split(&line, ' ');
	uint64_t n, from = 0;
	if (line.len && !slice_u64(line, USERS_MAX, &from))
		from = USERS_MAX;
	for (enum task t = WATCH; t <= SAY; t++)
		if (slice_eq(word, slice_str(words[t])) && slice_u64(number, USERS_MAX, &n) && n > from) {
			h->task = t;
			h->n = (unsigned)n;
			h->next = h->from = (unsigned)from;
			h->done = h->failed = 0;
			h->shows += t == CHANGE;
			h->rounds++;
			memset(h->seen, 0, USERS_MAX);
			h->began = track_now();
			timer_arm(&h->loop->timers, &h->patience, PATIENCE_MS);
			step(h);
			return;
		}
	loop_stop(h->loop);
}

/* ---- connections */

static void secured(struct conn *c, const struct tls_peer *p)
{
	struct link *k = conn_owner(c);
	if (!p->chain_ok) {
		fprintf(stderr, "hold: the certificate on a SIP connection is not trusted\n");
		loop_stop(k->h->loop);
	}
	if (c == k->h->out) {
		k->h->sip_up = true;
		maybe_ready(k->h);
	}
}

static void closed(struct conn *c, const struct entente_err *why)
{
	struct link *k = conn_owner(c);
	struct hold *h = k->h;
	if (c == h->out) {
		fprintf(stderr, "hold: the SIP connection ended: %s\n", why->text);
		h->out = NULL;
		loop_stop(h->loop);
	}
	list_remove(&k->node);
	conn_free(c);
	mem_free(k);
}

static const struct conn_ops ops = {.secured = secured, .data = data, .closed = closed};

static struct link *link_new(struct hold *h)
{
	struct link *k = MEM_NEW(struct link);
	k->h = h;
	k->reader = (struct sip_reader){.loop = h->loop, .message = came, .broken = broken, .arg = k};
	sip_reader_init(&k->reader);
	list_append(&h->links, &k->node);
	return k;
}

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct hold *h = arg;
	struct link *k = link_new(h);
	struct conn_tls t = {.ctx = h->ctx, .server = true};
	struct conn_opts o = {.ops = &ops, .owner = k, .limits = &limits, .tls = &t, .pass = pass};
	struct entente_err err;
	(void)w;
	(void)from;
	if (conn_accept(&k->conn, h->loop, fd, &o, &err)) {
		list_remove(&k->node);
		mem_free(k);
	}
}

static int open_sip(struct hold *h, struct entente_err *err)
{
	struct link *k = link_new(h);
	struct addr from = h->home;
	struct conn_tls t = {.ctx = h->ctx, .sni = S("gw.contoso.test")};
	struct conn_opts o = {.ops = &ops, .owner = k, .limits = &limits, .tls = &t, .bind = &from};
	struct listener_opts lo = {.addr = h->home, .accepted = accepted, .arg = h};
	addr_set_port(&from, 0);
	int rc = listener_new(&h->listener, h->loop, &lo, err);
	if (!rc)
		rc = conn_connect(&k->conn, h->loop, &h->target, &o, err);
	h->out = k->conn;
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"certs", 1, 0, 'c'}, {"own", 1, 0, 'o'}, {0}};
	struct hold h = {.home = option_address("127.0.0.11", 5061), .target = option_address("127.0.0.12", 5061)};
	struct entente_err err;
	struct mint *mint;
	const char *certs = NULL, *folder = NULL;
	char trust[1024];
	struct fleet_opts o = {
		.n = 1, .prefix = "h", .suffix = "hold.test", .server = own, .trust = trust,
		.listen = option_address("127.0.0.24", 5269), .target = option_address("127.0.0.12", 5269),
		.from = option_address("127.201.0.1", 0), .acks = true, .up = up, .down = down, .stanza = stanza, .arg = &h,
	};
	for (int x; (x = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (x) {
		case 'c': certs = optarg; break;
		case 'o': folder = optarg; break;
		default: return 2;
		}
	if (!certs || !folder) {
		fprintf(stderr, "usage: hold --certs DIR (of the lab) --own DIR (for that of the partner)\n");
		return 2;
	}
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	h.ctx = option_identity(certs, "home");
	o.certs = folder;
	mkdir(folder, 0700);
	list_init(&h.links);
	buf_init(&h.text, 16384);
	timer_init(&h.patience, gave_up);
	h.seen = mem_calloc(USERS_MAX, 1);
	h.tags = mem_calloc(USERS_MAX, sizeof *h.tags);
	h.uris = mem_calloc(USERS_MAX, sizeof *h.uris);
	h.cseq = mem_calloc(USERS_MAX, sizeof *h.cseq);
	int rc = mint_open(&mint, certs, &err);
	if (!rc)
		rc = mint_make(mint, folder, "h0000.hold.test", &err);
	if (rc || loop_new(&h.loop, NULL, &err) || fleet_new(&h.fleet, h.loop, &o, &err) || open_sip(&h, &err)) {
		fprintf(stderr, "hold: %s\n", err.text);
		return 1;
	}
	mint_close(mint);
	h.partner = fleet_domain(h.fleet, 0);
	fleet_dial(h.fleet, 0);
	command_listen(h.loop, command, &h);
	loop_run(h.loop);
	timer_cancel(&h.loop->timers, &h.patience);
	LIST_EACH(n, &h.links) {
		struct link *k = CONTAINER_OF(n, struct link, node);
		list_remove(n);
		conn_free(k->conn);
		mem_free(k);
	}
	listener_free(h.listener);
	fleet_free(h.fleet);
	tls_ctx_unref(h.ctx);
	loop_free(h.loop);
	buf_free(&h.text);
	mem_free(h.seen);
	mem_free(h.tags);
	mem_free(h.uris);
	mem_free(h.cseq);
	return 0;
}
