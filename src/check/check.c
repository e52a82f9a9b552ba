/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include "base/mem.h"

static const struct check_info infos[CHECK_COUNT] = {
#define CHECK(name, id, area, severity, who, title, why, remedy) [CHECK_##name] = {id, CHECK_##area, CHECK_##severity, who, title, why, remedy},
#include "check/check.def"
#undef CHECK
};

static const struct {
	const char *name, *title;
} areas[CHECK_AREAS] = {
	[CHECK_CONFIG] = {"config", "The configuration, and combinations of settings that do harm"},
	[CHECK_DNS] = {"dns", "Each DNS record of the plan, as the resolver answers for it"},
	[CHECK_CERTS] = {"certs", "Our certificates, keys, chains and revocation lists"},
	[CHECK_PORTS] = {"ports", "Listeners, who has their ports, and whether our public names lead to them"},
	[CHECK_PARTNERS] = {"partners", "Each configured partner: last contact, certificate, a test that sends no message"},
	[CHECK_POOL] = {"pool", "Servers behind one name: do all answer, and alike?"},
	[CHECK_TIME] = {"time", "The clock"},
	[CHECK_DISK] = {"disk", "The state directory and the database"},
	[CHECK_SYSTEM] = {"system", "The daemon, its unit and its limits"},
};

const char *check_area_text(enum check_area a)
{
	return areas[a].name;
}

const char *check_area_title(enum check_area a)
{
	return areas[a].title;
}

const char *check_severity_text(enum check_severity s)
{
	static const char *const texts[] = {[CHECK_NOTE] = "note", [CHECK_WARNING] = "warning", [CHECK_ERROR] = "error"};
	return texts[s];
}

const struct check_info *check_info(enum check_id id)
{
	return &infos[id];
}

const char *check_anchor(enum check_id id)
{
	return infos[id].id + sizeof "check/" - 1;
}

const char *check_who_text(const char *who)
{
	static const struct {
		const char *who, *text;
	} words[] = {
		{"admin", "you, the administrator"},
		{"partner", "the partner's administrator"},
		{"network", "whoever runs the network, the firewall or the resolver"},
		{"authority", "the authority that issued the certificate"},
	};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_eq(slice_str(who), slice_str(words[i].who)))
			return words[i].text;
	return who;
}

/* ---- a report */

void check_init(struct check *c, struct arena *a)
{
	*c = (struct check){.arena = a};
}

static struct check_finding *append(struct check *c)
{
	if (c->n == c->cap && c->cap < CHECK_FINDINGS_MAX) {
		size_t cap = c->cap ? 2 * c->cap : 32;
		struct check_finding *list = arena_alloc(c->arena, (cap < CHECK_FINDINGS_MAX ? cap : CHECK_FINDINGS_MAX) * sizeof *list);
		if (list) {
			if (c->n)
				memcpy(list, c->list, c->n * sizeof *list);
			c->list = list;
			c->cap = cap < CHECK_FINDINGS_MAX ? cap : CHECK_FINDINGS_MAX;
		}
		c->full |= !list;
	}
	if (c->n == c->cap) {
		c->lost++;
		return NULL;
	}
	return &c->list[c->n++];
}

bool check_fails(struct check *c, enum check_id id, bool bad, struct slice subject)
{
	struct check_tally *t = &c->areas[infos[id].area];
	t->made++;
	if (!bad)
		return false;
	t->failed++;
	struct check_finding *f = append(c);
	if (f)
		*f = (struct check_finding){.id = id, .severity = infos[id].severity, .who = infos[id].who, .subject = arena_dup(c->arena, subject),
					    .remedy = slice_str(infos[id].remedy)};
	return true;
}

/* The finding that was begun last, unless it was lost. */
static struct check_finding *last(struct check *c)
{
	return c->n && !c->lost ? &c->list[c->n - 1] : NULL;
}

__attribute__((format(printf, 3, 0))) static void put(struct check *c, struct slice *to, const char *fmt, va_list ap)
{
	struct slice s = arena_vprintf(c->arena, fmt, ap);
	c->full |= !s.p;
	if (s.p)
		*to = s;
}

void check_evidence(struct check *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (last(c))
		put(c, &last(c)->evidence, fmt, ap);
	va_end(ap);
}

void check_remedy(struct check *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (last(c))
		put(c, &last(c)->remedy, fmt, ap);
	va_end(ap);
}

void check_severity(struct check *c, enum check_severity s)
{
	if (last(c))
		last(c)->severity = s;
}

void check_who(struct check *c, const char *who)
{
	if (last(c))
		last(c)->who = who;
}

void check_skip(struct check *c, enum check_area a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!c->areas[a].skipped.len)
		put(c, &c->areas[a].skipped, fmt, ap);
	va_end(ap);
}

void check_count(const struct check *c, struct check_counts *ret)
{
	*ret = (struct check_counts){0};
	for (size_t i = 0; i < CHECK_AREAS; i++) {
		ret->made += c->areas[i].made;
		ret->passed += c->areas[i].made - c->areas[i].failed;
	}
	for (size_t i = 0; i < c->n; i++)
		ret->findings[c->list[i].severity]++;
}

/* ---- docs/checks.md */

static void cell(struct buf *out, const char *z)
{
	for (; *z; z++)
		if (*z == '|')
			buf_puts(out, "\\|");
		else
			buf_putc(out, *z);
}

void check_markdown(struct buf *out)
{
	buf_puts(out, "# What `entente check` finds\n\n<!-- Generated from src/check/check.def by entente-docgen checks.md; do not edit. -->\n\n"
		      "`entente check` compares what is with the plan (`entente plan`). Each finding has an ID that does not change, says what was seen "
		      "and where, and names the exact command, record or line that mends it. An *error* is something that does not work, a *warning* "
		      "something that will not, or not for everybody; a *note* is worth knowing and leaves the exit code at 0.\n");
	for (int a = 0; a < CHECK_AREAS; a++) {
		buf_printf(out, "\n## %s: `entente check %s`\n", areas[a].title, areas[a].name);
		for (int i = 0; i < CHECK_COUNT; i++) {
			const struct check_info *r = &infos[i];
			if (r->area != (enum check_area)a)
				continue;
			buf_printf(out, "\n### %s\n\n| | |\n|---|---|\n| ID | `%s`, %s |\n| found | ", check_anchor((enum check_id)i), r->id,
				   check_severity_text(r->severity));
			cell(out, r->title);
			buf_puts(out, " |\n| why it matters | ");
			cell(out, r->why);
			buf_printf(out, " |\n| fixed by | %s |\n| what to do | ", check_who_text(r->who));
			cell(out, r->remedy);
			buf_puts(out, " |\n");
		}
	}
}
