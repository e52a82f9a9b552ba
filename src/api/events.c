/* SPDX-License-Identifier: Apache-2.0 */
/* What happens, told to whoever listens at /v1/events. While somebody does, the daemon is looked at once a second and what has changed becomes an
 * event; the last EVENTS are kept, for those who come back and for slow readers. Who is too slow for that is told how many it lost. */
#include "api/api_int.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"

enum { EVENTS = 256, TICK_MS = 1000, STATUS_TICKS = 10, BOOT = 8 };

struct happened {
	const char *name;
	char *data; /* owned */
};

struct feed {
	struct api *api;
	struct timer timer;
	char boot[BOOT + 1];     /* ids of another run are told apart */
	struct happened ring[EVENTS];
	uint64_t newest;         /* number of the last one, from 1 */
	unsigned ticks;
	uint64_t generation;
	json_t *up;              /* domains of partners with an open stream; NULL: not looked yet */
	int64_t refused[REASON_COUNT];
};

static struct timers *timers_of(const struct feed *f)
{
	return &f->api->control->loop->timers;
}

/* The data of a command in the daemon's own name; the caller's, NULL: it cannot be had here. */
static json_t *ask(const struct feed *f, const char *request)
{
	struct buf out;
	buf_init(&out, API_ANSWER_MAX);
	admin_execute(f->api->admin, S("api"), slice_str(request), &out);
	json_t *answer = json_loadb(buf_slice(&out).p ? buf_slice(&out).p : "", out.len, 0, NULL), *data = json_incref(json_object_get(answer, "data"));
	json_decref(answer);
	buf_free(&out);
	return data;
}

static json_t *status_of(const struct feed *f)
{
	return ask(f, "{\"command\":[\"status\"],\"json\":true}");
}

/* Takes the reference; NULL: nothing has happened. */
static void happen(struct feed *f, const char *name, json_t *data)
{
	char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
	if (!text) {
		json_decref(data);
		return;
	}
	struct happened *h = &f->ring[++f->newest % EVENTS];
	mem_free(h->data);
	*h = (struct happened){name, mem_strndup(text, strlen(text))};
	free(text);
	json_decref(data);
}

static void look_at_generation(struct feed *f)
{
	uint64_t now = admin_generation(f->api->admin);
	if (f->generation != now)
		happen(f, "policy", json_pack("{s:I s:I}", "generation", (json_int_t)now, "before", (json_int_t)f->generation));
	f->generation = now;
}

static json_t *open_streams(const struct feed *f)
{
	json_t *data = ask(f, "{\"command\":[\"show\",\"streams\"],\"json\":true}"), *up = json_object(), *row;
	size_t i;
	json_array_foreach(json_object_get(data, "streams"), i, row) {
		const char *remote = json_string_value(json_object_get(row, "remote")), *state = json_string_value(json_object_get(row, "state"));
		if (remote && *remote && state && slice_eq(slice_str(state), S("open")))
			json_object_set_new(up, remote, json_true());
	}
	json_decref(data);
	return up;
}

static void look_at_partners(struct feed *f)
{
	json_t *up = open_streams(f), *v;
	const char *domain;
	json_object_foreach(up, domain, v)
		if (!json_object_get(f->up, domain))
			happen(f, "partner", json_pack("{s:s s:s}", "domain", domain, "state", "up"));
	json_object_foreach(f->up, domain, v)
		if (!json_object_get(up, domain))
			happen(f, "partner", json_pack("{s:s s:s}", "domain", domain, "state", "down"));
	json_decref(f->up);
	f->up = up;
}

static void look_at_refusals(struct feed *f)
{
	json_t *more = json_object();
	for (int r = 1; r < REASON_COUNT; r++) {
		int64_t n = metric_refused_get(r);
		if (n != f->refused[r])
			json_object_set_new(more, reason_info((enum reason)r)->id, json_integer(n - f->refused[r]));
		f->refused[r] = n;
	}
	if (json_object_size(more))
		happen(f, "refusals", json_pack("{s:O}", "more", more));
	json_decref(more);
}

/* As things stand: nothing is told of what was before. */
static void begin(struct feed *f)
{
	f->generation = admin_generation(f->api->admin);
	json_decref(f->up);
	f->up = open_streams(f);
	for (int r = 1; r < REASON_COUNT; r++)
		f->refused[r] = metric_refused_get(r);
	f->ticks = 0;
}

static bool anybody(const struct feed *f)
{
	LIST_EACH(n, &f->api->clients)
		if (CONTAINER_OF(n, struct client, node)->state == CLIENT_EVENTS)
			return true;
	return false;
}

static void fired(struct timer *t, uint64_t now)
{
	struct feed *f = CONTAINER_OF(t, struct feed, timer);
	(void)now;
	if (!anybody(f))
		return;
	look_at_generation(f);
	look_at_partners(f);
	look_at_refusals(f);
	if (++f->ticks % STATUS_TICKS == 0)
		happen(f, "status", status_of(f));
	LIST_EACH(n, &f->api->clients) {
		struct client *c = CONTAINER_OF(n, struct client, node);
		if (c->state == CLIENT_EVENTS)
			feed_flush(c);
	}
	timer_arm(timers_of(f), t, TICK_MS);
}

static void id_put(const struct feed *f, uint64_t number, char ret[48])
{
	snprintf(ret, 48, "%s-%ju", f->boot, (uintmax_t)number);
}

/* The first one that is still kept. */
static uint64_t oldest(const struct feed *f)
{
	return f->newest >= EVENTS ? f->newest - EVENTS + 1 : 1;
}

void feed_flush(struct client *c)
{
	struct feed *f = c->api->feed;
	char id[48], lost[64];
	while (!c->over && c->next_event <= f->newest && !client_slow(c)) {
		if (c->next_event < oldest(f)) {
			snprintf(lost, sizeof lost, "{\"lost\":%ju}", (uintmax_t)(oldest(f) - c->next_event));
			c->next_event = oldest(f);
			id_put(f, c->next_event - 1, id);
			client_event(c, "lost", id, slice_str(lost));
			continue;
		}
		struct happened *h = &f->ring[c->next_event % EVENTS];
		id_put(f, c->next_event++, id);
		client_event(c, h->name, id, slice_str(h->data));
	}
}

/* What follows the id that somebody saw last; 0: it is of another run, or of nobody. */
static uint64_t after(const struct feed *f, struct slice last)
{
	struct slice number = last, boot = slice_split(&number, '-');
	uint64_t n;
	return number.p && slice_eq(boot, slice_str(f->boot)) && slice_u64(number, f->newest, &n) ? n + 1 : 0;
}

void feed_join(struct client *c, struct slice last)
{
	struct feed *f = c->api->feed;
	char id[48];
	json_t *status = status_of(f);
	char *text = json_dumps(status, JSON_COMPACT);
	if (!timer_armed(&f->timer)) {
		begin(f);
		timer_arm(timers_of(f), &f->timer, TICK_MS);
	}
	c->next_event = after(f, last);
	if (!c->next_event) {
		id_put(f, f->newest, id);
		if (last.p && last.len)
			client_event(c, "lost", id, S("{\"lost\":null}"));
		c->next_event = f->newest + 1;
	}
	id_put(f, c->next_event - 1, id);
	client_event(c, "status", id, text ? slice_str(text) : S("{}"));
	free(text);
	json_decref(status);
	feed_flush(c);
}

struct feed *feed_new(struct api *a)
{
	struct feed *f = MEM_NEW(struct feed);
	f->api = a;
	timer_init(&f->timer, fired);
	rand_token(f->boot, BOOT);
	return f;
}

struct feed *feed_free(struct feed *f)
{
	if (!f)
		return NULL;
	timer_cancel(timers_of(f), &f->timer);
	for (size_t i = 0; i < EVENTS; i++)
		mem_free(f->ring[i].data);
	json_decref(f->up);
	return mem_free(f);
}
