/* SPDX-License-Identifier: Apache-2.0 */
/* chaos/ledger: the organisation's SIP server and the XMPP servers of partners, with XEP-0198 and without, whose users write to each
 * other at a rate in both directions, while somebody does evil to the server between them. Both books are kept here: what was sent,
 * what the server under test said it has taken, what came, in which order, how often. Nothing ends a run: connections are made again,
 * a partner that counts stanzas sends again what was not taken. Commands come on standard input, answers are lines of JSON.
 *
 *   rate GROUP TO_XMPP TO_SIP   messages a second from now on
 *   group GROUP on|off|cut|hold|release      off: all is cut, its port closed; hold: it reads nothing
 *   home on|off|hold|release
 *   home-says STATUS            what MESSAGEs are answered from now on (200); 0: nothing
 *   home-thinks MS              how long it needs for a MESSAGE from now on
 *   mark KIND NAME [AT]         something is done to the server, now or at that monotonic nanosecond: kill, power, restart, or
 *                               note, which excuses nothing; connections that are cut by command are noted by themselves
 *   say GROUP to-xmpp|to-sip TEXT   one message that has TEXT in it; counted like the others
 *   watch GROUP N               so many of its users begin to watch SIP users' presence; those of the last time give it up
 *   status                      how far it is
 *   lap                         what happened since the last lap, with times
 *   end MS                      no more is sent; waits so long for what is under way, then gives account
 *   quit */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/rand.h"
#include "command.h"
#include "mint.h"
#include "xmpp/stanza.h"

static void flush(struct ledger *l, struct member *m);

/* ---- what is said about it */

static void line_end(void)
{
	puts("}");
	fflush(stdout);
}

static void quoted(const char *name, const char *text)
{
	printf(", \"%s\": \"", name);
	for (const char *t = text; *t; t++)
		putchar(*t == '"' || *t == '\\' || (unsigned char)*t < ' ' ? '\'' : *t);
	putchar('"');
}

/* ---- sending */

static struct pair *free_pair(struct group *g, bool to_xmpp)
{
	for (unsigned n = 0; n < g->n_pairs; n++) {
		struct pair *p = &g->pairs[(to_xmpp ? g->next_sip++ : g->next_xmpp++) % g->n_pairs];
		const struct entry *e = to_xmpp && p->waits ? book_find(g->ledger, p->waits) : NULL;
		if (to_xmpp && p->waits && (!e || track_now() - e->sent > ANSWER_NS)) /* timer F */
			p->waits = 0;
		if (!to_xmpp || !p->waits)
			return p;
	}
	return NULL;
}

static struct slice text_of(const struct ledger *l, uint64_t seq, const char *more, char *dst, size_t size)
{
	static const char words[] = "Wherefore art thou? Shall we meet for lunch at noon, or walk along the river first? ";
	size_t n = (size_t)snprintf(dst, size, "%s.%llu %s%s", l->run, (unsigned long long)seq, more, words);
	for (; n < l->body && n < size; n++)
		dst[n] = words[n % (sizeof words - 1)];
	return slice_of(dst, n);
}

static void send_to_xmpp(struct ledger *l, struct group *g, uint64_t due, const char *more)
{
	struct pair *p = free_pair(g, true);
	char text[BODY_MAX], to[128];
	if (!p || !l->home_links) {
		g->sides[TO_XMPP].held_back++;
		return;
	}
	struct entry *e = book_open(l, g, p, TO_XMPP, due);
	snprintf(to, sizeof to, "juliet%u@%s", p->number, fleet_domain(g->fleet, p->member->index));
	int link = home_send(l->home, p->number, to, e->seq, text_of(l, e->seq, more, text, sizeof text));
	if (link < 0) {
		book_forget(l, e);
		return;
	}
	e->sent = track_now();
	e->link = (uint8_t)link;
	p->waits = e->seq;
}

static void send_to_sip(struct ledger *l, struct group *g, uint64_t due, const char *more)
{
	struct pair *p = free_pair(g, false);
	struct member *m = p->member;
	struct entry *e = book_open(l, g, p, TO_SIP, due);
	snprintf(e->more, sizeof e->more, "%s", more);
	queue_put(&m->queue, e->seq);
	if (m->up)
		flush(l, m);
}

/* All that was not sent yet on the present stream, in order. */
static void flush(struct ledger *l, struct member *m)
{
	struct group *g = m->group;
	struct queue *q = &m->queue;
	while (q->unsent < q->n) {
		struct place *at = queue_at(q, q->unsent);
		struct entry *e = book_find(l, at->seq);
		char text[BODY_MAX], stanza[BODY_MAX + 512];
		if (e) {
			struct slice body = text_of(l, e->seq, e->more, text, sizeof text);
			int n = snprintf(stanza, sizeof stanza,
					 "<message from='juliet%u@%s/home' to='romeo%u@%s' type='chat' id='m%llu'><body>%.*s</body></message>",
					 e->pair->number, fleet_domain(g->fleet, m->index), e->pair->number, OURS,
					 (unsigned long long)e->seq, SFMT(body));
			if (!fleet_send(g->fleet, m->index, slice_of(stanza, (size_t)n)))
				return;
			g->sides[TO_SIP].again += e->sent != 0;
			e->sent = track_now();
		}
		at->number = fleet_sent(g->fleet, m->index);
		q->unsent++;
		if (!at->number) /* nobody counts: it is gone */
			queue_drop(q);
	}
}

static void tick(struct timer *t, uint64_t now)
{
	struct ledger *l = CONTAINER_OF(t, struct ledger, tick);
	uint64_t ns = track_now();
	(void)now;
	for (unsigned i = 0; i < l->n_groups; i++) {
		struct group *g = &l->groups[i];
		for (unsigned d = 0; d < 2; d++) {
			struct side *s = &g->sides[d];
			for (; s->step && s->due <= ns; s->due += s->step)
				(d == TO_XMPP ? send_to_xmpp : send_to_sip)(l, g, s->due, "");
		}
		for (unsigned m = 0; m < g->n; m++)
			if (g->members[m].up && g->members[m].queue.unsent < g->members[m].queue.n)
				flush(l, &g->members[m]);
	}
	timer_arm(&l->loop->timers, t, TICK_MS);
}

/* ---- the SIP side */

static void home_up(void *arg, unsigned link)
{
	struct ledger *l = arg;
	(void)link;
	l->home_links++;
	book_event(l, offsetof(struct mark, sip_up));
}

static void home_down(void *arg, unsigned link)
{
	struct ledger *l = arg;
	l->home_links--;
	/* the transport has failed (RFC 3261 17.1.4): the sender knows nothing, and goes on */
	for (unsigned i = 0; i < l->n_groups; i++)
		for (unsigned n = 0; n < l->groups[i].n_pairs; n++) {
			struct pair *p = &l->groups[i].pairs[n];
			struct entry *e = p->waits ? book_find(l, p->waits) : NULL;
			if (e && e->link == link)
				e->broken = track_now();
			if (p->waits && (!e || e->link == link))
				p->waits = 0;
		}
}

static void answered(void *arg, uint64_t seq, int status, struct slice reason)
{
	struct ledger *l = arg;
	struct entry *e = book_find(l, seq);
	if (e)
		book_answer(l, e, status, reason);
}

static int home_message(void *arg, struct slice body)
{
	struct ledger *l = arg;
	struct entry *e;
	uint64_t seq;
	if (text_seq(l, body, &seq)) {
		if ((e = book_find(l, seq)))
			book_arrived(l, e);
	} else if (text_find(l, body, &seq) && (e = book_find(l, seq))) {
		book_failed(l, e, S("notice")); /* "your text ... could not be delivered" */
	} else {
		l->notices++;
	}
	return l->home_says;
}

/* ---- the XMPP side */

static void stream_up(void *arg, unsigned i)
{
	struct group *g = arg;
	struct member *m = &g->members[i];
	m->up = true;
	g->up++;
	book_event(g->ledger, offsetof(struct mark, xmpp_up));
	flush(g->ledger, m);
}

static void dial_again(struct timer *t, uint64_t now)
{
	struct member *m = CONTAINER_OF(t, struct member, again);
	(void)now;
	if (m->group->on)
		fleet_dial(m->group->fleet, m->index);
}

static void lost_stream(struct member *m)
{
	m->group->up -= m->up;
	m->up = false;
	queue_rewind(&m->queue);
}

static void stream_down(void *arg, unsigned i, struct slice why)
{
	struct group *g = arg;
	struct ledger *l = g->ledger;
	slice_cstr(why, g->trouble, sizeof g->trouble);
	lost_stream(&g->members[i]);
	/* not all at once, nor one after the other for ever */
	timer_arm(&l->loop->timers, &g->members[i].again, l->again_ms + i * 7919 % (l->again_ms + 1));
}

static void stream_acked(void *arg, unsigned i, uint64_t n)
{
	struct group *g = arg;
	struct queue *q = &g->members[i].queue;
	while (q->n && queue_at(q, 0)->number && queue_at(q, 0)->number <= n) {
		struct entry *e = book_find(g->ledger, queue_at(q, 0)->seq);
		if (e)
			book_acked(g->ledger, e);
		queue_drop(q);
	}
}

static void stanza(void *arg, unsigned i, const struct xmpp_stanza *st)
{
	struct group *g = arg;
	struct ledger *l = g->ledger;
	struct entry *e;
	uint64_t seq;
	(void)i;
	if (stanza_kind(st->node) != STANZA_MESSAGE)
		return;
	if (stanza_type(st->node) == STANZA_TYPE_ERROR) {
		struct xml_node *error = xml_child(st->node, S("error"), SLICE_NONE), *c = xml_first(error);
		if (slice_u64(slice_skip(stanza_id(st->node), 1), UINT64_MAX, &seq) && (e = book_find(l, seq)))
			book_failed(l, e, c ? c->name : S("error"));
	} else if (text_seq(l, stanza_child_text(st->node, st->arena, S("body"), SLICE_NONE), &seq) && (e = book_find(l, seq))) {
		book_arrived(l, e);
	}
}

/* ---- commands */

static struct group *group_named(struct ledger *l, struct slice name)
{
	for (unsigned i = 0; i < l->n_groups; i++)
		if (slice_eq(name, slice_str(l->groups[i].name)))
			return &l->groups[i];
	fprintf(stderr, "ledger: no group is named %.*s\n", SFMT(name));
	exit(2);
}

static enum deed deed_named(struct slice name)
{
	for (unsigned i = 0; i < DEEDS; i++)
		if (i != DEED_CUT && slice_eq(name, slice_str(deed_names[i])))
			return i;
	fprintf(stderr, "ledger: no mark is a %.*s\n", SFMT(name));
	exit(2);
}

static void set_rate(struct side *s, struct slice word)
{
	uint64_t n = 0;
	slice_u64(word, 100000, &n);
	s->step = n ? 1000000000u / n : 0;
	s->due = track_now() + s->step;
}

static void group_switch(struct ledger *l, struct group *g, struct slice word)
{
	struct entente_err err;
	if (slice_eq(word, S("hold")) || slice_eq(word, S("release"))) {
		fleet_hold(g->fleet, slice_eq(word, S("hold")));
		return;
	}
	g->on = !slice_eq(word, S("off"));
	if (fleet_listen(g->fleet, g->on, &err))
		fprintf(stderr, "ledger: %s\n", err.text);
	if (!slice_eq(word, S("on"))) {
		fleet_cut(g->fleet);
		book_mark(l, DEED_CUT, SLICE_NONE, g, track_now());
	}
	for (unsigned i = 0; i < g->n; i++) {
		struct member *m = &g->members[i];
		if (!slice_eq(word, S("on")))
			lost_stream(m);
		if (g->on && !m->up)
			timer_arm(&l->loop->timers, &m->again, l->again_ms + i * 7919 % (l->again_ms + 1));
	}
}

static void ask_presence(struct group *g, struct pair *p, const char *type)
{
	char text[512];
	int n = snprintf(text, sizeof text, "<presence from='juliet%u@%s' to='romeo%u@%s' type='%s' id='w%u'/>", p->number,
			 fleet_domain(g->fleet, p->member->index), p->number, OURS, type, p->number);
	fleet_send(g->fleet, p->member->index, slice_of(text, (size_t)n));
}

static void watch(struct group *g, uint64_t n)
{
	for (; g->watch_first < g->watch_next; g->watch_first++)
		ask_presence(g, &g->pairs[g->watch_first % g->n_pairs], "unsubscribe");
	for (; n--; g->watch_next++)
		ask_presence(g, &g->pairs[g->watch_next % g->n_pairs], "subscribe");
}

static void status(struct ledger *l)
{
	struct home_counts h;
	home_counts(l->home, &h);
	printf("{\"event\": \"status\", \"home_links\": %u, \"home\": {\"dialled\": %llu, \"accepted\": %llu}, \"groups\": {", l->home_links,
	       (unsigned long long)h.dialled, (unsigned long long)h.accepted);
	for (unsigned i = 0; i < l->n_groups; i++) {
		const struct group *g = &l->groups[i];
		struct fleet_counts c;
		fleet_counts(g->fleet, &c);
		printf("%s\"%s\": {\"up\": %u, \"members\": %u, \"in\": %u, \"failed\": %llu, \"dialled\": %llu, \"streams_in\": %llu", i ? ", " : "",
		       g->name, g->up, g->n, c.in, (unsigned long long)c.failed, (unsigned long long)c.dialled, (unsigned long long)c.accepted);
		quoted("trouble", g->trouble);
		for (unsigned d = 0; d < 2; d++)
			printf(", \"%s\": {\"sent\": %llu, \"accepted\": %llu, \"refused\": %llu, \"arrived\": %llu, \"doubled\": %llu}", side_names[d],
			       (unsigned long long)g->sides[d].sent, (unsigned long long)g->sides[d].accepted, (unsigned long long)g->sides[d].refused,
			       (unsigned long long)g->sides[d].arrived, (unsigned long long)g->sides[d].doubled);
		printf("}");
	}
	printf("}");
	line_end();
}

static void ending(struct timer *t, uint64_t now)
{
	struct ledger *l = CONTAINER_OF(t, struct ledger, end);
	unsigned open = book_unsettled(l);
	if (now < l->give_up && (open || now - l->last_event < QUIET_MS)) {
		timer_arm(&l->loop->timers, t, 100);
		return;
	}
	book_report(l);
}

static void command(void *arg, struct slice line)
{
	struct ledger *l = arg;
	struct slice word = slice_split(&line, ' '), what = slice_split(&line, ' ');
	struct entente_err err;
	uint64_t n;
	if (slice_eq(word, S("rate"))) {
		struct group *g = group_named(l, what);
		struct slice to_xmpp = slice_split(&line, ' ');
		set_rate(&g->sides[TO_XMPP], to_xmpp);
		set_rate(&g->sides[TO_SIP], line);
	} else if (slice_eq(word, S("group"))) {
		group_switch(l, group_named(l, what), line);
	} else if (slice_eq(word, S("home"))) {
		if (slice_eq(what, S("hold")) || slice_eq(what, S("release")))
			home_hold(l->home, slice_eq(what, S("hold")));
		else if (home_switch(l->home, slice_eq(what, S("on")), &err))
			fprintf(stderr, "ledger: %s\n", err.text);
		if (slice_eq(what, S("off")))
			book_mark(l, DEED_CUT, SLICE_NONE, NULL, track_now());
	} else if (slice_eq(word, S("home-thinks")) && slice_u64(what, 60000, &n)) {
		home_think(l->home, l->home_think_ms = (uint32_t)n);
	} else if (slice_eq(word, S("home-says")) && slice_u64(what, 699, &n)) {
		l->home_says = (int)n;
	} else if (slice_eq(word, S("watch")) && slice_u64(line, 100000, &n)) {
		watch(group_named(l, what), n);
	} else if (slice_eq(word, S("mark"))) {
		struct slice name = slice_split(&line, ' ');
		uint64_t at;
		book_mark(l, deed_named(what), name, NULL, slice_u64(line, UINT64_MAX, &at) ? at : track_now());
	} else if (slice_eq(word, S("say"))) {
		struct group *g = group_named(l, what);
		struct slice way = slice_split(&line, ' ');
		char text[24];
		snprintf(text, sizeof text, "%.*s ", (int)(line.len < 20 ? line.len : 20), line.p);
		(slice_eq(way, S("to-xmpp")) ? send_to_xmpp : send_to_sip)(l, g, track_now(), text);
	} else if (slice_eq(word, S("status"))) {
		status(l);
	} else if (slice_eq(word, S("lap"))) {
		book_lap(l);
	} else if (slice_eq(word, S("end")) && slice_u64(what, 3600000, &n)) {
		for (unsigned i = 0; i < l->n_groups; i++)
			l->groups[i].sides[0].step = l->groups[i].sides[1].step = 0;
		l->give_up = l->loop->timers.now + n;
		l->last_event = l->loop->timers.now;
		timer_arm(&l->loop->timers, &l->end, 100);
	} else {
		loop_stop(l->loop);
	}
}

/* ---- start */

static int usage(void)
{
	fprintf(stderr,
		"usage: ledger --certs DIR (of the lab) --own DIR (for the partners') --group WORDS... [options]\n"
		"  --group name=NAME,n=4,acks=1,listen=ADDRESS,target=ADDRESS,from=ADDRESS[,netns=FILE]\n"
		"                     partners NAME0000.chaos.test and up; repeated for each kind of partner\n"
		"  --users N          pairs of users of each partner (10)\n"
		"  --transport tls|tcp  of SIP (tls)\n"
		"  --conns N          connections of the SIP server (2)\n"
		"  --body N           octets of a text, at least (100)\n"
		"  --think MS         how long both sides need to take a message (0)\n"
		"  --grace MS         confirmed so shortly before a kill or cut, a message may come again (50)\n"
		"  --ends MS          ... before a power cut (1500)\n"
		"  --again MS         how soon partners call again (200)\n");
	return 2;
}

static bool group_option(struct group *g, struct fleet_opts *o, char *text)
{
	char *save = NULL;
	for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char *value = strchr(word, '=');
		if (!value)
			return false;
		*value++ = '\0';
		if (!strcmp(word, "name"))
			g->name = o->prefix = value;
		else if (!strcmp(word, "n"))
			o->n = (unsigned)option_number(value, 1, 10000);
		else if (!strcmp(word, "acks"))
			o->acks = option_number(value, 0, 1);
		else if (!strcmp(word, "listen"))
			o->listen = option_address(value, 5269);
		else if (!strcmp(word, "target"))
			o->target = option_address(value, 5269);
		else if (!strcmp(word, "from"))
			o->from = option_address(value, 0);
		else if (!strcmp(word, "netns"))
			o->netns = open(value, O_RDONLY | O_CLOEXEC);
		else
			return false;
	}
	return g->name && o->netns >= 0;
}

static void group_start(struct ledger *l, struct group *g, struct fleet_opts *o, struct mint *mint)
{
	struct entente_err err = {0};
	int rc = 0;
	for (unsigned i = 0; i < o->n && !rc; i++) {
		char domain[128];
		snprintf(domain, sizeof domain, "%s%04u.%s", o->prefix, i, o->suffix);
		rc = mint_make(mint, o->certs, domain, &err);
	}
	g->ledger = l;
	g->acks = o->acks;
	g->on = true;
	g->n = o->n;
	g->n_pairs = o->n * l->users;
	g->members = mem_calloc(g->n, sizeof *g->members);
	g->pairs = mem_calloc(g->n_pairs, sizeof *g->pairs);
	for (unsigned i = 0; i < g->n; i++) {
		g->members[i] = (struct member){.group = g, .index = i};
		timer_init(&g->members[i].again, dial_again);
	}
	for (unsigned i = 0; i < g->n_pairs; i++)
		g->pairs[i] = (struct pair){.number = l->n_pairs++, .member = &g->members[i % g->n]};
	for (unsigned d = 0; d < 2; d++)
		times_init(&g->sides[d]);
	o->arg = g;
	if (rc || fleet_new(&g->fleet, l->loop, o, &err)) {
		fprintf(stderr, "ledger: group %s: %s\n", g->name, err.text);
		exit(2);
	}
	for (unsigned i = 0; i < g->n; i++)
		fleet_dial(g->fleet, i);
}

int main(int argc, char **argv)
{
	enum { CERTS, OWN, GROUP, USERS, TRANSPORT, CONNS, THINK, GRACE, ENDS, AGAIN, BODY };
	static const struct option options[] = {
		{"certs", 1, 0, CERTS}, {"own", 1, 0, OWN}, {"group", 1, 0, GROUP}, {"users", 1, 0, USERS}, {"transport", 1, 0, TRANSPORT},
		{"conns", 1, 0, CONNS}, {"think", 1, 0, THINK}, {"grace", 1, 0, GRACE}, {"ends", 1, 0, ENDS}, {"again", 1, 0, AGAIN}, {"body", 1, 0, BODY}, {0},
	};
	static struct ledger l;
	struct fleet_opts fleets[GROUPS_MAX];
	struct home_opts ho = {.tls = true, .conns = 2, .sni = "gw.contoso.test", .domain = OURS, .run = l.run, .up = home_up, .down = home_down,
			       .answer = answered, .message = home_message, .arg = &l};
	const char *certs = NULL, *own = NULL;
	char trust[1024];
	struct entente_err err;
	struct mint *mint;
	struct rlimit files;
	l.users = 10;
	l.grace_ms = 50;
	l.ends_ms = 1500; /* they are synced within a second */
	l.again_ms = 200;
	l.home_says = 200;
	for (int x; (x = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (x) {
		case CERTS: certs = optarg; break;
		case OWN: own = optarg; break;
		case GROUP:
			if (l.n_groups == GROUPS_MAX)
				return usage();
			fleets[l.n_groups] = (struct fleet_opts){
				.n = 1, .suffix = "chaos.test", .server = OURS, .trust = trust, .acks = true, .up = stream_up, .down = stream_down,
				.stanza = stanza, .acked = stream_acked, .target = option_address("127.0.0.12", 5269),
			};
			if (!group_option(&l.groups[l.n_groups], &fleets[l.n_groups], optarg))
				return usage();
			l.n_groups++;
			break;
		case USERS: l.users = (unsigned)option_number(optarg, 1, 100000); break;
		case TRANSPORT: ho.tls = slice_eq(slice_str(optarg), S("tls")); break;
		case CONNS: ho.conns = (unsigned)option_number(optarg, 1, HOME_CONNS); break;
		case THINK: ho.think_ms = l.home_think_ms = l.think_ms = (uint32_t)option_number(optarg, 0, 60000); break;
		case ENDS: l.ends_ms = (uint32_t)option_number(optarg, 0, 60000); break;
		case GRACE: l.grace_ms = (uint32_t)option_number(optarg, 0, 60000); break;
		case AGAIN: l.again_ms = (uint32_t)option_number(optarg, 1, 60000); break;
		case BODY: l.body = option_number(optarg, 1, BODY_MAX); break;
		default: return usage();
		}
	}
	if (!certs || !own || !l.n_groups)
		return usage();
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	rand_token(l.run, 8);
	book_init(&l);
	timer_init(&l.tick, tick);
	timer_init(&l.end, ending);
	mkdir(own, 0700);
	ho.listen = option_address("127.0.0.11", ho.tls ? 5061 : 5060);
	ho.target = option_address("127.0.0.12", ho.tls ? 5061 : 5060);
	ho.ctx = option_identity(certs, "home");
	if (loop_new(&l.loop, NULL, &err) || mint_open(&mint, certs, &err) || home_new(&l.home, l.loop, &ho, &err)) {
		fprintf(stderr, "ledger: %s\n", err.text);
		return 1;
	}
	for (unsigned i = 0; i < l.n_groups; i++) {
		fleets[i].certs = own;
		fleets[i].think_ms = l.think_ms;
		group_start(&l, &l.groups[i], &fleets[i], mint);
	}
	mint_close(mint);
	printf("{\"event\": \"ready\"");
	line_end();
	timer_arm(&l.loop->timers, &l.tick, TICK_MS);
	command_listen(l.loop, command, &l);
	loop_run(l.loop);
	timer_cancel(&l.loop->timers, &l.tick);
	timer_cancel(&l.loop->timers, &l.end);
	l.home = home_free(l.home);
	for (unsigned i = 0; i < l.n_groups; i++) {
		struct group *g = &l.groups[i];
		fleet_free(g->fleet);
		for (unsigned m = 0; m < g->n; m++) {
			timer_cancel(&l.loop->timers, &g->members[m].again);
			mem_free(g->members[m].queue.places);
		}
		mem_free(g->members);
		mem_free(g->pairs);
	}
	tls_ctx_unref(ho.ctx);
	loop_free(l.loop);
	book_free(&l);
	return 0;
}
