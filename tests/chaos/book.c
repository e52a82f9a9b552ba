/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "ledger.h"

const char *const side_names[2] = {"to_xmpp", "to_sip"};

const char *const deed_names[DEEDS] = {
	[DEED_NOTE] = "note", [DEED_RESTART] = "restart", [DEED_CUT] = "cut", [DEED_KILL] = "kill", [DEED_POWER] = "power"};

enum {
	TIMES = 1 << 20,
	FIRST_MS = 600,   /* the first text of a pair has its 2xx half a second after it was handed over (ADR 3) */
	BROKEN_MS = 2000, /* so soon after a kill its connections have ended, with the second in which entented ends after its child */
	DRAIN_MS = 12000, /* ... after the order to restart: timers.drain, and a little */
};

/* ---- a partner's queue */

struct place *queue_at(struct queue *q, size_t i)
{
	return &q->places[(q->first + i) % q->cap];
}

void queue_put(struct queue *q, uint64_t seq)
{
	if (q->n == q->cap) {
		size_t cap = q->cap ? 2 * q->cap : 64;
		struct place *p = mem_calloc(cap, sizeof *p);
		for (size_t i = 0; i < q->n; i++)
			p[i] = *queue_at(q, i);
		mem_free(q->places);
		q->places = p;
		q->cap = cap;
		q->first = 0;
	}
	q->n++;
	*queue_at(q, q->n - 1) = (struct place){.seq = seq};
}

void queue_drop(struct queue *q)
{
	q->first = (q->first + 1) % q->cap;
	q->n--;
	q->unsent -= q->unsent > 0;
}

void queue_rewind(struct queue *q)
{
	for (size_t i = 0; i < q->unsent; i++)
		queue_at(q, i)->number = 0;
	q->unsent = 0;
}

/* ---- texts */

bool text_seq(const struct ledger *l, struct slice text, uint64_t *ret)
{
	struct slice rest = text;
	return slice_eq(slice_split(&rest, '.'), slice_str(l->run)) && slice_u64(slice_split(&rest, ' '), UINT64_MAX, ret);
}

bool text_find(const struct ledger *l, struct slice text, uint64_t *ret)
{
	size_t n = strlen(l->run);
	for (size_t i = 0; i + n < text.len; i++)
		if (!memcmp(text.p + i, l->run, n) && text_seq(l, slice_skip(text, i), ret))
			return true;
	return false;
}

/* ---- writing into it */

void times_init(struct side *s)
{
	s->arrival.ns = mem_calloc(TIMES, sizeof *s->arrival.ns);
	s->answer.ns = mem_calloc(TIMES, sizeof *s->answer.ns);
}

static void note_time(struct track_times *t, uint64_t ns)
{
	if (t->n < TIMES)
		t->ns[t->n++] = ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

void book_init(struct ledger *l)
{
	l->entries = mem_calloc(ENTRIES, sizeof *l->entries);
	l->marks = mem_calloc(MARKS_MAX, sizeof *l->marks);
	l->next = l->judged = 1;
}

void book_free(struct ledger *l)
{
	for (unsigned i = 0; i < l->n_groups; i++)
		for (unsigned d = 0; d < 2; d++) {
			mem_free(l->groups[i].sides[d].arrival.ns);
			mem_free(l->groups[i].sides[d].answer.ns);
		}
	mem_free(l->entries);
	mem_free(l->marks);
}

static void reason(struct side *s, const char *prefix, struct slice text)
{
	char whole[sizeof s->reasons[0].text];
	struct slice rest = text, first = slice_trim(slice_split(&rest, ';'));
	snprintf(whole, sizeof whole, "%s%.*s", prefix, SFMT(first));
	for (unsigned i = 0; i < REASONS; i++)
		if (!s->reasons[i].n || !strcmp(s->reasons[i].text, whole)) {
			memcpy(s->reasons[i].text, whole, sizeof whole);
			s->reasons[i].n++;
			return;
		}
}

/* ---- judging */

static uint64_t ns_of(uint32_t ms)
{
	return (uint64_t)ms * 1000000u;
}

/* The first mark at or after this time. */
static unsigned mark_at(const struct ledger *l, uint64_t at)
{
	unsigned low = 0, high = l->n_marks;
	while (low < high) {
		unsigned mid = (low + high) / 2;
		if (l->marks[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool dies(const struct mark *m)
{
	return m->kind == DEED_KILL || m->kind == DEED_POWER;
}

/* May what was handed over in this direction be handed over once more? A server that cannot know whether the far side has it does
 * so; a partner that sends its stanzas again after a cut is known by their names (ADR 51). */
static bool repeats(const struct mark *m, const struct entry *e)
{
	return dies(m) || (m->kind == DEED_CUT && (e->side == TO_XMPP ? m->group == e->group : !m->group));
}

static uint64_t grace_of(const struct ledger *l, const struct mark *m)
{
	return ns_of(m->kind == DEED_POWER ? l->ends_ms : l->grace_ms);
}

/* Why it came again, or was reported as failed, at `next`: a deed before that, when the confirmation of that copy was so
 * fresh (or not there yet) that it could not be known for good. What was written before the deed may be read just after it. */
static bool explained(const struct ledger *l, const struct entry *e, unsigned copy, uint64_t next, uint64_t *worst)
{
	uint64_t came = e->came[copy], confirmed = came + ns_of(e->think_ms[copy]);
	for (unsigned i = mark_at(l, came - ns_of(l->grace_ms)); i < l->n_marks && l->marks[i].at <= next; i++) {
		const struct mark *m = &l->marks[i];
		if (!repeats(m, e) || m->at > confirmed + grace_of(l, m))
			continue;
		if (m->at > confirmed && m->at - confirmed > *worst)
			*worst = m->at - confirmed;
		return true;
	}
	return false;
}

static void judge_doubled(struct ledger *l, const struct entry *e)
{
	struct side *s = &e->group->sides[e->side];
	bool good = e->arrivals <= COPIES;
	s->j.doubled++;
	for (unsigned i = 1; i < e->arrivals && i < COPIES; i++)
		good &= explained(l, e, i - 1, e->came[i], &s->j.doubled_ns);
	s->j.doubled_wrong += !good;
}

/* From a partner that nobody acknowledges anything to: it was in a buffer of a kernel, or not written yet, when a process died or
 * the stream was cut. */
static void judge_silent(struct ledger *l, const struct entry *e)
{
	struct side *s = &e->group->sides[e->side];
	uint64_t grace = ns_of(l->grace_ms);
	s->j.silent++;
	for (unsigned i = mark_at(l, e->sent - grace); i < l->n_marks && l->marks[i].at <= e->sent + grace; i++) {
		const struct mark *m = &l->marks[i];
		if (!dies(m) && !(m->kind == DEED_CUT && m->group == e->group))
			continue;
		if (m->at > e->sent && m->at - e->sent > s->j.silent_ns)
			s->j.silent_ns = m->at - e->sent;
		return;
	}
	s->j.silent_wrong++;
}

/* Nobody answers a request whose connection broke; its sender is told by that. What did not break must be answered. */
static bool broken_by_deed(const struct ledger *l, const struct entry *e)
{
	uint64_t until = e->broken + ns_of(l->grace_ms);
	if (!e->broken)
		return false;
	for (unsigned i = mark_at(l, e->broken - ns_of(DRAIN_MS)); i < l->n_marks && l->marks[i].at <= until; i++) {
		const struct mark *m = &l->marks[i];
		if (m->kind == DEED_RESTART || (m->at + ns_of(BROKEN_MS) >= e->broken && (dies(m) || (m->kind == DEED_CUT && !m->group))))
			return true;
	}
	return false;
}

/* To a partner without acknowledgements: was its server cut off when its kernel, but not yet the server, had the message? */
static bool cut_meanwhile(const struct ledger *l, const struct entry *e)
{
	uint64_t from = e->accepted - ns_of(FIRST_MS);
	if (e->side != TO_XMPP || e->group->acks)
		return false;
	for (unsigned i = mark_at(l, e->sent > from ? e->sent : from); i < l->n_marks && l->marks[i].at <= e->accepted + ns_of(l->grace_ms); i++)
		if (l->marks[i].kind == DEED_CUT && l->marks[i].group == e->group)
			return true;
	return false;
}

static void judge(struct ledger *l, struct entry *e)
{
	struct side *s = &e->group->sides[e->side];
	bool refused = e->side == TO_XMPP && e->status >= 300;
	if (!e->open)
		return;
	e->open = false;
	if (!e->sent)
		return;
	s->j.sent++;
	s->j.accepted += e->accepted != 0;
	s->j.refused += refused;
	if (!e->accepted && !refused && !e->failed && (e->side == TO_XMPP || e->group->acks)) {
		s->j.unanswered++;
		s->j.unanswered_wrong += !broken_by_deed(l, e);
	}
	s->j.arrived += e->arrivals > 0;
	s->j.failed += e->failed;
	s->j.disordered += e->disordered;
	if ((refused || e->failed) && e->arrivals) {
		/* 504: whether it arrived is not known (ADR 16, 21) */
		uint64_t before = 0;
		s->j.refused_came++;
		s->j.refused_came_wrong += e->failed || e->status != 504 || !explained(l, e, 0, e->refused, &before);
	}
	if (e->accepted && !e->arrivals && !e->failed && cut_meanwhile(l, e)) {
		s->j.lost_there++;
	} else if (e->accepted && !e->arrivals && !e->failed) {
		s->j.lost++;
		if (s->n_lost_first < 8)
			s->lost_first[s->n_lost_first++] = e->seq;
	}
	if (e->arrivals > 1)
		judge_doubled(l, e);
	if (e->side == TO_SIP && !e->group->acks && !e->arrivals && !e->failed)
		judge_silent(l, e);
}

void book_judge(struct ledger *l)
{
	for (; l->judged < l->next; l->judged++) {
		struct entry *e = &l->entries[l->judged % ENTRIES];
		if (e->seq == l->judged)
			judge(l, e);
	}
}

struct entry *book_open(struct ledger *l, struct group *g, struct pair *p, unsigned side, uint64_t due)
{
	struct entry *e = &l->entries[l->next % ENTRIES];
	if (e->open)
		judge(l, e);
	*e = (struct entry){.seq = l->next++, .due = due, .group = g, .pair = p, .side = (uint8_t)side, .ordinal = ++p->ordinal[side], .open = true};
	if (l->next - l->judged > ENTRIES)
		l->judged = l->next - ENTRIES;
	g->sides[side].sent++;
	return e;
}

void book_forget(struct ledger *l, struct entry *e)
{
	(void)l;
	e->open = false;
	e->group->sides[e->side].sent--;
	e->group->sides[e->side].held_back++;
}

struct entry *book_find(struct ledger *l, uint64_t seq)
{
	struct entry *e = &l->entries[seq % ENTRIES];
	return e->seq == seq && e->open ? e : NULL;
}

static void marked(struct ledger *l, size_t field, uint64_t sent, uint64_t now)
{
	for (unsigned i = l->n_marks; i-- && i + 8 > l->n_marks;) {
		uint64_t *at = (uint64_t *)((char *)&l->marks[i] + field);
		if (!*at && sent > l->marks[i].at)
			*at = now;
	}
}

void book_event(struct ledger *l, size_t field)
{
	uint64_t now = track_now();
	marked(l, field, now, now);
}

void book_answer(struct ledger *l, struct entry *e, int status, struct slice why)
{
	struct side *s = &e->group->sides[e->side];
	uint64_t now = track_now();
	l->last_event = l->loop->timers.now;
	if (e->pair->waits == e->seq)
		e->pair->waits = 0;
	if (e->status)
		return;
	e->status = (uint16_t)status;
	if (status < 300) {
		e->accepted = now;
		s->accepted++;
		note_time(&s->answer, now - e->due);
		marked(l, offsetof(struct mark, answered), e->sent, now);
	} else {
		char prefix[16];
		e->refused = now;
		snprintf(prefix, sizeof prefix, "%d ", status);
		s->refused++;
		reason(s, prefix, why);
	}
}

void book_acked(struct ledger *l, struct entry *e)
{
	struct side *s = &e->group->sides[e->side];
	uint64_t now = track_now();
	l->last_event = l->loop->timers.now;
	if (e->accepted)
		return;
	e->accepted = now;
	s->accepted++;
	note_time(&s->answer, now - e->due);
}

void book_arrived(struct ledger *l, struct entry *e)
{
	struct side *s = &e->group->sides[e->side];
	struct pair *p = e->pair;
	uint64_t now = track_now();
	l->last_event = l->loop->timers.now;
	if (e->arrivals < COPIES) {
		e->came[e->arrivals] = now;
		e->think_ms[e->arrivals] = e->side == TO_SIP ? l->home_think_ms : l->think_ms;
	}
	if (e->arrivals < UINT16_MAX)
		e->arrivals++;
	if (e->arrivals > 1) {
		s->doubled++;
		s->repeated_late += e->ordinal < p->highest[e->side];
		return;
	}
	s->arrived++;
	note_time(&s->arrival, now - e->due);
	if (e->side == TO_SIP)
		marked(l, offsetof(struct mark, arrived), e->sent, now);
	/* a stream has an order; requests have one when the answer to the first was there before the second was sent */
	if (e->ordinal < p->highest[e->side])
		e->disordered = e->side == TO_SIP || (e->accepted && e->accepted < p->highest_sent[e->side]);
	else {
		p->highest[e->side] = e->ordinal;
		p->highest_sent[e->side] = e->sent;
	}
}

void book_failed(struct ledger *l, struct entry *e, struct slice why)
{
	struct side *s = &e->group->sides[e->side];
	l->last_event = l->loop->timers.now;
	if (e->failed)
		return;
	e->failed = true;
	s->refused++;
	reason(s, "", why);
}

void book_mark(struct ledger *l, enum deed kind, struct slice name, const struct group *group, uint64_t at)
{
	if (l->n_marks == MARKS_MAX) { /* of a soak: the older half explains nothing any more */
		memmove(l->marks, l->marks + MARKS_MAX / 2, MARKS_MAX / 2 * sizeof *l->marks);
		l->n_marks = MARKS_MAX / 2;
	}
	struct mark *m = &l->marks[l->n_marks++];
	for (; m > l->marks && m[-1].at > at; m--)
		*m = m[-1];
	*m = (struct mark){.at = at, .kind = kind, .group = group};
	slice_cstr(name, m->name, sizeof m->name);
	l->deeds[kind]++;
	l->home_cuts += kind == DEED_CUT && !group;
}

unsigned book_unsettled(struct ledger *l)
{
	unsigned n = 0;
	for (uint64_t seq = l->judged; seq < l->next; seq++) {
		const struct entry *e = book_find(l, seq);
		if (!e)
			continue;
		if (e->side == TO_XMPP)
			n += e->pair->waits == e->seq ||
			     (e->accepted && !e->arrivals && !e->failed && !cut_meanwhile(l, e));
		else if (e->group->acks)
			n += e->group->on && (!e->accepted || (!e->arrivals && !e->failed));
	}
	return n;
}

/* ---- telling */

static void print_times(const char *name, struct track_times *t)
{
	struct track_summary s;
	track_summarise(t, &s);
	printf("\"%s\": {\"n\": %zu, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}", name, s.n, s.p50, s.p99, s.max);
	t->n = 0;
}

void book_lap(struct ledger *l)
{
	printf("{\"event\": \"lap\", \"groups\": {");
	for (unsigned i = 0; i < l->n_groups; i++) {
		struct group *g = &l->groups[i];
		printf("%s\"%s\": {\"up\": %u", i ? ", " : "", g->name, g->up);
		for (unsigned d = 0; d < 2; d++) {
			struct side *s = &g->sides[d];
			printf(", \"%s\": {\"sent\": %llu, \"accepted\": %llu, \"arrived\": %llu, \"refused\": %llu, \"held_back\": %llu, ", side_names[d],
			       (unsigned long long)s->sent, (unsigned long long)s->accepted, (unsigned long long)s->arrived, (unsigned long long)s->refused,
			       (unsigned long long)s->held_back);
			print_times("arrival_ms", &s->arrival);
			printf(", ");
			print_times("answer_ms", &s->answer);
			printf("}");
		}
		printf("}");
	}
	printf("}}\n");
	fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_gaps(const struct ledger *l, const char *name, size_t field)
{
	uint64_t *gaps = mem_calloc(l->n_marks + 1, sizeof *gaps);
	unsigned n = 0;
	for (unsigned i = 0; i < l->n_marks; i++) {
		uint64_t at = *(const uint64_t *)((const char *)&l->marks[i] + field);
		if (at && l->marks[i].name[0])
			gaps[n++] = at - l->marks[i].at;
	}
	qsort(gaps, n, sizeof *gaps, by_size);
	printf(", \"%s\": {\"n\": %u, \"p50\": %.1f, \"p90\": %.1f, \"max\": %.1f}", name, n, n ? (double)gaps[n / 2] / 1e6 : 0.0,
	       n ? (double)gaps[n * 9 / 10] / 1e6 : 0.0, n ? (double)gaps[n - 1] / 1e6 : 0.0);
	mem_free(gaps);
}

static void print_side(const struct group *g, unsigned d)
{
	const struct side *s = &g->sides[d];
	const char *sep = "";
#define N(field) printf("\"" #field "\": %llu, ", (unsigned long long)s->j.field)
	printf(", \"%s\": {", side_names[d]);
	N(sent), N(accepted), N(refused), N(unanswered), N(unanswered_wrong), N(arrived), N(failed);
	N(lost), N(lost_there), N(doubled), N(doubled_wrong), N(disordered);
	N(refused_came), N(refused_came_wrong), N(silent), N(silent_wrong);
#undef N
	printf("\"again\": %llu, \"held_back\": %llu, \"repeated_late\": %llu, \"doubled_ms\": %.1f, \"silent_ms\": %.1f, \"lost_first\": [",
	       (unsigned long long)s->again, (unsigned long long)s->held_back, (unsigned long long)s->repeated_late,
	       (double)s->j.doubled_ns / 1e6, (double)s->j.silent_ns / 1e6);
	for (unsigned i = 0; i < s->n_lost_first; i++)
		printf("%s%llu", i ? ", " : "", (unsigned long long)s->lost_first[i]);
	printf("], \"reasons\": {");
	for (unsigned i = 0; i < REASONS && s->reasons[i].n; i++, sep = ", ")
		printf("%s\"%s\": %llu", sep, s->reasons[i].text, (unsigned long long)s->reasons[i].n);
	printf("}}");
}

void book_report(struct ledger *l)
{
	struct home_counts h;
	home_counts(l->home, &h);
	unsigned open = book_unsettled(l), told = 0;
	book_judge(l);
	for (unsigned i = 0; i < l->n_marks; i++)
		told += l->marks[i].name[0] != 0;
	printf("{\"event\": \"end\", \"unsettled\": %u, \"marks\": %u, \"notices\": %llu, ", open, told, (unsigned long long)l->notices);
	printf("\"grace_ms\": %u, \"power_grace_ms\": %u, \"home_cuts\": %llu, \"deeds\": {", l->grace_ms, l->ends_ms,
	       (unsigned long long)l->home_cuts);
	for (unsigned i = 0; i < DEEDS; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", deed_names[i], (unsigned long long)l->deeds[i]);
	printf("}");
	print_gaps(l, "sip_up_ms", offsetof(struct mark, sip_up));
	print_gaps(l, "xmpp_up_ms", offsetof(struct mark, xmpp_up));
	print_gaps(l, "answered_ms", offsetof(struct mark, answered));
	print_gaps(l, "arrived_ms", offsetof(struct mark, arrived));
	printf(", \"home\": {\"dialled\": %llu, \"refused\": %llu, \"repeated\": %llu, \"accepted\": %llu, \"watched\": %llu}, \"groups\": {",
	       (unsigned long long)h.dialled, (unsigned long long)h.refused, (unsigned long long)h.repeated, (unsigned long long)h.accepted,
	       (unsigned long long)h.watched);
	for (unsigned i = 0; i < l->n_groups; i++) {
		const struct group *g = &l->groups[i];
		struct fleet_counts c;
		fleet_counts(g->fleet, &c);
		printf("%s\"%s\": {\"acks\": %s, \"members\": %u, \"up\": %u, \"dialled\": %llu, \"failed\": %llu, \"streams_in\": %llu", i ? ", " : "",
		       g->name, g->acks ? "true" : "false", g->n, g->up, (unsigned long long)c.dialled, (unsigned long long)c.failed,
		       (unsigned long long)c.accepted);
		print_side(g, TO_XMPP);
		print_side(g, TO_SIP);
		printf("}");
	}
	printf("}}\n");
	fflush(stdout);
}
