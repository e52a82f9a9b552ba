/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics for Prometheus, in the text format 0.0.4: the tables, refusals and decisions by reason, and what is looked up when somebody asks. */
#include <dirent.h>
#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>
#include "app/facts.h"
#include "app/health.h"
#include "app/node_int.h"
#include "app/probes.h"
#include "app/queue.h"
#include "app/split.h"
#include "base/clock.h"
#include "base/metric.h"
#include "policy/domain.h"

static void head(struct buf *out, const struct metric_info *i)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", i->prom, i->help, i->prom, i->kind);
}

static void value_of(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\\' || s.p[i] == '"')
			buf_printf(out, "\\%c", s.p[i]);
		else
			buf_putc(out, (unsigned char)s.p[i] < ' ' ? ' ' : s.p[i]);
}

/* a=b,c=d to a="b",c="d" */
static void labels_of(struct buf *out, const char *labels)
{
	for (struct slice rest = slice_str(labels); rest.len;) {
		struct slice value = slice_split(&rest, ','), name = slice_split(&value, '=');
		buf_printf(out, "%.*s=\"", SFMT(name));
		value_of(out, value);
		buf_puts(out, rest.len ? "\"," : "\"");
	}
}

static void asked_head(struct buf *out, enum metric_asked m)
{
	head(out, metric_asked_info(m));
}

/* `values`: of its labels, in their order. */
static void asked_row(struct buf *out, enum metric_asked m, const struct slice *values, const char *number)
{
	const struct metric_info *i = metric_asked_info(m);
	buf_puts(out, i->prom);
	if (*i->labels)
		buf_putc(out, '{');
	for (struct slice names = slice_str(i->labels); names.len; values++) {
		struct slice name = slice_split(&names, ',');
		buf_printf(out, "%.*s=\"", SFMT(name));
		value_of(out, *values);
		buf_puts(out, names.len ? "\"," : "\"}");
	}
	buf_printf(out, " %s\n", number);
}

static void asked_int(struct buf *out, enum metric_asked m, const struct slice *values, int64_t n)
{
	char z[24];
	snprintf(z, sizeof z, "%jd", (intmax_t)n);
	asked_row(out, m, values, z);
}

static void asked_ms(struct buf *out, enum metric_asked m, const struct slice *values, uint64_t ms)
{
	char z[32];
	snprintf(z, sizeof z, "%ju.%03u", (uintmax_t)ms / 1000, (unsigned)(ms % 1000));
	asked_row(out, m, values, z);
}

/* One without labels. */
static void asked_one(struct buf *out, enum metric_asked m, int64_t n)
{
	asked_head(out, m);
	asked_int(out, m, NULL, n);
}

/* ---- the tables */

static void by_reason(struct buf *out, const struct metric_info *i, const char *more, int64_t (*get)(int reason))
{
	for (int r = 1; r < REASON_COUNT; r++)
		buf_printf(out, "%s{%sreason=\"%s\"} %jd\n", i->prom, more, reason_info((enum reason)r)->id, (intmax_t)get(r));
}

static void refusals(struct buf *out)
{
	const struct metric_info *i = metric_info(METRIC_REFUSED);
	int64_t rest = metric_get(METRIC_REFUSED);
	for (int r = 1; r < REASON_COUNT; r++)
		rest -= metric_refused_get(r);
	by_reason(out, i, "", metric_refused_get);
	buf_printf(out, "%s{reason=\"none\"} %jd\n", i->prom, (intmax_t)(rest > 0 ? rest : 0));
}

static void table(struct buf *out)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *i = metric_info((enum metric)m);
		if (!m || strcmp(i->prom, metric_info((enum metric)(m - 1))->prom))
			head(out, i);
		if (m == METRIC_REFUSED) {
			refusals(out);
			continue;
		}
		buf_puts(out, i->prom);
		if (*i->labels) {
			buf_putc(out, '{');
			labels_of(out, i->labels);
			buf_putc(out, '}');
		}
		buf_printf(out, " %jd\n", (intmax_t)metric_get((enum metric)m));
		if (m == METRIC_POLICY_ALLOWED)
			by_reason(out, i, "decision=\"deny\",", metric_denied_get);
	}
}

static void histograms(struct buf *out)
{
	for (int h = 0; h < HISTOGRAM_COUNT; h++) {
		const struct metric_info *i = metric_histogram_info((enum metric_histogram)h);
		const char *comma = *i->labels ? "," : "";
		struct metric_histogram_value v;
		struct buf labels;
		metric_histogram_get((enum metric_histogram)h, &v);
		buf_init(&labels, 1024);
		labels_of(&labels, i->labels);
		if (!h || strcmp(i->prom, metric_histogram_info((enum metric_histogram)(h - 1))->prom))
			head(out, i);
		for (unsigned b = 0; b <= METRIC_BUCKETS; b++) {
			buf_printf(out, "%s_bucket{%.*s%sle=\"", i->prom, SFMT(buf_slice(&labels)), comma);
			if (b < METRIC_BUCKETS)
				buf_printf(out, "%g", metric_bucket(b) / 1000.0);
			else
				buf_puts(out, "+Inf");
			buf_printf(out, "\"} %jd\n", (intmax_t)v.buckets[b]);
		}
		const char *open = labels.len ? "{" : "", *close = labels.len ? "}" : "";
		buf_printf(out, "%s_sum%s%.*s%s %jd.%03d\n", i->prom, open, SFMT(buf_slice(&labels)), close, (intmax_t)(v.sum_ms / 1000),
			   (int)(v.sum_ms % 1000));
		buf_printf(out, "%s_count%s%.*s%s %jd\n", i->prom, open, SFMT(buf_slice(&labels)), close, (intmax_t)v.buckets[METRIC_BUCKETS]);
		buf_free(&labels);
	}
}

/* ---- what the workers know */

struct look {
	json_t *xmpp; /* domain in A-labels: {up, queued, octets} */
	json_t *sip;  /* domain: true */
	json_t *homes, *links; /* name: up */
	uint64_t oldest_ms;
};

static json_t *member(json_t *all, const char *name)
{
	json_t *o = json_object_get(all, name);
	if (!o) {
		o = json_object();
		json_object_set_new(all, name, o);
	}
	return o;
}

static void add(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer(json_integer_value(json_object_get(o, key)) + (json_int_t)n));
}

static void look_stream(void *arg, const struct xmpp_proxy_facts *f)
{
	struct look *l = arg;
	struct policy_domain d; /* streams name domains in U-labels */
	bool open = slice_eq(slice_str(f->state), S("open"));
	if ((!open && !f->queued) || !policy_domain_import(&d, f->remote))
		return;
	json_t *o = member(l->xmpp, d.text);
	add(o, "up", open && f->proof.len);
	add(o, "queued", f->queued);
	add(o, "octets", f->queued_octets);
	if (f->waiting_ms > l->oldest_ms)
		l->oldest_ms = f->waiting_ms;
}

static void look_connection(void *arg, const struct access_conn_facts *f)
{
	struct look *l = arg;
	char z[256];
	if (f->domain.len && slice_eq(slice_str(f->state), S("up")) && slice_cstr(f->domain, z, sizeof z))
		json_object_set_new(l->sip, z, json_true());
}

static void look_home(void *arg, const struct sip_edge_facts *f)
{
	struct look *l = arg;
	char z[256];
	bool down = slice_eq(slice_str(f->state), S("down"));
	if (slice_cstr(f->name, z, sizeof z) && (down || !json_object_get(l->homes, z)))
		json_object_set_new(l->homes, z, json_integer(!down));
}

static void look_link(void *arg, const struct split_facts *f)
{
	struct look *l = arg;
	char z[256];
	bool up = slice_eq(slice_str(f->state), S("up"));
	if (f->peer.len && slice_cstr(f->peer, z, sizeof z) && (up || !json_object_get(l->links, z)))
		json_object_set_new(l->links, z, json_integer(up));
}

static void look_node(struct node *n, void *arg)
{
	struct look *l = arg;
	if (n->xmpp)
		xmpp_proxy_each(n->xmpp, look_stream, l);
	if (n->access)
		access_each_conn(n->access, look_connection, l);
	if (n->sip)
		sip_edge_each_home(n->sip, look_home, l);
	if (n->edge)
		edge_node_each(n->edge, look_link, l);
	if (n->remote)
		gw_node_each(n->remote, look_link, l);
}

static void members(struct buf *out, enum metric_asked m, json_t *all)
{
	const char *name;
	json_t *v;
	asked_head(out, m);
	json_object_foreach(all, name, v)
		asked_int(out, m, &(struct slice){name, strlen(name)}, json_integer_value(v));
}

/* A connection that serves, or a probe that was answered: silence alone is no fault. */
static bool up(struct app *app, struct slice domain, bool sip, bool connected)
{
	struct probe_result r;
	return connected || (probes_result(app->probes, domain, sip, &r) && r.ok);
}

static json_int_t of(json_t *all, struct slice domain, const char *key)
{
	char z[256];
	return slice_cstr(domain, z, sizeof z) ? json_integer_value(json_object_get(json_object_get(all, z), key)) : 0;
}

static void partners_up(struct app *app, struct buf *out, const struct snapshot *s, const struct look *l)
{
	char z[256];
	asked_head(out, METRIC_ASKED_PARTNER_UP);
	for (size_t i = 0; i < snapshot_partner_count(s) && i < METRIC_PARTNERS_MAX; i++) {
		struct slice domain = snapshot_partner_at(s, i)->domain;
		asked_int(out, METRIC_ASKED_PARTNER_UP, (struct slice[]){domain, S("xmpp")}, up(app, domain, false, of(l->xmpp, domain, "up") > 0));
	}
	for (size_t i = 0; i < snapshot_allowed_count(s) && i < METRIC_PARTNERS_MAX; i++) {
		struct slice domain = snapshot_allowed_at(s, i)->domain;
		bool connected = slice_cstr(domain, z, sizeof z) && json_object_get(l->sip, z);
		asked_int(out, METRIC_ASKED_PARTNER_UP, (struct slice[]){domain, S("sip")}, up(app, domain, true, connected));
	}
}

static void queues(struct buf *out, const struct snapshot *s, struct look *l, enum metric_asked m, const char *key)
{
	json_int_t rest = 0;
	const char *name;
	json_t *o;
	asked_head(out, m);
	json_object_foreach(l->xmpp, name, o)
		rest += json_integer_value(json_object_get(o, key));
	for (size_t i = 0; i < snapshot_partner_count(s) && i < METRIC_PARTNERS_MAX; i++) {
		struct slice domain = snapshot_partner_at(s, i)->domain;
		json_int_t n = of(l->xmpp, domain, key);
		asked_int(out, m, &domain, n);
		rest -= n;
	}
	asked_int(out, m, &S("other"), rest); /* their additional domains, and partners beyond the limit */
}

static void probed(struct app *app, struct buf *out, const struct snapshot *s)
{
	static const enum metric_asked rows[] = {METRIC_ASKED_PROBE_SUCCESS, METRIC_ASKED_PROBE_DURATION, METRIC_ASKED_PROBE_TIMESTAMP};
	for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
		size_t partners = snapshot_partner_count(s), all = partners + snapshot_allowed_count(s);
		asked_head(out, rows[k]);
		for (size_t i = 0, told = 0; i < all && told < METRIC_PARTNERS_MAX; i++) {
			bool sip = i >= partners;
			struct slice domain = sip ? snapshot_allowed_at(s, i - partners)->domain : snapshot_partner_at(s, i)->domain;
			const struct slice labels[] = {domain, sip ? S("sip") : S("xmpp")};
			struct probe_result r;
			if (!probes_result(app->probes, domain, sip, &r) || !r.at)
				continue;
			told++;
			if (k == 1)
				asked_ms(out, rows[k], labels, r.took_ms);
			else
				asked_int(out, rows[k], labels, k ? r.at : r.ok);
		}
	}
}

static void count_paused(void *arg, struct slice partner)
{
	(void)partner;
	++*(int64_t *)arg;
}

static void journal(struct app *app, struct buf *out)
{
	struct app_queue_facts f;
	int64_t paused = 0;
	if (!app->queue)
		return;
	app_queue_facts(app, &f);
	app_queue_each_paused(app, count_paused, &paused);
	int64_t age = f.stats.oldest ? clock_unix() - f.stats.oldest : 0;
	asked_one(out, METRIC_ASKED_JOURNAL_OCTETS, (int64_t)f.stats.octets);
	asked_one(out, METRIC_ASKED_JOURNAL_FILES, (int64_t)f.stats.files);
	asked_one(out, METRIC_ASKED_JOURNAL_OLDEST, age > 0 ? age : 0);
	asked_one(out, METRIC_ASKED_JOURNAL_FAILING, f.failing);
	asked_one(out, METRIC_ASKED_JOURNAL_PAUSED, paused);
	asked_one(out, METRIC_ASKED_JOURNAL_PUTS, (int64_t)f.stats.puts);
	asked_one(out, METRIC_ASKED_JOURNAL_SYNCS, (int64_t)f.stats.syncs);
	asked_head(out, METRIC_ASKED_JOURNAL_SYNC_TIME);
	asked_ms(out, METRIC_ASKED_JOURNAL_SYNC_TIME, NULL, f.stats.sync_ns / 1000000);
	asked_one(out, METRIC_ASKED_JOURNAL_DAMAGED, (int64_t)f.stats.damaged);
}

static void from_workers(struct app *app, struct buf *out)
{
	struct look l = {.xmpp = json_object(), .sip = json_object(), .homes = json_object(), .links = json_object()};
	struct snapshot *s = snapshot_slot_acquire(&app->policy);
	nodes_call(app, look_node, &l); /* what came in time */
	if (app->role != CONFIG_EDGE)
		members(out, METRIC_ASKED_HOME_UP, l.homes);
	if (app->split)
		members(out, METRIC_ASKED_POOL_MEMBER_UP, l.links);
	journal(app, out);
	if (s && app->role != CONFIG_GATEWAY) { /* the edge has the streams */
		partners_up(app, out, s, &l);
		queues(out, s, &l, METRIC_ASKED_QUEUE_MESSAGES, "queued");
		queues(out, s, &l, METRIC_ASKED_QUEUE_BYTES, "octets");
		asked_head(out, METRIC_ASKED_QUEUE_OLDEST);
		asked_ms(out, METRIC_ASKED_QUEUE_OLDEST, NULL, l.oldest_ms);
		probed(app, out, s);
	}
	json_decref(l.xmpp);
	json_decref(l.sip);
	json_decref(l.homes);
	json_decref(l.links);
	snapshot_unref(s);
}

/* ---- the process */

static int64_t open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int64_t n = -3; /* "." and "..", and this one */
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d ? n : 0;
}

void metrics_process(struct metrics_process *ret)
{
	struct rusage u;
	char text[512] = "";
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long virtual_pages = 0, pages = 0;
	*ret = (struct metrics_process){0};
	if (!getrusage(RUSAGE_SELF, &u))
		ret->cpu_ms = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 + (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
	if (f && fgets(text, sizeof text, f) && sscanf(text, "%llu %llu", &virtual_pages, &pages) == 2) {
		ret->virtual_octets = (int64_t)virtual_pages * sysconf(_SC_PAGESIZE);
		ret->resident_octets = (int64_t)pages * sysconf(_SC_PAGESIZE);
	}
	if (f)
		fclose(f);
}

static int64_t threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int64_t n = -2;
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d ? n : 0;
}

static void process(struct app *app, struct buf *out)
{
	struct metrics_process p;
	struct rlimit files;
	metrics_process(&p);
	asked_head(out, METRIC_ASKED_CPU);
	asked_ms(out, METRIC_ASKED_CPU, NULL, p.cpu_ms);
	asked_one(out, METRIC_ASKED_RSS, p.resident_octets);
	asked_one(out, METRIC_ASKED_VIRTUAL, p.virtual_octets);
	asked_one(out, METRIC_ASKED_OPEN_FDS, open_descriptors());
	if (!getrlimit(RLIMIT_NOFILE, &files))
		asked_one(out, METRIC_ASKED_MAX_FDS, (int64_t)files.rlim_cur);
	asked_one(out, METRIC_ASKED_THREADS, threads());
	asked_one(out, METRIC_ASKED_START_TIME, app->started_at);
}

/* ---- all of it */

static void certificates(struct app *app, struct buf *out)
{
	struct expiry_list list = {0};
	certificates_collect(app, &list);
	expiry_metrics(out, &list, clock_unix());
	expiry_clear(&list);
}

static void sandbox(struct buf *out, const struct sandbox_level *l)
{
	const struct {
		const char *part;
		bool is;
	} rows[] = {{"syscalls", l->syscalls}, {"files", l->files}, {"keys", l->hidden}, {"ports", l->ports}, {"signals", l->scoped}};
	asked_head(out, METRIC_ASKED_SANDBOX);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		asked_int(out, METRIC_ASKED_SANDBOX, (struct slice[]){slice_str(rows[i].part)}, rows[i].is);
}

void metrics_print(struct app *app, struct buf *out)
{
	asked_head(out, METRIC_ASKED_BUILD_INFO);
	asked_int(out, METRIC_ASKED_BUILD_INFO, (struct slice[]){S(ENTENTE_VERSION), slice_str(OpenSSL_version(OPENSSL_VERSION_STRING))}, 1);
	asked_one(out, METRIC_ASKED_UPTIME, (int64_t)((clock_ms() - app->started_ms) / 1000));
	asked_one(out, METRIC_ASKED_READY, health_ready(app, NULL));
	sandbox(out, &app->sandbox);
	asked_one(out, METRIC_ASKED_POLICY_GENERATION, (int64_t)app->generation);
	asked_one(out, METRIC_ASKED_RELOAD_SUCCESS, !app->reload_refused);
	asked_one(out, METRIC_ASKED_RELOAD_TIMESTAMP, app->config_at);
	certificates(app, out);
	asked_head(out, METRIC_ASKED_SUBSCRIPTIONS);
	asked_int(out, METRIC_ASKED_SUBSCRIPTIONS, &S("to-sip"), metric_get(METRIC_SUBSCRIPTIONS_TO_SIP));
	asked_int(out, METRIC_ASKED_SUBSCRIPTIONS, &S("to-xmpp"), metric_get(METRIC_SUBSCRIPTIONS_TO_XMPP));
	table(out);
	histograms(out);
	from_workers(app, out);
	process(app, out);
}
