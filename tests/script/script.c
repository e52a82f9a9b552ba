/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a script, and its steps one after the other. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

void wrong_(struct world *w, const char *fmt, ...)
{
	struct arena *a = arena_new(16 << 20);
	va_list ap;
	va_start(ap, fmt);
	struct slice why = arena_vprintf(a, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s:%d: %.*s\n   %.*s\n", w->script->path, w->at->number, SFMT(w->at->text), SFMT(why));
	if (w->round)
		fprintf(stderr, "   in the round of line %d: %.*s\n", w->round->number, SFMT(w->round->text));
	_fail(w->script->path, w->at->number);
	abort();
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	long size;
	if (!f)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
		text = mem_calloc(1, (size_t)size + 1);
		if (fread(text, 1, (size_t)size, f) != (size_t)size)
			text = mem_free(text);
		else
			text[size] = 0;
	}
	fclose(f);
	return text;
}

void script_read(struct script *ret, struct arena *a, const char *path, const char *name)
{
	char *text = read_file(path);
	if (!text)
		fail_msg("%s cannot be read", path);
	struct slice rest = arena_dup(a, slice_str(text));
	size_t max = 1;
	mem_free(text);
	for (size_t i = 0; i < rest.len; i++)
		max += rest.p[i] == '\n';
	*ret = (struct script){arena_dup(a, slice_of(name, strlen(name) + 1)).p, arena_dup(a, slice_of(path, strlen(path) + 1)).p,
			       arena_alloc(a, max * sizeof(struct line)), 0};
	for (int number = 1; rest.len; number++) {
		struct slice raw = slice_split(&rest, '\n'), line = slice_trim(raw);
		if (!line.len || line.p[0] == '#')
			continue;
		if (line.p[0] == '|') /* white space at its end counts */
			line = slice_of(line.p, (size_t)(raw.p + raw.len - line.p));
		ret->lines[ret->n_lines++] = (struct line){number, raw.p[0] == ' ' || raw.p[0] == '\t', line};
	}
}

struct slice script_row(const struct script *s, size_t *i)
{
	while (*i < s->n_lines) {
		const struct line *l = &s->lines[(*i)++];
		if (!l->inside && slice_starts(l->text, S("row:")))
			return slice_trim(slice_skip(l->text, 4));
	}
	return SLICE_NONE;
}

/* ---- steps */

static uint64_t duration(struct world *w, struct slice s)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
	struct slice number = slice_split(&s, ' ');
	uint64_t n;
	if (slice_u64(number, 1000000000, &n))
		for (size_t i = 0; i < sizeof units / sizeof *units; i++)
			if (slice_eq(slice_trim(s), slice_str(units[i].unit)))
				return n * units[i].ms;
	wrong(w, "how long? (a number of ms, s, min, h or d)");
}

static struct slice *columns(struct world *w, struct slice s, size_t *ret_n)
{
	struct slice *ret = arena_alloc(w->arena, 16 * sizeof *ret);
	for (*ret_n = 0; s.len && *ret_n < 16;) {
		ptrdiff_t at = slice_find(s, S("  "));
		ret[(*ret_n)++] = at < 0 ? s : slice_first(s, (size_t)at);
		s = at < 0 ? SLICE_NONE : slice_trim(slice_skip(s, (size_t)at));
	}
	return ret;
}

static void setting(struct world *w, struct slice words)
{
	struct gateway_config *c = &w->house->cfg;
	struct slice name = slice_split(&words, ' ');
	const struct {
		const char *name;
		void *at;
		unsigned kind; /* 4, 8: octets of an integer; 1: a switch */
	} known[] = {
		{"subscription-expires", &c->subscription_expires, 4},
		{"subscription-minimum", &c->subscription_minimum, 4},
		{"notify-interval-ms", &c->notify_interval_ms, 4},
		{"subscribe-rate", &c->subscribe_rate, 4},
		{"absence-s", &c->absence_s, 4},
		{"watcher-probe-s", &c->watcher_probe_s, 4},
		{"error-wait-ms", &c->error_wait_ms, 4},
		{"max-queue", &c->max_queue, 8},
		{"max-queue-octets", &c->max_queue_octets, 8},
		{"max-subscriptions", &c->max_subscriptions, 8},
		{"max-subscriptions-per-user", &c->max_subscriptions_per_user, 8},
		{"max-contacts-per-user", &c->max_contacts_per_user, 8},
		{"max-conversations", &c->max_conversations, 8},
		{"im.type-normal", &c->im.type_normal, 1},
		{"im.max-stanza", &c->im.max_stanza, 8},
		{"im.max-message", &c->im.max_message, 8},
		{"im.group-chat-notice", &c->group_notice, 1},
		{"im.xhtml", &c->im.xhtml, 1},
		{"errors.bare-6xx", &c->errors.bare_6xx, 1},
		{"errors.hide-unknown-users", &c->errors.hide_unknown_users, 1},
	};
	uint64_t v;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!slice_eq(name, slice_str(known[i].name)))
			continue;
		if (known[i].kind == 1)
			*(bool *)known[i].at = slice_eq(words, S("on"));
		else if (!slice_u64(words, UINT32_MAX, &v))
			wrong(w, "a number");
		else if (known[i].kind == 4)
			*(uint32_t *)known[i].at = (uint32_t)v;
		else
			*(size_t *)known[i].at = (size_t)v;
		if (w->moved)
			gateway_set(w->house->gateway, c);
		else
			house_restart(w->house, 0);
		return;
	}
	wrong(w, "there is no such setting");
}

static void policy(struct world *w, struct slice words)
{
	struct slice what = slice_split(&words, ' ');
	static const char *const types[] = {"federated", "verified", "unverified"};
	static const int values[] = {POLICY_FEDERATED, POLICY_PUBLIC_VERIFIED, POLICY_PUBLIC_UNVERIFIED};
	if (slice_eq(what, S("xmpp-access"))) {
		house_policy(w->house, POLICY_FEDERATED, true, slice_eq(words, S("on")));
	} else if (slice_eq(what, S("fabrikam.test"))) {
		size_t i = 0;
		while (i < 3 && !slice_eq(words, slice_str(types[i])))
			i++;
		bool none = slice_eq(words, S("none")), off = slice_eq(words, S("disabled"));
		if (i == 3 && !none && !off)
			wrong(w, "federated, verified, unverified, disabled or none");
		house_policy(w->house, none ? -1 : off ? POLICY_FEDERATED : values[i], !off, true);
	} else {
		wrong(w, "policy fabrikam.test TYPE, or policy xmpp-access on|off");
	}
	gateway_recheck(w->house->gateway);
	house_pass(w->house, 0);
}

/* "dialect lync": of the home */
static void dialect(struct world *w, struct slice name)
{
	for (int d = 0; d < GATEWAY_DIALECTS; d++)
		if (slice_eq(name, slice_str(gateway_dialect_name((enum gateway_dialect)d)))) {
			w->house->dialect = (enum gateway_dialect)d;
			return;
		}
	wrong(w, "there is no such dialect");
}

struct looking {
	struct slice local, remote;
	struct slice carrier, state;
	size_t n;
};

static void look(void *arg, const struct gateway_conversation_facts *f)
{
	struct looking *l = arg;
	l->n++;
	if (slice_eq(f->local, l->local) && slice_eq(f->remote, l->remote)) {
		l->carrier = slice_str(f->carrier);
		l->state = slice_str(f->state);
	}
}

/* "conversation LOCAL REMOTE CARRIER [STATE]", as `entente show conversations` has it */
static void conversation_step(struct world *w, struct slice words)
{
	struct looking l = {.local = slice_split(&words, ' ')};
	l.remote = slice_split(&words, ' ');
	gateway_each_conversation(w->house->gateway, look, &l);
	struct slice is = l.state.len ? arena_printf(w->arena, "%.*s %.*s", SFMT(l.carrier), SFMT(l.state)) : l.carrier;
	if (!match_text(w, words, l.carrier.p ? is : S("none")))
		wrong(w, "it is \"%.*s\"", SFMT(l.carrier.p ? is : S("none")));
}

/* "link DOMAIN up|down", "link fine|queued|silent|refuses REASON", "link releases [REASON]" */
static enum reason reason_of(struct world *w, struct slice id)
{
	for (int r = 0; r < REASON_COUNT; r++)
		if (slice_eq(id, slice_str(reason_info((enum reason)r)->id)))
			return (enum reason)r;
	wrong(w, "there is no reason %.*s", SFMT(id));
}

static void link_step(struct world *w, struct slice words)
{
	struct slice what = slice_split(&words, ' ');
	if (slice_eq(what, S("fine")))
		w->house->link = LINK_FINE;
	else if (slice_eq(what, S("queued")))
		w->house->link = LINK_QUEUED;
	else if (slice_eq(what, S("silent")))
		w->house->link = LINK_SILENT;
	else if (slice_eq(what, S("refuses"))) {
		w->house->link = LINK_BAD;
		w->house->why = reason_of(w, words);
	} else if (slice_eq(what, S("releases"))) {
		house_release(w->house, words.len ? reason_of(w, words) : REASON_NONE);
	} else if (slice_eq(words, S("up")) || slice_eq(words, S("down"))) {
		char domain[256];
		slice_cstr(what, domain, sizeof domain);
		house_link(w->house, domain, slice_eq(words, S("up")));
	} else {
		wrong(w, "link DOMAIN up|down, link fine|queued|silent, link refuses REASON, link releases [REASON]");
	}
}

static bool record_there(const struct house_record *r, struct slice key)
{
	for (size_t i = 0; i < HOUSE_RECORDS; i++)
		if (r[i].key && slice_eq(slice_str(r[i].key), key))
			return true;
	return false;
}

/* "store has watch juliet@... romeo@...", "store has no contact ...", "store has 2 dialogs" */
static void store_step(struct world *w, struct slice words)
{
	uint64_t n;
	if (!slice_eq(slice_split(&words, ' '), S("has")))
		wrong(w, "store has ...");
	struct slice what = slice_split(&words, ' ');
	bool no = slice_eq(what, S("no"));
	if (slice_u64(what, 1000, &n)) {
		const struct house_record *r = slice_starts(words, S("dialog")) ? w->house->dialogs
					       : slice_starts(words, S("watch")) ? w->house->watches
										 : w->house->contacts;
		if (house_records(r) != n)
			wrong(w, "it has %zu", house_records(r));
		return;
	}
	if (no)
		what = slice_split(&words, ' ');
	if (!slice_eq(what, S("watch")) && !slice_eq(what, S("contact")))
		wrong(w, "a watch or a contact");
	if (record_there(slice_eq(what, S("watch")) ? w->house->watches : w->house->contacts, expand(w, words)) == no)
		wrong(w, no ? "it has" : "it has not");
}

static void contact_step(struct world *w, struct slice words)
{
	struct slice local = slice_split(&words, ' ');
	if (!local.len || !words.len)
		wrong(w, "contact LOCAL REMOTE");
	house_contact(w->house, local, words);
}

static void run(struct world *w, const struct script *s, size_t from, size_t to);

static void use(struct world *w, struct slice name)
{
	char path[512], own[256];
	const char *slash = strstr(w->script->path, w->script->name);
	struct script part;
	snprintf(path, sizeof path, "%.*scommon/%.*s.part", slash ? (int)(slash - w->script->path) : 0, w->script->path, SFMT(name));
	snprintf(own, sizeof own, "common/%.*s", SFMT(name));
	const struct script *outer = w->script;
	script_read(&part, w->arena, path, own);
	w->script = &part;
	run(w, &part, 0, part.n_lines);
	w->script = outer;
}

/* Steps that let time pass or change the world: everything that came so far must have been looked at. */
static void other_step(struct world *w, struct slice verb, struct slice words, const struct block *b)
{
	struct house *h = w->house;
	(void)b;
	world_settle(w);
	world_nothing(w);
	if (slice_eq(verb, S("wait"))) {
		for (uint64_t until = h->timers.now + duration(w, words);;) {
			uint64_t next = timers_next(&h->timers);
			house_pass(h, next > until ? until - h->timers.now : next > h->timers.now ? next - h->timers.now : 0);
			world_settle(w); /* the home answers what it always answers when it comes */
			if (next > until)
				break;
		}
	} else if (slice_eq(verb, S("nothing"))) {
		if (words.len) { /* "for 10 min" */
			slice_split(&words, ' ');
			house_pass(h, duration(w, words));
			world_settle(w);
			world_nothing(w);
		}
	} else if (slice_eq(verb, S("restart"))) {
		uint64_t down = words.len ? duration(w, slice_skip(words, 6)) : 0; /* "after 5 min" */
		house_restart(h, down);
		house_pass(h, 0);
	} else if (slice_eq(verb, S("policy"))) {
		policy(w, words);
	} else if (slice_eq(verb, S("setting"))) {
		setting(w, words);
	} else if (slice_eq(verb, S("link"))) {
		link_step(w, words);
	} else if (slice_eq(verb, S("contact"))) {
		contact_step(w, words);
	} else if (slice_eq(verb, S("dialect"))) {
		dialect(w, words);
	} else if (slice_eq(verb, S("conversation"))) {
		conversation_step(w, words);
	} else if (slice_eq(verb, S("store"))) {
		store_step(w, words);
	} else {
		wrong(w, "there is no such step");
	}
}

static void each(struct world *w, const struct script *s, struct slice names, const struct block *table, size_t from, size_t to)
{
	size_t n, k;
	struct slice *name = columns(w, names, &n);
	for (size_t i = 0; i < table->n; i++) {
		w->round = &table->lines[i];
		struct slice *value = columns(w, table->lines[i].text, &k);
		if (k != n)
			wrong(w, "line %d has %zu columns, not %zu", table->lines[i].number, k, n);
		for (k = 0; k < n; k++)
			var_set(w, slice_skip(name[k], 1), slice_eq(value[k], S("(empty)")) ? S("") : value[k]);
		size_t mark = w->n_vars;
		run(w, s, from, to);
		w->n_vars = mark; /* names of one round mean nothing in the next */
	}
	w->round = NULL;
}

static void run(struct world *w, const struct script *s, size_t from, size_t to)
{
	for (size_t i = from; i < to;) {
		struct slice words = s->lines[i].text, verb;
		struct block b = {&s->lines[i + 1], 0};
		w->at = &s->lines[i++];
		if (w->at->inside)
			wrong(w, "an indented line belongs to a step above it, but there is none");
		while (i < to && s->lines[i].inside) {
			b.n++;
			i++;
		}
		if (slice_starts(words, S("row:")) || slice_starts(words, S("title:")))
			continue;
		verb = slice_split(&words, ' ');
		words = slice_trim(words);
		if (slice_eq(verb, S("for"))) { /* for each $a  $b */
			size_t end = i;
			while (end < to && !slice_eq(s->lines[end].text, S("end")))
				end++;
			if (end == to)
				wrong(w, "no \"end\" follows");
			slice_split(&words, ' ');
			each(w, s, slice_trim(words), &b, i, end);
			i = end + 1;
		} else if (slice_eq(verb, S("home"))) {
			home_step(w, words, &b);
		} else if (slice_eq(verb, S("partner"))) {
			partner_step(w, words, &b);
		} else if (slice_eq(verb, S("let"))) { /* let name = value */
			struct slice name = slice_trim(slice_split(&words, '='));
			var_set(w, name, expand(w, slice_trim(words)));
		} else if (slice_eq(verb, S("use"))) {
			use(w, words);
		} else {
			other_step(w, verb, expand(w, words), &b);
		}
	}
}

struct world *world_new(const struct script *s, const struct line *at)
{
	struct arena *a = arena_new(256 << 20);
	struct world *w = ARENA_NEW(a, struct world);
	*w = (struct world){.script = s, .at = at, .arena = a};
	w->tail = &w->things;
	var_set(w, S("sdp"), S("v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=session\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=message 5060 sip null\r\n"
				"a=accept-types:text/plain text/html application/im-iscomposing+xml\r\n"));
	w->house = house_new();
	house_journal(w->house);
	w->house->out = world_keep;
	w->house->out_arg = w;
	return w;
}

void world_free(struct world *w)
{
	w->house->out = NULL;
	house_free(w->house);
	arena_release(NULL, w->arena);
}

void script_run(const struct script *s)
{
	static const struct line end = {0, false, S("the end of the script")};
	struct world *w = world_new(s, &end);
	run(w, s, 0, s->n_lines);
	w->at = &end;
	world_settle(w);
	world_nothing(w);
	world_free(w);
}
