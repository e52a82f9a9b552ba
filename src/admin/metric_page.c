/* SPDX-License-Identifier: Apache-2.0 */
/* docs/metrics.md, of the tables of metrics. */
#include "admin/command.h"
#include "base/metric.h"
#include "base/reason.h"

static bool same(const char *a, const char *b)
{
	return slice_eq(slice_str(a), slice_str(b));
}

/* "name{labels}" and their values that exist, of a family whose rows are told by `info`. */
static void row(struct buf *out, const struct metric_info *i, struct slice labels, const char *help)
{
	buf_printf(out, "| `%s` | %s | %.*s | %s |\n", i->prom, i->kind, SFMT(labels), help);
}

/* a=b,c=d to "`a`, `c`" */
static void names(struct buf *ret, const char *labels)
{
	buf_clear(ret);
	for (struct slice rest = slice_str(labels); rest.len;) {
		struct slice value = slice_split(&rest, ','), name = slice_split(&value, '=');
		buf_printf(ret, "`%.*s`%s", SFMT(name), rest.len ? ", " : "");
	}
}

static void combinations(struct buf *out)
{
	buf_puts(out, "\n## Combinations of labels\nEach row exists from the start, at 0.\n\n");
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *i = metric_info((enum metric)m);
		bool first = !m || !same(i->prom, metric_info((enum metric)(m - 1))->prom);
		if (*i->labels && first)
			buf_printf(out, "`%s`\n\n", i->prom);
		if (*i->labels)
			buf_printf(out, "- %s\n", i->labels);
		if (m == METRIC_POLICY_ALLOWED)
			buf_puts(out, "- decision=deny,reason=ID for each ID of [reasons.md](reasons.md)\n");
		if (*i->labels && (m + 1 == METRIC_COUNT || !same(i->prom, metric_info((enum metric)(m + 1))->prom)))
			buf_putc(out, '\n');
	}
}

void admin_markdown_metrics(struct buf *out)
{
	struct buf labels;
	buf_init(&labels, 4096);
	buf_puts(out, "# Metrics\n\n<!-- Generated from src/base/metric.def and src/base/metric_asked.def by entente-docgen metrics.md; do not edit. -->\n\n"
		      "`entente show metrics` prints them, `metrics.listen` offers them to Prometheus at `/metrics` (text format 0.0.4). Names and labels do "
		      "not change. Times are seconds, sizes octets. The label `partner` is bounded: partners that are configured, at most ");
	buf_printf(out, "%d of them; what belongs to nobody of these is `other`. [observe.md](observe.md) tells what to watch.\n\n", METRIC_PARTNERS_MAX);
	buf_puts(out, "| metric | kind | labels | what it says |\n|---|---|---|---|\n");
	for (int m = 0; m < METRIC_ASKED_COUNT; m++) {
		const struct metric_info *i = metric_asked_info((enum metric_asked)m);
		names(&labels, i->labels);
		row(out, i, buf_slice(&labels), i->help);
	}
	for (int m = 0; m < METRIC_COUNT; m++) {
		const struct metric_info *i = metric_info((enum metric)m);
		if (m && same(i->prom, metric_info((enum metric)(m - 1))->prom))
			continue;
		names(&labels, m == METRIC_REFUSED ? "reason" : i->labels);
		row(out, i, buf_slice(&labels), i->help);
	}
	for (int h = 0; h < HISTOGRAM_COUNT; h++) {
		const struct metric_info *i = metric_histogram_info((enum metric_histogram)h);
		if (h && same(i->prom, metric_histogram_info((enum metric_histogram)(h - 1))->prom))
			continue;
		names(&labels, i->labels);
		row(out, i, buf_slice(&labels), i->help);
	}
	buf_puts(out, "\nUpper ends of the buckets of a histogram, in seconds: ");
	for (unsigned b = 0; b < METRIC_BUCKETS; b++)
		buf_printf(out, "%g, ", metric_bucket(b) / 1000.0);
	buf_puts(out, "+Inf.\n");
	combinations(out);
	buf_free(&labels);
}
