/* SPDX-License-Identifier: Apache-2.0 */
/* Help at every level, from the table. */
#include "admin/args.h"
#include "admin/call.h"
#include "admin/lync.h"

enum { COLUMN = 28, WIDTH = 80 };

void admin_path_print(struct buf *out, const char *const path[])
{
	for (size_t i = 0; path[i]; i++)
		buf_printf(out, "%s%s", i ? " " : "", path[i]);
}

/* What stands for the value of an option: "TYPE", "DOMAIN". */
static void placeholder(struct buf *out, const struct admin_arg *a)
{
	if (a->type != ADMIN_ENUM) {
		buf_puts(out, admin_type_placeholder(a->type));
		return;
	}
	for (const char *p = a->name; *p; p++)
		buf_putc(out, *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
}

void admin_arg_usage(struct buf *out, const struct admin_arg *a)
{
	admin_arg_name(out, a);
	if (!(a->flags & ADMIN_POSITIONAL) && a->type != ADMIN_BOOL) {
		buf_putc(out, ' ');
		placeholder(out, a);
	}
	if (a->flags & ADMIN_MANY && a->flags & ADMIN_POSITIONAL)
		buf_puts(out, "...");
}

void admin_arg_describe(struct buf *out, const struct admin_arg *a)
{
	buf_puts(out, a->help);
	if (a->values) {
		buf_puts(out, ": ");
		for (struct slice rest = slice_str(a->values); rest.p;) {
			buf_put(out, admin_values_next(&rest));
			buf_puts(out, rest.p ? ", " : "");
		}
	}
	if (a->flags & ADMIN_MANY && !(a->flags & ADMIN_POSITIONAL))
		buf_puts(out, "; may be repeated");
	if (admin_arg_needed(a))
		buf_puts(out, " (required)");
	else if (a->def)
		buf_printf(out, " (default: %s)", a->def);
}

void admin_synopsis(struct buf *out, const struct admin_command *c)
{
	size_t optional = 0;
	buf_puts(out, "entente ");
	admin_path_print(out, c->path);
	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < c->n_args; i++) {
			const struct admin_arg *a = &c->args[i];
			if ((pass == 0) != !!(a->flags & ADMIN_POSITIONAL))
				continue;
			if (pass && !admin_arg_needed(a)) {
				optional++;
				continue;
			}
			buf_puts(out, admin_arg_needed(a) ? " " : " [");
			admin_arg_usage(out, a);
			buf_puts(out, admin_arg_needed(a) ? "" : "]");
		}
	if (optional > 2)
		buf_puts(out, " [OPTION...]");
	for (size_t i = 0; optional <= 2 && i < c->n_args; i++)
		if (!(c->args[i].flags & ADMIN_POSITIONAL || admin_arg_needed(&c->args[i]))) {
			buf_puts(out, " [");
			admin_arg_usage(out, &c->args[i]);
			buf_putc(out, ']');
		}
}

/* "  left     text, wrapped under itself" */
static void entry(struct buf *out, struct slice left, struct slice text)
{
	buf_printf(out, "  %.*s", SFMT(left));
	if (left.len + 4 > COLUMN)
		buf_putc(out, '\n');
	else
		buf_printf(out, "%*s", (int)(COLUMN - left.len - 2), "");
	admin_wrap(out, text, COLUMN, WIDTH, left.len + 4 > COLUMN);
}

static void arg_entry(struct buf *out, const struct admin_arg *a)
{
	struct buf left, text;
	buf_init(&left, 1024);
	buf_init(&text, 4096);
	admin_arg_usage(&left, a);
	admin_arg_describe(&text, a);
	entry(out, buf_slice(&left), buf_slice(&text));
	for (const struct admin_alias *al = a->aliases; al && al->word; al++) {
		buf_clear(&left);
		buf_printf(&left, "--%s", al->word);
		entry(out, buf_slice(&left), slice_str(al->help));
	}
	buf_free(&left);
	buf_free(&text);
}

static void heading(struct buf *out, bool color, const char *text)
{
	buf_putc(out, '\n');
	admin_styled(out, color, ADMIN_BOLD, slice_str(text));
	buf_putc(out, '\n');
}

static void paragraphs(struct buf *out, const char *text)
{
	struct slice rest = slice_str(text);
	while (rest.len) {
		ptrdiff_t end = slice_find(rest, S("\n\n"));
		struct slice one = end < 0 ? rest : slice_first(rest, (size_t)end);
		buf_putc(out, '\n');
		admin_wrap(out, one, 0, WIDTH, true);
		rest = slice_skip(rest, one.len + 2);
	}
}

static void general_options(struct buf *out, bool color)
{
	heading(out, color, "General options");
	for (size_t i = 0; i < admin_global_count(); i++)
		arg_entry(out, admin_global(i));
}

static void command_help(struct buf *out, const struct admin_command *c, bool color)
{
	struct buf line;
	bool any = false;
	buf_init(&line, 4096);
	admin_synopsis(&line, c);
	admin_wrap(out, buf_slice(&line), 8, WIDTH, false);
	buf_free(&line);
	buf_putc(out, '\n');
	for (const char *p = c->summary; *p; p++)
		buf_putc(out, p == c->summary && *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
	buf_puts(out, ".\n");
	if (c->help)
		paragraphs(out, c->help);
	for (size_t i = 0; i < c->n_args; i++)
		if (c->args[i].flags & ADMIN_POSITIONAL) {
			if (!any)
				heading(out, color, "Arguments");
			any = true;
			arg_entry(out, &c->args[i]);
		}
	any = false;
	for (size_t i = 0; i < c->n_args; i++)
		if (!(c->args[i].flags & ADMIN_POSITIONAL)) {
			if (!any)
				heading(out, color, "Options");
			any = true;
			arg_entry(out, &c->args[i]);
		}
	general_options(out, color);
	if (c->example) {
		heading(out, color, "Examples");
		for (struct slice rest = slice_str(c->example); rest.p;) {
			struct slice one = slice_split(&rest, '\n');
			buf_printf(out, "  %.*s\n", SFMT(one));
		}
	}
}

static bool under(const char *const path[], const char *const words[])
{
	for (size_t i = 0; words[i]; i++)
		if (!path[i] || !slice_eq(slice_str(path[i]), slice_str(words[i])))
			return false;
	return true;
}

static void group_help(struct buf *out, const char *const words[], const char *summary, bool color)
{
	struct buf left;
	buf_init(&left, 1024);
	buf_puts(&left, "entente");
	for (size_t i = 0; words[i]; i++)
		buf_printf(&left, " %s", words[i]);
	admin_styled(out, color, ADMIN_BOLD, buf_slice(&left));
	buf_printf(out, ": %s\n", summary);
	heading(out, color, "Commands");
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		if (!under(c->path, words))
			continue;
		buf_clear(&left);
		admin_path_print(&left, c->path);
		entry(out, buf_slice(&left), slice_str(c->summary));
	}
	general_options(out, color);
	buf_puts(out, "\n`entente COMMAND --help` tells more of one, `man entente` all.\n");
	buf_free(&left);
}

bool admin_help(struct buf *out, const char *const words[], bool color)
{
	struct slice w[16] = {0};
	size_t n = 0;
	const struct admin_command *c;
	while (words[n] && n < sizeof w / sizeof *w) {
		w[n] = slice_str(words[n]);
		n++;
	}
	size_t known = admin_path_match(w, n, &c);
	if (known < n) {
		if (lync_cmdlet_help(out, w[0]))
			return true;
		admin_path_unknown(w, known, out);
		return false;
	}
	if (c) {
		command_help(out, c, color);
		return true;
	}
	const char *summary = "administration of Entente, the federation server between SIP and XMPP";
	for (size_t i = 0; n && i < admin_group_count(); i++)
		if (under(admin_group(i)->path, words) && !admin_group(i)->path[n])
			summary = admin_group(i)->summary;
	group_help(out, words, summary, color);
	return true;
}
